"""The noise of a function from twenty of its values, where these show smooth outputs that round.

A fine and a coarse line of points go through x, and a fine one lies some steps away. One line has
too few samples for one output, so that outputs of like size share theirs. What moves in steps, is
rough or not finite is left to the many probes of `function_noise`.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import FLAT_SHARE, cancelled_size, median
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
    function_noise,
    give_up,
    measure_grid,
)

POINTS = 7  # on a line: of the differences below 4, 3 and 2 samples
PROBES = 3 * POINTS - 1  # on three lines, of which two share their middle
ORDERS = (3, 4, 5)  # of differences: over the fine spacing no smooth part is left of them
# Spacings of the points, in units of the scale of x and, of the finer one, at least so many eps.
FINE, FINE_EPS, COARSE = 1e-6, 2.0**10, 1e-3
# Over the variance that rounding makes: the fine line may have a corner, or a fast wave.
LOUD_VARIANCE_RATIO = 1e6
# The variance from so many outputs, the middle one of three lines each, is made surer by a factor
# of two: then that of one output is hardly ever too small by four.
FEW_SAMPLES = 3.0
LIKE_SIZE = 2  # powers of two: outputs within them round alike


class Lines(Struct, frozen=True):
    """The outputs, flat, on the three lines, (POINTS, outputs); their middle is x, or a place away.

    unit: a power of two near the largest value of every output, in units of which the values are.
    """

    fine: Float
    coarse: Float
    away: Float
    unit: Float

    @property
    def center(self) -> Float:
        """The outputs at x."""
        return np.asarray(self.fine[POINTS // 2])


def measure_noise(evaluate: Evaluate, x: NDArray[Any], scale: Float) -> Noise:
    """The noise of every output of `evaluate` near `x`, from as few values as it takes.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape; sets the spacing of the probes.
    """
    found = noise_of_few(evaluate, x, scale)
    if found is not None:
        return found
    many = function_noise(evaluate, x, scale)
    return replace(many, evaluations=many.evaluations + PROBES)


def noise_of_few(evaluate: Evaluate, x: NDArray[Any], scale: Float) -> Noise | None:
    """The same from PROBES values; None where they do not show smooth outputs that round."""
    eps = float(np.finfo(x.dtype).eps)
    points = _points(x, scale)
    outputs = np.asarray(evaluate(points), dtype=np.float64)
    lines = _lines(outputs.reshape(len(points), -1))
    fine, coarse, away = (_variance(line) for line in (lines.fine, lines.coarse, lines.away))
    doubtful = _is_doubtful(lines, fine, coarse) or _is_loud(fine, eps)
    near = _pooled(
        _joined(fine, coarse, away), lines.unit, _moves(lines.fine) | _moves(lines.coarse)
    )
    away = _pooled(away, lines.unit, _moves(lines.away))
    if doubtful or not (np.isfinite(near).all() and np.isfinite(away).all()):
        return None
    flat = outputs.reshape(len(points), -1)
    grid, looked = measure_grid(evaluate, x, scale, flat, sparing=True)
    found = _estimate(lines, near, away, ROUNDING * grid / lines.unit, eps)
    cancelled = cancelled_size(grid, 0.0, np.abs(found.center), x)
    found = replace(found, evaluations=PROBES + looked, cancelled=cancelled)
    # What would be given up may be a narrow bend, which finer lines show.
    return found.reshape(*outputs.shape[1:]) if np.isfinite(found.near).all() else None


def fine_spacing(dtype: Any) -> float:
    """The spacing of the points of the fine line, in units of the scale of x."""
    return min(max(FINE, FINE_EPS * float(np.finfo(dtype).eps)), COARSE)


def _points(x: NDArray[Any], scale: Float) -> NDArray[Any]:
    """Those of the fine line, of the coarse one without its middle, and of the line away."""
    random, fine = np.random.default_rng(0), fine_spacing(x.dtype)
    offsets = np.arange(POINTS) - POINTS // 2
    others = offsets[offsets != 0]

    def line(center: NDArray[Any], steps: NDArray[Any]) -> Float:
        direction = draw_directions(random, scale, x.shape)
        return np.asarray(center + np.multiply.outer(steps, direction))

    away = x + AWAY * draw_signs(random, x.shape) * scale
    parts = [line(x, fine * offsets), line(x, COARSE * others), line(away, fine * offsets)]
    return np.concatenate(parts).astype(x.dtype)


def _lines(outputs: Float) -> Lines:
    largest = np.max(np.abs(outputs), axis=0)
    known = np.isfinite(largest) & (largest > 0)
    unit = np.exp2(np.frexp(np.where(known, largest, 1.0))[1].astype(np.float64) - 1.0)
    fine, around, away = np.split(outputs / unit, [POINTS, 2 * POINTS - 1])
    middle = POINTS // 2
    coarse = np.concatenate([around[:middle], fine[middle : middle + 1], around[middle:]])
    return Lines(fine, coarse, away, unit)


def _variance(line: Float) -> Float:
    """The variance about a smooth curve of every output; inf where a part of the line is flat."""
    found = np.full(line.shape[1], np.inf)
    for order in ORDERS:
        differences = np.diff(line, n=order, axis=0)
        samples = len(differences) * comb(2 * order, order)
        found = np.minimum(found, np.sum(differences * differences, axis=0) / samples)
    return np.where(_is_flat(line) & _moves(line), np.inf, found)


def _is_flat(line: Float) -> NDArray[np.bool_]:
    """Of which outputs more neighbours are equal than by chance."""
    return np.asarray(np.mean(np.diff(line, axis=0) == 0, axis=0) > FLAT_SHARE)


def _moves(line: Float) -> NDArray[np.bool_]:
    return np.asarray(np.any(line != line[0], axis=0))


def _is_doubtful(lines: Lines, fine: Float, coarse: Float) -> bool:
    """Whether there are outputs that are not smooth, or move unseen by a fine line."""
    every = np.concatenate([lines.fine, lines.coarse, lines.away])
    if not np.isfinite(every).all():
        return True
    moves = _moves(lines.fine)
    still = _is_flat(lines.fine) & (_is_flat(lines.away) | moves)
    spread = np.var(lines.fine, axis=0)
    scattered = moves & (fine > SCATTER_SHARE * spread)
    rough = (coarse > ROUGH_VARIANCE_RATIO * fine) & np.isfinite(coarse)
    rough &= coarse > SCATTER_SHARE * np.var(lines.coarse, axis=0)
    moved = np.abs(lines.away[POINTS // 2] - lines.center)
    near_x = np.max(np.abs(lines.coarse - lines.center), axis=0)
    doubtful = (still & _moves(every)) | scattered | rough
    return bool(np.any(doubtful | diverges(moved, near_x, lines.center)))


def _is_loud(fine: Float, eps: float) -> bool:
    """Whether an output scatters by far more than rounding makes.

    So does one with a fast wave, or with a corner at x: that of the largest of two equal entries
    lies away from x, too, wherever both are moved alike.
    """
    return bool(np.any((fine > LOUD_VARIANCE_RATIO * (ROUNDING * eps) ** 2) & np.isfinite(fine)))


def _joined(fine: Float, coarse: Float, away: Float) -> Float:
    """The variance at x: the larger one of both lines there, unless one has something else in it.

    The fine line may lie on a tooth of rounding, the coarse one may have curvature or a corner in
    it: the line away tells, so that the one in the middle is taken.
    """
    alike = (coarse <= ALIKE * fine) & (fine <= ALIKE * coarse)
    less, more = np.minimum(fine, coarse), np.maximum(fine, coarse)
    apart = np.where(np.isfinite(more), np.clip(away, less, more), less)
    return np.where(alike, more, apart)


def _pooled(variance: Float, unit: Float, moves: NDArray[np.bool_]) -> Float:
    """That of every output or of all those of like size, whichever is more, made surer.

    It is 0 of outputs that do not move, and inf where no line tells it.
    """
    sizes, group = np.unique(np.frexp(unit)[1] // LIKE_SIZE, return_inverse=True)
    known = np.isfinite(variance) & moves
    own = np.where(known, variance, 0.0)
    count, typical = np.zeros(len(sizes)), np.zeros(len(sizes))
    for one in range(len(sizes)):
        alike = own[known & (group == one)]
        if len(alike):  # their median, since one of them may have a corner
            count[one], typical[one] = len(alike), median(alike)
    count = count[group]
    surer = np.maximum(own, typical[group]) * (1 + FEW_SAMPLES / np.maximum(count, 1.0))
    return np.where(moves, np.where(count > 0, surer, np.inf), 0.0)


def _estimate(lines: Lines, near: Float, away: Float, grid: Float, eps: float) -> Noise:
    """The noise, flat, from its variances near x and away; it is at least a rounding."""
    unit, every = lines.unit, np.concatenate([lines.fine, lines.coarse, lines.away])
    largest = np.max(np.abs(every), axis=0)
    rounding = np.maximum(ROUNDING * eps * np.abs(lines.center), grid)
    here = np.maximum(np.sqrt(near), rounding)
    place = lines.away[POINTS // 2]
    moved = np.abs(place - lines.center)
    seen = moved > MOVED_DEVIATIONS * here
    there = np.where(seen, np.maximum(np.sqrt(away), ROUNDING * eps * np.abs(place)), 0.0)
    growth = GROWTH * there / np.sqrt(np.where(seen, moved, 1.0))
    return Noise(
        near=give_up(unit * here, unit * largest, unit * grid, eps),
        center=unit * lines.center,
        away=unit * np.maximum(there, grid),
        growth=np.sqrt(unit) * growth,
        reach=1.0,
        evaluations=PROBES,
        steps=np.zeros(len(here)),
    )
