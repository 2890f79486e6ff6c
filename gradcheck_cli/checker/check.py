"""check(problems) → CheckResult: each problem in the type that shows most, their results as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import Asked, GradientChecker
from gradcheck_cli.checker.join import join_results
from gradcheck_cli.checker.one_problem import check_one_problem
from gradcheck_cli.measure.precision import widen
from gradcheck_cli.numeric.gradient import Progress
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Verdict


def check(
    problems: Problem | Sequence[Problem],
    *,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
    power: bool = False,
    keep: Callable[[CheckResult], None] | None = None,
) -> CheckResult:
    """Check every gradient of a problem against central differences.

    problems: one, or several as one result, such as a backward and a Jacobian of one forward.
    numeric, tolerance: see their classes; what they leave open is found or has its default.
    progress: is told, now and then, how many more entries were measured.
    power: also put the faults of the catalogue into the right gradients, and see which of them a
        check like this would catch.
    keep: is handed the result without diagnoses, which take more calls of the forward, before they
        are made.
    Returns the verdict, a result per input, and the work it took. What the backward returns is
    never trusted: a wrong type, shape or value is a failure with its reason, not an exception.
    Raises ForwardError where the forward's outputs are no numbers or do not fit the cotangent.
    """
    asked = Asked(numeric or Numeric(), tolerance or Tolerance(), progress, power, keep)
    results: list[CheckResult] = []
    for problem in [problems] if isinstance(problems, Problem) else problems:
        if problem.otherwise is not None and results and results[0].verdict != Verdict.PASS:
            problem = problem.otherwise
        started = time.perf_counter()
        result = _check_in_best_type(problem, asked)
        results.append(replace(result, seconds=time.perf_counter() - started))
    return join_results(results)


def _check_in_best_type(problem: Problem, asked: Asked) -> CheckResult:
    """The result of one problem: in float64, where its functions take that, or in its own type."""
    if asked.numeric.widen:
        problem = widen(problem)
    if problem.narrow is None:
        return check_one_problem(GradientChecker(problem, asked))
    from gradcheck_cli.checker.low_precision import check_low_precision

    return check_low_precision(problem, problem.narrow, asked)
