"""Right gradients for the tests of faults, and what the diagnosis says of wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli import Problem, check
from gradcheck_cli.checker.gradients import default_rtol
from gradcheck_cli.faults.diagnosis import diagnose_gradient
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Allowance, compare_entries
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.result import Diagnosis


def rights(problem: Problem) -> Iterator[MeasuredGradient]:
    """The right gradient of every input."""
    found: dict[str, NumericGradient] = {}

    def measured(name: str) -> NumericGradient:
        if name not in found:
            found[name] = measure_gradient(problem, name, Numeric())
        return found[name]

    for name in problem.inputs:
        yield MeasuredGradient(problem, name, measured, guess=True)


def diagnosis(right: MeasuredGradient, analytic: Any) -> Diagnosis:
    """What is told of a wrong gradient, whatever the effort."""
    rtol = default_rtol(right.problem)
    with np.errstate(all="ignore"):
        comparison = compare_entries(analytic, right.gradient, Allowance(rtol))
        return diagnose_gradient(right, comparison).diagnosis


def told(problem: Problem, change: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
    """What a check says of each gradient whose backward was changed: `GC103 it is …`."""

    def backward(inputs: Any, delta: Any) -> Any:
        found = dict(problem.backward(inputs, delta))
        return found | (change(found) or {})

    result = check(replace(problem, backward=backward))
    assert not any("please report" in note for note in result.notes), result.notes
    return {
        gradient.name: f"{gradient.diagnosis.code} {gradient.diagnosis.observation}".strip()
        for gradient in result.gradients
        if gradient.diagnosis is not None
    }
