"""The noise of a function near a point: how much its values scatter about a smooth curve.

Source: J. Moré and S. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Evaluate = Callable[[NDArray[Any]], NDArray[Any]]

LINES = 5  # one line has too few samples: its estimate is often five times too small
POINTS = 9  # on a line; Moré and Wild find 6 to 8 differences enough
ORDERS = (5, 6, 7)  # of differences: smooth parts are gone, some samples are left
# Spacings of the points in units of the scale of x. The usual one is FINE. A function that rounds
# to few digits is flat there and shows its steps at the COARSE one; one that oscillates fast is
# curved there and smooth at the FINEST.
FINEST, FINE, COARSE = 1e-9, 1e-6, 1e-3
FLAT = 0.25  # a share of equal neighbours that chance does not give
CURVED = 0.1  # of a variance from the lowest to the highest order; noise leaves it the same
AWAY = 0.5  # in units of the scale of x: about the largest steps of the ladder
# The last rounding of a value: uniform within half a unit of eps|f|, hence its deviation.
ROUNDING = 0.29


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of every output, as a deviation; arrays of the outputs' shape.

    near: at x; center: the outputs there. growth: of the noise some steps away from x, over the
    root of how far the outputs have moved. evaluations: of the function, in all.
    """

    near: Float
    center: Float
    growth: Float
    evaluations: int

    def flat(self) -> Noise:
        """The same with one axis of outputs."""
        return Noise(
            self.near.ravel(),
            self.center.ravel(),
            self.growth.ravel(),
            self.evaluations,
        )

    def at(self, move: Float) -> Float:
        """The deviation where outputs have moved by `move`, arrays with a leading axis.

        At a minimum noise is small (that of ½δ² is δ times that of δ) and grows with the slope,
        which is like the root of the move.
        """
        grown: Float = np.maximum(self.near, self.growth * np.sqrt(move))
        return grown


def function_noise(evaluate: Evaluate, x: NDArray[Any], scale: Float) -> Noise:
    """The noise of every output of `evaluate` near `x`.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape; sets the spacing of the probes.
    The noise at x is never less than the last rounding of a value. Where probes are not finite,
    it is that rounding.
    """
    random = np.random.default_rng(0)
    here = _Lines(evaluate, np.stack([x] * LINES), scale, FINE, random)
    near, evaluations = here.deviation(), 2 * LINES * POINTS
    if np.any(here.flat()):
        coarse = _Lines(evaluate, np.stack([x] * LINES), scale, COARSE, random).deviation()
        near = np.where(here.flat(), np.fmax(near, coarse), near)
        evaluations += LINES * POINTS
    spacing = FINEST if np.any(here.curved()) else FINE
    if spacing == FINEST:
        finest = _Lines(evaluate, np.stack([x] * LINES), scale, FINEST, random).deviation()
        near = np.where(here.curved(), np.fmin(near, finest), near)
        evaluations += LINES * POINTS
    center = here.values[POINTS // 2, 0]
    size = np.where(np.isfinite(center), np.abs(center), 0.0)
    rounding = ROUNDING * np.finfo(x.dtype).eps * size
    moves = random.choice((-AWAY, AWAY), size=(LINES, *x.shape)) * scale
    there = _Lines(evaluate, (x + moves).astype(x.dtype), scale, spacing, random)
    near = np.maximum(rounding, np.where(np.isfinite(near), near, 0.0))
    return Noise(near, center, _growth(there, center), evaluations)


class _Lines:
    """Values of a function on lines of equidistant points, (POINTS, LINES, *outputs)."""

    def __init__(
        self,
        evaluate: Evaluate,
        centers: NDArray[Any],
        scale: Float,
        spacing: float,
        random: np.random.Generator,
    ) -> None:
        directions = random.uniform(0.5, 1.5, size=centers.shape)
        directions *= random.choice((-spacing, spacing), size=centers.shape) * scale
        steps = np.arange(POINTS) - POINTS // 2
        points = (centers + np.multiply.outer(steps, directions)).astype(centers.dtype)
        outputs = np.asarray(evaluate(points.reshape(-1, *centers.shape[1:])), dtype=np.float64)
        self.values = outputs.reshape(POINTS, LINES, *outputs.shape[1:])
        # A k-th difference of independent noise has binom(2k, k) times its variance.
        self.variances = np.stack(
            [
                np.mean(np.diff(self.values, n=order, axis=0) ** 2, axis=0) / comb(2 * order, order)
                for order in ORDERS
            ]
        )

    def deviation(self) -> Float:
        """From smoothness, of every output. Of the orders, the smallest: what is left of a smooth
        part only adds to the lower ones."""
        return np.asarray(np.sqrt(np.min(np.mean(self.variances, axis=1), axis=0)))

    def flat(self) -> NDArray[np.bool_]:
        """The outputs that keep their value from point to point more often than by chance."""
        same = np.diff(self.values, axis=0) == 0
        flat: NDArray[np.bool_] = (np.mean(same, axis=(0, 1)) > FLAT) & ~np.all(same, axis=(0, 1))
        return flat

    def curved(self) -> NDArray[np.bool_]:
        """The outputs whose differences still hold a smooth part."""
        pooled = np.mean(self.variances, axis=1)
        curved: NDArray[np.bool_] = pooled[-1] < CURVED * pooled[0]
        return curved


def _growth(lines: _Lines, center: Float) -> Float:
    """The noise away from x over the root of the move there, each line at a place of its own.

    The second largest of the lines, because one of them may have moved little by chance.
    """
    variance = np.min(lines.variances, axis=0)
    move = np.abs(lines.values[POINTS // 2] - center)
    usable = np.isfinite(variance) & np.isfinite(move) & (move > 0)
    ratios = np.where(usable, variance / np.where(usable, move, 1.0), 0.0)
    growth: Float = np.sqrt(np.sort(ratios, axis=0)[-2])
    return growth
