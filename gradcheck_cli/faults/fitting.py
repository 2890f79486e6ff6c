"""Fit a factor, or the weights of a sum of parts, to a wrong gradient by weighted least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float, largest
from gradcheck_cli.text import join_words

# Singular values below this share of the largest leave weights undetermined: measured parts are
# known to about so many digits.
SMALLEST_SINGULAR_VALUE = 1e-10
SMALLEST_MOVE = 1e-6  # over the largest entry: a solved entry that differs by less is the same
MOST_PLACES = 8  # entries that differ are listed up to this number


def fit_factor(analytic: Float, explained: Float, allowed: Float) -> tuple[float, float]:
    """The c that fits analytic = c · explained best, and its relative precision.

    allowed: how far each entry may be off. If no entry determines c, it is 0 and its precision
    infinite.
    """
    with np.errstate(all="ignore"):
        weight = 1.0 / allowed
        target, part = analytic * weight, explained * weight
        usable = np.isfinite(target) & np.isfinite(part) & (explained != 0)
    if not usable.any():
        return 0.0, np.inf
    target, part = target[usable], part[usable]
    peak = np.max(np.abs(part))
    if peak == 0.0:
        return 0.0, np.inf
    unit = part / peak
    c = float(unit @ (target / peak) / (unit @ unit))
    return c, float(1.0 / peak) / max(abs(c), np.finfo(float).tiny)


def fit_part(
    comparison: Comparison, part: Values, rest: Values | None = None
) -> tuple[float, float]:
    """The c that fits analytic = c · part + rest best, and its relative precision."""
    target = comparison.analytic.ravel()[part.at]
    allowed = comparison.allowed.ravel()[part.at] + part.uncertainty
    if rest is not None:
        target, allowed = target - rest.value, allowed + rest.uncertainty
    return fit_factor(target, part.value, allowed)


def fit_weights(
    parts: Float, comparison: Comparison, at: NDArray[np.intp], target: Float
) -> Float | None:
    """The weights with which parts add up to a target; None if the entries do not determine them.

    parts: parts × entries, of the entries at the flat positions `at`; target: of all measured
    entries. Each entry counts in units of the error it is allowed.
    """
    return solve_weights(parts, comparison.allowed.ravel()[at], target.ravel()[at])


def solve_weights(parts: Float, allowed: Float, target: Float) -> Float | None:
    """The weights with which parts, parts × entries, add up to a target; None if undetermined."""
    with np.errstate(all="ignore"):
        weight = 1.0 / allowed
        matrix, wanted = (parts * weight).T, target * weight
    known = np.isfinite(matrix).all(axis=1) & np.isfinite(wanted)
    matrix, wanted = matrix[known], wanted[known]
    scale = np.max(np.abs(matrix), initial=0.0)
    if not np.isfinite(scale) or scale == 0.0:
        return None
    weights, _, rank, _ = np.linalg.lstsq(
        matrix / scale, wanted / scale, rcond=SMALLEST_SINGULAR_VALUE
    )
    return np.asarray(weights) if rank == len(parts) else None


def describe_solution(solved: NDArray[Any], before: NDArray[Any]) -> tuple[str, int]:
    """`for 0.29 at [6] in the place of 0.25, 6 of 12 entries differ`, and how many do."""
    differ = np.argwhere(np.abs(solved - before) > SMALLEST_MOVE * largest(np.abs(before)))
    if not len(differ):
        return "", 0
    places = [list(map(int, place)) for place in differ]
    index = tuple(places[0])
    rounding = SMALLEST_MOVE * largest(np.abs(solved))
    found = solved[index] if abs(solved[index]) > rounding else 0.0
    few = 1 < len(places) <= min(MOST_PLACES, before.size // 2)
    where = f": {join_words([str(place) for place in places])}" if few else ""
    return (
        f"for {found:.6g} at {places[0]} in the place of {before[index]:.6g}, {len(places)} of "
        f"{before.size} entries differ{where}"
    ), len(places)
