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


def exact_gradients(
    form: str, loss: str, reduction: str, x: Float, W: Float, target: Float
) -> tuple[Float, Float]:
    """∂L/∂x and ∂L/∂W of a layer, in the shapes of x and W, rounded once to float64."""
    with mp.workdps(DIGITS):
        # As a batch: samples in rows, x (n×N), W (N×M); a column vector is one sample.
        column = form == "Wx"
        rows = _exact(x.T if column else x)
        weights = _exact(W.T if column else W)
        targets = _exact(target.T if column else target)
        n, inner, outer = len(rows), len(weights), len(weights[0])
        share = mp.mpf(1) / n if reduction == "mean" else mp.mpf(1)
        deltas = []
        for row, wanted in zip(rows, targets, strict=True):
            y = [mp.fsum(row[i] * weights[i][k] for i in range(inner)) for k in range(outer)]
            deltas.append([share * slope for slope in DERIVATIVES[loss](y, wanted)])
        grad_rows = [
            [mp.fsum(delta[k] * weights[i][k] for k in range(outer)) for i in range(inner)]
            for delta in deltas
        ]
        grad_weights = [
            [mp.fsum(rows[a][i] * deltas[a][k] for a in range(n)) for k in range(outer)]
            for i in range(inner)
        ]
        grad_x, grad_W = _rounded(grad_rows), _rounded(grad_weights)
    return (grad_x.T, grad_W.T) if column else (grad_x, grad_W)


def _exact(array: Float) -> Matrix:
    return [[mp.mpf(float(value)) for value in row] for row in array]


def _rounded(matrix: Matrix) -> Float:
    return np.array([[float(value) for value in row] for row in matrix])
