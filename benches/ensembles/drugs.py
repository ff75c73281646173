#!/usr/bin/env python3
"""Time and effective samples of `generate` for drug-like molecules of the reference data.

    python3 benches/ensembles/drugs.py FOLDER [--count 10] [--samples 10000] [--budget 10m]

The molecules are the first of geom-drugs-20/molecules.tsv under $BOLTZFLOW_REFERENCE, each started at the first structure of its file. A row for
each, failures and results that are not to be trusted among them. A run that is broken off goes on where it stood.
"""

import argparse
import os
import pathlib
import tomllib

from program import ROOT, ask, told


def row(folder, reference, line, options):
    rotors, smiles, name = line.split("\t")[:3]
    structures = reference / name / "crest_conformers.xyz"
    try:
        found = ask(
            folder / f"{name}.json", "generate", structures, "--smiles", smiles, "-n", options.samples, "--seed", 1, "-o", folder / f"{name}.sdf",
            *(["--budget", options.budget] if options.budget else []),
        )
    except RuntimeError as error:
        return f"| {name} | {rotors} | – | failed: {error} |"
    parts = {part["part"]: part for part in found["cost"]["parts"]}
    seconds = ", ".join(f"{parts[part].get('seconds', float('nan')):.0f}" for part in ("simulation", "training", "sampling", "weighting"))
    calls = sum(part["energy_calls"] for part in found["cost"]["parts"])
    learning = tomllib.loads((folder / f"{name}.plan.toml").read_text())["learning"]
    steps, frames = learning["experiment"]["training"]["steps"], learning["frames"]
    shape = found["tail"].get("shape")
    shape = "–" if shape is None else f"{shape:.2f}"
    ess = found["efficiency"]
    reasons = ", ".join(reason["reason"].replace("_", " ") for reason in found.get("reasons", []))
    unreached = found.get("unreached", {}).get("share")
    unreached = "–" if unreached is None else f"{100 * unreached:.1f}"
    return (
        f"| {name} | {rotors} | {frames} | {steps} | {seconds} | {calls:.2g} | {told(ess, 2, 100)} | "
        f"{found['effective']:.1f} | {shape} | {unreached} | {reasons or 'none'} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--budget", help="of each; without one the counts of generate's default")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    reference = pathlib.Path(os.environ.get("BOLTZFLOW_REFERENCE", ROOT.parent / "shared/data")).resolve() / "geom-drugs-20"
    if not reference.is_dir():
        raise SystemExit(f"{reference} is not there; set BOLTZFLOW_REFERENCE to the folder of the reference data")
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lines = (reference / "molecules.tsv").read_text().splitlines()[: options.count]
    rows = [row(folder, reference, line, options) for line in lines]
    print(f"\nn = {options.samples}, budget {options.budget or 'none'}\n")
    print(
        "| molecule | rotors | frames | steps | s: simulation, training, sampling, weighting | energy calls | raw ESS, % | effective | k̂ | "
        "unreached, % | against it |"
    )
    print("|" + "---|" * 11)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
