"""The scale of every entry: those of one tensor may have units of their own, as features have.

An entry is first moved by the size of its surroundings. Where it is far smaller than these, that
may be far more than it can bear: then it is moved by less, down to its own size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import BLOCK_BYTES, Evaluate, Float

# Of the size of a tensor: a row or column smaller than that has a scale of its own. Those of equal
# scales differ by chance, and the larger step is the better one.
OWN_UNITS = 0.03
SMALL = 1e-3  # of its scale: an entry as small is so by chance once in a thousand
# How much further than other entries do by their own size an entry may move the outputs.
FAR = 1e3
SHRINK = 1e3  # of the scale from one try to the next
SATURATED = 0.1  # of the moves by one scale: those by the next, which a curve makes far smaller
OTHERS = 8  # entries whose moves are looked at: the largest of the tensor


def entry_scale(x: NDArray[Any]) -> Float:
    """The scale of every entry: its own size, or that of its surroundings if that is more.

    Its surroundings are the slices of x that it lies in (its row and its column) and all of x, of
    which the one with the smallest root mean square counts: columns may have units of their own.
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
    """The scale of every entry, smaller where a small entry cannot bear to be moved by it.

    Then the outputs move far more than by other entries, are not finite, or move hardly less by a
    thousandth of it, as where units saturate.
    evaluate: maps points (K, *x.shape) to outputs (K, *outputs); weight: of the outputs, flat, or
    None for ones. Returns the scales, of x's shape, and how many points were evaluated.
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
    """The outputs where one entry of x is moved, each of these by so much: (moves, outputs)."""
    points = np.repeat(x.reshape(1, -1), len(entries), axis=0)
    points[np.arange(len(entries)), entries] += by.astype(x.dtype)
    outputs = np.asarray(evaluate(points.reshape(-1, *x.shape)), dtype=np.float64)
    return outputs.reshape(len(entries), -1)


class _Mover:
    """Moves entries of x, one at a time, and tells by how much the outputs move.

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
        """The larger of the moves up and down."""
        return np.maximum(self.move(entries, by), self.move(entries, -by))

    def move(self, entries: NDArray[np.intp], by: Float) -> Float:
        """Σ weight·|change| of the outputs for each of these entries, moved by so much."""
        block = max(1, BLOCK_BYTES // (8 * (self.x.size + self.center.size)))
        parts = []
        for start in range(0, len(entries), block):
            some = slice(start, start + block)
            outputs = move_one_by_one(self.evaluate, self.x, entries[some], by[some])
            parts.append(np.abs(outputs - self.center) @ self.weight)
            self.evaluations += len(outputs)
        return np.concatenate(parts)
