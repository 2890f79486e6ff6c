"""The noise of a function near a point: how much its values scatter about a smooth curve.

Source: J. Moré and S. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import (
    CANCELLED,
    cancelled_size,
    find_flat,
    find_grid,
    find_grid_far_off,
    find_steps,
)

Float = NDArray[np.float64]
Evaluate = Callable[[NDArray[Any]], NDArray[Any]]

BLOCK_BYTES = 2**20  # of points evaluated at once: past the cache, batching gains nothing
# How many deviations of noise an uncertainty holds; the deviation itself is only an estimate.
DEVIATIONS = 5.0

LINES = 5  # one line has too few samples: its estimate is often five times too small
POINTS = 9  # on a line; Moré and Wild find 6 to 8 differences enough
ORDERS = (5, 6, 7)  # of differences: smooth parts are gone, some samples are left
# Spacings of the points in units of the scale of x. What scatters at all of them is noise; what is
# smooth at one is not. A function that rounds to few digits is flat at the finer ones.
SPACINGS = (1e-11, 1e-6, 1e-3)
# Over the variance at a finer spacing: more than noise differs between two.
ROUGH_VARIANCE_RATIO = 1e3
SCATTER_SHARE = 0.1  # of the whole variance of the points: they are not on a curve
# Two estimates of one variance hardly differ by more; of those that do, the larger one has
# something else in it.
ALIKE = 16.0
STILL = 4.0  # times the variance over the finest probes: more is seen over wider ones alone
MOST_NOISE = 1e-3  # noise over the values around: there is no curve to differentiate
GROWTH = 2.0  # how much faster noise may grow along one entry than along all of them
MOVED_DEVIATIONS = 10.0  # deviations of noise, from which on an output has moved
AWAY = 0.5  # in units of the scale of x: about the largest steps of the ladder
# A place where an output is so many times further from its value at x than within the coarsest
# spacing, and than it is large, is out of reach: it diverges there, and so does its noise. (Of a
# minimum with a zero slope, whose moves are h⁴, it is 2e8 times further.)
DIVERGED = 1e10
# The last rounding of a value: uniform within half a unit of eps|f|, hence its deviation.
ROUNDING = 0.29
FEW_ROUNDINGS = 16.0  # to what an output is a multiple of: noise that is no more is rounding
# Of what they are compared with (x, the largest entry, moves far away): what is fainter may be of
# the size of what is rounded on the way to it.
FAINT = 1e-6
# How far from x, in units of its scale, an output is looked at that stands still there.
FAR_OFF = 10.0 ** np.arange(1, 13)


class Noise(Struct, frozen=True):
    """The noise of every output, as a deviation; arrays of the outputs' shape.

    near: at x; center: the outputs there. away: some steps away from x; growth: that over the
    root of how far the outputs have moved. reach: how far, in units of the scale of x, all outputs
    are smooth curves; 1 where nothing speaks against it. evaluations: of the function, in all.
    steps: the height of those in which outputs move; 0 of outputs that move smoothly.
    pace: seconds that an evaluation took, about; 0 where it was not timed.
    cancelled: the size of numbers whose differences the outputs are; 0 where they are not seen.
    """

    near: Float
    center: Float
    away: Float
    growth: Float
    reach: float
    evaluations: int
    steps: Float
    pace: float = 0.0
    cancelled: float = 0.0

    def reshape(self, *shape: int) -> Noise:
        """The same with outputs of this shape."""
        of_outputs = ("near", "center", "away", "growth", "steps")
        return replace(self, **{name: getattr(self, name).reshape(shape) for name in of_outputs})

    def at_least(self, deviation: Float | float) -> Noise:
        """The same where outputs scatter by so much for another reason."""
        near, away = np.maximum(self.near, deviation), np.maximum(self.away, deviation)
        return replace(self, near=near, away=away)

    def at(self, move: Float) -> Float:
        """The deviation where outputs have moved by `move`, arrays with a leading axis.

        At a minimum noise is small (that of ½δ² is δ times that of δ) and grows with the slope,
        which is like the root of the move.
        """
        grown: Float = np.maximum(self.near, self.growth * np.sqrt(move))
        return grown


def function_noise(
    evaluate: Evaluate,
    x: NDArray[Any],
    scale: Float,
    lines: int = LINES,
    alike: tuple[int, ...] = (),
) -> Noise:
    """The noise of every output of `evaluate` near `x`.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape; sets the spacing of the probes.
    lines: of probes, at least 2. alike: axes of the outputs along which they are smooth together.
    The noise at x is never less than the last rounding of a value. Where probes are not finite,
    it is that rounding.
    """
    random = np.random.default_rng(0)
    away = AWAY * draw_signs(random, (lines, *x.shape)) * scale
    places = np.concatenate([np.stack([x] * lines), (x + away).astype(x.dtype)])
    values = _values(evaluate, places, scale, random)
    values = np.stack([values[:, :, :lines], values[:, :, lines:]])
    here, there = values
    center = here[0, POINTS // 2, 0]
    # In units near the largest around, because squares of 1e-200 are 0: powers of two, which round
    # nothing.
    largest = np.max(np.abs(np.where(np.isfinite(values), values, 0.0)), axis=(1, 2, 3))
    unit, unit_away = np.where(largest > 0, np.exp2(np.frexp(largest)[1] - 1.0), 1.0)
    flat = find_flat(values)
    by_spacing, by_spacing_away = variances(
        values / np.stack([unit, unit_away])[:, None, None, None], flat
    )
    eps = float(np.finfo(x.dtype).eps)
    ordinary = eps * max(1.0, float(np.max(np.abs(x), initial=0.0)))
    near = unit * np.sqrt(_pooled(by_spacing, (ordinary / unit) ** 2))
    size = np.where(np.isfinite(center), np.abs(center), 0.0)
    rounding = ROUNDING * eps * size
    steps, every = find_steps(values, flat, eps), values.reshape(-1, *values.shape[4:])
    grid, looked = measure_grid(evaluate, x, scale, every)
    grid *= ROUNDING
    coarse = np.maximum(grid, ROUNDING * steps)
    near = np.maximum(rounding, np.where(np.isfinite(near), near, 0.0))
    near = np.maximum(give_up(near, np.max(largest, axis=0), grid, eps), coarse)
    moved = np.abs(there[0, POINTS // 2] - center)
    near_x = np.max(np.abs(here[-1] - center), axis=(0, 1))
    moved = np.where(diverges(moved, near_x, center), np.inf, moved) / unit_away
    away, growth = _away(_smallest(by_spacing_away), moved, near / unit_away)
    return Noise(
        near=near,
        center=center,
        away=np.maximum(away * unit_away, coarse),
        growth=growth * np.sqrt(unit_away),
        reach=_reach(by_spacing, here / unit, (1, *(axis + 2 for axis in alike))),
        evaluations=2 * len(SPACINGS) * POINTS * lines + looked,
        steps=steps,
        cancelled=cancelled_size(grid / ROUNDING, np.max(steps, initial=0.0), size, x),
    )


def give_up(noise: Float, largest: Float, grid: Float, eps: float) -> Float:
    """The noise of every output; infinite where it is all there is: no curve to differentiate.

    Of an output that is far smaller than others, it is what is left of numbers that cancel, such as
    those of a spline outside of its support: then it is noise like any other, as it is where it is
    no more than some roundings of them. largest: the largest value of every output around; grid:
    the deviation of what it is rounded to.
    """
    few = np.maximum(CANCELLED * eps * np.max(largest, initial=0.0), FEW_ROUNDINGS * grid)
    counts = noise > few
    return np.where(counts & (noise > MOST_NOISE * largest), np.inf, noise)


def diverges(moved: Float, near_x: Float, center: Float) -> NDArray[np.bool_]:
    """Whether an output has left where it is at x, as it is seen within the coarsest spacing."""
    here = np.maximum(near_x, np.abs(center))
    return np.asarray((moved > DIVERGED * here) & (here > 0))


def draw_signs(random: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """As many times 1 as −1, by chance."""
    return np.where(random.integers(0, 2, shape) == 0, -1.0, 1.0)


def draw_directions(random: np.random.Generator, scale: Float, shape: tuple[int, ...]) -> Float:
    """Directions along which every entry moves by about its scale, up or down.

    shape: of all of them; that of the scale for one.
    """
    return random.uniform(0.5, 1.5, shape) * draw_signs(random, shape) * scale


def _values(
    evaluate: Evaluate, centers: NDArray[Any], scale: Float, random: np.random.Generator
) -> Float:
    """Outputs on lines of equidistant points through the centers (lines, *x.shape).

    Returns (SPACINGS, POINTS, lines, *outputs); the middle point of a line is its center.
    """
    directions = draw_directions(random, scale, centers.shape)
    offsets = np.multiply.outer(SPACINGS, np.arange(POINTS) - POINTS // 2)
    points = np.multiply.outer(offsets, directions)
    points += centers
    points = points.astype(centers.dtype, copy=False)
    outputs = np.asarray(evaluate(points.reshape(-1, *centers.shape[1:])), dtype=np.float64)
    return outputs.reshape(len(SPACINGS), POINTS, len(centers), *outputs.shape[1:])


def variances(values: Float, flat: NDArray[np.bool_]) -> Float:
    """The variance about a smooth curve of every output on every line; inf where it is flat.

    (PLACES, SPACINGS, LINES, *outputs), from values (PLACES, SPACINGS, POINTS, LINES, *outputs);
    flat: see `find_flat`.
    Of the orders of differences, the smallest: what is left of a smooth part only adds to the
    lower ones.
    """
    # A k-th difference of independent noise has binom(2k, k) times its variance.
    differences = np.diff(values, n=ORDERS[0], axis=2)
    variances = np.full(differences.shape[:2] + differences.shape[3:], np.inf)
    for order in ORDERS:
        samples = differences.shape[2] * comb(2 * order, order)
        variance = np.add.reduce(differences * differences, axis=2) / samples
        variances = np.minimum(variances, variance)
        differences = np.diff(differences, axis=2)
    # Flat everywhere: a constant, or one that jumps or leaves it somewhere.
    some = flat & ~np.all(flat, axis=1, keepdims=True)
    return np.where(some, np.inf, variances)


def measure_grid(
    evaluate: Evaluate, x: NDArray[Any], scale: Float, values: Float, *, sparing: bool = False
) -> tuple[Float, int]:
    """What the values of every output are multiples of, see `find_grid`, and the evaluations.

    Where it stands still near x, that may be hidden: one that is faint beside x, or whose last
    digits are zeros, is looked at further off. sparing: not where another one moves with all its
    digits: then it is a dead unit's.
    """
    eps, size = float(np.finfo(x.dtype).eps), np.max(np.abs(values), axis=0)
    spacing, still = find_grid(values)
    grid = np.where(np.isfinite(spacing) & ~still, spacing, 0.0)
    coarse = spacing > CANCELLED * eps * size
    hidden = still & (coarse | (size <= FAINT * np.max(np.abs(x), initial=0.0)))
    if not np.any(hidden) or (sparing and not np.all(still | coarse)):
        return grid, 0
    moves = draw_directions(np.random.default_rng(0), scale, (len(FAR_OFF), *x.shape))
    points = x + np.reshape(FAR_OFF, (-1, *(1,) * x.ndim)) * moves
    far = np.asarray(evaluate(points.astype(x.dtype)), dtype=np.float64)
    beyond = find_grid_far_off(far.reshape(-1, *grid.shape), eps)
    return np.where(hidden, beyond, grid), len(far)


def _smallest(variances: Float) -> Float:
    """Of the spacings, the smallest: noise scatters at all of them.

    At some of them the probes may leave the domain of the function.
    """
    smallest: Float = np.fmin.reduce(variances, axis=0)
    return smallest


def _pooled(variances: Float, ordinary: Float) -> Float:
    """Of the spacings, the smallest of the means over lines, each of which has a few samples only.

    Where each spacing has a line that is flat or leaves the domain, the mean of the smallest. What
    scatters as much at both wider ones, by no more than numbers near 1 or x round, stands still
    over the finest: it is a difference of such. ordinary: the square of that rounding.
    """
    finest, *wider = by_spacing = np.mean(variances, axis=1)
    less, more = np.min(wider, axis=0), np.max(wider, axis=0)
    still = (STILL * finest < less) & (more < ALIKE * less) & (more <= ordinary)
    pooled: Float = np.where(still, less, np.fmin.reduce(by_spacing, axis=0))
    known = np.isfinite(pooled)
    return pooled if known.all() else np.where(known, pooled, np.mean(_smallest(variances), axis=0))


def _reach(by_spacing: Float, values: Float, pool: tuple[int, ...]) -> float:
    """The largest spacing at which no output scatters far more than at a finer one.

    What scatters about as much as it varies is an oscillation, if it does not at finer spacings.
    """
    pooled = np.mean(by_spacing, axis=pool)
    reach = 1.0
    for coarse in range(len(SPACINGS) - 1, 0, -1):
        finer = np.min(pooled[:coarse], axis=0)
        rough = (pooled[coarse] > ROUGH_VARIANCE_RATIO * finer) & np.isfinite(pooled[coarse])
        if np.any(rough):
            spread = np.mean(np.var(values[coarse], axis=0, keepdims=True), axis=pool)[0]
            rough &= pooled[coarse] > SCATTER_SHARE * spread
        if not np.any(rough):
            break
        reach = SPACINGS[coarse]
    return reach


def _away(variances: Float, moves: Float, near: Float) -> tuple[Float, Float]:
    """The noise away from x, and over the root of the move, each line at a place of its own.

    Of the growth, the second largest: one of the lines may have moved little by chance.
    """
    # A move of about the noise is none, as of a softmax whose inputs all moved alike.
    usable = np.isfinite(variances) & np.isfinite(moves) & (moves > MOVED_DEVIATIONS * near)
    ratios = np.where(usable, variances / np.where(usable, moves, 1.0), 0.0)
    largest = np.max(np.where(usable, variances, 0.0), axis=0)
    return np.sqrt(largest), GROWTH * np.sqrt(np.sort(ratios, axis=0)[-2])
