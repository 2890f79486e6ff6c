"""The noise of a function near a point: how far its values scatter about a smooth curve.

It is measured by `many_probes` or, where that is enough, by `few_probes`; this is what both share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import CANCELLED, find_grid, find_grid_away

Float = NDArray[np.float64]
Evaluate = Callable[[NDArray[Any]], NDArray[Any]]

BLOCK_BYTES = 2**20  # of points evaluated at once: more do not fit the cache, and gain nothing
# Standard deviations of noise in an uncertainty: so many because they are only estimated.
DEVIATIONS = 5.0

# The variance at a spacing over that at a finer one: noise alone makes less of a difference.
ROUGH_VARIANCE_RATIO = 1e3
# The scatter over the whole variance of the points: with more, they do not lie on a curve.
SCATTER_SHARE = 0.1
# Two estimates of the same variance hardly ever differ by a larger factor; if they do, the larger
# one contains something else.
ALIKE = 16.0
MOST_NOISE = 1e-3  # noise over the largest value: with more, there is no curve to differentiate
GROWTH = 2.0  # how much faster noise may grow along one entry than along all of them together
MOVED_DEVIATIONS = 10.0  # standard deviations of noise; an output that changes by more has moved
AWAY = 0.5  # in units of the scale of x: about the largest steps of the ladder
# An output has diverged where it is so many times further from its value at x than it moves within
# the coarsest spacing, and than its value at x; its noise there says nothing. (At a minimum with
# moves like h⁴ it is 2e8 times further.)
DIVERGED = 1e10
# The standard deviation of the last rounding of a value, which is uniform within ½ eps|f|: 1/√12.
ROUNDING = 0.29
FEW_ROUNDINGS = 16.0  # in roundings to the grid of an output: less noise is rounding
# Over x, or moves far away: an output that is smaller may be no larger than the roundings of the
# numbers it is made of.
FAINT = 1e-6
# How far from x, in units of its scale, outputs are evaluated that stand still near x: far off, and
# close by on both sides, since they may saturate on either.
FAR_OFF, NEAR_BY = 10.0 ** np.arange(1, 13), 2.0 ** np.arange(6)


class Noise(Struct, frozen=True):
    """The noise of every output, as a standard deviation; arrays have the shape of the outputs.

    near: the noise at x. center: the outputs there. away: the noise some steps away from x.
    growth: the noise away from x over the root of how far the output has moved there.
    reach: how far, in units of the scale of x, all outputs are smooth; 1 if nothing limits that.
    evaluations: of the function, in all.
    step_height: the height of the steps in which each output moves; 0 if it moves smoothly.
    pace: about how many seconds an evaluation took; 0 where it was not timed.
    cancelled: the size of the numbers whose differences the outputs are; 0 where none are seen.
    """

    near: Float
    center: Float
    away: Float
    growth: Float
    reach: float
    evaluations: int
    step_height: Float
    pace: float = 0.0
    cancelled: float = 0.0

    def reshape(self, *shape: int) -> Noise:
        """This noise with its outputs in another shape."""
        of_outputs = ("near", "center", "away", "growth", "step_height")
        return replace(self, **{name: getattr(self, name).reshape(shape) for name in of_outputs})

    def at_least(self, deviation: Float | float) -> Noise:
        """This noise where outputs scatter by this deviation, at least, for another reason."""
        near, away = np.maximum(self.near, deviation), np.maximum(self.away, deviation)
        return replace(self, near=near, away=away)

    def at(self, move: Float) -> Float:
        """The noise of outputs that have moved by `move`, which has one more axis in front.

        At a minimum noise is small (that of ½δ² is δ times that of δ), and grows with the slope,
        which is proportional to the root of the move.
        """
        grown: Float = np.maximum(self.near, self.growth * np.sqrt(move))
        return grown


def reject_noisy(noise: Float, largest: Float, grid: Float, eps: float) -> Float:
    """The noise of every output, made infinite where there is no curve to differentiate.

    That is where noise exceeds MOST_NOISE of the values, with two exceptions, which are ordinary
    noise: an output far smaller than others may be all that is left of numbers that cancel, such as
    a spline outside of its support; and noise may be no more than some roundings to the grid.
    largest: the largest value of every output. grid: the deviation of rounding to its grid.
    """
    few = np.maximum(CANCELLED * eps * np.max(largest, initial=0.0), FEW_ROUNDINGS * grid)
    counts = noise > few
    return np.where(counts & (noise > MOST_NOISE * largest), np.inf, noise)


def diverges(moved: Float, near_x: Float, center: Float) -> NDArray[np.bool_]:
    """Where outputs diverge: they have moved by far more than near x, and than they are large.

    moved: how far, away from x. near_x: how far within the coarsest spacing. center: the outputs.
    """
    here = np.maximum(near_x, np.abs(center))
    return np.asarray((moved > DIVERGED * here) & (here > 0))


def draw_signs(random: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Random signs, 1 or −1 with equal probability."""
    return np.where(random.integers(0, 2, shape) == 0, -1.0, 1.0)


def draw_directions(random: np.random.Generator, scale: Float, shape: tuple[int, ...]) -> Float:
    """Random directions along which every entry moves by about its scale, up or down.

    shape: that of one direction (the scale's), or of several, with axes in front.
    """
    return random.uniform(0.5, 1.5, shape) * draw_signs(random, shape) * scale


def measure_grid(
    evaluate: Evaluate, x: NDArray[Any], scale: Float, values: Float, *, sparing: bool = False
) -> tuple[Float, int]:
    """The grid of every output, 0 where none is seen, and the evaluations that this took.

    The grid of an output that stands still near x may be hidden. So if it is tiny beside x, or its
    last digits are zeros, it is evaluated farther away. sparing: not if another output moves with
    all its digits, since then the still one belongs to a dead unit.
    values: of every output near x, (K, *outputs).
    """
    eps, size = float(np.finfo(x.dtype).eps), np.max(np.abs(values), axis=0)
    spacing, still = find_grid(values)
    grid = np.where(np.isfinite(spacing) & ~still, spacing, 0.0)
    coarse = spacing > CANCELLED * eps * size
    hidden = still & (coarse | (size <= FAINT * np.max(np.abs(x), initial=0.0)))
    if not np.any(hidden) or (sparing and not np.all(still | coarse)):
        return grid, 0
    random, ones = np.random.default_rng(0), (1,) * x.ndim
    off, by = (
        np.reshape(shares, (-1, *ones)) * draw_directions(random, scale, (len(shares), *x.shape))
        for shares in (FAR_OFF, NEAR_BY)
    )
    points = np.concatenate([x + off, x + by, x - by])
    outputs = np.asarray(evaluate(points.astype(x.dtype)), dtype=np.float64)
    parts = np.split(outputs.reshape(-1, *grid.shape), [len(FAR_OFF)])
    beyond = np.maximum(*(find_grid_away(part, eps) for part in parts))
    return np.where(hidden, beyond, grid), len(points)
