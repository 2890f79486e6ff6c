"""The noise of a function from some 270 of its values, on lines of points at several spacings.

High differences of the values on a line of equidistant points remove the smooth curve and leave the
noise. The lines go through x, and through places some steps away.
Source: J. Moré and S. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import cancelled_size, find_flat, find_step_heights
from gradcheck_cli.numeric.noise import (
    ALIKE,
    AWAY,
    GROWTH,
    MOVED_DEVIATIONS,
    ROUGH_VARIANCE_RATIO,
    ROUNDING,
    SCATTER_SHARE,
    Evaluate,
    Float,
    Noise,
    diverges,
    draw_directions,
    draw_signs,
    measure_grid,
    reject_noisy,
)

LINES = 5  # a single line has too few samples: its estimate is often five times too small
POINTS = 9  # of a line; Moré and Wild find 6 to 8 differences enough
ORDERS = (5, 6, 7)  # of differences: high enough to remove smooth parts, with samples left
# Spacings of the points in units of the scale of x. A noisy function scatters at all of them; one
# that is smooth at some spacing is not noisy. A function that rounds to few digits is flat at the
# finer ones.
SPACINGS = (1e-11, 1e-6, 1e-3)
STILL = 4.0  # if the variance at wider spacings exceeds the finest by this, it is hidden at that


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
    here, there = values = _evaluate_lines(evaluate, x, scale, lines)
    center, eps = here[0, POINTS // 2, 0], float(np.finfo(x.dtype).eps)
    # In units near the largest value, because squares of 1e-200 are 0. They are powers of two, so
    # that dividing by them rounds nothing.
    largest = np.max(np.abs(np.where(np.isfinite(values), values, 0.0)), axis=(1, 2, 3))
    unit, unit_away = units = np.where(largest > 0, np.exp2(np.frexp(largest)[1] - 1.0), 1.0)
    flat = find_flat(values)
    by_spacing, by_spacing_away = variances(values / units[:, None, None, None], flat)
    step_height = find_step_heights(values, flat, eps)
    grid, looked = measure_grid(evaluate, x, scale, values.reshape(-1, *center.shape))
    coarse = ROUNDING * np.maximum(grid, step_height)
    size = np.where(np.isfinite(center), np.abs(center), 0.0)
    ordinary = eps * max(1.0, float(np.max(np.abs(x), initial=0.0)))
    near = unit * np.sqrt(_pooled(by_spacing, (ordinary / unit) ** 2))
    near = np.maximum(ROUNDING * eps * size, np.where(np.isfinite(near), near, 0.0))
    near = reject_noisy(near, np.max(largest, axis=0), ROUNDING * grid, eps)
    near = np.maximum(near, coarse)
    moved = _moves_away(here, there) / unit_away
    away, growth = _away(_smallest(by_spacing_away), moved, near / unit_away)
    return Noise(
        near=near,
        center=center,
        away=np.maximum(away * unit_away, coarse),
        growth=growth * np.sqrt(unit_away),
        reach=_reach(by_spacing, here / unit, (1, *(axis + 2 for axis in alike))),
        evaluations=2 * len(SPACINGS) * POINTS * lines + looked,
        step_height=step_height,
        cancelled=cancelled_size(grid, np.max(step_height, initial=0.0), size, x),
    )


def _evaluate_lines(evaluate: Evaluate, x: NDArray[Any], scale: Float, lines: int) -> Float:
    """The outputs on lines of equidistant points through x, and through places away from x.

    Returns (2, SPACINGS, POINTS, lines, *outputs), those near x first; the middle of a line is x or
    its place away.
    """
    random = np.random.default_rng(0)
    away = AWAY * draw_signs(random, (lines, *x.shape)) * scale
    centers = np.concatenate([np.stack([x] * lines), (x + away).astype(x.dtype)])
    directions = draw_directions(random, scale, centers.shape)
    offsets = np.multiply.outer(SPACINGS, np.arange(POINTS) - POINTS // 2)
    points = np.multiply.outer(offsets, directions)
    points += centers
    points = points.astype(x.dtype, copy=False)
    outputs = np.asarray(evaluate(points.reshape(-1, *x.shape)), dtype=np.float64)
    values = outputs.reshape(len(SPACINGS), POINTS, 2 * lines, *outputs.shape[1:])
    return np.stack([values[:, :, :lines], values[:, :, lines:]])


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


def _moves_away(here: Float, there: Float) -> Float:
    """How far the outputs have moved at the places away from x; inf where they diverge there.

    here, there: the outputs on the lines through x, and on those away. Returns (lines, *outputs).
    """
    center = here[0, POINTS // 2, 0]
    moved = np.abs(there[0, POINTS // 2] - center)
    near_x = np.max(np.abs(here[-1] - center), axis=(0, 1))
    return np.where(diverges(moved, near_x, center), np.inf, moved)


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
