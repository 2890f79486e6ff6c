"""Faults of a value that is used in several places: a branch that is left out, or counted twice."""

from __future__ import annotations

from collections.abc import Iterator

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison

NOTHING = 1e-9  # of the largest entry: a branch through which less flows is none


def fit_branches(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient without what flows through each inner value, with it alone, with it twice."""
    for stage in measured.inner:
        through = measured.contract(stage, stage.cotangent)
        whole = measured.value.ravel()[through.at]
        spread = measured.uncertainty.ravel()[through.at]
        least = NOTHING * max(abs(whole), default=0.0)
        rest = whole - through.value
        if max(abs(rest), default=0.0) <= least or max(abs(through.value), default=0.0) <= least:
            continue  # all of it flows through this value, or none
        where = stage.symbol.removeprefix("∂L/∂")
        for observation, value in (
            (f"it is the gradient without what flows through {where}", rest),
            (f"it is the part of the gradient that flows through {where} alone", through.value),
            (f"what flows through {where} is counted twice", whole + through.value),
        ):
            yield Injected(
                Values(value, spread + through.uncertainty, through.at),
                observation,
                choices=3.0 * len(measured.inner),
            )
