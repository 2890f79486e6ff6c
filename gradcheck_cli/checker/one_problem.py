"""The method, in one screen: call the backward, measure, compare, explain what is wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from gradcheck_cli.checker.blind_spots import find_blind_spots
from gradcheck_cli.checker.gradients import GradientChecker
from gradcheck_cli.checker.join import worst_verdict
from gradcheck_cli.measure.purity import Claim, Conduct, call_backward, observe_forward
from gradcheck_cli.result import CheckResult, GradientResult, Verdict


def check_one_problem(checker: GradientChecker) -> CheckResult:
    """The result of all gradients of a problem, with diagnoses of those that are wrong."""
    started, asked = time.perf_counter(), checker.asked
    forward = observe_forward(checker.problem)
    claim = call_backward(checker.problem, asked.tolerance.repeat)
    gradients = [checker.check(name, forward, claim) for name in checker.problem.inputs]
    result = _summarize(checker, gradients, forward, claim)
    if result.verdict == Verdict.FAIL or asked.power:
        # The catalogue of faults is imported where there is something to say.
        from gradcheck_cli.checker.diagnose import diagnose
        from gradcheck_cli.checker.locate import locate

        if asked.keep is not None:
            asked.keep(replace(result, seconds=time.perf_counter() - started))
        result = locate(diagnose(result, checker, claim.values), checker.problem)
    return result


def _summarize(
    checker: GradientChecker, gradients: Sequence[GradientResult], forward: Conduct, claim: Claim
) -> CheckResult:
    """The results of all gradients as that of the problem."""
    problem = checker.problem
    notes = [*problem.notes, *find_blind_spots(problem), forward.note, claim.note]
    return CheckResult(
        verdict=worst_verdict([gradient.verdict for gradient in gradients]),
        gradients=tuple(gradients),
        rtol=checker.rtol,
        atol=checker.atol,
        evaluations=checker.measurements.evaluations,
        seconds=0.0,
        notes=(*filter(None, notes), *problem.observed()),
    )
