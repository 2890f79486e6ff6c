"""check(problems) → CheckResult: check each problem in the best precision, and join the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gradcheck_cli.checker.gradients import CheckOptions, GradientChecker
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

    problems: one or several, such as a backward and a Jacobian of one forward.
    numeric, tolerance: see their classes; None: the defaults.
    progress: called now and then with how many more entries were measured.
    power: also put the faults of the catalogue into right gradients, and see which of them the
        check would catch.
    keep: called with the result before its failures are diagnosed, which takes more forwards.
    Returns the verdict, a result for each input, and the work it took. A backward that returns a
    wrong type, shape or value gives a failure with its reason, not an exception.
    Raises ForwardError where the outputs are not numbers or do not have the cotangent's shape.
    """
    options = CheckOptions(numeric or Numeric(), tolerance or Tolerance(), progress, power, keep)
    results: list[CheckResult] = []
    for problem in [problems] if isinstance(problems, Problem) else problems:
        if problem.fallback is not None and results and results[0].verdict != Verdict.PASS:
            problem = problem.fallback
        started = time.perf_counter()
        result = _check_in_best_type(problem, options)
        results.append(replace(result, seconds=time.perf_counter() - started))
    return join_results(results)


def _check_in_best_type(problem: Problem, options: CheckOptions) -> CheckResult:
    """Check one problem in float64 if its functions accept that, else in its own type."""
    if options.numeric.widen:
        problem = widen(problem)
    if problem.narrow is None:
        return check_one_problem(GradientChecker(problem, options))
    from gradcheck_cli.checker.low_precision import check_low_precision

    return check_low_precision(problem, problem.narrow, options)
