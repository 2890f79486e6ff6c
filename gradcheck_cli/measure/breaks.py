"""The uncertainty that jumps of a forward between smooth pieces make, looked for when it matters.

An exact backward of an inexact solver is right, though it is not the slope of the piece around x.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.measure.comparison import compare_entries
from gradcheck_cli.measure.measure import joint_evaluator, points_evaluator, scale_of
from gradcheck_cli.numeric.differences import WHOLE
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.jumps import find_jumps
from gradcheck_cli.problem import Problem

# Of the largest entry: an error above is not what a solver that stops early is off by.
MOST_ERROR = 0.01
# How much more a slope may be off than by the height of a jump over the distance to the next, which
# is known along some lines only: in some 140 problems (fixed points, Newton's method, adaptive
# quadrature) up to 3 times as much; one more was found at 9 times.
SAWTOOTH = 16.0
# Of the largest entry, what that may come to: more is a forward that is meant to jump.
MOST_SLOPE = 0.5


def jumps_nowhere(problem: Problem) -> tuple[bool, int]:
    """Whether a forward does not jump where all of its inputs move together; and how often it was
    called."""
    with suppress(Exception), np.errstate(all="ignore"):  # of inputs that cannot be so far away
        joint = joint_evaluator(problem)
        if joint is not None:
            found = find_jumps(*joint, None)
            return found.height == 0, found.evaluations
    return False, 0


def widen_by_breaks(
    problem: Problem,
    name: str,
    claimed: Any,
    numeric: NumericGradient,
    rtol: float,
    atol: float,
    nowhere: Callable[[], bool] = lambda: False,
) -> NumericGradient:
    """The numeric gradient with the uncertainty that jumps near x make, where there are some.

    Nothing is looked for where more is wrong than jumps could explain, or where there are none.
    nowhere: tells that, if it is known.
    """
    found = compare_entries(claimed, numeric, rtol, atol)
    known = numeric.method == WHOLE and np.all(np.isfinite(numeric.value)) and not numeric.jumps
    if not known or not found.over_largest(np.where(found.wrong, found.error, 0.0)) <= MOST_ERROR:
        return numeric
    if nowhere():
        return numeric
    x = problem.inputs[name]
    scale = scale_of(problem, name)
    measured = scale if numeric.entries is None else scale.ravel()[numeric.entries]
    most = MOST_SLOPE * float(np.max(np.abs(numeric.value) * measured))
    cotangent = problem.cotangent
    with np.errstate(all="ignore"):
        jumps = find_jumps(
            points_evaluator(problem, name),
            x,
            scale,
            None if cotangent is None else np.asarray(cotangent, dtype=np.float64),
            most / SAWTOOTH,
        )
    evaluations = numeric.evaluations + jumps.evaluations
    if not jumps.height:
        return replace(numeric, evaluations=evaluations)
    outputs = numeric.value.shape[: numeric.value.ndim - measured.ndim]
    slope = SAWTOOTH * jumps.slope.reshape(*outputs, *(1,) * measured.ndim)
    if not np.max(slope) <= most:
        return replace(numeric, evaluations=evaluations)
    uncertainty = numeric.uncertainty + np.where(numeric.kink, 0.0, slope / measured)
    return replace(
        numeric,
        uncertainty=uncertainty,
        low=np.where(numeric.kink, numeric.low, numeric.value - uncertainty),
        high=np.where(numeric.kink, numeric.high, numeric.value + uncertainty),
        evaluations=evaluations,
        break_height=jumps.height,
    )
