"""What the values of outputs are multiples of, and the steps in which they move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

FLAT_SHARE = 0.25  # a share of equal neighbours that chance does not give
# Of an output that moves in steps; with two it may be a threshold, whose slope is 0.
LEAST_LEVELS = 3
# Last places of the largest output: a smaller one that is all noise is a sum that cancels.
CANCELLED = 64.0
MOST_STEPS = 8.0  # of a grid: higher steps are not its rounding
ORDINARY = 2.0**10  # times x, or 1: larger numbers are none; what looks so rounds to fewer digits
FEW_ULPS = 16.0  # of an output: steps of that height are its last rounding
RARE = 0.1  # of all moves: roundings of what two steps left that cancel
# So many steps between the values of an output show what they are multiples of; one or two may be
# those between the ends of a unit that is saturated on both sides.
DIFFERENT = 3
FEW = 8  # Values of an output that nearly always show them; all are sorted where they do not
# So many of the smallest sizes far off are multiples of a power of two, but for this share of it,
# up to so many places below the least: of numbers that do not cancel, one in a million by chance.
SMALLEST, OFF, PLACES = 3, 2.0**-10, 14
FRACTION = 2**52 - 1  # the bits of a float64 that hold its digits, but for the first
# The largest of these in such units: one of fewer may be of a unit with some ends.
LEVELS = 2.0**6


def find_grid(values: Float) -> tuple[Float, NDArray[np.bool_]]:
    """The number that all values of an output around are multiples of, inf of zeros; and whether
    there are too few different values to tell.

    What is left when large numbers cancel, as the loss of a saturated softmax, is a multiple of
    their last place, and stays so wherever it is: its last digits are zeros. values: of every
    output, (K, *outputs).
    """
    spacing = np.min(_last_digit(values), axis=0)
    still = _count_steps(values[:: max(1, len(values) // FEW)]) < DIFFERENT
    if np.any(still):
        still = _count_steps(values) < DIFFERENT
    return spacing, still


def _last_digit(values: Float) -> Float:
    """The power of two of the last binary digit of every value that is a one; inf of a zero, and of
    what is not finite."""
    bits = values.view(np.int64)
    digit = np.abs(values - (bits & (bits - 1)).view(np.float64))
    np.copyto(
        digit, np.abs(values), where=bits & FRACTION == 0
    )  # a power of two has that one alone
    return np.where(np.isfinite(digit) & (digit != 0), digit, np.inf)


def cancelled_size(grid: Float, steps: float, size: Float, x: NDArray[Any]) -> float:
    """Of what size numbers are that round to this grid, where outputs of this size round finer, and
    steps in which they move are no higher."""
    eps = float(np.finfo(x.dtype).eps)
    seen = (grid > CANCELLED * eps * size) & (steps <= MOST_STEPS * grid)
    most = ORDINARY * max(1.0, float(np.max(np.abs(x), initial=0.0)))
    numbers = np.where(seen & (grid <= eps * most), grid / eps, 0.0)
    return float(np.max(numbers, initial=0.0))


def _count_steps(values: Float) -> NDArray[np.intp]:
    """How many steps there are between different values of an output, of (K, *outputs)."""
    return np.asarray(np.count_nonzero(np.diff(np.sort(values, axis=0), axis=0), axis=0))


def find_grid_far_off(values: Float, eps: float) -> Float:
    """The same of the smallest sizes that outputs have further off, which may be multiples but for
    a little: so are those of log(1 + x²), a function of such. eps: of the type of the values.
    """
    sizes = np.where(np.isfinite(values) & (values != 0), np.abs(values), np.inf)
    ordered = np.sort(sizes, axis=0)
    ordered[1:][ordered[1:] == ordered[:-1]] = np.inf
    least = np.sort(ordered, axis=0)[:SMALLEST]
    known = np.isfinite(least[-1])
    least = np.where(known, least, 1.0)
    places = np.reshape(np.arange(PLACES), (-1, *(1,) * (values.ndim - 1)))
    units = np.exp2(np.floor(np.log2(least[0])) - places)
    counts = least[:, None] / units
    multiples = np.all(np.abs(counts - np.rint(counts)) < OFF, axis=0)
    multiples &= np.all(np.diff(counts, axis=0) > OFF, axis=0)
    multiples &= (counts[-1] > LEVELS) & (counts[-1] < OFF / eps) & known
    return np.asarray(np.max(np.where(multiples, units, 0.0), axis=0))


def find_flat(values: Float) -> NDArray[np.bool_]:
    """On which lines more neighbours of an output are equal than by chance: an axis less.

    Of every line for itself: lines at other places may be at other ends of a clip.
    """
    equal = np.count_nonzero(np.diff(values, axis=2) == 0, axis=2)
    return np.asarray(equal > FLAT_SHARE * (values.shape[2] - 1))


def find_steps(values: Float, flat: NDArray[np.bool_], eps: float) -> Float:
    """The height of the steps of every output that is constant nearly everywhere, yet moves.

    (*outputs), from values (PLACES, SPACINGS, POINTS, LINES, *outputs): on every line of the finer
    spacings many neighbours are equal, at several levels. (A unit that is dead or saturated is flat
    at one or two. One that is so on some lines alone has a corner between them; several have many
    levels, but no number of which these are multiples.) What rounds some outputs rounds all.
    """
    constant = np.all(flat[:, :-1], axis=(0, 1, 2))
    found = np.zeros(constant.shape)
    for output in map(tuple, np.argwhere(constant)) if np.any(constant) else ():
        every = values[(..., *output)]
        finer, jumps = every[:, :-1], np.abs(np.diff(every, axis=2))
        levels = _distinct(finer[:, :, 1:][jumps[:, :-1] == 0])
        moved = jumps[jumps > 0]
        rounded = len(moved) >= LEAST_LEVELS or _are_multiples(np.diff(levels), moved)
        if len(levels) >= LEAST_LEVELS and rounded and np.isfinite(finer).all():
            last = FEW_ULPS * eps * np.max(np.abs(levels))
            rare = np.count_nonzero(moved <= last) <= RARE * len(moved)
            jump = np.min(moved[moved > last] if rare else moved, initial=np.min(np.diff(levels)))
            found[output] = jump if jump > last else 0.0
    if np.any(found):
        found[constant & (found == 0)] = median(found[found > 0])
    return found


def _distinct(values: Float) -> Float:
    """The different values, ascending; np.unique would import numpy.ma, for 15 ms."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-np.inf) > 0]


def median(values: Float) -> float:
    """The middle value, or the mean of two; np.median would import numpy.ma, for 15 ms."""
    ordered, count = np.sort(values), len(values)
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _are_multiples(gaps: Float, moved: Float) -> bool:
    """Whether gaps between levels are multiples of one number: of the smallest, or a part of it."""
    least = np.min(np.concatenate([gaps, moved]), initial=np.inf)
    counts = np.multiply.outer(np.arange(1, FEW), gaps) / least
    return bool(np.any(np.all(np.abs(counts - np.rint(counts)) < OFF, axis=1)))
