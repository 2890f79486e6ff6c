"""The noise of a function near a point: how far its values scatter about a smooth curve.

High differences of the values on lines of equidistant points remove the curve and leave the noise.
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
    find_grid_away,
    find_step_heights,
)

Float = NDArray[np.float64]
Evaluate = Callable[[NDArray[Any]], NDArray[Any]]

BLOCK_BYTES = 2**20  # of points evaluated at once: more do not fit the cache, and gain nothing
# Standard deviations of noise in an uncertainty: so many because they are only estimated.
DEVIATIONS = 5.0

LINES = 5  # a single line has too few samples: its estimate is often five times too small
POINTS = 9  # of a line; Moré and Wild find 6 to 8 differences enough
ORDERS = (5, 6, 7)  # of differences: high enough to remove smooth parts, with samples left
# Spacings of the points in units of the scale of x. A noisy function scatters at all of them; one
# that is smooth at some spacing is not noisy. A function that rounds to few digits is flat at the
# finer ones.
SPACINGS = (1e-11, 1e-6, 1e-3)
# The variance at a spacing over that at a finer one: noise alone makes less of a difference.
ROUGH_VARIANCE_RATIO = 1e3
# The scatter over the whole variance of the points: with more, they do not lie on a curve.
SCATTER_SHARE = 0.1
# Two estimates of the same variance hardly ever differ by a larger factor; if they do, the larger
# one contains something else.
ALIKE = 16.0
STILL = 4.0  # if the variance at wider spacings exceeds the finest by this, it is hidden at that
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


def noise_from_many(
    evaluate: Evaluate,
    x: NDArray[Any],
    scale: Float,
    lines: int = LINES,
    alike: tuple[int, ...] = (),
) -> Noise:
    """The noise of every output of `evaluate` near `x`.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape, which sets the spacing of the points.
    lines: of points, at least 2. alike: axes of the outputs along which all are equally smooth.
    The noise at x is at least the last rounding of a value, and just that where values are not
    finite.
    """
    random = np.random.default_rng(0)
    away = AWAY * draw_signs(random, (lines, *x.shape)) * scale
    places = np.concatenate([np.stack([x] * lines), (x + away).astype(x.dtype)])
    values = _values(evaluate, places, scale, random)
    values = np.stack([values[:, :, :lines], values[:, :, lines:]])
    here, there = values
    center = here[0, POINTS // 2, 0]
    # In units near the largest value, because squares of 1e-200 are 0. They are powers of two, so
    # that dividing by them rounds nothing.
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
    step_height, every = find_step_heights(values, flat, eps), values.reshape(-1, *values.shape[4:])
    grid, looked = measure_grid(evaluate, x, scale, every)
    grid *= ROUNDING
    coarse = np.maximum(grid, ROUNDING * step_height)
    near = np.maximum(rounding, np.where(np.isfinite(near), near, 0.0))
    near = np.maximum(reject_noisy(near, np.max(largest, axis=0), grid, eps), coarse)
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
        step_height=step_height,
        cancelled=cancelled_size(grid / ROUNDING, np.max(step_height, initial=0.0), size, x),
    )


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


def _values(
    evaluate: Evaluate, centers: NDArray[Any], scale: Float, random: np.random.Generator
) -> Float:
    """The outputs on lines of equidistant points through the centers (lines, *x.shape).

    Returns (SPACINGS, POINTS, lines, *outputs); a center is the middle point of its line.
    """
    directions = draw_directions(random, scale, centers.shape)
    offsets = np.multiply.outer(SPACINGS, np.arange(POINTS) - POINTS // 2)
    points = np.multiply.outer(offsets, directions)
    points += centers
    points = points.astype(centers.dtype, copy=False)
    outputs = np.asarray(evaluate(points.reshape(-1, *centers.shape[1:])), dtype=np.float64)
    return outputs.reshape(len(SPACINGS), POINTS, len(centers), *outputs.shape[1:])


def variances(values: Float, flat: NDArray[np.bool_]) -> Float:
    """The variance of every output about a smooth curve, on every line.

    values: (PLACES, SPACINGS, POINTS, LINES, *outputs). flat: see `find_flat`.
    Returns (PLACES, SPACINGS, LINES, *outputs): the smallest variance of all orders of differences,
    because what is left of a smooth part only makes the others larger. It is inf for a line that is
    flat at this spacing, but not at all of them.
    """
    # A k-th difference of independent noise has binom(2k, k) times its variance.
    differences = np.diff(values, n=ORDERS[0], axis=2)
    variances = np.full(differences.shape[:2] + differences.shape[3:], np.inf)
    for order in ORDERS:
        samples = differences.shape[2] * comb(2 * order, order)
        variance = np.add.reduce(differences * differences, axis=2) / samples
        variances = np.minimum(variances, variance)
        differences = np.diff(differences, axis=2)
    # A line that is flat at all spacings is that of a constant, which may jump somewhere.
    some = flat & ~np.all(flat, axis=1, keepdims=True)
    return np.where(some, np.inf, variances)


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


def _smallest(variances: Float) -> Float:
    """The smallest variance of all spacings, since noise scatters at all of them.

    NaN is left out: at some spacings the points may leave the domain of the function.
    """
    smallest: Float = np.fmin.reduce(variances, axis=0)
    return smallest


def _pooled(variances: Float, ordinary: Float) -> Float:
    """One variance for every output, from those of all spacings and lines.

    Lines have few samples, so their mean counts: that of the spacing with the smallest one. Where
    every spacing has a line that is flat or leaves the domain, it is the mean over lines of the
    smallest of all spacings. An output that is a difference of numbers near 1 or x may stand still
    at the finest spacing, and scatter as much at both wider ones, by no more than the rounding of
    such numbers; then the wider ones count. ordinary: the square of that rounding.
    """
    finest, *wider = by_spacing = np.mean(variances, axis=1)
    less, more = np.min(wider, axis=0), np.max(wider, axis=0)
    still = (STILL * finest < less) & (more < ALIKE * less) & (more <= ordinary)
    pooled: Float = np.where(still, less, np.fmin.reduce(by_spacing, axis=0))
    known = np.isfinite(pooled)
    return pooled if known.all() else np.where(known, pooled, np.mean(_smallest(variances), axis=0))


def _reach(by_spacing: Float, values: Float, pool: tuple[int, ...]) -> float:
    """The largest spacing at which all outputs are smooth; 1 if they are at all spacings.

    An output is not smooth at a spacing, but oscillates, if it scatters there by far more than at a
    finer one, and by about as much as it varies.
    by_spacing, values: the variances and the outputs around x. pool: axes to average over.
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
    """The noise away from x and its growth, the noise over the root of the move.

    Each line is at a place of its own. The growth is the second largest of all lines, because one
    of them may have moved little by chance.
    """
    # A move of about the noise does not count: a softmax stays if all of its inputs move alike.
    usable = np.isfinite(variances) & np.isfinite(moves) & (moves > MOVED_DEVIATIONS * near)
    ratios = np.where(usable, variances / np.where(usable, moves, 1.0), 0.0)
    largest = np.max(np.where(usable, variances, 0.0), axis=0)
    return np.sqrt(largest), GROWTH * np.sqrt(np.sort(ratios, axis=0)[-2])
