#!/usr/bin/env python3
"""The field of crates/flow/src/egnn.rs in PyTorch (torch.compile, CPU, f32), timed on request as egnn_jax.py is."""

import functools
import sys

import numpy as np
import torch

import serve
from serve import milliseconds

# Every size and operation is compiled for itself.
torch._dynamo.config.recompile_limit = 1000

WIDTH, LAYERS, DIMS, TIME_FEATURES = 64, 3, 3, 5
SOFTENING = 1e-8
silu = torch.nn.functional.silu


def init(random):
    """Weights as `Egnn::new` draws them, by name: uniform, of variance gain²/inputs; biases zero."""

    def weight(inputs, outputs, gain=1.0):
        bound = gain * (3.0 / inputs) ** 0.5
        return torch.tensor(random.uniform(-bound, bound, (inputs, outputs)), dtype=torch.float32)

    third = (1.0 / 3.0) ** 0.5
    p = {"nodes": weight(1, WIDTH), "nodes_bias": torch.zeros(WIDTH), "global": weight(TIME_FEATURES, WIDTH)}
    for k in range(LAYERS):
        p |= {
            f"receiver{k}": weight(WIDTH, WIDTH, third),
            f"receiver_bias{k}": torch.zeros(WIDTH),
            f"sender{k}": weight(WIDTH, WIDTH, third),
            f"distance{k}": torch.tensor(random.uniform(-third, third, WIDTH), dtype=torch.float32),
            f"message{k}": weight(WIDTH, WIDTH),
            f"message_bias{k}": torch.zeros(WIDTH),
            f"coordinate{k}": weight(WIDTH, WIDTH),
            f"coordinate_bias{k}": torch.zeros(WIDTH),
            f"weight{k}": weight(WIDTH, 1, 1e-2),
        }
        if k + 1 < LAYERS:
            p |= {
                f"node{k}": weight(WIDTH, WIDTH),
                f"node_bias{k}": torch.zeros(WIDTH),
                f"mean{k}": weight(WIDTH, WIDTH),
                f"out{k}": weight(WIDTH, WIDTH, 0.5),
                f"out_bias{k}": torch.zeros(WIDTH),
            }
    return p


def velocity(p, t, x):
    """x [B, N, D], t [B] -> v [B, N, D]."""
    angle = t[:, None] * torch.pi
    features = torch.cat([t[:, None], angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()], 1)
    # One node feature, 1: the type.
    h = (p["nodes"][0] + p["nodes_bias"])[None, None] + (features @ p["global"])[:, None]
    h = h.expand(-1, x.shape[1], -1)
    start = x
    for k in range(LAYERS):
        difference = x[:, :, None] - x[:, None]
        square = (difference * difference).sum(-1, keepdim=True)
        receiver = h @ p[f"receiver{k}"] + p[f"receiver_bias{k}"]
        sender = h @ p[f"sender{k}"]
        message = silu(receiver[:, :, None] + sender[:, None] + square * p[f"distance{k}"])
        message = silu(message @ p[f"message{k}"] + p[f"message_bias{k}"])
        head = silu(message @ p[f"coordinate{k}"] + p[f"coordinate_bias{k}"]) @ p[f"weight{k}"]
        x = x + (difference * (head / ((square + SOFTENING).sqrt() + 1.0))).sum(2)
        if k + 1 < LAYERS:
            mean = message.sum(2) / x.shape[1]
            hidden = silu(h @ p[f"node{k}"] + p[f"node_bias{k}"] + mean @ p[f"mean{k}"])
            h = h + hidden @ p[f"out{k}"] + p[f"out_bias{k}"]
    v = x - start
    return v - v.mean(1, keepdim=True)


def exact(p, directions, t, x):
    """v and its divergence from one tangent per coordinate, all of them side by side."""

    def along(e):
        v, slope = torch.func.jvp(lambda x: velocity(p, t, x), (x,), (e.expand_as(x),))
        return v, (slope * e).sum((1, 2))

    v, rows = torch.func.vmap(along, out_dims=(None, 0))(directions)
    return v, rows.sum(0)


def hutchinson(p, t, x, probe):
    """v and one probe's estimate of its divergence."""
    v, slope = torch.func.jvp(lambda x: velocity(p, t, x), (x,), (probe,))
    return v, (slope * probe).sum((1, 2))


def loss(p, t, noise, data):
    """The flow-matching loss of the straight paths from noise to data."""
    s = t[:, None, None]
    return (velocity(p, t, (1.0 - s) * noise + s * data) - (data - noise)).square().mean()


class Peer:
    """Inputs of one size, and the compiled operations on them."""

    def __init__(self, batch, points):
        random = np.random.default_rng(1)

        def cloud():
            x = torch.tensor(random.normal(size=(batch, points, DIMS)), dtype=torch.float32)
            return x - x.mean(1, keepdim=True)

        compiled = functools.partial(torch.compile, dynamic=False, fullgraph=True)
        self.p = init(random)
        self.t = torch.tensor(random.uniform(size=batch), dtype=torch.float32)
        self.noise, self.data = cloud(), cloud()
        self.probe = torch.tensor(random.choice([-1.0, 1.0], self.data.shape), dtype=torch.float32)
        self.directions = torch.eye(points * DIMS).reshape(-1, 1, points, DIMS)
        self.learnt = {name: w.clone().requires_grad_() for name, w in self.p.items()}
        self.optimizer = torch.optim.Adam(self.learnt.values(), lr=5e-4, fused=True)
        self.loss, self.exact = compiled(loss), compiled(exact)
        self.calls = {
            "velocity": self.without_tape(functools.partial(compiled(velocity), self.p, self.t, self.data)),
            "train": self.train,
            "divergence": self.without_tape(self.best_exact),
            "hutchinson": self.without_tape(functools.partial(compiled(hutchinson), self.p, self.t, self.data, self.probe)),
        }

    @staticmethod
    def without_tape(call):
        def quiet():
            with torch.no_grad():
                return call()

        return quiet

    def train(self):
        self.optimizer.zero_grad()
        value = self.loss(self.learnt, self.t, self.noise, self.data)
        value.backward()
        self.optimizer.step()
        return value

    def in_chunks(self, samples):
        parts = zip(self.t.split(samples), self.data.split(samples))
        return [self.exact(self.p, self.directions, t, x) for t, x in parts]

    def best_exact(self):
        """Compiles several chunk sizes once and keeps the quickest, so that PyTorch is at its best."""
        times = []
        for samples in (1, 4, 16):
            call = functools.partial(self.in_chunks, samples)
            call()
            times.append((milliseconds(call), samples, call))
        best, samples, call = min(times, key=lambda row: row[0])
        print(f"torch: exact divergence, {samples} samples at a time ({best:.1f} ms)", file=sys.stderr)
        self.calls["divergence"] = self.without_tape(call)
        return call()

    def parameters(self):
        return sum(w.numel() for w in self.p.values())


if __name__ == "__main__":
    serve.serve(Peer, milliseconds)
