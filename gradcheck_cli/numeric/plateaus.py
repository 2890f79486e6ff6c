"""Tells rounding from curves, where a function scatters far off and is smooth near by.

Numbers that cancel, as in (1 − cos x)/x², stand still over steps that move them by less than their
last place: there the function is smooth, with a slope that is not its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.quotients import WholeForwards

Float = NDArray[np.float64]

# Parts that a step is cut into, again and again, to follow the one that moves most otherwise than
# by the slope that was found: one with a jump. After so many cuts a step is 4e-9 of what it was,
# over which only a jump moves as much as before. Fewer parts take fewer evaluations, but over half
# a step a root moves nearly as much as over all of it.
PARTS, CUTS = 4, 14
# Of the largest move of a part, that of the first which may have as high a jump in it.
NEAREST = 0.5
# Of what moved at the last cut but one: a jump stays what it is; another slope than that at x moves
# a quarter of it, a cube root at zero two thirds, and at a pole all grows.
STAYS = 0.75
# Of the scale of an entry: a smooth function seldom asks for a smaller step. On the plateaus of
# log(cosh x)/x at 1e-6 it is 3e-4 or less.
SMALL_STEP = 2.0**-10
# How far around x a jump is looked for, in steps and of the scale: the plateaus of (1 − cos x)/x²
# are up to 1e4 as long as the step that is taken on them.
SPAN, FURTHEST = 2.0**16, 0.25
# Entries of an input that are looked at, those of the smallest steps and those that seem known best
# over them, unless one has a jump: then all are. It takes some 90 evaluations each.
SOME = 2
# How much more a slope may be off than the nearest jump over its distance.
DOUBTED = 2.0

Values = Callable[[Float], Float]


def follow_jump(at: Values, slope: float, enough: float) -> tuple[float, float]:
    """How high a function of one number jumps between 0 and 1, and where; the nearest to 0.

    at: maps numbers (K,) to values; slope: what it moves by besides, between two jumps.
    enough: a move that is small enough not to matter. Zeros where no jump as high is seen.
    """
    low, width, most, ends = 0.0, 1.0, np.inf, at(np.array([0.0, 1.0]))
    for _ in range(CUTS):
        shares = low + width * np.linspace(0.0, 1.0, PARTS + 1)
        width /= PARTS
        values = np.concatenate([ends[:1], at(shares[1:-1]), ends[1:]])
        moves = np.abs(np.diff(values) - slope * width)
        part = int(np.argmax(moves > NEAREST * np.max(moves)))
        before, low, most = most, float(shares[part]), float(moves[part])
        ends = values[part : part + 2]
        if not most > enough:
            return 0.0, 0.0
    stays = STAYS * before < most < before / STAYS
    return (most, low + width) if stays else (0.0, 0.0)


def doubt_small_steps(differences: WholeForwards, best: Best, every: NDArray[np.intp]) -> None:
    """Ask of entries that only a small step seemed to know whether it was taken on a plateau.

    There the function jumps at the plateau's ends, which no shorter step makes smaller; the slope
    between may be off by that over the step.
    """
    if differences.cotangent is None:
        return
    step, uncertainty = best.step[0, :, 0], best.uncertainty[0, :, 0]
    small = (step > 0) & (step < SMALL_STEP * differences.scale[every]) & np.isfinite(uncertainty)
    rows = np.flatnonzero(small & ~best.invariant & ~best.proven)
    if not len(rows):
        return
    shares = step[rows] / differences.scale[every[rows]]
    first = [np.argsort(order)[:SOME] for order in (shares, uncertainty[rows] * step[rows])]
    some = rows[sorted({*first[0], *first[1]})]  # np.union1d would import numpy.ma, for 15 ms
    found = [_doubt(differences, best, row, int(every[row])) for row in some]
    for row in np.setdiff1d(rows, some) if any(found) else ():
        _doubt(differences, best, row, int(every[row]))


def _doubt(differences: WholeForwards, best: Best, row: np.intp, entry: int) -> bool:
    """Whether there is a jump around x, by which an entry is uncertain then."""
    step = float(best.step[0, row, 0])
    span = min(SPAN * step, FURTHEST * float(differences.scale[entry]))

    def at(side: float) -> Values:
        def values(shares: Float) -> Float:
            return differences.along(entry, side * span * shares)

        return values

    slope, matters = float(best.value[0, row, 0]) * span, float(best.uncertainty[0, row, 0]) * step
    with np.errstate(all="ignore"):
        found = [follow_jump(at(side), side * slope, matters) for side in (1.0, -1.0)]
    doubt = DOUBTED * max(jump / max(share * span, step) for jump, share in found)
    if doubt > best.uncertainty[0, row, 0]:
        best.uncertainty[:, row] = np.maximum(best.uncertainty[:, row], doubt)
        best.noise[:, row] = np.maximum(best.noise[:, row], doubt)
    return doubt > 0
