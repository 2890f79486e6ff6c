"""Faults of a part of a gradient: rows, a block or masked entries are zero, or have a factor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import Region, describe_indices, find_region
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison

# A slice that was never written has at least LEAST_ZEROS zeros, and the rest at most this share.
LEAST_ZEROS, MOST_OTHER_ZEROS = 4, 0.1
MASK_CAUSE = (
    "a mask, or one branch of a derivative by cases, is wrong where {}: a comparison is too strict "
    "or reversed, or a slope of this branch is missing"
)
LEAST_MASKED = 3  # wrong entries that show a mask; fewer may fit one by chance


def zero_parts(measured: MeasuredGradient) -> Iterator[Injected]:
    """A row, a column or a block is left at zero."""
    if not measured.whole or measured.value.size < 2:
        return
    shape = measured.shape
    for axis in (0, len(shape) - 1)[: min(2, len(shape))]:
        if shape[axis] > 1:
            yield _scale_region(measured, Region(((axis, (0,)),)), Factor(0.0, ()))
    if len(shape) > 1 and min(shape[-2:]) > 2:
        halves = tuple(
            (axis, tuple(range(shape[axis] // 2))) for axis in (len(shape) - 2, len(shape) - 1)
        )
        yield _scale_region(measured, Region(halves), Factor(0.0, ()))


def fit_part_scale(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """A region of the gradient, or all wrong entries together, have a factor or are zero."""
    count, mask = int(comparison.wrong.sum()), _find_mask(measured, comparison.wrong)
    if mask:
        by = fit_part_factor(measured, comparison, comparison.wrong)
        yield _scale_entries(measured, comparison, by, mask)
    region = find_region(comparison.wrong) if measured.whole else None
    if region is not None:
        yield _scale_region(
            measured, region, fit_part_factor(measured, comparison, region.mask(measured.shape))
        )
    if not mask and 1 < count < comparison.wrong.size:
        by = fit_part_factor(measured, comparison, comparison.wrong)
        yield _scale_entries(measured, comparison, by, "")


def _scale_entries(
    measured: MeasuredGradient, comparison: Comparison, by: Factor, mask: str
) -> Injected:
    """All wrong entries have a factor; mask: a condition that just these meet, if there is one."""
    count = int(comparison.wrong.sum())
    observation = f"the {count} wrong entries are all {_describe_factor(by)}, the rest is right"
    return Injected(
        _scale_where(measured, comparison.wrong, by),
        f"{observation}: they are those where {mask}" if mask else observation,
        parameters=by.parameters,
        choices=by.choices,
        cause=MASK_CAUSE.format(mask) if mask else "",
        next_step=f"compute the derivative by hand where {mask}" if mask else "",
    )


def _find_mask(measured: MeasuredGradient, wrong: NDArray[np.bool_]) -> str:
    """A condition on the input that holds just at the wrong entries; empty if there is none."""
    x = measured.x
    if x.shape != wrong.shape or not LEAST_MASKED <= wrong.sum() < wrong.size:
        return ""
    for condition, mask in (
        (f"{measured.name} is 0", x == 0),
        (f"{measured.name} < 0", x < 0),
        (f"{measured.name} > 0", x > 0),
        (f"{measured.name} ≤ 0", x <= 0),
        (f"{measured.name} ≥ 0", x >= 0),
    ):
        if np.array_equal(mask, wrong):
            return condition
    return ""


def fit_part_factor(
    measured: MeasuredGradient, comparison: Comparison, inside: NDArray[np.bool_]
) -> Factor:
    """The factor between the analytic and the numeric gradient in a part of them."""
    value, precision = fit_factor(
        comparison.analytic[inside], measured.value[inside], comparison.allowed[inside]
    )
    return Factor(0.0, ()) if value == 0.0 else name_factor(value, precision, measured.numbers)


def describe_zero_slices(measured: MeasuredGradient, comparison: Comparison) -> str:
    """Name the slices of exact zeros, if the gradient is wrong elsewhere, too; else empty."""
    analytic, wrong = comparison.analytic, comparison.wrong
    if not measured.whole or analytic.ndim < 2:
        return ""
    for axis, size in enumerate(analytic.shape):
        others = tuple(other for other in range(analytic.ndim) if other != axis)
        zero = ~analytic.any(axis=others) & wrong.any(axis=others)
        rest = np.delete(analytic, np.flatnonzero(zero), axis)
        if not 0 < zero.sum() < size or analytic.size // size < LEAST_ZEROS:
            continue
        if np.mean(rest == 0) <= MOST_OTHER_ZEROS and np.delete(wrong, zero, axis).mean() > 0.5:
            where = describe_indices(axis, tuple(map(int, np.flatnonzero(zero))), analytic.shape)
            return f"{where} {'is' if zero.sum() == 1 else 'are'} zero, and the rest is wrong, too"
    return ""


def _describe_factor(by: Factor) -> str:
    return "zero" if by.value == 0.0 else f"{by.text} times the numeric gradient"


def _scale_where(measured: MeasuredGradient, inside: NDArray[np.bool_], by: Factor) -> Values:
    return measured.right * np.where(inside, by.value, 1.0).ravel()


def _scale_region(measured: MeasuredGradient, region: Region, by: Factor) -> Injected:
    """The gradient with a factor in a region."""
    inside, where = region.mask(measured.shape), region.describe(measured.shape)
    verb = "are" if region.many else "is"
    zero = by.value == 0.0 and not measured.value[inside].any()
    return Injected(
        _scale_where(measured, inside, by),
        f"{where} {verb} {_describe_factor(by)}, the rest is right",
        same=f"{where} of the gradient {verb} zero anyway" if zero else "",
        part=where if by.value == 0.0 else "",
        parameters=by.parameters,
        choices=by.choices * region.choices,
    )
