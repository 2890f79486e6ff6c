"""check(problem) → CheckResult: the method, in one screen.

The backward is called, what it returns is refused or measured by differences, then judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.measure.compare import DEFAULT_RTOL, compare
from gradcheck_cli.measure.measure import differences, mode_of
from gradcheck_cli.measure.precision import round_gradient, widen
from gradcheck_cli.measure.purity import Claim, Conduct, call_backward, observe_forward
from gradcheck_cli.measure.refuse import find_refusal, result_without_values
from gradcheck_cli.numeric.gradient import NumericGradient, Progress
from gradcheck_cli.options import DIRECTIONS, Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import (
    CheckResult,
    GradientResult,
    Mutant,
    Refusal,
    Verdict,
)

AT_RANDOM = (
    "the forward draws at random, and the backward with it: pass what is drawn as a constant, or "
    "set the seed in the forward"
)


def check(
    problem: Problem,
    *,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
    power: bool = False,
    keep: Callable[[CheckResult], None] | None = None,
) -> CheckResult:
    """Check every gradient of a problem against central differences.

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
    started = time.perf_counter()
    numeric, tolerance = numeric or Numeric(), tolerance or Tolerance()
    rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
    problem = widen(problem) if numeric.widen else problem
    checker = Checker(problem, numeric, replace(tolerance, rtol=rtol), progress)
    forward, claim = observe_forward(problem), call_backward(problem, checker.repeat)
    gradients = [checker.compare(name, forward, claim) for name in problem.inputs]
    result = checker.summarize(gradients, forward, claim)
    if power or result.verdict == Verdict.FAIL:
        if keep is not None:
            keep(replace(result, seconds=time.perf_counter() - started))
        result = checker.diagnose(result, claim, power)
    return replace(result, seconds=time.perf_counter() - started)


