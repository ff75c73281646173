#!/usr/bin/env python3
"""MMFF94s energy and gradient of one conformer: RDKit beside ours, interleaved on one thread, with the largest difference in energy.

    python benches/peers/rdkit_mmff.py [--rounds 21]

Ours answers the same JSON lines (see README.md beside this file): `mmff.rs`, the example `peer_mmff` of boltzflow-energy.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from rdkit import Chem
from rdkit.Chem import AllChem

from peer import Peer, interleaved

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# For the whole workspace, as its tests are built: another choice of packages has other features, and compiles Burn again.
EXAMPLE = ["--release", "--quiet", "--workspace", "--example", "peer_mmff"]
MOLECULES = {"butane": "CCCC", "capped alanine": "CC(=O)N[C@@H](C)C(=O)NC", "ibuprofen": "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O"}
REPEATS = 200


def conformers(smiles, count=20):
    """Embedded conformers, optimised a little so that no two atoms overlap: positions in angstrom, hydrogens after all other atoms."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(molecule, count, randomSeed=1)
    AllChem.MMFFOptimizeMoleculeConfs(molecule, maxIters=20, mmffVariant="MMFF94s")
    return [conformer.GetPositions().ravel().tolist() for conformer in molecule.GetConformers()]


def answer(smiles, positions, repeats):
    """RDKit's microseconds for an energy and gradient, and the energy of each conformer."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    # MMFFGetMoleculeProperties changes the aromaticity of its molecule.
    properties = AllChem.MMFFGetMoleculeProperties(Chem.Mol(molecule), mmffVariant="MMFF94s")
    field = AllChem.MMFFGetMoleculeForceField(molecule, properties, nonBondedThresh=1e9)
    field.Initialize()
    energies = [field.CalcEnergy(x) for x in positions]
    start = time.perf_counter()
    for i in range(repeats):
        x = positions[i % len(positions)]
        # A gradient without an energy before it would use stale distances.
        field.CalcEnergy(x)
        field.CalcGrad(x)
    return {"us": 1e6 * (time.perf_counter() - start) / repeats, "energies": energies}


def serve():
    """RDKit's side of the line protocol."""
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve()
    subprocess.run(["cargo", "build", *EXAMPLE], cwd=ROOT, check=True)
    one = {**os.environ, "RAYON_NUM_THREADS": "1"}
    ours = Peer([str(ROOT / "target" / "release" / "examples" / "peer_mmff")], env=one)
    rdkit = Peer([sys.executable, __file__, "--serve"])
    print(f"MMFF94s, energy and gradient, one thread, medians of {arguments.rounds} × {REPEATS} [quartiles], µs\n")
    print(f"{'molecule':<16} {'atoms':>5} {'boltzflow':>26} {'RDKit':>26} {'ratio':>7} {'largest |ΔE|, kcal/mol':>23}")
    for name, smiles in MOLECULES.items():
        request = {"smiles": smiles, "positions": conformers(smiles), "repeats": REPEATS}
        pairs = zip(ours.ask(**request)["energies"], rdkit.ask(**request)["energies"], strict=True)
        off = max(abs(a - b) for a, b in pairs)
        mine, theirs = interleaved([ours, rdkit], request, arguments.rounds, unit="us")
        cells = ["{:.1f} [{:.1f}, {:.1f}]".format(t["median"], *t["quartiles"]) for t in (mine, theirs)]
        ratio = mine["median"] / theirs["median"]
        atoms = len(request["positions"][0]) // 3
        print(f"{name:<16} {atoms:5d} {cells[0]:>26} {cells[1]:>26} {ratio:7.2f} {off:23.1e}", flush=True)
    rdkit.close()
    ours.close()


if __name__ == "__main__":
    main()
