"""Backward passes of the families as people write them, whose text is edited to plant mistakes.

A rule takes the upstream gradient d and what the family's function takes, in that order, and
returns the gradients of what is no constant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.zoo.functions import sigmoid, softmax

Rule = Callable[..., tuple[Any, ...]]


def affine(d, x, w, b):  # type: ignore[no-untyped-def]
    return d @ w.T, x.T @ d, d.sum(0, keepdims=True)


def affine_sigmoid(d, x, w, b):  # type: ignore[no-untyped-def]
    y = sigmoid(x @ w + b)
    dz = d * y * (1 - y)
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def affine_tanh(d, x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    y = np.tanh(z)
    dz = d * (1 - y**2)
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def affine_relu(d, x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    dz = d * (z > 0)
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def affine_leaky_relu(d, x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    dz = np.where(z > 0, d, 0.1 * d)
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def affine_softplus(d, x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    dz = d * sigmoid(z)
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def affine_swish(d, x, w, b):  # type: ignore[no-untyped-def]
    z = x @ w + b
    s = sigmoid(z)
    dz = d * (s + z * s * (1 - s))
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def affine_softmax(d, x, w, b):  # type: ignore[no-untyped-def]
    y = softmax(x @ w + b)
    dz = y * (d - (d * y).sum(1, keepdims=True))
    return dz @ w.T, x.T @ dz, dz.sum(0, keepdims=True)


def two_layers_tanh(d, x, w, v):  # type: ignore[no-untyped-def]
    h = np.tanh(x @ w)
    dv = h.T @ d
    dz = (d @ v.T) * (1 - h**2)
    return dz @ w.T, x.T @ dz, dv


def two_layers_relu(d, x, w, v):  # type: ignore[no-untyped-def]
    z = x @ w
    h = np.maximum(z, 0)
    dv = h.T @ d
    dz = (d @ v.T) * (z > 0)
    return dz @ w.T, x.T @ dz, dv


def three_layers_sigmoid(d, x, w, v, u):  # type: ignore[no-untyped-def]
    a = sigmoid(x @ w)
    b = sigmoid(a @ v)
    c = sigmoid(b @ u)
    dc = d * c * (1 - c)
    db = (dc @ u.T) * b * (1 - b)
    da = (db @ v.T) * a * (1 - a)
    return da @ w.T, x.T @ da, a.T @ db, b.T @ dc


def layer_norm(d, x, g, b):  # type: ignore[no-untyped-def]
    centered = x - x.mean(1, keepdims=True)
    std = np.sqrt((centered**2).mean(1, keepdims=True) + 1e-5)
    xhat = centered / std
    dxhat = d * g
    dx = dxhat - dxhat.mean(1, keepdims=True) - xhat * (dxhat * xhat).mean(1, keepdims=True)
    return dx / std, (d * xhat).sum(0, keepdims=True), d.sum(0, keepdims=True)


def batch_norm(d, x, g, b):  # type: ignore[no-untyped-def]
    n = len(x)
    mu = x.mean(0)
    std = np.sqrt(((x - mu) ** 2).mean(0) + 1e-5)
    xhat = (x - mu) / std
    dxhat = d * g
    dx = (n * dxhat - dxhat.sum(0) - xhat * (dxhat * xhat).sum(0)) / (n * std)
    return dx, (d * xhat).sum(0, keepdims=True), d.sum(0, keepdims=True)


def rms_norm(d, x, g):  # type: ignore[no-untyped-def]
    rms = np.sqrt((x**2).mean(1, keepdims=True))
    y = x / rms
    dy = d * g
    dx = (dy - y * (dy * y).mean(1, keepdims=True)) / rms
    return dx, (d * y).sum(0, keepdims=True)


def attention(d, q, k, v):  # type: ignore[no-untyped-def]
    scale = 1 / np.sqrt(q.shape[1])
    p = softmax(q @ k.T * scale)
    dv = p.T @ d
    dp = d @ v.T
    ds = p * (dp - (dp * p).sum(1, keepdims=True)) * scale
    return ds @ k, ds.T @ q, dv


def glu(d, x, w):  # type: ignore[no-untyped-def]
    z = x @ w
    a, s = z[:, :3], sigmoid(z[:, 3:])
    dz = np.concatenate([d * s, d * a * s * (1 - s)], axis=1)
    return dz @ w.T, x.T @ dz


def residual(d, x, w):  # type: ignore[no-untyped-def]
    h = np.tanh(x @ w)
    dz = d * (1 - h**2)
    return d + dz @ w.T, x.T @ dz


def dropout(d, x, mask):  # type: ignore[no-untyped-def]
    return (d * mask,)


def embedding(d, table, at):  # type: ignore[no-untyped-def]
    dt = np.zeros_like(table)
    for row, index in enumerate(at):
        dt[index] += d[row] * (1 - np.tanh(table[index]) ** 2)
    return (dt,)


def bilinear(d, x, w, y):  # type: ignore[no-untyped-def]
    d = d[:, None]
    return (d * y) @ w.T, x.T @ (d * y), d * (x @ w)


def outer(d, a, b):  # type: ignore[no-untyped-def]
    return (d * b).sum(1), (d * a[:, None]).sum(0)


def factorization_machine(d, x, v):  # type: ignore[no-untyped-def]
    s = x @ v
    ds = d[:, None] * s
    return ds @ v.T, x.T @ ds


def mean_pool(d, x):  # type: ignore[no-untyped-def]
    return (np.repeat(d, 2, axis=1) / 2,)


def max_pool(d, x):  # type: ignore[no-untyped-def]
    pairs = x.reshape(4, 3, 2)
    dx = np.zeros_like(pairs)
    for i in range(4):
        for j in range(3):
            dx[i, j, np.argmax(pairs[i, j])] = d[i, j]
    return (dx.reshape(x.shape),)


def weighted_mean(d, x, w):  # type: ignore[no-untyped-def]
    total = w.sum()
    mean = w @ x / total
    return np.outer(w, d) / total, (x - mean) @ d / total


def squared_error(d, x, t):  # type: ignore[no-untyped-def]
    return (d[:, None] * (x - t),)


def mean_squared_error(d, x, t):  # type: ignore[no-untyped-def]
    return (d * 2 * (x - t) / x.size,)


def huber(d, x, t):  # type: ignore[no-untyped-def]
    r = x - t
    return (d[:, None] * np.where(np.abs(r) < 1, r, np.sign(r)),)


def softmax_cross_entropy(d, x, t):  # type: ignore[no-untyped-def]
    return (d[:, None] * (softmax(x) - t),)


def label_smoothing(d, x, t):  # type: ignore[no-untyped-def]
    n = len(x)
    return (d * (softmax(x) - t) / n,)


def binary_cross_entropy(d, p, t):  # type: ignore[no-untyped-def]
    m = p.shape[1]
    return (d[:, None] * (p - t) / (p * (1 - p)) / m,)


def hinge(d, x, t):  # type: ignore[no-untyped-def]
    margin = 1 - t * x
    return (d[:, None] * -t * (margin > 0),)


def cosine(d, x, y):  # type: ignore[no-untyped-def]
    nx, ny = np.linalg.norm(x, axis=1, keepdims=True), np.linalg.norm(y, axis=1, keepdims=True)
    c = (x * y).sum(1, keepdims=True) / (nx * ny)
    d = d[:, None]
    return d * (y / (nx * ny) - c * x / nx**2), d * (x / (nx * ny) - c * y / ny**2)


def gaussian_likelihood(d, m, s, t):  # type: ignore[no-untyped-def]
    d = d[:, None]
    r = t - m
    return -d * r * np.exp(-2 * s), d * (1 - r**2 * np.exp(-2 * s))


def elastic_net(d, w):  # type: ignore[no-untyped-def]
    return (d * (np.sign(w) + w),)


def conv_1d(d, x, w):  # type: ignore[no-untyped-def]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    size = w.shape[2]
    for i in range(x.shape[1] - size + 1):
        for k in range(w.shape[0]):
            dx[:, i : i + size] += d[i, k] * w[k]
            dw[k] += d[i, k] * x[:, i : i + size]
    return dx, dw


def conv_stride(d, x, w):  # type: ignore[no-untyped-def]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    stride = 2
    for i in range(d.shape[0]):
        for j in range(d.shape[1]):
            r, c = i * stride, j * stride
            for k in range(w.shape[0]):
                dx[:, r : r + 3, c : c + 3] += d[i, j, k] * w[k]
                dw[k] += d[i, j, k] * x[:, r : r + 3, c : c + 3]
    return dx, dw


def conv_relu(d, x, w):  # type: ignore[no-untyped-def]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(d.shape[0]):
        for j in range(d.shape[1]):
            for k in range(w.shape[0]):
                patch = x[:, i : i + 2, j : j + 2]
                dz = d[i, j, k] * ((patch * w[k]).sum() > 0)
                dx[:, i : i + 2, j : j + 2] += dz * w[k]
                dw[k] += dz * patch
    return dx, dw


def rnn(d, x, w, u):  # type: ignore[no-untyped-def]
    hs = [np.zeros((1, u.shape[0]))]
    for t in range(len(x)):
        hs.append(np.tanh(x[t] @ w + hs[-1] @ u))
    dx, dw, du, dh = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), d
    for t in reversed(range(len(x))):
        dz = dh * (1 - hs[t + 1] ** 2)
        dw += x[t].T @ dz
        du += hs[t].T @ dz
        dx[t] = dz @ w.T
        dh = dz @ u.T
    return dx, dw, du


def matrix_inverse(d, a):  # type: ignore[no-untyped-def]
    y = np.linalg.inv(a)
    return (-y.T @ d @ y.T,)


def quadratic_form(d, x, a):  # type: ignore[no-untyped-def]
    return d * (x @ a + x @ a.T), d * x.T @ x


def normalize(d, x):  # type: ignore[no-untyped-def]
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    y = x / norm
    return ((d - y * (d * y).sum(1, keepdims=True)) / norm,)


RULES: dict[str, Rule] = {
    rule.__name__.replace("_", " "): rule
    for rule in list(globals().values())
    if getattr(rule, "__module__", "") == __name__
}
