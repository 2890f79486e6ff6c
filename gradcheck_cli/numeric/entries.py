"""Every entry of a gradient by central differences: its value and its uncertainty.

Outputs are differenced before they are contracted with the cotangent. A ladder of shrinking steps
is extrapolated (Ridders 1982); each entry stops where noise lets a finer step gain nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.noise import ROUNDING, Evaluate, Float, function_noise
from gradcheck_cli.numeric.schemes import STENCILS, Stencil

# The first step, in units of the entry's scale: polynomial losses are exact at any step, so the
# largest is the best for them; others pay for it with some levels of the ladder.
FIRST_STEP = 0.5
# Of a step to the next. With 2, an oscillation whose period fits the first step fits many more
# of them and passes for a slow one; no power of √3 but the even ones is a whole number.
RATIO = 3.0**0.5
MAX_LEVELS = 38  # down to 1e-9 of the scale, below every useful step of float64
MIN_LEVELS = 3  # two agreeing quotients can be chance, three with their extrapolations hardly
MAX_COLUMNS = 6  # of Neville's table; later columns gain nothing over the noise
# How many deviations of noise an uncertainty holds: 5 leaves 6e-7 of a normal distribution.
DEVIATIONS = 5.0
# Extrapolation amplifies noise: the finest quotient of a cell has a weight of up to 1.8, and the
# coarser ones, which are less noisy, add little to it.
AMPLIFICATION = 2.0
# A fixed step is judged by these shares of it: halving takes 3/4 or more of the truncation error
# away; the other share is there because one difference can be small by chance.
SHORTER = (0.5, 0.7)
SAFETY = 3.0
BLOCK_BYTES = 2**20  # of points evaluated at once: past the cache, batching gains nothing


@dataclass(frozen=True, slots=True)
class NumericGradient:
    """The numeric gradient of one input; arrays of the gradient's shape.

    value ± uncertainty; step: the one that gave the value; evaluations: of the forward, in all.
    """

    value: Float
    uncertainty: Float
    step: Float
    evaluations: int


@dataclass(frozen=True, slots=True)
class _Quotients:
    """Central quotients of some entries at one step each: (entries, cotangents) arrays."""

    value: Float
    noise: Float
    slope: Float


class _Differences:
    """Evaluates the forward around x and contracts differences of outputs with the cotangent."""

    def __init__(
        self,
        evaluate: Evaluate,
        x: NDArray[Any],
        cotangent: Float | None,
        noise: Float,
        stencil: Stencil,
    ) -> None:
        self.evaluate = evaluate
        self.x = x
        self.cotangent = None if cotangent is None else cotangent.ravel()
        self.noise = noise.ravel()
        self.stencil = stencil
        self.eps = float(np.finfo(x.dtype).eps)
        self.evaluations = 0
        point_bytes = 8 * (x.size + self.noise.size)
        self.block = max(1, BLOCK_BYTES // (2 * point_bytes))

    def quotients(self, entries: NDArray[np.intp], step: Float) -> _Quotients:
        """The stencil's quotient of every entry (a flat index of x) at its own step."""
        parts = [
            self._block(entries[start : start + self.block], step[start : start + self.block])
            for start in range(0, len(entries), self.block)
        ]
        return _Quotients(
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.noise for part in parts]),
            np.concatenate([part.slope for part in parts]),
        )

    def _block(self, entries: NDArray[np.intp], step: Float) -> _Quotients:
        total: _Quotients | None = None
        for offset, weight in zip(self.stencil.offsets, self.stencil.weights, strict=True):
            part = self._central(entries, step * offset)
            share = float(weight)
            if total is None:
                total = _Quotients(share * part.value, abs(share) * part.noise, part.slope)
            else:
                total = _Quotients(
                    total.value + share * part.value,
                    total.noise + abs(share) * part.noise,
                    np.maximum(total.slope, part.slope),
                )
        assert total is not None
        return total

    def _central(self, entries: NDArray[np.intp], step: Float) -> _Quotients:
        """Plain central quotients: outputs are differenced, then contracted, then divided."""
        count = len(entries)
        points = np.repeat(self.x.reshape(1, -1), 2 * count, axis=0)
        rows = np.arange(count)
        points[rows, entries] += step.astype(self.x.dtype)
        points[rows + count, entries] -= step.astype(self.x.dtype)
        taken = points[rows, entries].astype(np.float64) - points[rows + count, entries]
        outputs = np.asarray(self.evaluate(points.reshape(2 * count, *self.x.shape)))
        self.evaluations += 2 * count
        outputs = outputs.reshape(2 * count, -1).astype(np.float64, copy=False)
        above, below = outputs[:count], outputs[count:]
        change = above - below
        # An output rounds at the size it has here, which may be far from the size it has at x.
        rounding = (ROUNDING * self.eps) * np.maximum(np.abs(above), np.abs(below))
        noise = np.where(change != 0, np.maximum(self.noise, rounding), 0.0)
        value, scatter, slope = self._contracted(change, noise)
        width = taken[:, None]
        return _Quotients(value / width, scatter / width, slope / width)

    def _contracted(self, change: Float, noise: Float) -> tuple[Float, Float, Float]:
        """Σ c·change, the deviation of its noise (independent outputs), and Σ |c·change|."""
        if self.cotangent is None:
            return change, np.sqrt(2.0) * noise, np.abs(change)
        weighted = np.abs(self.cotangent) * noise
        peak = np.max(weighted, axis=1, keepdims=True, initial=0.0)
        scaled = np.divide(weighted, peak, out=np.zeros_like(weighted), where=peak > 0)
        deviation = peak * np.sqrt(2.0 * np.sum(scaled**2, axis=1, keepdims=True))
        value = change @ self.cotangent
        slope = np.abs(change) @ np.abs(self.cotangent)
        return value[:, None], deviation, slope[:, None]


