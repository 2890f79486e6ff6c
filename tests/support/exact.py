"""Exact gradients of the paper's layers, by mpmath, entry by entry from the definitions.

Nothing here comes from the package: the loss is written as a scalar function of the outputs, its
derivative by hand in 60 digits, and the chain rule as the sum it is.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Matrix = list[list[mp.mpf]]

DIGITS = 60


def _softmax_derivative(y: list[mp.mpf], t: list[mp.mpf]) -> list[mp.mpf]:
    weights = [mp.exp(value - max(y)) for value in y]
    return [
        sum(t) * weight / sum(weights) - target for weight, target in zip(weights, t, strict=True)
    ]


def _entrywise(
    function: Callable[[mp.mpf, mp.mpf], mp.mpf],
) -> Callable[[list[mp.mpf], list[mp.mpf]], list[mp.mpf]]:
    return lambda y, t: [function(a, b) for a, b in zip(y, t, strict=True)]


# ∂ℓ/∂y of one sample, given its outputs and its target.
DERIVATIVES: dict[str, Callable[[list[mp.mpf], list[mp.mpf]], list[mp.mpf]]] = {
    "squared-error": _entrywise(lambda y, t: y - t),
    "linear": _entrywise(lambda y, c: c),
    "softmax-cross-entropy": _softmax_derivative,
    "logistic": _entrywise(lambda y, s: -s / (1 + mp.exp(s * y))),
    "huber": _entrywise(lambda y, t: max(mp.mpf(-1), min(mp.mpf(1), y - t))),
    "cosine": _entrywise(lambda y, c: -c * mp.sin(c * y)),
}


# f(z), written down from the definitions; derivatives are taken of these, in 60 digits.
ACTIVATIONS: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky-relu": lambda z: z if z > 0 else z / 100,
    "elu": lambda z: z if z > 0 else mp.expm1(z),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "tanh": mp.tanh,
    "gelu": lambda z: z / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (z + 44715 * z**3 / 10**6))),
}


def activated(activation: str, z: float) -> tuple[mp.mpf, mp.mpf]:
    """f(z) and f′(z) of an activation, in enough digits for tails of 1e-300."""
    function = ACTIVATIONS[activation]
    with mp.workdps(800):
        exact = mp.mpf(z)
        return function(exact), mp.diff(function, exact)


def exact_gradients(
    form: str,
    loss: str,
    reduction: str,
    x: Float,
    W: Float,
    target: Float,
    b: Float | None = None,
    activation: str = "none",
) -> tuple[Float, ...]:
    """∂L/∂x, ∂L/∂W and, with a bias, ∂L/∂b of a layer, in their shapes, rounded once to float64."""
    with mp.workdps(DIGITS):
        # As a batch: samples in rows, x (n×N), W (N×M); a column vector is one sample.
        column = form == "Wx"
        rows = _exact(x.T if column else x)
        weights = _exact(W.T if column else W)
        targets = _exact(target.T if column else target)
        n, inner, outer = len(rows), len(weights), len(weights[0])
        function = ACTIVATIONS.get(activation, lambda z: z)
        shift = [mp.mpf(0)] * outer if b is None else _exact(b.T if column else b)[0]
        share = mp.mpf(1) / n if reduction == "mean" else mp.mpf(1)
        deltas = []
        for row, wanted in zip(rows, targets, strict=True):
            z = [
                mp.fsum(row[i] * weights[i][k] for i in range(inner)) + shift[k]
                for k in range(outer)
            ]
            slopes = DERIVATIVES[loss]([function(value) for value in z], wanted)
            deltas.append(
                [
                    share * slope * mp.diff(function, value)
                    for slope, value in zip(slopes, z, strict=True)
                ]
            )
        grad_rows = [
            [mp.fsum(delta[k] * weights[i][k] for k in range(outer)) for i in range(inner)]
            for delta in deltas
        ]
        grad_weights = [
            [mp.fsum(rows[a][i] * deltas[a][k] for a in range(n)) for k in range(outer)]
            for i in range(inner)
        ]
        grad_b = [[mp.fsum(delta[k] for delta in deltas) for k in range(outer)]]
        found = [grad_rows, grad_weights] + ([] if b is None else [grad_b])
        rounded = [_rounded(gradient) for gradient in found]
    return tuple(gradient.T if column else gradient for gradient in rounded)


def _exact(array: Float) -> Matrix:
    return [[mp.mpf(float(value)) for value in row] for row in array]


def _rounded(matrix: Matrix) -> Float:
    return np.array([[float(value) for value in row] for row in matrix])
