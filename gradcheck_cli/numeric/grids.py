"""Quantized outputs: the grid on which their values lie, and the height of the steps they move in.

Outputs that are differences of large numbers are multiples of the last place of those; outputs that
are rounded on the way, such as those of float16 code, are constant between steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

FLAT_SHARE = 0.25  # more equal neighbours than this share are not equal by chance
# An output that moves in steps has at least so many levels; one with two may be a threshold, whose
# slope is 0.
LEAST_LEVELS = 3
# In eps of the largest output: a smaller output may be all that is left of a sum that cancels.
CANCELLED = 64.0
HIGHEST_STEP = 8.0  # over the grid: higher steps are not its rounding
# Times x, or 1 if that is more: numbers that cancel are no larger. A grid that would need larger
# ones comes from rounding to fewer digits.
ORDINARY = 2.0**10
FEW_ULPS = 16.0  # in eps of an output: lower steps are its last rounding
RARE = 0.1  # as a share of all moves: so few tiny ones are roundings left over by steps that cancel
# With so many steps between its values, an output shows its grid; one or two steps may lie between
# the ends of a saturated unit.
DIFFERENT = 3
FEW = 8  # values of an output that nearly always show so many steps; if not, all values are sorted
# Away from x, a grid is a power of two, at most PLACES binary places below the smallest size, of
# which the SMALLEST smallest sizes are multiples to within the share OFF. Sizes on no grid look so
# once in a million cases.
SMALLEST, OFF, PLACES = 3, 2.0**-10, 14
FRACTION = 2**52 - 1  # the bits of a float64 that hold its binary digits after the first one
# The largest of these sizes is at least so many times the grid; the few levels of saturated units
# may look like fewer.
LEVELS = 2.0**6


def find_grid(values: Float) -> tuple[Float, NDArray[np.bool_]]:
    """The grid of every output, and whether its values differ too little to show one.

    The grid is the power of two of which all values are multiples; inf if all are zero. Where large
    numbers cancel, as in the loss of a saturated softmax, the output is a multiple of their last
    place, so that its own last digits are zeros. values: of every output, (K, *outputs).
    """
    spacing = np.min(_last_digit(values), axis=0)
    still = _count_steps(values[:: max(1, len(values) // FEW)]) < DIFFERENT
    if np.any(still):
        still = _count_steps(values) < DIFFERENT
    return spacing, still


def _last_digit(values: Float) -> Float:
    """The power of two of the last nonzero binary digit of every value; inf for zeros and values
    that are not finite."""
    bits = values.view(np.int64)
    digit = np.abs(values - (bits & (bits - 1)).view(np.float64))
    # A power of two has no other binary digit.
    np.copyto(digit, np.abs(values), where=bits & FRACTION == 0)
    return np.where(np.isfinite(digit) & (digit != 0), digit, np.inf)


def cancelled_size(grid: Float, step_height: float, size: Float, x: NDArray[Any]) -> float:
    """The size of the numbers whose differences the outputs are; 0 where none are seen.

    Their rounding makes the grid, if it is coarser than the rounding of the outputs themselves.
    grid, size: of every output. step_height: that in which outputs move, the largest: if it is far
    larger than the grid, that comes from something else.
    """
    eps = float(np.finfo(x.dtype).eps)
    seen = (grid > CANCELLED * eps * size) & (step_height <= HIGHEST_STEP * grid)
    most = ORDINARY * max(1.0, float(np.max(np.abs(x), initial=0.0)))
    numbers = np.where(seen & (grid <= eps * most), grid / eps, 0.0)
    return float(np.max(numbers, initial=0.0))


def _count_steps(values: Float) -> NDArray[np.intp]:
    """How many different values every output has, less one; values: (K, *outputs)."""
    return np.asarray(np.count_nonzero(np.diff(np.sort(values, axis=0), axis=0), axis=0))


def find_grid_away(values: Float, eps: float) -> Float:
    """The grid of every output from its smallest sizes at points away from x; 0 if there is none.

    The sizes only need to be close to multiples, as those of log(1 + x²) are, a function of
    multiples. eps: of the type of the values.
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
    """On which lines an output has more equal neighbours than chance would give.

    values: (PLACES, SPACINGS, POINTS, LINES, *outputs); the result lacks the axis of the points.
    Lines are judged one by one, because each may lie at another end of a clip.
    """
    equal = np.count_nonzero(np.diff(values, axis=2) == 0, axis=2)
    return np.asarray(equal > FLAT_SHARE * (values.shape[2] - 1))


def find_step_heights(values: Float, flat: NDArray[np.bool_], eps: float) -> Float:
    """The height of the steps in which outputs move, (*outputs); 0 for outputs that move smoothly.

    values: (PLACES, SPACINGS, POINTS, LINES, *outputs). flat: see `find_flat`.
    An output moves in steps if many neighbours are equal on every line of the finer spacings, at
    several levels. A dead or saturated unit is not one: it is flat at one or two levels, or on some
    lines only, with a corner between them. Nor are several such units, which have many levels, but
    no number of which all their differences are multiples. Where some outputs move in steps, all
    outputs that look constant are taken to do so.
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
    """The different values, ascending. (np.unique would import numpy.ma, which takes 15 ms.)"""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-np.inf) > 0]


def median(values: Float) -> float:
    """The median. (np.median would import numpy.ma, which takes 15 ms.)"""
    ordered, count = np.sort(values), len(values)
    return float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _are_multiples(gaps: Float, moved: Float) -> bool:
    """Whether gaps between levels are multiples of the smallest move, or of a whole part of it."""
    least = np.min(np.concatenate([gaps, moved]), initial=np.inf)
    counts = np.multiply.outer(np.arange(1, FEW), gaps) / least
    return bool(np.any(np.all(np.abs(counts - np.rint(counts)) < OFF, axis=1)))
