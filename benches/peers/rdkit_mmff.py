#!/usr/bin/env python3
"""MMFF94s energy and gradient of one conformer: RDKit beside ours, interleaved on one thread, with the largest difference in energy.

    python benches/peers/rdkit_mmff.py [--rounds 21]

Ours answers the same JSON lines (see README.md beside this file): the example `peer_mmff` of boltzflow-energy.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from rdkit import Chem
from rdkit.Chem import AllChem

from peer import Peer, interleaved

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLE = ["--release", "--quiet", "-p", "boltzflow-energy", "--example", "peer_mmff"]
MOLECULES = {"butane": "CCCC", "capped alanine": "CC(=O)N[C@@H](C)C(=O)NC", "ibuprofen": "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O"}
REPEATS = 200


def conformers(smiles, count=20):
    """Embedded conformers, optimised a little so that no two atoms overlap, written as an SDF of one record each."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(molecule, count, randomSeed=1)
    AllChem.MMFFOptimizeMoleculeConfs(molecule, maxIters=20, mmffVariant="MMFF94s")
    return molecule


def write(molecule, path):
    with Chem.SDWriter(str(path)) as writer:
        writer.SetKekulize(True)
        for conformer in molecule.GetConformers():
            writer.write(molecule, confId=conformer.GetId())


def serve():
    """RDKit's side: {"sdf": file, "repeats": k} -> {"us": per energy and gradient, "energies": [...]}."""
    loaded = {}
    for line in sys.stdin:
        request = json.loads(line)
        path = request["sdf"]
        if path not in loaded:
            records = [m for m in Chem.SDMolSupplier(path, removeHs=False)]
            # MMFFGetMoleculeProperties changes the aromaticity of its molecule.
            properties = AllChem.MMFFGetMoleculeProperties(Chem.Mol(records[0]), mmffVariant="MMFF94s")
            field = AllChem.MMFFGetMoleculeForceField(records[0], properties)
            field.Initialize()
            loaded[path] = field, [m.GetConformer().GetPositions().ravel().tolist() for m in records]
        field, positions = loaded[path]
        start = time.perf_counter()
        for i in range(request["repeats"]):
            x = positions[i % len(positions)]
            # A gradient without an energy before it would use stale distances.
            field.CalcEnergy(x)
            field.CalcGrad(x)
        us = 1e6 * (time.perf_counter() - start) / request["repeats"]
        print(json.dumps({"us": us, "energies": [field.CalcEnergy(x) for x in positions]}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve()
    subprocess.run(["cargo", "build", *EXAMPLE], cwd=ROOT, check=True)
    one = {**os.environ, "RAYON_NUM_THREADS": "1"}
    ours = Peer(["cargo", "run", *EXAMPLE], cwd=ROOT, env=one)
    rdkit = Peer([sys.executable, __file__, "--serve"])
    print(f"MMFF94s, energy and gradient, one thread, medians of {arguments.rounds} × {REPEATS} [quartiles], µs\n")
    print(f"{'molecule':<16} {'atoms':>5} {'boltzflow':>26} {'RDKit':>26} {'ratio':>7} {'largest |ΔE|, kcal/mol':>23}")
    with tempfile.TemporaryDirectory() as folder:
        for name, smiles in MOLECULES.items():
            molecule = conformers(smiles)
            path = pathlib.Path(folder) / f"{name.replace(' ', '-')}.sdf"
            write(molecule, path)
            request = {"sdf": str(path), "repeats": REPEATS}
            pairs = zip(ours.ask(**request)["energies"], rdkit.ask(**request)["energies"], strict=True)
            off = max(abs(a - b) for a, b in pairs)
            mine, theirs = interleaved([ours, rdkit], request, arguments.rounds, unit="us")
            cells = ["{:.1f} [{:.1f}, {:.1f}]".format(t["median"], *t["quartiles"]) for t in (mine, theirs)]
            ratio = mine["median"] / theirs["median"]
            print(f"{name:<16} {molecule.GetNumAtoms():5d} {cells[0]:>26} {cells[1]:>26} {ratio:7.2f} {off:23.1e}", flush=True)
    rdkit.close()
    ours.close()


if __name__ == "__main__":
    main()
