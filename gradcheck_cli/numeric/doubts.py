"""Uncertainty by rounding that neither the quotients of an entry nor their noise show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.climb import FIRST_STEP, LEAP
from gradcheck_cli.numeric.differences import Differences
from gradcheck_cli.numeric.neville import RATIO
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.quotients import LAST_PLACES

# Over the largest entry: roundings on the way to the outputs are taken to add no more than this.
MOST_LOST = 1e-9
# Over the largest entry: so small an entry may be in a tail, where these roundings are relatively
# large.
TAIL = 1e-5
# Where the outputs are differences, a right backward may be off by so many of their roundings.
ROUNDED = 8.0
# What rounding may hide at a zero does not matter if it is below HARMLESS roundings of the largest
# entry. If it is more, it is estimated again at these shares of the far step.
HARMLESS, INWARDS = 2.0**17, (2.0**-3, 2.0**-6, 2.0**-9)
# The slope over a step divided by that over an eighth of it, where outputs grow like a power of the
# step: from the square to the fifth. Below that they do not grow; above, they leave saturation.
LEAST_GROWTH, MOST_GROWTH = 4.0, 2.0**13
# Times x and the outputs: no number on the way to the outputs is larger near x, or its rounding
# would leave no digits. An exponential may be, far away.
ASTRONOMIC = 2.0**60
# An entry is small if it moves the outputs, over the first step, by less than
# SMALL·(ROUNDING·eps)^SMALL_POWER of them all: by 3e-6, in float32 by 1e-2.
SMALL, SMALL_POWER = 10.0, 0.4


def doubt_zeros(differences: Differences, best: Best, every: NDArray[np.intp]) -> None:
    """Raise the floor of entries with the value zero to the slope that rounding may hide there.

    That is the largest of three: what rounding may hide of outputs that move far away, as a
    saturated unit does; a rounding over the step at which the zero was seen; and the last slope
    that was seen, if the outputs moved by so little that they may still move by one rounding.
    Where the outputs are tiny beside how they move far away, they are differences of numbers of
    that size, and the values of a right backward may be such differences, too.
    """
    doubtful = np.any(best.value == 0, axis=(0, 2)) & ~best.invariant & ~best.proven
    size = np.abs(best.value[0])
    harmless = (
        HARMLESS * differences.rounding * np.max(size, axis=0, where=size < np.inf, initial=0)
    )
    for rows in differences.chunks(np.flatnonzero(doubtful)):
        floor = _hidden_at_zero(differences, best, rows, every[rows], harmless / DEVIATIONS)
        best.floor[rows] = np.maximum(best.floor[rows], np.where(np.isfinite(floor), floor, 0.0))


def _hidden_at_zero(
    differences: Differences,
    best: Best,
    rows: NDArray[np.intp],
    entries: NDArray[np.intp],
    harmless: Float,
) -> Float:
    """The slope that rounding may hide of these rows; see `doubt_zeros`."""
    far = LEAP * FIRST_STEP * differences.scale[entries]
    near = differences.exact(entries, np.max(best.step[0, rows], axis=1))
    near = np.where((near > 0) & (near < far), near, far)
    hidden, furthest = _look_further(differences, entries, far, harmless)
    hidden = hidden * np.where(differences.outputs_are_differences(furthest), ROUNDED, 1.0)
    floor = DEVIATIONS * np.fmax(hidden, differences.rung(entries, near).floor)
    steepness, move = best.last_seen[:, rows]
    rounding = LAST_PLACES * differences.rounding * np.fmax(differences.total_output, furthest)
    rounding = np.fmax(rounding, best.hidden_rounding[rows])
    return np.asarray(np.fmax(floor, np.where(move <= rounding, RATIO * steepness, 0.0)))


def _look_further(
    differences: Differences, entries: NDArray[np.intp], far: Float, harmless: Float
) -> tuple[Float, Float]:
    """The slope that rounding may hide of outputs that move far away, and their move there.

    The move at a far step shows how large the numbers are that make the outputs at x, unless the
    outputs grow with the step, as a cube or an exponential does: then nearer steps are tried.
    harmless: slopes that do not matter. Returns arrays (entries, cotangents).
    """
    most_here = ASTRONOMIC * np.fmax(
        differences.total_output, np.max(np.abs(differences.x), initial=0.0)
    )
    rung = differences.rung(entries, far)
    hidden, move, steepness = rung.floor, rung.steepness * far[:, None], rung.steepness
    rows, most = np.arange(len(entries)), MOST_GROWTH
    for share in INWARDS:
        rows = rows[np.any(hidden[rows] > harmless, axis=1)]
        if not len(rows):
            break
        step = differences.exact(entries[rows], share * far[rows])
        rung = differences.rung(entries[rows], step)
        outer, inner = np.max(steepness[rows], axis=1), np.max(rung.steepness, axis=1)
        grows = (outer > LEAST_GROWTH * inner) & (outer <= most * inner)
        grows = np.flatnonzero(grows | np.any(move[rows] > most_here, axis=1))
        most = np.inf  # what grew like a power at a farther step may have its knot within this one
        rows, rung, step = rows[grows], rung.of(grows), step[grows]
        hidden[rows], move[rows] = rung.floor, rung.steepness * step[:, None]
        steepness[rows] = rung.steepness
    nothing = move > most_here  # such a move says nothing about the numbers near x
    return np.where(nothing, 0.0, hidden), np.where(nothing, 0.0, move)


def doubt_small(
    differences: Differences, best: Best, every: NDArray[np.intp], among: NDArray[np.intp]
) -> None:
    """Add to the uncertainty of small entries what saturated outputs may hide.

    In a softmax whose largest output is 1 to rounding, the entry of a logit with the output 1e-20
    is seen to move its own output alone, though it takes as much from the largest one, where
    rounding hides it. An entry that is smaller than the rounding of all outputs that it moves
    anywhere is hidden, whatever its quotients are. among: the rows to look at.
    """
    if not np.any(differences.total_output):
        return
    share = SMALL * differences.rounding**SMALL_POWER
    step = differences.reach * FIRST_STEP * differences.scale
    most = share * differences.total_output / step[every, None]
    small = np.zeros(len(every), dtype=bool)
    for some, part in best.blocks():
        size, known = _least(part)
        small[some] = np.any((size < most[some]) & (known < most[some]), axis=1)
    for rows in differences.chunks(among[small[among]]):
        size, known = _least(best.take(rows))
        entries = every[rows]
        # The step of a value may be far larger than the first one.
        seen = np.max(best.step[0, rows], axis=1, where=known < np.inf, initial=0.0)
        first = differences.exact(entries, np.maximum(step[entries], seen))
        far = differences.exact(entries, LEAP * FIRST_STEP * differences.scale[entries])
        hidden, lost = (DEVIATIONS * some for some in differences.hidden_slope(entries, first, far))
        hidden = np.maximum(hidden, np.where(size <= lost, lost, 0.0))
        best.uncertainty[:, rows] = np.maximum(best.uncertainty[:, rows], hidden)
        best.noise[:, rows] = np.maximum(best.noise[:, rows], hidden)


def _least(best: Best) -> tuple[Float, Float]:
    """The smallest size but zero, and the smallest uncertainty, of the three tables."""
    size = np.abs(best.value)
    return np.min(size, axis=0, where=size > 0, initial=np.inf), np.min(best.uncertainty, axis=0)


def doubt_faint(best: Best) -> None:
    """Add to the uncertainty of entries far below the largest what is rounded before the outputs.

    In the tail of x·(1 + erf(x)) the output is x times the small difference of two numbers near 1.
    It moves in steps of their last place, which are far larger than its own rounding.
    """
    size, step = np.abs(best.value[0]), best.step[0]
    largest = np.max(size, axis=0, where=size < np.inf, initial=0.0)
    faint = (size > 0) & (size <= TAIL * largest) & (step > 0)
    lost = np.minimum(best.hidden_rounding / step, MOST_LOST * largest)
    for part in (best.uncertainty, best.noise):
        np.copyto(part, np.maximum(part, lost), where=faint)
