"""check(problem) → CheckResult: the method, in one screen.

The backward is called, what it returns is refused or measured by differences, then judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.measure.compare import DEFAULT_RTOL, compare
from gradcheck_cli.measure.measure import differences, mode_of
from gradcheck_cli.measure.purity import call_backward, observe_forward
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
    checker = _Checker(problem, numeric or Numeric(), tolerance or Tolerance(), progress)
    gradients, claimed = checker.gradients()
    result = CheckResult(
        verdict=worst_verdict([gradient.verdict for gradient in gradients]),
        gradients=tuple(gradients),
        rtol=checker.rtol,
        atol=checker.atol,
        evaluations=checker.evaluations,
        seconds=time.perf_counter() - started,
        notes=tuple(checker.notes),
    )
    if keep is not None and (power or result.verdict == Verdict.FAIL):
        keep(result)
    if not power and result.verdict != Verdict.FAIL:
        return result
    # The catalogue is imported where there is something to say.
    from gradcheck_cli.checker.diagnose import Diagnoser

    diagnoser = Diagnoser(problem, checker.measure, checker.numeric, checker.rtol, checker.atol)
    return replace(
        result,
        gradients=tuple(diagnoser.diagnose(gradients, claimed, checker.evaluations)),
        mutants=diagnoser.mutate() if power else None,
        seconds=time.perf_counter() - started,
        notes=(*checker.notes, *diagnoser.notes),
    )


class _Checker:
    """One check: numeric gradients are measured once, when they are needed."""

    def __init__(
        self,
        problem: Problem,
        numeric: Numeric,
        tolerance: Tolerance,
        progress: Progress | None,
    ) -> None:
        self.problem = problem
        self.numeric = numeric
        self.progress = progress
        self.rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
        self.atol = tolerance.atol
        self.measured: dict[str, NumericGradient] = {}
        self.directed = 0
        self.notes = [*problem.notes, *vacuous(problem)]

    def gradients(self) -> tuple[list[GradientResult], Mapping[str, Any]]:
        """A result for every input, in their order, and what the backward claims."""
        forward, claim = observe_forward(self.problem), call_backward(self.problem)
        self.notes += [forward.note] if forward.note else []
        outputs = () if self.problem.cotangent is not None else forward.outputs.shape
        results = []
        for name, x in self.problem.inputs.items():
            label, shape = self.problem.label(name), (*outputs, *x.shape)
            claimed = claim.gradients.get(name)
            refusal = forward.fault or claim.fault or find_refusal(claimed, shape, label)
            if claim.differs and forward.note:
                results.append(
                    result_without_values(name, label, shape, AT_RANDOM, Verdict.INCONCLUSIVE)
                )
            elif refusal:
                result = result_without_values(name, label, shape, refusal.sentence)
                results.append(_told(result, refusal))
            elif mode_of(self.problem, name, self.numeric) == DIRECTIONS:
                results.append(self.certified(name, claimed))
            else:
                measured = self.measure(name)
                results.append(compare(name, label, claimed, measured, self.rtol, self.atol))
        self.notes += self.problem.observed()
        return results, claim.gradients

    def certified(self, name: str, claimed: Any) -> GradientResult:
        """The result of a gradient that is too large to measure its entries."""
        from gradcheck_cli.checker.certify import Certifier

        certifier = Certifier(self.problem, name, claimed, self.numeric, self.rtol, self.atol)
        result = certifier.certify()
        self.directed += certifier.directions.evaluations
        return result

    @property
    def evaluations(self) -> int:
        """Of the forward, for the gradients."""
        return self.directed + sum(measured.evaluations for measured in self.measured.values())

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input."""
        if name not in self.measured:
            self.measured[name] = differences(self.problem, name, self.numeric, self.progress)
        return self.measured[name]


def _told(result: GradientResult, refusal: Refusal) -> GradientResult:
    """A gradient that was refused, with what the catalogue says of that."""
    from gradcheck_cli.faults.catalogue import describe_fault

    return replace(result, diagnosis=describe_fault(refusal.code))


def vacuous(problem: Problem) -> list[str]:
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
