#!/usr/bin/env python3
"""Writes the small molecules of data/, each at a minimum of MMFF94s, in full precision.

A development tool; the program never needs it. It runs with public packages:

    pip install rdkit==2026.9.1
    python scripts/make_molecules.py
"""

import pathlib

from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Chem import rdMolTransforms as transforms

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"

# File, SMILES, what it is in words, and the torsions that are anti in it.
MOLECULES = [
    ("butane", "CCCC", "butane, anti", [(0, 1, 2, 3)]),
    ("pentane", "CCCCC", "pentane, anti, anti", [(0, 1, 2, 3), (1, 2, 3, 4)]),
    ("ethanediol", "OCCO", "1,2-ethanediol, anti", [(0, 1, 2, 3)]),
    ("cyclohexanol", "OC1CCCCC1", "cyclohexanol, equatorial", [(0, 1, 2, 3), (0, 1, 6, 5)]),
]


def is_anti(conformer, torsions):
    # Only symmetry holds a torsion exactly straight.
    return all(abs(abs(transforms.GetDihedralDeg(conformer, *torsion)) - 180.0) < 10.0 for torsion in torsions)


def write(name, smiles, words, anti):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    in_ring = molecule.GetRingInfo().NumRings() > 0
    for seed in range(1, 100):
        AllChem.EmbedMolecule(molecule, randomSeed=seed)
        conformer = molecule.GetConformer()
        # A ring has the form that it was embedded in.
        if not in_ring or is_anti(conformer, anti):
            break
    for torsion in [] if in_ring else anti:
        transforms.SetDihedralDeg(conformer, *torsion, 180.0)
    transforms.CanonicalizeConformer(conformer)
    properties = AllChem.MMFFGetMoleculeProperties(Chem.Mol(molecule), mmffVariant="MMFF94s")
    field = AllChem.MMFFGetMoleculeForceField(molecule, properties)
    field.Initialize()
    while field.Minimize(maxIts=10000, forceTol=1e-8, energyTol=1e-14):
        pass
    angles = [transforms.GetDihedralDeg(conformer, *torsion) for torsion in anti]
    assert is_anti(conformer, anti), f"the torsions of {name} are {angles} degrees, not anti"
    lines = [str(molecule.GetNumAtoms()), f"{words}, minimum of MMFF94s, angstrom; written by scripts/make_molecules.py"]
    for atom, position in zip(molecule.GetAtoms(), conformer.GetPositions()):
        lines.append(f"{atom.GetSymbol():2} " + " ".join(f"{value:23.16f}" for value in position))
    (DATA / f"{name}.xyz").write_text("\n".join(lines) + "\n")
    print(f"{name}: {field.CalcEnergy():.8f} kcal/mol, torsions", ", ".join(f"{angle:.6f}" for angle in angles), "degrees")


if __name__ == "__main__":
    for molecule in MOLECULES:
        write(*molecule)
