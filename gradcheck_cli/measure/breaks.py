"""Jumps of a forward between smooth pieces, and how uncertain they make a numeric gradient.

A solver that stops at a tolerance gives such a forward. The exact backward of the solution is
right, though it differs from the slope of the smooth piece around x, which differences measure.
Jumps are looked for only where a gradient would fail otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.measure.comparison import Allowance, compare_entries
from gradcheck_cli.measure.measure import joint_evaluator, points_evaluator, scale_of
from gradcheck_cli.numeric.differences import WHOLE
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.jumps import find_jumps
from gradcheck_cli.problem import Problem

# Over the largest entry: a solver that stops early is off by less; a larger error is a fault.
MOST_ERROR = 0.01
# A slope may be off by the height of a jump over the distance to the next jump, times this factor,
# because both are measured along a few lines only. In some 140 problems (fixed points, Newton's
# method, adaptive quadrature) 3 was enough, and in one more 9.
SAWTOOTH = 16.0
# Over the largest entry: if the uncertainty would grow by more, the forward is meant to jump.
MOST_SLOPE = 0.5


def is_smooth_around(problem: Problem) -> tuple[bool, int]:
    """Whether the forward has no jumps when all inputs move together, and the forwards taken."""
    with suppress(Exception), np.errstate(all="ignore"):  # it may fail so far from the inputs
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
    allowance: Allowance,
    is_smooth: Callable[[], bool] = lambda: False,
) -> NumericGradient:
    """The numeric gradient with its uncertainty widened by jumps of the forward near x.

    It stays as it is where the errors are too large for jumps to explain, or there are none.
    is_smooth: whether it is known that there are none; called only where it matters.
    """
    found = compare_entries(claimed, numeric, allowance)
    known = (
        numeric.method == WHOLE and np.all(np.isfinite(numeric.value)) and not numeric.step_height
    )
    if not known or not found.over_largest(np.where(found.wrong, found.error, 0.0)) <= MOST_ERROR:
        return numeric
    if is_smooth():
        return numeric
    x, scale = problem.inputs[name], scale_of(problem, name)
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
