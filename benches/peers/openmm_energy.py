#!/usr/bin/env python3
"""AMBER energy and forces of alanine dipeptide: OpenMM beside ours, interleaved on one thread, with the difference in energy.

    python benches/peers/openmm_energy.py [FILE.prmtop FILE.pdb] [--rounds 11] [--steps 100000]

OpenMM's figures are the time of one step of a Verlet integrator (one evaluation of the forces and little else), on its Reference and CPU
platforms, with its own force for OBC2 and its custom one for OBC1. Ours answers JSON lines (README.md beside this file): the example
`peer_amber` of boltzflow-energy, which evaluates energy and gradient of batches of conformers.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import time
import warnings

import openmm
from openmm import app, unit

from peer import Peer, interleaved, options

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# For the whole workspace, as its tests are built: another choice of packages has other features, and compiles Burn again.
EXAMPLE = ["--release", "--quiet", "--workspace", "--example", "peer_amber"]
# OpenMM's own force for OBC2; the others in water are custom ones, whose steps on the Reference platform take forty times as long.
OWN_FORCES = ("vacuum", "obc2")
MODELS = {"vacuum": None, "hct": app.HCT, "obc1": app.OBC1, "obc2": app.OBC2}


def system(prmtop, implicit):
    options = {} if MODELS[implicit] is None else {"implicitSolvent": MODELS[implicit]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prmtop.createSystem(nonbondedMethod=app.NoCutoff, constraints=None, removeCMMotion=False, **options)


def serve():
    """OpenMM's side: {"prmtop", "implicit", "platform", "positions" (Å), "steps"} -> {"us": of a step, "energies": [kcal/mol]}."""
    contexts = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = request["implicit"], request["platform"]
        if key not in contexts:
            prmtop = app.AmberPrmtopFile(request["prmtop"])
            platform = openmm.Platform.getPlatformByName(request["platform"])
            properties = {"Threads": "1"} if request["platform"] == "CPU" else {}
            integrator = openmm.VerletIntegrator(0.0005 * unit.picosecond)
            contexts[key] = integrator, openmm.Context(system(prmtop, request["implicit"]), integrator, platform, properties)
        integrator, context = contexts[key]
        energies = []
        for x in request["positions"]:
            context.setPositions([openmm.Vec3(*x[i : i + 3]) * 0.1 for i in range(0, len(x), 3)])
            energies.append(context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole))
        context.setPositions([openmm.Vec3(*request["positions"][0][i : i + 3]) * 0.1 for i in range(0, len(x), 3)])
        context.setVelocitiesToTemperature(300, 1)
        start = time.perf_counter()
        integrator.step(request["steps"])
        us = (time.perf_counter() - start) / request["steps"] * 1e6
        print(json.dumps({"us": us, "energies": energies}), flush=True)


def conformers(path, count=64):
    """The file's geometry and disturbed copies of it (Å)."""
    stream = random.Random(1)
    x = [c for p in app.PDBFile(str(path)).positions.value_in_unit(unit.angstrom) for c in p]
    return [[c + (stream.gauss(0, 0.03) if k else 0.0) for c in x] for k in range(count)]


class Timed:
    """A peer asked for a fixed set of conformers."""

    def __init__(self, peer, **fixed):
        self.peer, self.fixed, self.energies = peer, fixed, None

    def ask(self, **request):
        answer = self.peer.ask(**self.fixed, **request)
        self.energies = answer["energies"]
        return answer


def main():
    parser = options(__doc__, 11, ROOT / "target" / "peers-openmm.json")
    data = ROOT / "data"
    parser.add_argument("prmtop", type=pathlib.Path, nargs="?", default=data / "ala2-ff96-obc1.prmtop")
    parser.add_argument("pdb", type=pathlib.Path, nargs="?", default=data / "ala2.pdb")
    parser.add_argument("--implicit", nargs="+", choices=MODELS, default=list(MODELS), help="solvent models (default: all)")
    parser.add_argument("--steps", type=int, default=100_000, help="steps of OpenMM in a call, a twentieth with custom forces (default 100000)")
    arguments = parser.parse_args()

    subprocess.run(["cargo", "build", *EXAMPLE], cwd=ROOT, check=True)
    one_thread = {**os.environ, "OPENMM_CPU_THREADS": "1", "OMP_NUM_THREADS": "1"}
    theirs = Peer([sys.executable, __file__, "--serve"], env=one_thread)
    ours = Peer([str(ROOT / "target" / "release" / "examples" / "peer_amber")])
    prmtop, positions = str(arguments.prmtop.resolve()), conformers(arguments.pdb)
    rows = []
    print(f"µs per energy and gradient, one thread, medians of {arguments.rounds} calls [quartiles], OpenMM {openmm.__version__}\n")
    for implicit in arguments.implicit:
        steps = arguments.steps if implicit in OWN_FORCES else max(1, arguments.steps // 20)
        sides = {
            f"OpenMM {platform}": Timed(theirs, prmtop=prmtop, implicit=implicit, platform=platform, positions=positions, steps=steps)
            for platform in ("Reference", "CPU")
        }
        for batch, label in ((0, "boltzflow, one by one"), (8, "boltzflow, batch 8"), (64, "boltzflow, batch 64")):
            sides[label] = Timed(ours, prmtop=prmtop, implicit=implicit, positions=positions, batch=batch, repeats=300)
        found = dict(zip(sides, interleaved(list(sides.values()), {}, arguments.rounds, unit="us")))
        reference = sides["OpenMM Reference"].energies
        print(f"{implicit}, {steps} steps of OpenMM a call")
        for label, side in sides.items():
            off = max(abs(a - b) for a, b in zip(side.energies, reference))
            time_, ratio = found[label], found["OpenMM Reference"]["median"] / found[label]["median"]
            rows.append({"implicit": implicit, "steps": steps, "side": label, "us": time_, "speedup": ratio, "largest_difference": off})
            cell = "{:.2f} [{:.2f}, {:.2f}]".format(time_["median"], *time_["quartiles"])
            print(f"  {label:<22} {cell:>24}  Reference / this {ratio:7.2f}   |ΔE| ≤ {off:.1e} kcal/mol", flush=True)
    theirs.close()
    ours.close()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"openmm": openmm.__version__, "rounds": arguments.rounds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else main()