def numeric_gradient(
    evaluate: Evaluate,
    x: NDArray[Any],
    cotangent: Float | None,
    *,
    order: int | None = None,
    step: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> NumericGradient:
    """The gradient of Σ cotangent · evaluate(x) for every entry of x.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    cotangent: of the outputs' shape, or None for the whole Jacobian (outputs × x.shape).
    order: of the stencil, a key of STENCILS; None: 2, which the ladder extrapolates.
    step: a fixed step; None: chosen for every entry by a ladder of steps.

    The uncertainty holds the disagreement of extrapolations (or, for a fixed step, of two steps)
    and the measured noise over the step. Sources: C. Ridders, "Accurate computation of F'(x) and
    F'(x)F''(x)" (1982); J. Moré and S. Wild (2011) for the noise.
    """
    with np.errstate(all="ignore"):
        scale = entry_scale(x)
        noise = function_noise(evaluate, x, scale)
        differences = _Differences(evaluate, x, cotangent, noise, STENCILS[order or 2])
        if step is None:
            value, uncertainty, taken = _ladder(differences, FIRST_STEP * scale.ravel())
        else:
            value, uncertainty, taken = _fixed(differences, np.full(x.size, step))
    outputs = () if cotangent is not None else noise.shape
    shape = (*outputs, *x.shape)
    return NumericGradient(
        value.T.reshape(shape),
        uncertainty.T.reshape(shape),
        taken.T.reshape(shape),
        differences.evaluations,
    )


def entry_scale(x: NDArray[Any]) -> Float:
    """The scale of every entry: its own size, or the tensor's root mean square if that is more."""
    size = np.abs(x.astype(np.float64))
    peak = float(np.max(size, initial=0.0))
    if peak == 0.0:
        return np.ones(x.shape)
    typical = peak * float(np.sqrt(np.mean((size / peak) ** 2)))
    scale: Float = np.maximum(size, typical)
    return scale


def _exact(x: NDArray[Any], step: Float) -> Float:
    """The step rounded so that x + step and x − step are representable and symmetric."""
    size = np.abs(x.ravel())
    exact: Float = ((size + step.astype(x.dtype)) - size).astype(np.float64)
    return exact


def _fixed(differences: _Differences, step: Float) -> tuple[Float, Float, Float]:
    """The quotients at one step; their truncation is judged by the quotients at shorter ones."""
    entries = np.arange(differences.x.size)
    at = differences.quotients(entries, step)
    uncertainty = DEVIATIONS * at.noise
    for share in SHORTER:
        other = differences.quotients(entries, step * share)
        gap = SAFETY * np.abs(at.value - other.value) + DEVIATIONS * (at.noise + other.noise)
        uncertainty = np.maximum(uncertainty, gap)
    uncertainty = np.where(np.isfinite(uncertainty), uncertainty, np.inf)
    return at.value, uncertainty, np.broadcast_to(step[:, None], at.value.shape)


def _ladder(differences: _Differences, first: Float) -> tuple[Float, Float, Float]:
    """Neville's table over shrinking steps, for all entries at once.

    Every entry keeps the cell with the smallest uncertainty, and leaves the ladder when noise
    alone would exceed it at the next step.
    """
    entries = np.arange(differences.x.size)
    step = first
    best: _Best | None = None
    previous: list[Float] = []
    floor: Float | None = None
    for level in range(MAX_LEVELS):
        step = _exact(differences.x.ravel()[entries], step)
        found = differences.quotients(entries, step)
        if best is None or floor is None:
            best = _Best(differences.x.size, found.value.shape[1])
            floor = differences.eps * np.where(np.isfinite(found.slope), found.slope, 0.0)
        row = _neville(found.value, previous, differences.stencil.order)
        noise = DEVIATIONS * AMPLIFICATION * found.noise
        if level >= MIN_LEVELS - 1:
            for column in range(1, min(level, MAX_COLUMNS)):
                spread = _disagreement(row, previous, column)
                best.offer(entries, row[column], spread + noise, step)
        going = np.any(RATIO * noise < best.uncertainty[entries], axis=1) & (step > 0)
        if level < MIN_LEVELS - 1:
            going[:] = True
        entries, step = entries[going], step[going] / RATIO
        previous = [column[going] for column in row]
        if not len(entries):
            break
    assert best is not None
    assert floor is not None
    return best.value, np.maximum(best.uncertainty, floor), best.step


class _Best:
    """The best cell so far of every entry and cotangent."""

    def __init__(self, entries: int, cotangents: int) -> None:
        self.value = np.full((entries, cotangents), np.nan)
        self.uncertainty = np.full((entries, cotangents), np.inf)
        self.step = np.full((entries, cotangents), np.nan)

    def offer(
        self, entries: NDArray[np.intp], value: Float, uncertainty: Float, step: Float
    ) -> None:
        better = uncertainty < self.uncertainty[entries]
        self.value[entries] = np.where(better, value, self.value[entries])
        self.uncertainty[entries] = np.where(better, uncertainty, self.uncertainty[entries])
        self.step[entries] = np.where(better, step[:, None], self.step[entries])


def _neville(value: Float, previous: list[Float], order: int) -> list[Float]:
    """The next row of Neville's table: column k has the error terms up to h^(order+2k−2) gone."""
    row = [value]
    for column, last in enumerate(previous[:MAX_COLUMNS]):
        factor = RATIO ** (order + 2 * column) - 1
        row.append(row[column] + (row[column] - last) / factor)
    return row


def _disagreement(row: list[Float], previous: list[Float], column: int) -> Float:
    """How far a cell is from its three neighbours of lower order or larger step."""
    spread = np.maximum(
        np.abs(row[column] - row[column - 1]), np.abs(row[column] - previous[column - 1])
    )
    spread = np.maximum(spread, np.abs(row[column] - previous[column]))
    return np.where(np.isfinite(spread), spread, np.inf)
