"""The diagnoses of a check that failed, and the faults that a check like it could catch.

It needs the catalogue of faults, which a check that passes does not import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.checker.gradients import GradientChecker
from gradcheck_cli.checker.measurements import MOST_DIAGNOSED
from gradcheck_cli.faults.diagnosis import diagnose_gradient, use_hidden_stages
from gradcheck_cli.faults.hidden_stages import find_hidden_stages
from gradcheck_cli.faults.kinds.shape_faults import match_shape_fault
from gradcheck_cli.faults.measured_gradient import Measure, MeasuredGradient
from gradcheck_cli.faults.mutation import mutate
from gradcheck_cli.faults.regions import describe_location, map_errors
from gradcheck_cli.faults.shared_explanations import (
    Wrong,
    describe_reduction,
    explain_alike,
    explain_as_one,
    explain_by_others,
    explain_together,
    find_reduction,
)
from gradcheck_cli.faults.values import Effort, remember
from gradcheck_cli.measure.comparison import Allowance, compare_entries
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem, Stage
from gradcheck_cli.result import (
    CheckResult,
    Code,
    Diagnosis,
    Exercise,
    GradientResult,
    Mutant,
    Verdict,
)

# What the diagnoses of a check may cost in calls of the forward: this many for each evaluation of
# the check, and as many as most faults need, if that is more. To look inside may cost as much
# again.
CALLS_PER_EVALUATION, LEAST_CALLS = 1, 1_000
# Of the calls to look inside, the share that may go into finding what there is to look at; and how
# many of them that may be.
SEARCH_SHARE, MOST_SEARCHED = 0.5, 10_000


def diagnose(
    result: CheckResult, checker: GradientChecker, claimed: Mapping[str, Any]
) -> CheckResult:
    """The result with what is wrong with its gradients and, where asked for, what it could catch.

    claimed: the analytic gradients by input.
    """
    measurements = checker.measurements
    known = {one.name for one in result.gradients if one.directions}
    if measurements.budget.has_room(MOST_DIAGNOSED):
        known -= set(measurements.located)
    diagnoser = Diagnoser(
        checker.problem,
        measurements.measure,
        checker.options.numeric,
        checker.allowance,
        known,
    )
    gradients = diagnoser.diagnose(list(result.gradients), claimed, measurements.evaluations)
    notes = (*result.notes, *diagnoser.notes)
    result = replace(result, gradients=tuple(gradients), notes=notes)
    if not checker.options.power:
        return result
    mutants, exercise = diagnoser.mutate()
    return replace(result, mutants=tuple(mutants), exercise=tuple(exercise))


class Diagnoser:
    """Diagnoses the gradients of one check.

    measure: gives the numeric gradient of an input; allowance: the check's tolerance.
    known: the inputs of whose gradients no entries are measured to say more of them.
    notes: what went wrong in a diagnosis, as sentences.
    """

    def __init__(
        self,
        problem: Problem,
        measure: Measure,
        numeric: Numeric,
        allowance: Allowance,
        known: Set[str],
    ) -> None:
        # Gradients of all inputs are looked at beside the same points.
        self.problem = (
            problem if problem.batched else replace(problem, forward=remember(problem.forward))
        )
        self.measure = measure
        self.numeric = numeric
        self.allowance = allowance
        self.known = known
        self.calls = 0.0
        self.outside, self.inside = Effort(), Effort()
        self.notes: list[str] = []
        self.hidden: list[Stage] | None = None
        self.searched = 0
        self.wrong: dict[str, Wrong] = {}
        self.looked: dict[str, MeasuredGradient] = {}

    def diagnose(
        self, results: list[GradientResult], claimed: Mapping[str, Any], evaluations: int
    ) -> list[GradientResult]:
        """The results; those that failed say what is wrong with them and where.

        claimed: the analytic gradients by input; evaluations: how often the numeric gradients
        called the forward, which bounds how often the diagnoses may.
        """
        self.calls = max(CALLS_PER_EVALUATION * evaluations, LEAST_CALLS)
        failed = [result.name for result in results if result.verdict == Verdict.FAIL]
        shares = {name: (place + 1) / len(failed) for place, name in enumerate(failed)}
        diagnosed = [
            self._try(result, claimed.get(result.name), shares[result.name])
            if result.name in shares
            else result
            for result in results
        ]
        try:
            with np.errstate(all="ignore"):
                explained = self._explain_together(diagnosed)
        except Exception as error:
            self._note("what gradients have in common", error)
            return diagnosed
        return [
            replace(result, diagnosis=explained.get(result.name, result.diagnosis))
            for result in diagnosed
        ]

    def _explain_together(self, results: Sequence[GradientResult]) -> dict[str, Diagnosis | None]:
        """The diagnoses of gradients that say more together than each alone."""
        wrong = self.wrong
        reduction = find_reduction([wrong.get(result.name) for result in results])
        if reduction:
            return {
                result.name: describe_reduction(result.diagnosis, reduction) for result in results
            }
        by_others = {name: explain_by_others(one, wrong.values()) for name, one in wrong.items()}
        together = explain_together(wrong) if len(wrong) > 1 else {}
        as_one = explain_as_one(wrong, lambda one: self._look_inside(one.measured, 1.0))
        found = {name: one for name, one in by_others.items() if one is not None}
        return {**together, **found, **as_one}

    def mutate(self) -> tuple[list[Mutant], list[Exercise]]:
        """The faults that apply to the gradients, and whether this check would see them; and how
        much of the Jacobian its inputs exercise."""

        def measure(problem: Problem, name: str) -> NumericGradient:
            if problem is self.problem:
                return self.measure(name)
            return measure_gradient(problem, name, self.numeric)

        with np.errstate(all="ignore"):
            return mutate(self.problem, measure, self.allowance)

    def _try(self, result: GradientResult, claimed: Any, share: float) -> GradientResult:
        """The diagnosis of a gradient, or a note; whatever goes wrong, the verdict stands.

        share: of all calls, that may have been made after it.
        """
        if result.name in self.known:
            return result
        try:
            with np.errstate(all="ignore"):
                return self._diagnose_gradient(result, claimed, share)
        except Exception as error:
            self._note(f"the diagnosis of {result.gradient}", error)
            return result

    def _note(self, what: str, error: Exception) -> None:
        """Note that something failed that the verdict does not need."""
        failed = f"{type(error).__name__}: {error}"
        self.notes.append(f"{what} failed: {failed}; please report it")

    def _diagnose_gradient(
        self, result: GradientResult, claimed: Any, share: float
    ) -> GradientResult:
        """A wrong gradient with its diagnosis."""
        if result.diagnosis is not None and result.diagnosis.code != Code.OTHER_SHAPE:
            return result
        measured = self._describe(result.name)
        if result.diagnosis is not None:
            diagnosis = match_shape_fault(measured, claimed, self.allowance)
            return replace(result, diagnosis=diagnosis)
        comparison = compare_entries(claimed, measured.gradient, self.allowance)
        if not comparison.wrong.any():  # of the entries that were measured after directions
            return result
        self.outside.most = share * self.calls
        look_inside = partial(self._look_inside, measured, share)
        found = explain_alike(measured, comparison, self.wrong.values(), look_inside)
        found = found or diagnose_gradient(measured, comparison, look_inside)
        inside = self.looked.get(result.name)
        self.wrong[result.name] = Wrong(measured, comparison, found, inside)
        return replace(
            result,
            diagnosis=found.diagnosis,
            where=describe_location(comparison, measured.whole),
            map=map_errors(comparison, measured.whole),
        )

    def _look_inside(self, measured: MeasuredGradient, share: float) -> MeasuredGradient | None:
        """A gradient by the stages inside the forward, which are found once for all gradients."""
        if self.hidden is None:
            self.hidden = []  # whatever goes wrong, it is not tried again
            self.inside.most = min(SEARCH_SHARE * self.calls, MOST_SEARCHED)
            self.hidden = find_hidden_stages(self.problem, self.inside)
            self.searched = self.inside.calls
        self.inside.most = self.searched + share * max(0.0, self.calls - self.searched)
        if measured.name in self.looked:
            return self.looked[measured.name]
        looked = use_hidden_stages(measured, self.hidden, self.inside)
        if looked is not None:
            self.looked[measured.name] = looked
        return looked

    def _describe(self, name: str) -> MeasuredGradient:
        """What is known of the right gradient of an input."""
        return MeasuredGradient(self.problem, name, self.measure, self.outside, guess=True)
