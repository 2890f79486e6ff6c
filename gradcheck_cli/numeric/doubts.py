"""What rounding may hide of an entry, beside the disagreement of its quotients and the noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.climb import FIRST_STEP, LEAP
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.ladder import RATIO
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.quotients import LAST_PLACES

# Of the largest entry: what the roundings on the way to the outputs may come to at most.
MOST_LOST = 1e-9
# Of the same: an entry that is as small may be of a tail, where they are large beside it.
TAIL = 1e-5
# What the roundings of a right backward may come to, in those of outputs that are differences.
ROUNDED = 8.0
# Roundings of the largest entry, below which it does not matter what is hidden of a zero; else that
# is looked for nearer, at these shares of the furthest step.
HARMLESS, INWARDS = 2.0**17, (2.0**-3, 2.0**-6, 2.0**-9)
# Of slopes over a step and over an eighth of it, where outputs grow like a power of it, from the
# square to the fifth. What grows less does not grow; what grows more comes out of saturation.
LEAST_GROWTH, MOST_GROWTH = 4.0, 2.0**13
# Times x and the outputs: no number on the way is as large, or rounding would leave nothing.
# An exponential is, far away.
ASTRONOMIC = 2.0**60
# Of all outputs, times ROUNDING·eps to this power: an entry that moves them by less over the first
# step may be smaller than 1e9 (in float32: 1e3) of their roundings.
SMALL, SMALL_POWER = 10.0, 0.4


def doubt_zeros(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Ask what rounding hides where nothing is seen to move: far away, which shows a saturated
    unit, and at the step that the zero was seen at, which shows no smaller slope than a rounding.

    What last moved by some places of what it is made of may still move by one, unseen. Where all
    outputs are faint beside how they move far away, they are differences of numbers as large, and
    so may be what a right backward returns.
    """
    doubtful = np.any(best.value == 0, axis=(0, 2)) & ~best.invariant & ~best.proven
    size = np.abs(best.value[0])
    harmless = (
        HARMLESS * differences.rounding * np.max(size, axis=0, where=size < np.inf, initial=0)
    )
    for rows in differences.chunks(np.flatnonzero(doubtful)):
        entries = every[rows]
        far = LEAP * FIRST_STEP * differences.scale[entries]
        near = differences.exact(entries, np.max(best.step[0, rows], axis=1))
        near = np.where((near > 0) & (near < far), near, far)
        hidden, furthest = _look_further(differences, entries, far, harmless / DEVIATIONS)
        hidden = hidden * np.where(differences.cancels(furthest), ROUNDED, 1.0)
        floor = DEVIATIONS * np.fmax(hidden, differences.rung(entries, near).floor)
        slope, move = best.last[:, rows]
        size = np.fmax(differences.size, furthest)
        place = LAST_PLACES * differences.rounding * size
        floor = np.fmax(floor, np.where(move <= place, RATIO * slope, 0.0))
        floor = np.where(np.isfinite(floor), floor, 0.0)
        best.floor[rows] = np.maximum(best.floor[rows], floor)


def _look_further(
    differences: Differences, entries: NDArray[np.intp], far: Float, harmless: Float
) -> tuple[Float, Float]:
    """What rounding may hide of outputs that move further off, and how far they move there.

    They show the size of what outputs are made of here, too, unless they grow with the step, as a
    cube or an exponential does: then a step that is nearer shows it better.
    """
    most_here = ASTRONOMIC * np.fmax(differences.size, np.max(np.abs(differences.x), initial=0.0))
    rung = differences.rung(entries, far)
    hidden, move, slope = rung.floor, rung.slope * far[:, None], rung.slope
    rows, most = np.arange(len(entries)), MOST_GROWTH
    for share in INWARDS:
        rows = rows[np.any(hidden[rows] > harmless, axis=1)]
        if not len(rows):
            break
        step = differences.exact(entries[rows], share * far[rows])
        rung = differences.rung(entries[rows], step)
        outer, inner = np.max(slope[rows], axis=1), np.max(rung.slope, axis=1)
        grows = (outer > LEAST_GROWTH * inner) & (outer <= most * inner)
        grows = np.flatnonzero(grows | np.any(move[rows] > most_here, axis=1))
        most = np.inf  # of what grew like a power further off: the step may just pass its knot
        rows, rung, step = rows[grows], rung.of(grows), step[grows]
        hidden[rows], move[rows] = rung.floor, rung.slope * step[:, None]
        slope[rows] = rung.slope
    nothing = move > most_here  # it says nothing of numbers here
    return np.where(nothing, 0.0, hidden), np.where(nothing, 0.0, move)


def doubt_small(
    differences: Differences, best: Best, every: NDArray[np.intp], among: NDArray[np.intp]
) -> None:
    """Count what saturated outputs may hide, where an entry is so small that it matters.

    In a softmax the largest output is 1 to rounding: a logit of 1e-20 moves its own output alone,
    though what it takes from the largest one is as much. An entry below the rounding of the outputs
    that it moves anywhere is hidden whatever is seen of it. among: the rows that are looked at.
    """
    if not np.any(differences.size):
        return
    share = SMALL * differences.rounding**SMALL_POWER
    step = differences.reach * FIRST_STEP * differences.scale
    most = share * differences.size / step[every, None]
    small = np.zeros(len(every), dtype=bool)
    for some, part in best.blocks():
        size, known = _least(part)
        small[some] = np.any((size < most[some]) & (known < most[some]), axis=1)
    for rows in differences.chunks(among[small[among]]):
        size, known = _least(best.take(rows))
        entries = every[rows]
        # The step that a value was seen at may be far larger than the first.
        seen = np.max(best.step[0, rows], axis=1, where=known < np.inf, initial=0.0)
        first = differences.exact(entries, np.maximum(step[entries], seen))
        far = differences.exact(entries, LEAP * FIRST_STEP * differences.scale[entries])
        hidden, lost = (DEVIATIONS * some for some in differences.hidden(entries, first, far))
        hidden = np.maximum(hidden, np.where(size <= lost, lost, 0.0))
        best.uncertainty[:, rows] = np.maximum(best.uncertainty[:, rows], hidden)
        best.noise[:, rows] = np.maximum(best.noise[:, rows], hidden)


def _least(best: Best) -> tuple[Float, Float]:
    """The least value but zero of the tables of every entry, and the least uncertainty."""
    size = np.abs(best.value)
    return np.min(size, axis=0, where=size > 0, initial=np.inf), np.min(best.uncertainty, axis=0)


def doubt_faint(best: Best) -> None:
    """Count what numbers on the way to outputs round, where an entry is far below the largest.

    The tail of x·(1 + erf(x)) is a product with a difference of ones: it moves in steps of their
    last place, which next to an output of that size are no rounding.
    """
    size, step = np.abs(best.value[0]), best.step[0]
    largest = np.max(size, axis=0, where=size < np.inf, initial=0.0)
    faint = (size > 0) & (size <= TAIL * largest) & (step > 0)
    lost = np.minimum(best.place / step, MOST_LOST * largest)
    for part in (best.uncertainty, best.noise):
        np.copyto(part, np.maximum(part, lost), where=faint)