class Checker:
    """What the gradients of one check share: numeric gradients, measured once, and the tolerance.

    rtol, atol, repeat: see Tolerance. evaluations: calls of the forward so far.
    """

    def __init__(
        self, problem: Problem, numeric: Numeric, tolerance: Tolerance, progress: Progress | None
    ) -> None:
        self.problem = problem
        self.numeric = numeric
        self.progress = progress
        self.rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
        self.atol = tolerance.atol
        self.repeat = tolerance.repeat
        self.measured: dict[str, NumericGradient] = {}
        self.evaluations = 0

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input, measured when it is first asked for."""
        if name not in self.measured:
            found = differences(self.problem, name, self.numeric, self.progress)
            found = round_gradient(found, self.problem.precision)
            self.measured[name] = found
            self.evaluations += found.evaluations
        return self.measured[name]

    def compare(self, name: str, forward: Conduct, claim: Claim) -> GradientResult:
        """The result of one gradient: refused as it is, or compared with what is measured."""
        problem, claimed = self.problem, claim.gradients.get(name)
        outputs = () if problem.cotangent is not None else forward.outputs.shape
        label, shape = problem.label(name), (*outputs, *problem.inputs[name].shape)
        refusal = forward.fault or claim.fault or find_refusal(claimed, shape, label)
        if claim.differs and forward.note:
            return result_without_values(name, label, shape, AT_RANDOM, Verdict.INCONCLUSIVE)
        if refusal:
            return explain_refusal(
                result_without_values(name, label, shape, refusal.sentence), refusal
            )
        if mode_of(problem, name, self.numeric) == DIRECTIONS:
            result = self.certify(name, claimed)
        else:
            result = compare(name, label, claimed, self.measure(name), self.rtol, self.atol)
        if claim.in_place is None or claim.place != name:
            return result
        return mark_in_place(result, claim.in_place, allowed=problem.in_place)

    def certify(self, name: str, claimed: Any) -> GradientResult:
        """The result of a gradient by random directions: it is too large to measure its entries."""
        from gradcheck_cli.checker.certify import Certifier

        certifier = Certifier(self.problem, name, claimed, self.numeric, self.rtol, self.atol)
        result = certifier.certify()
        self.evaluations += certifier.directions.evaluations
        return result

    def summarize(
        self, gradients: Sequence[GradientResult], forward: Conduct, claim: Claim
    ) -> CheckResult:
        """The results of all gradients as that of the check."""
        notes = [*self.problem.notes, *find_blind_spots(self.problem), forward.note, claim.note]
        return CheckResult(
            verdict=worst_verdict([gradient.verdict for gradient in gradients]),
            gradients=tuple(gradients),
            rtol=self.rtol,
            atol=self.atol,
            evaluations=self.evaluations,
            seconds=0.0,
            notes=(*filter(None, notes), *self.problem.observed()),
        )

    def diagnose(self, result: CheckResult, claim: Claim, power: bool) -> CheckResult:
        """The result with what is wrong with its gradients and, with power, what it could catch."""
        # The catalogue is imported where there is something to say.
        from gradcheck_cli.checker.diagnose import Diagnoser

        diagnoser = Diagnoser(self.problem, self.measure, self.numeric, self.rtol, self.atol)
        gradients = diagnoser.diagnose(list(result.gradients), claim.gradients, self.evaluations)
        return replace(
            result,
            gradients=tuple(gradients),
            mutants=diagnoser.mutate() if power else None,
            notes=(*result.notes, *diagnoser.notes),
        )


def mark_in_place(result: GradientResult, fault: Refusal, *, allowed: bool) -> GradientResult:
    """A gradient beside which it is said that the backward changes an argument.

    Where that is allowed, or values are wrong besides, it is a note; else it is the failure.
    """
    if allowed or result.verdict == Verdict.FAIL:
        sentence = fault.sentence.partition(";")[0] + ", which is allowed" * allowed
        return replace(result, notes=(*result.notes, sentence))
    failed = replace(result, verdict=Verdict.FAIL, reason=fault.sentence, worst=None)
    return explain_refusal(failed, fault)


def explain_refusal(result: GradientResult, refusal: Refusal) -> GradientResult:
    """A gradient that was refused, with what the catalogue says of that."""
    from gradcheck_cli.faults.catalogue import describe_fault

    return replace(result, diagnosis=describe_fault(refusal.code))


def find_blind_spots(problem: Problem) -> list[str]:
    """What makes a check blind: it passes, and would for many a wrong rule."""
    notes = []
    if problem.cotangent is not None and not np.any(problem.cotangent):
        notes.append("the upstream gradient is zero: every gradient is zero, whatever the rule")
    for name, x in problem.inputs.items():
        if x.size > 1 and np.all(x == x.flat[0]):
            notes.append(f"all entries of {name} are equal: permuted or summed entries go unseen")
        elif x.ndim == 2 and x.shape[0] == x.shape[1] > 1 and np.array_equal(x, x.T):
            notes.append(f"{name} is symmetric: a missing or extra transpose goes unseen")
    return notes


def check_problems(
    problems: Sequence[Problem],
    *,
    numeric: Numeric | None = None,
    tolerance: Tolerance | None = None,
    progress: Progress | None = None,
    power: bool = False,
    keep: Callable[[CheckResult], None] | None = None,
) -> CheckResult:
    """Check several problems, such as a backward and a Jacobian of one forward, as one result."""
    results: list[CheckResult] = []
    for problem in problems:
        if problem.otherwise is not None and results and results[0].verdict != Verdict.PASS:
            problem = problem.otherwise
        results.append(
            check(
                problem,
                numeric=numeric,
                tolerance=tolerance,
                progress=progress,
                power=power,
                keep=keep,
            )
        )
    return join_results(results)


def join_results(parts: Sequence[CheckResult]) -> CheckResult:
    """Several results under the same tolerance as one: gradients in order, the worst verdict."""
    if len(parts) == 1:
        return parts[0]
    return CheckResult(
        verdict=worst_verdict([part.verdict for part in parts]),
        gradients=tuple(gradient for part in parts for gradient in part.gradients),
        rtol=parts[0].rtol,
        atol=parts[0].atol,
        evaluations=sum(part.evaluations for part in parts),
        seconds=sum(part.seconds for part in parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        mutants=_mutants(parts),
    )


def _mutants(parts: Sequence[CheckResult]) -> tuple[Mutant, ...] | None:
    """Those of all parts, if they were asked for."""
    if any(part.mutants is None for part in parts):
        return None
    return tuple(mutant for part in parts for mutant in part.mutants or ())


def default_rtol(problem: Problem) -> float:
    """The rtol of the coarsest type among the inputs."""
    strict = DEFAULT_RTOL["float64"]
    return max(DEFAULT_RTOL.get(str(x.dtype), strict) for x in problem.inputs.values())


def worst_verdict(verdicts: list[Verdict]) -> Verdict:
    """One verdict for many: fail before inconclusive before pass."""
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
