"""The scale of every entry, which sets its steps.

An entry is first moved by the size of the entries around it. In one tensor, entries may have
different units, as features do; for an entry far smaller than those around it, that move may be far
too large. Its scale is then reduced, at the least to its own size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import BLOCK_BYTES, Evaluate, Float

# Over the size of the tensor: a row or column that is smaller has units, and a scale, of its own.
# Rows of equal units also differ by chance, and then the larger step is the better one.
OWN_UNITS = 0.03
SMALL = 1e-3  # over its scale: one entry in a thousand is smaller by chance
# The scale of an entry is too large if it moves the outputs by so many times as much as the largest
# entries do by their own size.
FAR = 1e3
SHRINK = 1e3  # each try divides the scale by this
# It is also too large if a scale SHRINK times as small still makes this share of the moves, as it
# does where units saturate; on a curve it makes far less.
SATURATED = 0.1
OTHERS = 8  # the largest entries of the tensor, whose moves are compared with


def entry_scale(x: NDArray[Any]) -> Float:
    """The scale of every entry: its own size, or the size of its surroundings if that is larger.

    The size of its surroundings is the root mean square of x; or that of its row or its column, if
    it is less than OWN_UNITS of that, because these have units of their own then.
    """
    size = np.abs(x.astype(np.float64))
    peak = float(np.max(size, initial=0.0))
    if peak == 0.0:
        return np.ones(x.shape)
    squares = (size / peak) ** 2
    whole = float(np.mean(squares))
    around = np.full(x.shape, whole)
    if sum(length > 1 for length in x.shape) > 1:
        for axis in range(x.ndim):
            others = tuple(other for other in range(x.ndim) if other != axis)
            mean = np.mean(squares, axis=others, keepdims=True)
            apart = (mean > 0) & (mean < OWN_UNITS**2 * whole)
            around = np.minimum(around, np.where(apart, mean, np.inf))
    scale: Float = np.maximum(size, peak * np.sqrt(around))
    return scale


def shrink_scales(
    evaluate: Evaluate, x: NDArray[Any], scale: Float, weight: Float | None
) -> tuple[Float, int]:
    """Reduce the scale of small entries for which it is too large.

    It is too large if such a move makes the outputs move far more than other entries do, makes them
    infinite, or moves them hardly more than a thousandth of it does, as where units saturate.
    evaluate: maps points (K, *x.shape) to outputs (K, *outputs). weight: of the outputs, flat; None
    for ones. Returns the scales, of x's shape, and the number of evaluations.
    """
    size, shrunk = np.abs(x.astype(np.float64)).ravel(), scale.ravel().copy()
    small = np.flatnonzero((size > 0) & (size < SMALL * shrunk))
    if not len(small):
        return scale, 0
    mover = _Mover(evaluate, x, weight)
    largest = np.argsort(size)[-OTHERS:]
    most = FAR * max(mover.total, float(np.max(mover.move(largest, size[largest]))))
    moves = mover.move_both(small, shrunk[small])
    while len(small):
        nearer = np.maximum(shrunk[small] / SHRINK, size[small])
        near_moves = mover.move_both(small, nearer)
        too_far = ~((moves <= most) & (near_moves <= SATURATED * moves))
        small, moves = small[too_far], near_moves[too_far]
        shrunk[small] = nearer[too_far]
        going = shrunk[small] > size[small]
        small, moves = small[going], moves[going]
    return shrunk.reshape(x.shape), mover.evaluations


def move_one_by_one(
    evaluate: Evaluate, x: NDArray[Any], entries: NDArray[np.intp], by: Float
) -> Float:
    """The outputs when one entry of x moves, for each of these entries: (entries, outputs).

    by: how far each moves.
    """
    points = np.repeat(x.reshape(1, -1), len(entries), axis=0)
    points[np.arange(len(entries)), entries] += by.astype(x.dtype)
    outputs = np.asarray(evaluate(points.reshape(-1, *x.shape)), dtype=np.float64)
    return outputs.reshape(len(entries), -1)


class _Mover:
    """Moves entries of x, one at a time, and measures how far the outputs move.

    total: Σ weight·|output| at x.
    """

    def __init__(self, evaluate: Evaluate, x: NDArray[Any], weight: Float | None) -> None:
        self.evaluate = evaluate
        self.x = x
        self.center = np.asarray(evaluate(x[None]), dtype=np.float64).ravel()
        self.weight = np.ones(self.center.size) if weight is None else weight
        self.total = float(self.weight @ np.abs(self.center))
        self.evaluations = 1

    def move_both(self, entries: NDArray[np.intp], by: Float) -> Float:
        """The larger of `move` by these amounts up and down."""
        return np.maximum(self.move(entries, by), self.move(entries, -by))

    def move(self, entries: NDArray[np.intp], by: Float) -> Float:
        """Σ weight·|change| of the outputs when each of these entries moves by its amount."""
        block = max(1, BLOCK_BYTES // (8 * (self.x.size + self.center.size)))
        parts = []
        for start in range(0, len(entries), block):
            some = slice(start, start + block)
            outputs = move_one_by_one(self.evaluate, self.x, entries[some], by[some])
            parts.append(np.abs(outputs - self.center) @ self.weight)
            self.evaluations += len(outputs)
        return np.concatenate(parts)
