#!/usr/bin/env python3
"""Writes data/butane.xyz: butane, anti, at a minimum of MMFF94s, in full precision.

A development tool; the program never needs it. It runs with public packages:

    pip install rdkit==2026.9.1
    python scripts/make_butane.py
"""

import pathlib

from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Chem import rdMolTransforms as transforms

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


def main():
    molecule = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    conformer = molecule.GetConformer()
    transforms.SetDihedralDeg(conformer, 0, 1, 2, 3, 180.0)
    transforms.CanonicalizeConformer(conformer)
    properties = AllChem.MMFFGetMoleculeProperties(Chem.Mol(molecule), mmffVariant="MMFF94s")
    field = AllChem.MMFFGetMoleculeForceField(molecule, properties)
    field.Initialize()
    while field.Minimize(maxIts=10000, forceTol=1e-8, energyTol=1e-14):
        pass
    angle = abs(transforms.GetDihedralDeg(conformer, 0, 1, 2, 3))
    assert abs(angle - 180.0) < 1e-3, f"the torsion is {angle} degrees, not anti"
    lines = [str(molecule.GetNumAtoms()), "butane, anti, minimum of MMFF94s, angstrom; written by scripts/make_butane.py"]
    for atom, position in zip(molecule.GetAtoms(), conformer.GetPositions()):
        lines.append(f"{atom.GetSymbol():2} " + " ".join(f"{value:23.16f}" for value in position))
    (DATA / "butane.xyz").write_text("\n".join(lines) + "\n")
    print(f"{field.CalcEnergy():.8f} kcal/mol, torsion {angle:.6f} degrees")


if __name__ == "__main__":
    main()
