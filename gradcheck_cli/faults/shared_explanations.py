"""What one gradient is wrong by, which another gradient of the same backward is wrong by, too.

A bias has a number a unit, so that a factor a unit could be anything there, and so could another
upstream gradient; that the weights have the same is evidence.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.catalogue import FAULTS, describe_fault
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.matching import LEAST_EVIDENCE
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Comparison, largest
from gradcheck_cli.problem import Stage
from gradcheck_cli.result import Code, Diagnosis

Float = NDArray[np.float64]

# Of the largest entry: how far off is what follows from an upstream gradient that was solved for.
SOLVED = 1e-7


def match_factors_of(
    measured: MeasuredGradient,
    comparison: Comparison,
    other: MeasuredGradient,
    of_other: Comparison,
) -> Diagnosis | None:
    """The diagnosis of a vector whose entries have the factors of another gradient's slices."""
    size = measured.value.size
    if not (measured.whole and other.whole) or size < 2 or max(measured.shape, default=0) != size:
        return None
    for axis, length in enumerate(other.shape):
        if length != size or other.value.size == size:
            continue
        fitted = [
            fit_factor(np.take(of_other.analytic, k, axis), np.take(other.value, k, axis),
                       np.take(of_other.allowed, k, axis))
            for k in range(size)
        ]  # fmt: skip
        factors, precisions = np.array(fitted).T
        value = measured.value.ravel()
        explained = factors * value
        analytic = comparison.analytic.ravel()
        allowed = comparison.allowed.ravel() + np.abs(factors) * (
            measured.uncertainty.ravel() + precisions * np.abs(value)
        )
        fits = _measure_fit(analytic, value, explained, allowed)
        if fits is None:
            continue
        rows = "rows" if axis == 0 else "columns" if axis == 1 else f"slices along axis {axis}"
        told = f"its entries have the factors that the {rows} of {other.label.gradient} have"
        diagnosis = describe_fault(Code.SLICES_SCALED, told, fits, size)
        return replace(diagnosis, cause=FAULTS[Code.SLICES_SCALED].cause)
    return None


def match_upstream_of(
    measured: MeasuredGradient, comparison: Comparison, stage: Stage, cotangent: Float
) -> tuple[float, int] | None:
    """How well the upstream gradient that another gradient is for explains this one.

    stage: where. Returns the largest error over the largest entry, and of how many entries; None
    where it does not explain them.
    """
    explained = measured.contract(stage, cotangent)
    at = explained.at
    allowed = comparison.allowed.ravel()[at] + explained.uncertainty
    allowed += SOLVED * largest(np.abs(explained.value))
    analytic, value = comparison.analytic.ravel()[at], measured.value.ravel()[at]
    fits = _measure_fit(analytic, value, explained.value, allowed)
    return None if fits is None else (fits, len(at))


def explain_as(diagnosis: Diagnosis, fits: float, entries: int) -> Diagnosis:
    """The diagnosis of another gradient, with the evidence of this one."""
    of_this = describe_fault(Code(diagnosis.code), diagnosis.observation, fits, entries)
    return replace(of_this, cause=diagnosis.cause, next_step=diagnosis.next_step)


def _measure_fit(analytic: Float, value: Float, explained: Float, allowed: Float) -> float | None:
    """The largest error of an explanation over the largest entry; None where it is none."""
    error, gap = np.abs(analytic - explained), np.abs(analytic - value)
    if not np.all(error <= allowed):
        return None
    digits = np.log10(gap / np.maximum(allowed, np.finfo(float).tiny))
    if np.sum(np.where(digits > 0, digits, 0.0)) < LEAST_EVIDENCE:
        return None
    peak = largest(np.abs(analytic))
    return largest(error) / peak if peak > 0 else 0.0
