"""The noise of a function from twenty of its values, if its outputs are smooth up to rounding.

The points lie on three lines: a fine and a coarse one through x, and a fine one some steps away.
One line has too few samples for a single output, so outputs of similar size share theirs. Where
outputs are quantized, rough or not finite, `many_probes` measures them with many more points.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.grids import FLAT_SHARE, cancelled_size, median
from gradcheck_cli.numeric.many_probes import noise_from_many
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

POINTS = 7  # of a line, which give 4, 3 and 2 differences of the orders below
PROBES = 3 * POINTS - 1  # two of the three lines share their middle point
# Orders of differences: over the fine spacing, smooth parts of a function vanish in them.
ORDERS = (3, 4, 5)
# Spacings of the points of a fine and of a coarse line, in units of the scale of x; the fine one is
# at least so many eps.
FINE, FINE_EPS, COARSE = 1e-6, 2.0**10, 1e-3
# Over the variance of rounding: more shows a corner on the fine line, or a fast wave.
LOUD_VARIANCE_RATIO = 1e6
# A pooled variance from n outputs is multiplied by 1 + FEW_SAMPLES/n: at n = 3 that doubles it, and
# a variance from a single output is hardly ever too small by a factor of four.
FEW_SAMPLES = 3.0
LIKE_SIZE = 2  # outputs within so many powers of two share their samples: they round alike


class Lines(Struct, frozen=True):
    """The outputs, flat, on the three lines, each (POINTS, outputs).

    The middle of `fine` and `coarse` is x. unit: a power of two near the largest value of each
    output; the values are in these units.
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
    """The noise of every output of `evaluate` near `x`, from few values if these are enough.

    evaluate: maps points (K, *x.shape) to outputs (K, *outputs).
    scale: the scale of every entry of x, of x's shape, which sets the spacing of the points.
    """
    found = noise_from_few(evaluate, x, scale)
    if found is not None:
        return found
    many = noise_from_many(evaluate, x, scale)
    return replace(many, evaluations=many.evaluations + PROBES)


def noise_from_few(evaluate: Evaluate, x: NDArray[Any], scale: Float) -> Noise | None:
    """The noise from PROBES values; None unless they show outputs that are smooth up to rounding.

    Arguments as of `measure_noise`.
    """
    eps = float(np.finfo(x.dtype).eps)
    points = _points(x, scale)
    outputs = np.asarray(evaluate(points), dtype=np.float64)
    values = outputs.reshape(len(points), -1)
    lines = _lines(values)
    fine, coarse, away = (_variance(line) for line in (lines.fine, lines.coarse, lines.away))
    if _is_doubtful(lines, fine, coarse) or _is_loud(fine, eps):
        return None
    moves = _moves(lines.fine) | _moves(lines.coarse)
    near = _pooled(_variance_at_x(fine, coarse, away), lines.unit, moves)
    away = _pooled(away, lines.unit, _moves(lines.away))
    if not (np.isfinite(near).all() and np.isfinite(away).all()):
        return None
    grid, looked = measure_grid(evaluate, x, scale, values, sparing=True)
    found = _estimate(lines, near, away, ROUNDING * grid / lines.unit, eps)
    cancelled = cancelled_size(grid, 0.0, np.abs(found.center), x)
    found = replace(found, evaluations=PROBES + looked, cancelled=cancelled)
    # Noise that would be infinite may be a narrow bend, which the finer lines of the other show.
    return found.reshape(*outputs.shape[1:]) if np.isfinite(found.near).all() else None


def fine_spacing(dtype: Any) -> float:
    """The spacing of the points of the fine line, in units of the scale of x."""
    return min(max(FINE, FINE_EPS * float(np.finfo(dtype).eps)), COARSE)


def _points(x: NDArray[Any], scale: Float) -> NDArray[Any]:
    """The points of the fine line, of the coarse one without its middle, and of the line away."""
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
    """The variance of every output about a smooth curve; inf where parts of the line are flat."""
    found = np.full(line.shape[1], np.inf)
    for order in ORDERS:
        differences = np.diff(line, n=order, axis=0)
        samples = len(differences) * comb(2 * order, order)
        found = np.minimum(found, np.sum(differences * differences, axis=0) / samples)
    return np.where(_is_flat(line) & _moves(line), np.inf, found)


def _is_flat(line: Float) -> NDArray[np.bool_]:
    """Which outputs have more equal neighbours than chance would give."""
    return np.asarray(np.mean(np.diff(line, axis=0) == 0, axis=0) > FLAT_SHARE)


def _moves(line: Float) -> NDArray[np.bool_]:
    return np.asarray(np.any(line != line[0], axis=0))


def _is_doubtful(lines: Lines, fine: Float, coarse: Float) -> bool:
    """Whether some outputs are not smooth or finite, or move only where the fine line is not."""
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
    """Whether an output scatters on the fine line by far more than rounding explains.

    An output with a fast wave does, or one with a corner at x. (The line away may have that corner,
    too: the largest of two equal entries has it wherever both have moved alike.)
    """
    return bool(np.any((fine > LOUD_VARIANCE_RATIO * (ROUNDING * eps) ** 2) & np.isfinite(fine)))


def _variance_at_x(fine: Float, coarse: Float, away: Float) -> Float:
    """The variance at x from its two lines and the line away.

    If the two lines through x agree, the larger variance counts. If not, the fine line may be too
    small, within one step of a rounding, or the coarse one too large, with curvature or a corner in
    it: the median of all three lines counts.
    """
    alike = (coarse <= ALIKE * fine) & (fine <= ALIKE * coarse)
    less, more = np.minimum(fine, coarse), np.maximum(fine, coarse)
    apart = np.where(np.isfinite(more), np.clip(away, less, more), less)
    return np.where(alike, more, apart)


def _pooled(variance: Float, unit: Float, moves: NDArray[np.bool_]) -> Float:
    """The variance of every output or the median of outputs of like size, whichever is larger.

    It is raised where few outputs are pooled; see FEW_SAMPLES. Outputs that do not move have the
    variance 0, and inf where none of like size has a finite one.
    """
    sizes, group = np.unique(np.frexp(unit)[1] // LIKE_SIZE, return_inverse=True)
    known = np.isfinite(variance) & moves
    own = np.where(known, variance, 0.0)
    count, typical = np.zeros(len(sizes)), np.zeros(len(sizes))
    for one in range(len(sizes)):
        alike = own[known & (group == one)]
        if len(alike):  # the median, because one of them may have a corner
            count[one], typical[one] = len(alike), median(alike)
    count = count[group]
    surer = np.maximum(own, typical[group]) * (1 + FEW_SAMPLES / np.maximum(count, 1.0))
    return np.where(moves, np.where(count > 0, surer, np.inf), 0.0)


def _estimate(lines: Lines, near: Float, away: Float, grid: Float, eps: float) -> Noise:
    """The noise, flat, from the variances near x and away; it is at least the rounding of values.

    grid: the deviation of rounding to the grid of each output, in its unit.
    """
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
        near=reject_noisy(unit * here, unit * largest, unit * grid, eps),
        center=unit * lines.center,
        away=unit * np.maximum(there, grid),
        growth=np.sqrt(unit) * growth,
        reach=1.0,
        evaluations=PROBES,
        step_height=np.zeros(len(here)),
    )
