#!/usr/bin/env python3
"""What our EGNN costs by the number of points, the batch, the probes and the threads, with fitted exponents: tables, and the same as JSON.

    python benches/peers/scaling.py [--rounds 11] [--output target/scaling-egnn.json]
"""

import json
import math
import os
import subprocess

from peer import Peer, interleaved, options
from run import EXAMPLE, OPERATIONS, ROOT

# Ordered pairs of points in a batch, so that all sizes are about as much work.
PAIRS = 1 << 16
POINTS = [4, 8, 13, 22, 55, 100, 200]
# Exponents in the number of points are those of the largest ones, where edges are most of the work.
LARGE = 22
BATCHES = [32, 64, 128, 256, 512, 1024]
PROBES = [1, 2, 4, 8, 16, 32]


def exponent(sizes, times):
    """The slope of log(time) in log(size) by least squares."""
    x, y = [math.log(size) for size in sizes], [math.log(time) for time in times]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


def line(name, cells):
    print(f"{name:<28}" + " ".join(f"{cell:>10}" for cell in cells), flush=True)


def main():
    arguments = options(__doc__, 11, ROOT / "target" / "scaling-egnn.json").parse_args()

    subprocess.run(["cargo", "build", *EXAMPLE], cwd=ROOT, check=True)
    program = str(ROOT / "target" / "release" / "examples" / "peer_egnn")
    cores = len(os.sched_getaffinity(0))
    alone, together = [Peer([program], env={**os.environ, "RAYON_NUM_THREADS": str(threads)}) for threads in (1, cores)]
    found = {"cores": cores, "rounds": arguments.rounds}

    def medians(peers, **request):
        return [times["median"] for times in interleaved(peers, request, arguments.rounds)]

    print(f"ms for one sample on one thread, batches of {PAIRS} ordered pairs of points, and how many times as fast {cores} threads are;")
    print(f"the exponent is that of {LARGE} points and more\n")
    line("points", [*POINTS, "exponent"])
    found["points"] = POINTS
    for operation in OPERATIONS:
        each, faster = [], []
        for points in POINTS:
            # A multiple of the threads' pieces where those are single samples.
            batch = max(PAIRS // points**2 // cores, 1) * cores
            one, all = medians([alone, together], op=operation, b=batch, n=points)
            each.append(one / batch)
            faster.append(one / all)
        large = [index for index, points in enumerate(POINTS) if points >= LARGE]
        slope = exponent([POINTS[i] for i in large], [each[i] for i in large])
        found[operation] = {"ms": each, "faster": faster, "exponent": slope}
        line(operation, [*(f"{time:.4g}" for time in each), f"{slope:.2f}"])
        line(f"    {cores} threads over one", [f"{ratio:.2f}" for ratio in faster])

    print(f"\nms for a batch of clouds of 13 points on {cores} threads\n")
    line("batch", [*BATCHES, "exponent"])
    found["batches"] = {"sizes": BATCHES}
    for operation in OPERATIONS:
        times = [medians([together], op=operation, b=batch, n=13)[0] for batch in BATCHES]
        slope = exponent(BATCHES, times)
        found["batches"][operation] = {"ms": times, "exponent": slope}
        line(operation, [*(f"{time:.4g}" for time in times), f"{slope:.2f}"])

    print(f"\nms of hutchinson for 256 clouds of 13 points on {cores} threads, by the probes of each; the velocity is without one\n")
    line("probes", [0, *PROBES, "exponent"])
    times = [medians([together], op="velocity", b=256, n=13)[0]]
    times += [medians([together], op="hutchinson", b=256, n=13, probes=probes)[0] for probes in PROBES]
    slope = exponent(PROBES, times[1:])
    found["probes"] = {"counts": [0, *PROBES], "ms": times, "exponent": slope}
    line("hutchinson", [*(f"{time:.4g}" for time in times), f"{slope:.2f}"])

    for peer in (alone, together):
        peer.close()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
