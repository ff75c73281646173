#!/usr/bin/env python3
"""Our EGNN beside the same one in JAX and PyTorch, interleaved on the same cores: a table of medians and ratios, and the same as JSON.

    make bench-peers        or        python benches/peers/run.py [--rounds 21] [--output target/peers-egnn.json]
"""

import json
import os
import pathlib
import platform
import subprocess
import sys

from peer import Peer, interleaved, options

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = [(256, 4), (256, 13), (64, 22), (16, 55)]
OPERATIONS = ["velocity", "train", "divergence", "hutchinson"]
# For the whole workspace, as its tests are built: another choice of packages has other features, and compiles Burn again.
EXAMPLE = ["--release", "--quiet", "--workspace", "--example", "peer_egnn"]


def main():
    arguments = options(__doc__, 21, ROOT / "target" / "peers-egnn.json").parse_args()

    subprocess.run(["cargo", "build", *EXAMPLE], cwd=ROOT, check=True)
    cores = len(os.sched_getaffinity(0))
    peers = {
        "boltzflow": Peer([str(ROOT / "target" / "release" / "examples" / "peer_egnn")], env={**os.environ, "RAYON_NUM_THREADS": str(cores)}),
        "JAX": Peer([sys.executable, str(HERE / "egnn_jax.py")]),
        "PyTorch": Peer([sys.executable, str(HERE / "egnn_torch.py")]),
    }

    print(f"EGNN 64 wide, 3 layers, 3 dimensions, f32, {cores} cores ({platform.machine()}), medians of {arguments.rounds} calls [quartiles], ms;")
    print("peak of resident memory, MiB; speed: time of the faster peer over ours\n")
    print(f"{'batch':>5} {'points':>6}  {'operation':<11} " + " ".join(f"{name:>33}" for name in peers) + f" {'speed':>6}")
    rows = []
    for batch, points in SIZES:
        counts = {name: peer.ask(op="parameters", b=batch, n=points)["parameters"] for name, peer in peers.items()}
        if len(set(counts.values())) > 1:
            raise SystemExit(f"the networks differ in their numbers of parameters: {counts}")
        for operation in OPERATIONS:
            for peer in peers.values():
                peer.forget_peak()
            found = interleaved(list(peers.values()), {"op": operation, "b": batch, "n": points}, arguments.rounds)
            found = {name: {**times, "peak_mib": peers[name].peak()} for name, times in zip(peers, found)}
            medians = [times["median"] for times in found.values()]
            speed = min(medians[1:]) / medians[0]
            rows.append({"batch": batch, "points": points, "operation": operation, "ms": found, "speed": speed})
            cells = ["{:.2f} [{:.2f}, {:.2f}] {:.0f} MiB".format(t["median"], *t["quartiles"], t["peak_mib"]) for t in found.values()]
            print(f"{batch:5d} {points:6d}  {operation:<11} " + " ".join(f"{cell:>33}" for cell in cells) + f" {speed:6.2f}", flush=True)
    for peer in peers.values():
        peer.close()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"cores": cores, "rounds": arguments.rounds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
