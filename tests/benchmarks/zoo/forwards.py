"""Forwards of the families that have a rule, as people write them: a line a step, with names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.zoo.functions import sigmoid, softmax

Forward = Callable[..., Any]


def affine_sigmoid(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return sigmoid(z)


def affine_tanh(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return np.tanh(z)


def affine_relu(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return np.maximum(z, 0)


def affine_leaky_relu(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return np.where(z > 0, z, 0.1 * z)


def affine_softplus(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return np.logaddexp(z, 0)


def affine_swish(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return z * sigmoid(z)


def affine_softmax(x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    return softmax(z)


def two_layers_tanh(x, w, v):  # type: ignore[no-untyped-def]
    h = np.tanh(x @ w)
    return h @ v


def two_layers_relu(x, w, v):  # type: ignore[no-untyped-def]
    z = x @ w
    h = np.maximum(z, 0)
    return h @ v


def three_layers_sigmoid(x, w, v, u):  # type: ignore[no-untyped-def]
    a = sigmoid(x @ w)
    b = sigmoid(a @ v)
    return sigmoid(b @ u)


def layer_norm(x, g, b):  # type: ignore[no-untyped-def]
    mu = x.mean(1, keepdims=True)
    var = x.var(1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + 1e-5)
    return g * xhat + b


def batch_norm(x, g, b):  # type: ignore[no-untyped-def]
    mu = x.mean(0)
    var = x.var(0)
    xhat = (x - mu) / np.sqrt(var + 1e-5)
    return g * xhat + b


def rms_norm(x, g):  # type: ignore[no-untyped-def]
    rms = np.sqrt((x**2).mean(1, keepdims=True))
    y = x / rms
    return y * g


def attention(q, k, v):  # type: ignore[no-untyped-def]
    scores = q @ k.T / np.sqrt(q.shape[1])
    p = softmax(scores)
    return p @ v


def glu(x, w):  # type: ignore[no-untyped-def]
    z = x @ w
    a, b = z[:, :3], z[:, 3:]
    return a * sigmoid(b)


def residual(x, w):  # type: ignore[no-untyped-def]
    h = np.tanh(x @ w)
    return x + h


def bilinear(x, w, y):  # type: ignore[no-untyped-def]
    z = x @ w
    return (z * y).sum(1)


def factorization_machine(x, v):  # type: ignore[no-untyped-def]
    s = x @ v
    return (s**2).sum(1) / 2


def conv_relu(x, w):  # type: ignore[no-untyped-def]
    z = np.zeros((3, 3, 2))
    for i in range(3):
        for j in range(3):
            for k in range(2):
                z[i, j, k] = (x[:, i : i + 2, j : j + 2] * w[k]).sum()
    return np.maximum(z, 0)


def rnn(x, w, u):  # type: ignore[no-untyped-def]
    h = np.zeros((1, u.shape[0]))
    for t in range(len(x)):
        h = np.tanh(x[t] @ w + h @ u)
    return h


def cosine(x, y):  # type: ignore[no-untyped-def]
    nx = np.sqrt((x**2).sum(1))
    ny = np.sqrt((y**2).sum(1))
    return (x * y).sum(1) / (nx * ny)


def normalize(x):  # type: ignore[no-untyped-def]
    norm = np.sqrt((x**2).sum(1, keepdims=True))
    return x / norm


FORWARDS: dict[str, Forward] = {
    forward.__name__.replace("_", " "): forward
    for forward in list(globals().values())
    if getattr(forward, "__module__", "") == __name__
}
