"""Plateaus: tiny steps over which numbers that cancel stand still, so that the slope is not theirs.

In (1 − cos x)/x² the cosine stands still over steps that move it by less than its last place. The
function is smooth there, but its slope is that of 1/x² alone; at the ends of the plateau it jumps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.quotients import WholeForwards

Float = NDArray[np.float64]

# An interval is cut into PARTS, of which the one that moves most beyond the slope, the one with a
# jump, is cut again. After CUTS cuts it is 4e-9 of the whole, over which only a jump moves as much
# as before. Halves would take fewer evaluations, but over half an interval a root moves nearly as
# much as over all of it.
PARTS, CUTS = 4, 14
# The first part is kept that moves by this share of the largest move: it may hold as high a jump.
NEAREST = 0.5
# The last move over the one before, or its inverse: near 1 at a jump. Where the slope differs from
# that at x it is 1/4, at a cube root 2/3, and at a pole it is above 1.
STAYS = 0.75
# Over the scale of an entry: smooth functions seldom need smaller steps. On the plateaus of
# log(cosh x)/x at 1e-6 the step is 3e-4 or less.
SMALL_STEP = 2.0**-10
# How far from x jumps are looked for: at most SPAN steps and FURTHEST of the scale. The plateaus of
# (1 − cos x)/x² are up to 1e4 times as long as the step taken on them.
SPAN, FURTHEST = 2.0**16, 0.25
# So many entries with the smallest steps, and so many that seem known best, are looked at, for some
# 90 evaluations each. If one of them has a jump, all entries with small steps are.
SOME = 2
# A slope may be off by this many times the height of the nearest jump over its distance.
DOUBTED = 2.0

Values = Callable[[Float], Float]


def follow_jump(at: Values, slope: float, enough: float) -> tuple[float, float]:
    """The height and the place of the jump nearest to 0, between 0 and 1; zeros if there is none.

    at: maps numbers (K,) to the values of the function. slope: that between jumps.
    enough: a jump that is no higher does not matter.
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


def doubt_plateaus(differences: WholeForwards, best: Best, every: NDArray[np.intp]) -> None:
    """Add to the uncertainty of entries whose small step was taken on a plateau.

    If the function jumps near x, at the ends of the plateau, the slope between may be off by the
    height of the jump over its distance.
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
    some = rows[sorted({*first[0], *first[1]})]  # np.union1d would import numpy.ma in 15 ms
    found = [_doubt(differences, best, row, int(every[row])) for row in some]
    for row in np.setdiff1d(rows, some) if any(found) else ():
        _doubt(differences, best, row, int(every[row]))


def _doubt(differences: WholeForwards, best: Best, row: np.intp, entry: int) -> bool:
    """Look for a jump near x, and add it to the uncertainty; returns whether there is one."""
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
