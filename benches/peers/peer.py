"""A process that answers JSON lines: one request a line on its standard input, one answer a line on its output."""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

# Seconds of pause before a peer is asked, and that it then works before a call that counts.
PAUSE, WARM = 0.1, 0.2


def options(description, rounds, output):
    """The options of a run: how many rounds, and the file of what is found."""

    def at_least_ten(text):
        if int(text) < 10:
            raise argparse.ArgumentTypeError("must be at least 10")
        return int(text)

    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=at_least_ten, default=rounds, help=f"timed calls of each operation (at least 10; default {rounds})")
    parser.add_argument("--output", type=pathlib.Path, default=output)
    return parser


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

    def forget_peak(self):
        """Lets the peak of resident memory begin anew (Linux, proc(5))."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def peak(self):
        """The peak of resident memory, in MiB."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def interleaved(peers, request, rounds, unit="ms"):
    """Median and quartiles of each peer's time, asked in turn (in the opposite order every second round), after one warm-up.

    Threads of JAX and PyTorch go on waiting actively for a while after a call, and after a pause a call finds cold caches and a slow clock: so everyone
    is given time to fall asleep, and of some calls one after another the last counts, as in a loop."""
    for peer in peers:
        peer.ask(**request)
    times = [[] for _ in peers]
    order = list(zip(peers, times))
    for _ in range(rounds):
        for peer, found in order:
            time.sleep(PAUSE)
            start = time.perf_counter()
            while time.perf_counter() - start < WARM:
                peer.ask(**request)
            found.append(peer.ask(**request)[unit])
        order.reverse()
    return [{"median": statistics.median(t), "quartiles": statistics.quantiles(t, n=4)[::2]} for t in times]
