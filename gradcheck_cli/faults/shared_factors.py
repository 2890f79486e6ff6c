"""Factors of the rows of one gradient, which another gradient of the same layer has, too.

A bias has a number a unit, so that a factor a unit could be anything there; that the weights have
the same factors is evidence.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.faults.catalogue import FAULTS, describe_fault
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.matching import LEAST_EVIDENCE
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Comparison, largest
from gradcheck_cli.result import Code, Diagnosis


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
        error, gap = np.abs(analytic - explained), np.abs(analytic - value)
        if not np.all(error <= allowed):
            continue
        digits = np.log10(gap / np.maximum(allowed, np.finfo(float).tiny))
        if np.sum(np.where(digits > 0, digits, 0.0)) < LEAST_EVIDENCE:
            continue
        rows = "rows" if axis == 0 else "columns" if axis == 1 else f"slices along axis {axis}"
        told = f"its entries have the factors that the {rows} of {other.label.gradient} have"
        peak = largest(np.abs(analytic))
        fits = largest(error) / peak if peak > 0 else 0.0
        diagnosis = describe_fault(Code.SLICES_SCALED, told, fits, size)
        return replace(diagnosis, cause=FAULTS[Code.SLICES_SCALED].cause)
    return None
