#!/usr/bin/env python3
"""Ensembles of small molecules by `generate`, against long replica exchanges.

    python3 benches/ensembles/small.py FOLDER [molecule ...]

For each molecule: the populations of all rotamers of `generate` beside those of a replica exchange, chi-squared of the joint states with its p,
and how often the 95 % intervals of twenty sampling seeds of the trained flow hold the reference; of butane also those of twenty whole runs of
two minutes. A run that is broken off goes on where it stood.
"""

import pathlib
import sys

from program import ask, told

# Name, file and SMILES.
MOLECULES = {
    "butane": ("data/butane.xyz", "CCCC"),
    "ethanediol": ("data/ethanediol.xyz", "OCCO"),
    "pentane": ("data/pentane.xyz", "CCCCC"),
    "capped-alanine": ("data/ala2.pdb", "CC(=O)N[C@@H](C)C(=O)NC"),
    "cyclohexanol": ("data/cyclohexanol.xyz", "OC1CCCCC1"),
}
# The reference: frames, and rounds between them.
FRAMES = 100_000
STRIDE = 10
SAMPLES = 20_000
SEEDS = range(2, 22)
SAMPLES_OF_SEED = 2000
COMPARED = 1000
BUDGET = "2m"


def wells(found):
    """Every well of every torsion that some frames of the reference are in, but not all."""
    states = [state for rotamers in found["agreement"]["rotamers"] for state in rotamers["states"]]
    return [state for state in states if 0.0 < state["reference"]["value"] < 1.0]


def covered(results):
    """How many wells there are in all, and how many of them the intervals cover."""
    states = [state for found in results for state in wells(found)]
    return sum(state["covered"] for state in states), len(states)


def compare(folder, name, stem, system, reference):
    return ask(
        folder / f"{stem}.evaluation.json", "evaluate", folder / f"{name}.safetensors", *system, "--reference", reference,
        "--reference-count", COMPARED, "--torsion-pairs", COMPARED, "--samples", folder / f"{stem}.samples.npz",
    )


def molecule(folder, name):
    path, smiles = MOLECULES[name]
    system = ["--molecule", path, "--smiles", smiles]
    reference = folder / f"{name}.reference.npz"
    exchange = ask(
        folder / f"{name}.reference.json", "simulate", *system, "-n", FRAMES, "--seed", 2, "--hottest", 3, "--replicas", 6, "--ladders", 4,
        "--stride", STRIDE, "-o", reference,
    )
    generated = ask(
        folder / f"{name}.json", "generate", path, "--smiles", smiles, "-n", SAMPLES, "--seed", 1, "-o", folder / f"{name}.sdf",
    )
    found = compare(folder, name, name, system, reference)
    calls = sum(part["energy_calls"] for part in generated["cost"]["parts"])
    verdict = generated["verdict"].replace("_", " ")
    print(f"\n## {name}\n")
    print(
        f"generate: n = {SAMPLES}, raw ESS {told(generated['efficiency'], 2, 100)} %, "
        f"{verdict}, {calls:.3g} energy calls, {generated['seconds']:.0f} s; replica exchange: {exchange['frames']} frames, "
        f"{exchange['energy_calls']:.3g} energy calls, {exchange['seconds']:.0f} s"
    )
    agreement = found["agreement"]
    joint, outside = agreement["joint"], agreement["outside"]
    print(f"{outside} frames of the replica exchange are outside what the flow can make; what follows is of the others")
    test = joint.get("chi_squared")
    if test:
        print(f"chi-squared of the joint states {test['value']:.2f} of {test['degrees']}, p = {test['p']:.3f}; {joint['pooled']} rare ones pooled")
    else:
        print("chi-squared of the joint states cannot be told")
    for state in joint["states"]:
        ours, theirs = state["flow"], state["reference"]
        z = "–" if state["z"] is None else f"{state['z']:+.2f}"
        print(f"  {state['name']:<48} {told(ours, 4)}   {told(theirs, 4)}   z {z}")
    results = []
    for seed in SEEDS:
        stem = f"{name}-{seed}"
        ask(
            folder / f"{stem}.json", "sample", folder / f"{name}.safetensors", "-n", SAMPLES_OF_SEED, "--seed", seed, "-o",
            folder / f"{stem}.samples.npz",
        )
        results.append(compare(folder, name, stem, system, reference))
    inside, of = covered(results)
    print(f"coverage of 95 % over {len(results)} sampling seeds of n = {SAMPLES_OF_SEED}: {inside} of {of}, {100 * inside / of:.1f} %", flush=True)


def runs_of_butane(folder):
    path, smiles = MOLECULES["butane"]
    system = ["--molecule", path, "--smiles", smiles]
    results, slowest = [], 0.0
    for seed in SEEDS:
        stem = f"butane-run-{seed}"
        run = ask(
            folder / f"{stem}.json", "generate", path, "--smiles", smiles, "--budget", BUDGET, "-n", SAMPLES_OF_SEED, "--seed", seed, "-o",
            folder / f"{stem}.sdf",
        )
        slowest = max(slowest, run["seconds"])
        results.append(compare(folder, stem, stem, system, folder / "butane.reference.npz"))
    inside, of = covered(results)
    print(
        f"\nbutane, {len(results)} whole runs of {BUDGET} (the slowest took {slowest:.0f} s): coverage of 95 % {inside} of {of}, {100 * inside / of:.1f} %"
    )


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= {*MOLECULES, "runs"}:
        raise SystemExit(f"usage: small.py FOLDER [{'|'.join(MOLECULES)}|runs ...]")
    folder = pathlib.Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    chosen = sys.argv[2:] or [*MOLECULES, "runs"]
    for name in chosen:
        if name == "runs":
            runs_of_butane(folder)
        else:
            molecule(folder, name)


if __name__ == "__main__":
    main()
