"""Backwards in low precision: handed float64 first, where no rounding hides what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import Checker, default_rtol
from gradcheck_cli.measure.compare import DEFAULT_RTOL
from gradcheck_cli.measure.precision import EPS, as_reference, in_float64, low_type
from gradcheck_cli.numeric.gradient import Progress
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Verdict


def check_low_precision(
    problem: Problem,
    narrow: Problem,
    numeric: Numeric,
    tolerance: Tolerance,
    progress: Progress | None,
    power: bool,
    keep: Callable[[CheckResult], None] | None,
) -> CheckResult:
    """Check a problem that was widened, from `narrow`; the other arguments are those of `check`.

    A backward that takes float64 is judged there first. What is wrong there is the result, told by
    all digits there are. One that is right there is compared in its own type with the gradients
    that it gave in float64: what is wrong then is rounding.
    """
    own = _with_default(tolerance, default_rtol(narrow))
    wide = in_float64(problem, narrow)
    if wide is None:
        return Checker(problem, numeric, own, progress, power).run(keep)
    kind = low_type(narrow)
    first = Checker(wide, numeric, _with_default(tolerance, EPS[kind]), progress, power)
    found = first.run(None)
    measured, evaluations = first.measurements.gradients, found.evaluations
    if found.verdict == Verdict.FAIL:
        sharp = _with_default(tolerance, DEFAULT_RTOL["float64"])
        again = Checker(wide, numeric, sharp, progress, power)
        again.measurements.take_over(measured, evaluations)
        found = again.run(keep)
    if found.verdict == Verdict.FAIL:
        return found
    # What a check could catch was seen in float64 and need not be seen again.
    checker = Checker(problem, numeric, own, progress, power and found.mutants is None)
    right = found.verdict == Verdict.PASS
    known = as_reference(wide, found.gradients) | measured if right else {}
    checker.measurements.take_over(known, evaluations)
    result = checker.run(keep)
    if found.mutants is not None:
        result = replace(result, mutants=found.mutants, exercise=found.exercise)
    return blame_rounding(result, kind) if right else result


def _with_default(tolerance: Tolerance, rtol: float) -> Tolerance:
    """The tolerance, with this rtol where it leaves that open."""
    return tolerance if tolerance.rtol is not None else replace(tolerance, rtol=rtol)


def blame_rounding(result: CheckResult, kind: str) -> CheckResult:
    """The result in low precision of a backward that is right in float64."""
    told = f"; in float64 it is right: this is lost in {kind}, by rounding or overflow"
    gradients = [
        replace(one, reason=one.reason + told) if one.verdict == Verdict.FAIL else one
        for one in result.gradients
    ]
    return replace(result, gradients=tuple(gradients))
