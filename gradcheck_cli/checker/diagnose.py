"""The diagnoses of a check that failed, and the faults that a check like it could catch.

It needs the catalogue of faults, which a check that passes does not import.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.faults.diagnosis import limit_calls, match_fault
from gradcheck_cli.faults.hidden_stages import find_hidden_stages
from gradcheck_cli.faults.measured_gradient import Measure, MeasuredGradient
from gradcheck_cli.faults.mutation import mutate
from gradcheck_cli.faults.regions import describe_location, map_errors
from gradcheck_cli.faults.shape_faults import match_shape_fault
from gradcheck_cli.faults.shared_explanations import (
    Wrong,
    describe_reduction,
    explain_by_others,
    find_reduction,
)
from gradcheck_cli.faults.values import Effort
from gradcheck_cli.measure.comparison import compare_entries
from gradcheck_cli.measure.measure import differences
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem, Stage
from gradcheck_cli.result import Code, Exercise, GradientResult, Mutant, Verdict

MOST_INSIDE = 10_000  # calls of the forward to measure the gradients of what it computes on its way


class Diagnoser:
    """Diagnoses the gradients of one check.

    measure: gives the numeric gradient of an input; rtol, atol: the check's tolerance.
    known: the inputs of whose gradients no entries are measured to say more of them.
    notes: what went wrong in a diagnosis, as sentences.
    """

    def __init__(
        self,
        problem: Problem,
        measure: Measure,
        numeric: Numeric,
        rtol: float,
        atol: float,
        known: Set[str],
    ) -> None:
        self.problem = problem
        self.measure = measure
        self.numeric = numeric
        self.rtol = rtol
        self.atol = atol
        self.known = known
        self.effort = Effort()
        self.calls = 0.0
        self.notes: list[str] = []
        self.hidden: list[Stage] | None = None
        self.wrong: dict[str, Wrong] = {}

    def diagnose(
        self, results: list[GradientResult], claimed: Mapping[str, Any], evaluations: int
    ) -> list[GradientResult]:
        """The results; those that failed say what is wrong with them and where.

        claimed: the analytic gradients by input; evaluations: how often the numeric gradients
        called the forward, which bounds how often the diagnoses may.
        """
        self.calls = limit_calls(evaluations)
        failed = [result.name for result in results if result.verdict == Verdict.FAIL]
        shares = {name: (place + 1) / len(failed) for place, name in enumerate(failed)}
        diagnosed = [
            self._try(result, claimed.get(result.name), shares[result.name] * self.calls)
            if result.name in shares
            else result
            for result in results
        ]
        diagnosed = [self._explain_by_others(result) for result in diagnosed]
        reduction = find_reduction([self.wrong.get(result.name) for result in results])
        if not reduction:
            return diagnosed
        return [
            replace(result, diagnosis=describe_reduction(result.diagnosis, reduction))
            for result in diagnosed
        ]

    def _explain_by_others(self, result: GradientResult) -> GradientResult:
        """A gradient that no fault explains alone, with what another one is wrong by, if it is."""
        one = self.wrong.get(result.name)
        if one is None:
            return result
        with np.errstate(all="ignore"):
            found = explain_by_others(one, self.wrong.values())
        return result if found is None else replace(result, diagnosis=found)

    def mutate(self) -> tuple[list[Mutant], list[Exercise]]:
        """The faults that apply to the gradients, and whether this check would see them; and how
        much of the Jacobian its inputs exercise."""

        def measure(problem: Problem, name: str) -> NumericGradient:
            if problem is self.problem:
                return self.measure(name)
            return differences(problem, name, self.numeric)

        with np.errstate(all="ignore"):
            return mutate(self.problem, measure, self.rtol, self.atol)

    def _try(self, result: GradientResult, claimed: Any, calls: float) -> GradientResult:
        """The diagnosis of a gradient, or a note; whatever goes wrong, the verdict stands."""
        if result.name in self.known:
            return result
        try:
            with np.errstate(all="ignore"):
                return self._diagnose_gradient(result, claimed, calls)
        except Exception as error:
            self.notes.append(
                f"the diagnosis of {result.gradient} failed: {type(error).__name__}: {error}; "
                "please report it"
            )
            return result

    def _diagnose_gradient(
        self, result: GradientResult, claimed: Any, calls: float
    ) -> GradientResult:
        """A wrong gradient with its diagnosis."""
        if result.diagnosis is not None and result.diagnosis.code != Code.OTHER_SHAPE:
            return result
        measured = self._describe(result.name)
        if result.diagnosis is not None:
            diagnosis = match_shape_fault(measured, claimed, self.rtol, self.atol)
            return replace(result, diagnosis=diagnosis)
        comparison = compare_entries(claimed, measured.gradient, self.rtol, self.atol)
        if not comparison.wrong.any():  # of the entries that were measured after directions
            return result
        found = match_fault(measured, comparison, calls, self._look_inside)
        self.wrong[result.name] = Wrong(measured, comparison, found)
        return replace(
            result,
            diagnosis=found.diagnosis,
            where=describe_location(comparison, measured.whole),
            map=map_errors(comparison, measured.whole),
        )

    def _look_inside(self) -> list[Stage]:
        """The stages inside the forward, found once for all gradients.

        The calls that it takes are counted apart from those of the faults, and are as many at most.
        """
        if self.hidden is None:
            self.hidden = []  # whatever goes wrong, it is not tried again
            most = min(MOST_INSIDE, self.calls)
            self.hidden = find_hidden_stages(self.problem, Effort(most=most))
        return self.hidden

    def _describe(self, name: str) -> MeasuredGradient:
        """What is known of the right gradient of an input."""
        return MeasuredGradient(self.problem, name, self.measure, self.effort, guess=True)
