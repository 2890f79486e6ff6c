"""Backwards in low precision: handed float64 first, where no rounding hides what is wrong."""

from __future__ import annotations

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import Asked, GradientChecker, default_rtol
from gradcheck_cli.checker.one_problem import check_one_problem
from gradcheck_cli.measure.compare import DEFAULT_RTOL
from gradcheck_cli.measure.precision import EPS, as_reference, in_float64, low_type
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Verdict


def check_low_precision(problem: Problem, narrow: Problem, asked: Asked) -> CheckResult:
    """Check a problem that was widened, from `narrow`.

    A backward that takes float64 is judged there first. What is wrong there is the result, told by
    all digits there are. One that is right there is compared in its own type with the gradients
    that it gave in float64: what is wrong then is rounding.
    """
    own = _with_rtol(asked, default_rtol(narrow))
    wide = in_float64(problem, narrow)
    if wide is None:
        return check_one_problem(GradientChecker(problem, own))
    kind = low_type(narrow)
    first = GradientChecker(wide, replace(_with_rtol(asked, EPS[kind]), keep=None))
    found = check_one_problem(first)
    measured, evaluations = first.measurements.gradients, found.evaluations
    if found.verdict == Verdict.FAIL:
        again = GradientChecker(wide, _with_rtol(asked, DEFAULT_RTOL["float64"]))
        again.measurements.take_over(measured, evaluations)
        found = check_one_problem(again)
    if found.verdict == Verdict.FAIL:
        return found
    # What a check could catch was seen in float64 and need not be seen again.
    checker = GradientChecker(problem, replace(own, power=asked.power and found.mutants is None))
    right = found.verdict == Verdict.PASS
    known = as_reference(wide, found.gradients) | measured if right else {}
    checker.measurements.take_over(known, evaluations)
    result = check_one_problem(checker)
    if found.mutants is not None:
        result = replace(result, mutants=found.mutants, exercise=found.exercise)
    return blame_rounding(result, kind) if right else result


def _with_rtol(asked: Asked, rtol: float) -> Asked:
    """What is asked, with this rtol where it leaves that open."""
    if asked.tolerance.rtol is not None:
        return asked
    return replace(asked, tolerance=replace(asked.tolerance, rtol=rtol))


def blame_rounding(result: CheckResult, kind: str) -> CheckResult:
    """The result in low precision of a backward that is right in float64."""
    told = f"; in float64 it is right: this is lost in {kind}, by rounding or overflow"
    gradients = [
        replace(one, reason=one.reason + told) if one.verdict == Verdict.FAIL else one
        for one in result.gradients
    ]
    return replace(result, gradients=tuple(gradients))
