"""The loop of a peer that is written in Python: requests of peer.py on its standard input, answers on its output."""

import json
import sys
import time


def milliseconds(call):
    """The time of a call."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def serve(make, milliseconds):
    """Answers requests by what `make` has for a size: `calls` by operation, which are warmed up when they are first asked for, and `parameters`."""
    peers, warm = {}, set()
    for line in sys.stdin:
        request = json.loads(line)
        size = (request["b"], request["n"])
        if size not in peers:
            peers[size] = make(*size)
        peer = peers[size]
        op = request["op"]
        if op == "parameters":
            answer = {"parameters": peer.parameters()}
        else:
            if (op, size) not in warm:
                for _ in range(3):
                    milliseconds(peer.calls[op])
                warm.add((op, size))
            answer = {"ms": milliseconds(peer.calls[op])}
        print(json.dumps(answer), flush=True)
