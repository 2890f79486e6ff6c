"""Families of what people differentiate on most days: layers, losses, elementwise functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.benchmarks.zoo import functions as f
from tests.benchmarks.zoo.family import Draw, Family, Function, Random

ORDINARY, LOSSES, CONV, RECURRENT, LINALG, ELEMENTWISE = (
    "ordinary layers",
    "losses",
    "convolutions",
    "recurrent",
    "linear algebra",
    "elementwise",
)


def positive(*shape: int) -> Draw:
    return lambda random: np.exp(random.normal(size=shape))


def probabilities(*shape: int) -> Draw:
    return lambda random: random.dirichlet(np.ones(shape[-1]) * 2, size=shape[:-1])


def signs(*shape: int) -> Draw:
    return lambda random: random.choice([-1.0, 1.0], size=shape)


def one_hot(*shape: int) -> Draw:
    return lambda random: np.eye(shape[1])[random.integers(0, shape[1], shape[0])]


def flat(*shape: int, low: float = 0.1, high: float = 0.9) -> Draw:
    return lambda random: random.uniform(low, high, size=shape)


def positive_definite(n: int, floor: float = 0.5) -> Draw:
    def draw(random: Random) -> Any:
        a = random.normal(size=(n, n))
        return a @ a.T / n + floor * np.eye(n)

    return draw


Inputs = Mapping[str, tuple[int, ...] | Draw] | Callable[[Random], dict[str, Any]]
Spec = tuple[str, Inputs, Function]

XWB: dict[str, tuple[int, ...] | Draw] = {"x": (4, 5), "w": (5, 3), "b": (1, 3)}
LAYERS: tuple[Spec, ...] = (
    ("affine", XWB, lambda x, w, b: x @ w + b),
    ("affine sigmoid", XWB, lambda x, w, b: f.sigmoid(x @ w + b)),
    ("affine tanh", XWB, lambda x, w, b: np.tanh(x @ w + b)),
    ("affine relu", XWB, lambda x, w, b: f.relu(x @ w + b)),
    ("affine leaky relu", XWB, lambda x, w, b: f.maximum(x @ w + b, 0.1 * (x @ w + b))),
    ("affine gelu", XWB, lambda x, w, b: f.gelu(x @ w + b)),
    ("affine softplus", XWB, lambda x, w, b: f.softplus(x @ w + b)),
    ("affine softmax", XWB, lambda x, w, b: f.softmax(x @ w + b)),
    ("affine swish", XWB, lambda x, w, b: (x @ w + b) * f.sigmoid(x @ w + b)),
    (
        "affine elu",
        XWB,
        lambda x, w, b: np.where(
            f.real(x @ w + b) > 0, x @ w + b, np.exp(f.minimum(x @ w + b, 0.0)) - 1
        ),
    ),
    (
        "two layers tanh",
        {"x": (3, 4), "w": (4, 5), "v": (5, 2)},
        lambda x, w, v: np.tanh(x @ w) @ v,
    ),
    (
        "two layers relu",
        {"x": (3, 4), "w": (4, 5), "v": (5, 2)},
        lambda x, w, v: f.relu(x @ w) @ v,
    ),
    (
        "three layers sigmoid",
        {"x": (3, 4), "w": (4, 4), "v": (4, 4), "u": (4, 2)},
        lambda x, w, v, u: f.sigmoid(f.sigmoid(f.sigmoid(x @ w) @ v) @ u),
    ),
    (
        "layer norm",
        {"x": (4, 5), "g": (1, 5), "b": (1, 5)},
        lambda x, g, b: f.layer_norm(x) * g + b,
    ),
    (
        "batch norm",
        {"x": (6, 4), "g": (1, 4), "b": (1, 4)},
        lambda x, g, b: f.batch_norm(x) * g + b,
    ),
    (
        "rms norm",
        {"x": (4, 5), "g": (1, 5)},
        lambda x, g: x * g / np.sqrt((x * x).mean(-1, keepdims=True)),
    ),
    ("attention", {"q": (3, 4), "k": (4, 4), "v": (4, 3)}, f.attention),
    (
        "causal attention",
        {"q": (4, 3), "k": (4, 3), "v": (4, 2)},
        lambda q, k, v: f.softmax(q @ k.swapaxes(-1, -2) - 1e9 * np.triu(np.ones((4, 4)), 1)) @ v,
    ),
    (
        "glu",
        {"x": (4, 5), "w": (5, 6)},
        lambda x, w: (x @ w)[..., :3] * f.sigmoid((x @ w)[..., 3:]),
    ),
    (
        "maxout",
        {"x": (4, 5), "w": (5, 6)},
        lambda x, w: f.maximum((x @ w)[..., :3], (x @ w)[..., 3:]),
    ),
    (
        "residual",
        {"x": (4, 5), "w": (5, 5)},
        lambda x, w: x + np.tanh(x @ w),
    ),
    (
        "dropout",
        {"x": (4, 5), "_mask": lambda r: r.integers(0, 2, (4, 5)) * 2.0},
        lambda x, m: x * m,
    ),
    (
        "embedding",
        {"table": (6, 3), "_at": lambda r: r.integers(0, 6, 8)},
        lambda table, at: np.tanh(table[..., at, :]),
    ),
    ("bilinear", {"x": (4, 3), "w": (3, 5), "y": (4, 5)}, lambda x, w, y: ((x @ w) * y).sum(-1)),
    ("outer", {"a": (4,), "b": (5,)}, lambda a, b: a[..., :, None] * b[..., None, :]),
    (
        "gaussian kernel",
        {"x": (5, 2)},
        lambda x: np.exp(-((x[..., :, None, :] - x[..., None, :, :]) ** 2).sum(-1) / 2),
    ),
    ("factorization machine", {"x": (4, 5), "v": (5, 2)}, lambda x, v: ((x @ v) ** 2).sum(-1) / 2),
    ("mean pool", {"x": (4, 6)}, lambda x: x.reshape(*x.shape[:-1], 3, 2).mean(-1)),
    ("max pool", {"x": (4, 6)}, lambda x: f.largest(x.reshape(*x.shape[:-1], 3, 2))),
    ("log-sum-exp", {"x": (4, 5)}, lambda x: np.log(np.exp(x).sum(-1))),
    ("weighted mean", {"x": (5, 3), "w": positive(5)}, lambda x, w: w @ x / w.sum()),
    ("cumulative product", {"x": (3, 5)}, lambda x: np.cumprod(x, axis=-1)),
)
XT: dict[str, tuple[int, ...] | Draw] = {"x": (5, 4), "_t": (5, 4)}
COSTS: tuple[Spec, ...] = (
    ("squared error", XT, lambda x, t: ((x - t) ** 2).sum(-1) / 2),
    ("mean squared error", XT, lambda x, t: ((x - t) ** 2).mean((-1, -2))),
    ("absolute error", XT, lambda x, t: f.absolute(x - t).sum(-1)),
    (
        "huber",
        XT,
        lambda x, t: np.where(
            f.real(f.absolute(x - t)) < 1, (x - t) ** 2 / 2, f.absolute(x - t) - 0.5
        ).sum(-1),
    ),
    ("log cosh", XT, lambda x, t: (f.softplus(2 * (x - t)) - (x - t)).sum(-1)),
    (
        "softmax cross entropy",
        {"x": (5, 4), "_t": one_hot(5, 4)},
        lambda x, t: -(t * f.log_softmax(x)).sum(-1),
    ),
    (
        "label smoothing",
        {"x": (5, 4), "_t": probabilities(5, 4)},
        lambda x, t: -(t * f.log_softmax(x)).sum((-1, -2)) / 5,
    ),
    (
        "logistic",
        {"x": (5, 4), "_t": signs(5, 4)},
        lambda x, t: f.softplus(-t * x).sum(-1),
    ),
    (
        "binary cross entropy",
        {"p": flat(5, 4), "_t": lambda r: r.integers(0, 2, (5, 4))},
        lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1),
    ),
    ("hinge", {"x": (5, 4), "_t": signs(5, 4)}, lambda x, t: f.relu(1 - t * x).sum(-1)),
    (
        "squared hinge",
        {"x": (5, 4), "_t": signs(5, 4)},
        lambda x, t: (f.relu(1 - t * x) ** 2).sum((-1, -2)),
    ),
    (
        "kullback-leibler",
        {"x": (4, 5), "_t": probabilities(4, 5)},
        lambda x, t: (t * (np.log(t) - f.log_softmax(x))).sum(-1),
    ),
    (
        "poisson",
        {"x": (5, 4), "_t": lambda r: r.poisson(2, (5, 4))},
        lambda x, t: np.exp(x) - t * x,
    ),
    ("cosine", {"x": (4, 5), "y": (4, 5)}, f.cosine),
    (
        "contrastive",
        {"x": (4, 3), "y": (4, 3), "_s": lambda r: r.integers(0, 2, 4)},
        lambda x, y, s: s * f.norm(x - y, -1) ** 2 + (1 - s) * f.relu(3 - f.norm(x - y, -1)) ** 2,
    ),
    (
        "triplet",
        {"a": (4, 3), "p": (4, 3), "n": (4, 3)},
        lambda a, p, n: f.relu(f.norm(a - p, -1) - f.norm(a - n, -1) + 1),
    ),
    (
        "info nce",
        {"x": (4, 3), "y": (4, 3)},
        lambda x, y: -(f.log_softmax(x @ y.swapaxes(-1, -2)) * np.eye(4)).sum(-1),
    ),
    ("quantile", XT, lambda x, t: f.maximum(0.3 * (t - x), -0.7 * (t - x)).sum(-1)),
    (
        "focal",
        {"x": (5, 4), "_t": signs(5, 4)},
        lambda x, t: (1 - f.sigmoid(t * x)) ** 2 * f.softplus(-t * x),
    ),
    (
        "gaussian likelihood",
        {"m": (4, 3), "s": (4, 3), "_t": (4, 3)},
        lambda m, s, t: (s + (t - m) ** 2 * np.exp(-2 * s) / 2).sum(-1),
    ),
    (
        "dice",
        {"p": flat(3, 6), "_t": lambda r: r.integers(0, 2, (3, 6))},
        lambda p, t: 1 - 2 * (p * t).sum(-1) / (p.sum(-1) + t.sum(-1) + 1),
    ),
    ("elastic net", {"w": (12,)}, lambda w: f.absolute(w).sum(-1) + (w * w).sum(-1) / 2),
)
CONVOLUTIONS: tuple[Spec, ...] = (
    ("conv 1d", {"x": (2, 7), "w": (3, 2, 3)}, f.conv1d),
    ("conv 2d", {"x": (2, 4, 4), "w": (2, 2, 2, 2)}, f.conv2d),
    ("conv stride", {"x": (2, 5, 5), "w": (2, 2, 3, 3)}, lambda x, w: f.conv2d(x, w, 2)),
    ("conv relu", {"x": (2, 4, 4), "w": (2, 2, 2, 2)}, lambda x, w: f.relu(f.conv2d(x, w))),
    (
        "conv max pool",
        {"x": (1, 5, 5), "w": (2, 1, 2, 2)},
        lambda x, w: f.largest(pools(f.conv2d(x, w))),
    ),
    ("conv tanh squared", {"x": (2, 6), "w": (2, 2, 3)}, lambda x, w: np.tanh(f.conv1d(x, w)) ** 2),
    (
        "average pool",
        {"x": (2, 4, 4)},
        lambda x: x.reshape(*x.shape[:-2], 2, 2, 2, 2).mean((-3, -1)),
    ),
    (
        "depthwise",
        {"x": (3, 6), "w": (3, 3)},
        lambda x, w: np.stack([(x[..., i : i + 3] * w).sum(-1) for i in range(4)], -1),
    ),
)
NETS: tuple[Spec, ...] = (
    ("rnn", {"x": (4, 1, 3), "w": (3, 4), "u": (4, 4)}, f.recurrent),
    (
        "rnn of 30 steps",
        {"x": (3, 1, 2), "w": (2, 3), "u": (3, 3)},
        lambda x, w, u: f.recurrent(x, w, u, 30),
    ),
    ("lstm", {"x": (3, 1, 2), "w": (2, 12), "u": (3, 12)}, f.lstm),
    ("gru", {"x": (3, 1, 2), "w": (2, 9), "u": (3, 9)}, f.gru),
    (
        "relu rnn",
        {"x": (3, 1, 3), "u": (3, 3)},
        lambda x, u: f.relu(
            x[..., 2, :, :] + f.relu(x[..., 1, :, :] + f.relu(x[..., 0, :, :]) @ u) @ u
        ),
    ),
    (
        "euler steps",
        {"x": (3, 1), "a": (3, 3)},
        lambda x, a: iterate(lambda h: h + 0.1 * np.tanh(a @ h), x, 20),
    ),
    (
        "logistic map of 8 steps",
        {"x": flat(5)},
        lambda x: iterate(lambda h: 3.7 * h * (1 - h), x, 8),
    ),
)


def pools(x: Any) -> Any:
    """Squares of 2×2 of (…, P, Q, K), their entries along the last axis."""
    high, wide, deep = x.shape[-3:]
    cut = x.reshape(*x.shape[:-3], high // 2, 2, wide // 2, 2, deep)
    return np.moveaxis(cut, (-4, -2), (-2, -1)).reshape(*x.shape[:-3], -1, 4)


def iterate(step: Callable[[Any], Any], h: Any, times: int) -> Any:
    """step, so many times."""
    for _ in range(times):
        h = step(h)
    return h


MATRICES: tuple[Spec, ...] = (
    ("matrix inverse", {"a": positive_definite(4)}, np.linalg.inv),
    ("solve", {"a": positive_definite(4), "b": (4, 1)}, np.linalg.solve),
    ("determinant", {"a": (4, 4)}, np.linalg.det),
    ("log determinant", {"a": positive_definite(4)}, lambda a: np.log(np.linalg.det(a))),
    ("cholesky", {"a": positive_definite(4)}, lambda a: f.cholesky(f.symmetric(a))),
    (
        "cholesky ill-conditioned",
        {"a": positive_definite(4, 1e-4)},
        lambda a: f.cholesky(f.symmetric(a)),
    ),
    (
        "cholesky of hilbert's",
        {"a": lambda r: hilbert(5) * np.exp(1e-9 * r.normal())},
        lambda a: f.cholesky(f.symmetric(a)),
    ),
    (
        "cholesky of near kernel",
        {"x": lambda r: np.sort(r.normal(size=5)) * 2},
        lambda x: f.cholesky(
            np.exp(-((x[..., :, None] - x[..., None, :]) ** 2) / 2) + 1e-6 * np.eye(5)
        ),
    ),
    ("matrix power", {"a": (4, 4)}, lambda a: a @ a @ a @ a),
    ("quadratic form", {"x": (1, 4), "a": (4, 4)}, lambda x, a: x @ a @ x.swapaxes(-1, -2)),
    (
        "trace of product",
        {"a": (3, 4), "b": (4, 3)},
        lambda a, b: (a @ b).trace(axis1=-2, axis2=-1),
    ),
    ("norm", {"x": (3, 5)}, lambda x: f.norm(x, -1)),
    ("normalize", {"x": (4, 5)}, lambda x: x / f.norm(x, -1)[..., None]),
    (
        "ridge regression",
        {"x": (6, 3), "y": (6, 1)},
        lambda x, y: np.linalg.solve(
            x.swapaxes(-1, -2) @ x + 0.1 * np.eye(3), x.swapaxes(-1, -2) @ y
        ),
    ),
    (
        "gaussian process",
        {"y": (4,), "s": (1,), "_x": (4,)},
        lambda y, s, x: (
            y @ np.linalg.solve(np.exp(s[0]) * np.exp(-((x[:, None] - x) ** 2)) + np.eye(4), y)
        ),
    ),
    ("inverse ill-conditioned", {"a": positive_definite(4, 1e-5)}, np.linalg.inv),
)


def hilbert(n: int) -> Any:
    """1/(i + j + 1): of condition 5e5 for n = 5."""
    at = np.arange(n)
    return 1 / (at[:, None] + at + 1.0)


# Elementwise functions, their derivatives, and the scales of inputs at which both make sense.
CURVES: tuple[tuple[str, Function, Function, tuple[float, ...]], ...] = (
    ("tanh", np.tanh, lambda x: 1 / np.cosh(x) ** 2, (1e-8, 1e-3, 1.0)),
    ("sigmoid", f.sigmoid, lambda x: f.sigmoid(x) * f.sigmoid(-x), (1e-8, 1.0, 4.0)),
    ("exp", np.exp, np.exp, (1e-8, 1e-3, 1.0, 30.0)),
    ("sin", np.sin, np.cos, (1e-8, 1.0, 30.0, 1e4)),
    ("square", lambda x: x * x, lambda x: 2 * x, (1e-100, 1e-8, 1.0, 1e100)),
    ("cube", lambda x: x * x * x, lambda x: 3 * x * x, (1e-50, 1e-8, 1.0, 1e50)),
    ("reciprocal", lambda x: 1 / x, lambda x: -1 / x / x, (1e-100, 1e-3, 1.0, 1e100)),
    ("arctan", np.arctan, lambda x: 1 / (1 + x * x), (1e-8, 1.0, 1e3)),
    ("cosine at zero", np.cos, lambda x: -np.sin(x), (1e-3, 1e-6)),
    ("arcsinh", np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x), (1e-6, 1.0, 1e6)),
    ("x sin 1/x", lambda x: x * np.sin(1 / x), lambda x: np.sin(1 / x) - np.cos(1 / x) / x, (1.0,)),
    ("bump", lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x), (1e-3, 1.0, 4.0)),
    ("expm1", np.expm1, np.exp, (1e-8, 1.0)),
)
POSITIVE: tuple[tuple[str, Function, Function, tuple[float, ...]], ...] = (
    ("sqrt", np.sqrt, lambda x: 0.5 / np.sqrt(x), (1e-12, 1.0, 1e12)),
    ("log", np.log, lambda x: 1 / x, (1e-12, 1.0, 1e12)),
    ("power 2.7", lambda x: x**2.7, lambda x: 2.7 * x**1.7, (1e-6, 1.0, 1e6)),
    ("x log x", lambda x: x * np.log(x), lambda x: np.log(x) + 1, (1e-6, 1.0)),
    ("cbrt", np.cbrt, lambda x: np.cbrt(x) / x / 3, (1e-6, 1.0)),
)


def scaled(draw: Function, scale: float) -> Draw:
    """Numbers as drawn, times a scale."""
    return lambda random: scale * draw(random)


def curves() -> list[Family]:
    """Every elementwise function at each of its scales."""
    return [
        Family(
            f"{name} at {scale:.0e}",
            ELEMENTWISE,
            {"x": scaled(draw, scale)},
            function,
            exact=slope,
        )
        for rows, draw in (
            (CURVES, lambda random: random.normal(size=(4, 4))),
            (POSITIVE, lambda random: np.exp(random.normal(size=(4, 4)))),
        )
        for name, function, slope, scales in rows
        for scale in scales
    ]


def families() -> list[Family]:
    """All of this module."""
    tables = {
        ORDINARY: LAYERS,
        LOSSES: COSTS,
        CONV: CONVOLUTIONS,
        RECURRENT: NETS,
        LINALG: MATRICES,
    }
    named = [
        Family(name, group, inputs, function)
        for group, table in tables.items()
        for name, inputs, function in table
    ]
    return named + curves()
