"""A process that answers JSON lines: one request a line on its standard input, one answer a line on its output."""

import json
import statistics
import subprocess


class Peer:
    """A running peer; `ask` sends a request and waits for its answer."""

    def __init__(self, command, **options):
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.command)} ended with {self.process.wait()} when asked for {request}")
        answer = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{' '.join(self.command)} refused {request}: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def interleaved(peers, request, rounds, unit="ms"):
    """Median and quartiles of each peer's time, asked in turn (in the opposite order every second round), after one warm-up."""
    for peer in peers:
        peer.ask(**request)
    times = [[] for _ in peers]
    order = list(zip(peers, times))
    for _ in range(rounds):
        for peer, found in order:
            found.append(peer.ask(**request)[unit])
        order.reverse()
    return [{"median": statistics.median(t), "quartiles": statistics.quantiles(t, n=4)[::2]} for t in times]
