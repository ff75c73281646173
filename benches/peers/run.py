#!/usr/bin/env python3
"""Our EGNN beside the same one in JAX, interleaved on the same cores: a table of medians and ratios, and the same as JSON.

    make bench-peers        or        python benches/peers/run.py [--rounds 21] [--output target/peers-egnn.json]
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

from peer import Peer, interleaved

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = [(256, 4), (256, 13), (64, 22), (16, 55)]
OPERATIONS = ["velocity", "train", "divergence", "hutchinson"]
# For the whole workspace, as its tests are built: another choice of packages has other features, and compiles Burn again.
EXAMPLE = ["--release", "--quiet", "--workspace", "--example", "peer_egnn"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="timed calls of each operation (at least 10; default 21)")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "target" / "peers-egnn.json")
    arguments = parser.parse_args()
    if arguments.rounds < 10:
        parser.error("--rounds must be at least 10")

    subprocess.run(["cargo", "build", *EXAMPLE], cwd=ROOT, check=True)
    cores = len(os.sched_getaffinity(0))
    jax = Peer([sys.executable, str(HERE / "egnn_jax.py")])
    ours = Peer([str(ROOT / "target" / "release" / "examples" / "peer_egnn")], env={**os.environ, "RAYON_NUM_THREADS": str(cores)})

    print(f"EGNN 64 wide, 3 layers, 3 dimensions, f32, {cores} cores ({platform.machine()}), medians of {arguments.rounds} calls [quartiles], ms\n")
    print(f"{'batch':>5} {'points':>6}  {'operation':<11} {'boltzflow':>26} {'JAX':>26} {'ratio':>7}")
    rows = []
    for batch, points in SIZES:
        counts = [peer.ask(op="parameters", b=batch, n=points)["parameters"] for peer in (ours, jax)]
        if counts[0] != counts[1]:
            raise SystemExit(f"the networks differ: {counts[0]} parameters of ours, {counts[1]} of JAX's")
        for operation in OPERATIONS:
            mine, theirs = interleaved([ours, jax], {"op": operation, "b": batch, "n": points}, arguments.rounds)
            ratio = mine["median"] / theirs["median"]
            rows.append({"batch": batch, "points": points, "operation": operation, "boltzflow_ms": mine, "jax_ms": theirs, "ratio": ratio})
            cells = ["{:.2f} [{:.2f}, {:.2f}]".format(t["median"], *t["quartiles"]) for t in (mine, theirs)]
            print(f"{batch:5d} {points:6d}  {operation:<11} {cells[0]:>26} {cells[1]:>26} {ratio:7.2f}", flush=True)
    jax.close()
    ours.close()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"cores": cores, "rounds": arguments.rounds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
