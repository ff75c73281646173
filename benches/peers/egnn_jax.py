#!/usr/bin/env python3
"""The field of crates/flow/src/egnn.rs in JAX (jit, CPU, f32), timed on request.

Reads one JSON object a line from standard input, answers one a line on standard output (see README.md beside this file):

    {"op": "velocity", "b": 256, "n": 13}  ->  {"ms": 12.3}

Every operation is compiled and warmed up when it is first asked for; an answer is then the time of one call.
"""

import functools
import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

import serve

WIDTH, LAYERS, DIMS, TIME_FEATURES = 64, 3, 3, 5
SOFTENING = 1e-8


def init(random):
    """Weights as `Egnn::new` draws them: uniform, of variance gain²/inputs; biases zero."""

    def weight(inputs, outputs, gain=1.0):
        bound = gain * (3.0 / inputs) ** 0.5
        return jnp.asarray(random.uniform(-bound, bound, (inputs, outputs)), jnp.float32)

    zeros = jnp.zeros(WIDTH, jnp.float32)
    third = (1.0 / 3.0) ** 0.5
    layers = []
    for index in range(LAYERS):
        layer = {
            "receiver": weight(WIDTH, WIDTH, third),
            "receiver_bias": zeros,
            "sender": weight(WIDTH, WIDTH, third),
            "distance": jnp.asarray(random.uniform(-third, third, WIDTH), jnp.float32),
            "message": weight(WIDTH, WIDTH),
            "message_bias": zeros,
            "coordinate": weight(WIDTH, WIDTH),
            "coordinate_bias": zeros,
            "weight": weight(WIDTH, 1, 1e-2),
        }
        if index + 1 < LAYERS:
            layer["update"] = {
                "node": weight(WIDTH, WIDTH),
                "node_bias": zeros,
                "message": weight(WIDTH, WIDTH),
                "out": weight(WIDTH, WIDTH, 0.5),
                "out_bias": zeros,
            }
        layers.append(layer)
    return {"nodes": weight(1, WIDTH), "nodes_bias": zeros, "global": weight(TIME_FEATURES, WIDTH), "layers": layers}


def velocity(p, t, x):
    """x [B, N, D], t [B] -> v [B, N, D]."""
    silu = jax.nn.silu
    angle = t[:, None] * jnp.pi
    features = jnp.concatenate([t[:, None], jnp.sin(angle), jnp.cos(angle), jnp.sin(2 * angle), jnp.cos(2 * angle)], 1)
    # One node feature, 1: the type.
    h = (p["nodes"][0] + p["nodes_bias"])[None, None] + (features @ p["global"])[:, None]
    h = jnp.broadcast_to(h, (x.shape[0], x.shape[1], WIDTH))
    start = x
    for layer in p["layers"]:
        difference = x[:, :, None] - x[:, None]
        square = jnp.sum(difference * difference, -1, keepdims=True)
        receiver = h @ layer["receiver"] + layer["receiver_bias"]
        sender = h @ layer["sender"]
        message = silu(receiver[:, :, None] + sender[:, None] + square * layer["distance"])
        message = silu(message @ layer["message"] + layer["message_bias"])
        head = silu(message @ layer["coordinate"] + layer["coordinate_bias"]) @ layer["weight"]
        x = x + jnp.sum(difference * (head / (jnp.sqrt(square + SOFTENING) + 1.0)), 2)
        if "update" in layer:
            update = layer["update"]
            mean = jnp.sum(message, 2) / x.shape[1]
            hidden = silu(h @ update["node"] + update["node_bias"] + mean @ update["message"])
            h = h + hidden @ update["out"] + update["out_bias"]
    v = x - start
    return v - jnp.mean(v, 1, keepdims=True)


def exact(p, t, x, samples):
    """v and its divergence from one tangent per coordinate, `samples` samples at a time."""
    batch, points, dims = x.shape
    directions = jnp.eye(points * dims, dtype=x.dtype).reshape(-1, 1, points, dims)

    def chunk(part):
        t, x = part
        v, pushforward = jax.linearize(lambda x: velocity(p, t, x), x)
        rows = jax.vmap(lambda e: jnp.sum(pushforward(jnp.broadcast_to(e, x.shape)) * e, (1, 2)))(directions)
        return v, jnp.sum(rows, 0)

    parts = (t.reshape(-1, samples), x.reshape(-1, samples, points, dims))
    v, divergence = jax.lax.map(chunk, parts)
    return v.reshape(x.shape), divergence.reshape(batch)


def hutchinson(p, t, x, probe):
    """v and one probe's estimate of its divergence."""
    v, slope = jax.jvp(lambda x: velocity(p, t, x), (x,), (probe,))
    return v, jnp.sum(slope * probe, (1, 2))


def loss(p, t, noise, data):
    """The flow-matching loss of the straight paths from noise to data."""
    s = t[:, None, None]
    v = velocity(p, t, (1.0 - s) * noise + s * data)
    return jnp.mean(jnp.square(v - (data - noise)))


def step(p, first, second, count, t, noise, data):
    """One step of Adam (Kingma and Ba 2015), rate 5e-4."""
    value, gradient = jax.value_and_grad(loss)(p, t, noise, data)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, second, gradient)
    scale = jnp.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)
    p = jax.tree.map(lambda w, m, s: w - 5e-4 * scale * m / (jnp.sqrt(s) + 1e-8), p, first, second)
    return p, first, second, count, value


class Peer:
    """Inputs of one size, and the compiled operations on them."""

    def __init__(self, batch, points):
        random = np.random.default_rng(1)

        def cloud():
            x = random.normal(size=(batch, points, DIMS)).astype(np.float32)
            return jnp.asarray(x - x.mean(1, keepdims=True))

        self.p = init(random)
        self.t = jnp.asarray(random.uniform(size=batch), jnp.float32)
        self.noise, self.data = cloud(), cloud()
        self.probe = jnp.asarray(random.choice([-1.0, 1.0], self.data.shape), jnp.float32)
        zeros = jax.tree.map(jnp.zeros_like, self.p)
        self.state = (self.p, zeros, zeros, jnp.float32(0))
        self.step = jax.jit(step)
        self.calls = {
            "velocity": functools.partial(jax.jit(velocity), self.p, self.t, self.data),
            "train": self.train,
            "divergence": self.best_exact,
            "hutchinson": functools.partial(jax.jit(hutchinson), self.p, self.t, self.data, self.probe),
        }

    def train(self):
        *self.state, value = self.step(*self.state, self.t, self.noise, self.data)
        return value, self.state

    def best_exact(self):
        """Compiles several chunk sizes once and keeps the quickest, so that JAX is at its best."""
        times = []
        for samples in (1, 2, 4, 8, 16, 32):
            call = functools.partial(jax.jit(exact, static_argnums=3), self.p, self.t, self.data, samples)
            jax.block_until_ready(call())
            times.append((milliseconds(call), samples, call))
        best, samples, call = min(times, key=lambda row: row[0])
        print(f"jax: exact divergence, {samples} samples at a time ({best:.1f} ms)", file=sys.stderr)
        self.calls["divergence"] = call
        return call()

    def parameters(self):
        return sum(w.size for w in jax.tree.leaves(self.p))


def milliseconds(call):
    return serve.milliseconds(lambda: jax.block_until_ready(call()))


if __name__ == "__main__":
    serve.serve(Peer, milliseconds)
