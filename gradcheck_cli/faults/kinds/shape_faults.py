"""Faults that change the shape of a gradient: it is transposed, not summed, or summed too far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.faults.catalogue import describe_fault
from gradcheck_cli.faults.factors import name_factor
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.kinds.upstream_faults import list_upstream_sums
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Allowance, Comparison, Float, compare_entries
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.result import Code, Diagnosis
from gradcheck_cli.text import format_shape, join_words


def match_shape_fault(measured: MeasuredGradient, claimed: Any, allowance: Allowance) -> Diagnosis:
    """The diagnosis of a gradient that has another shape than its input."""
    array = np.asarray(claimed, dtype=np.float64)
    observation = f"it is {format_shape(array.shape)}, and its values are not the gradient's"
    for code, words, candidate, numeric in _list_candidates(measured, array):
        comparison = compare_entries(candidate, numeric, allowance)
        entries = comparison.analytic.size
        if not _is_telling(comparison):
            continue
        if _agrees(comparison):
            return describe_fault(code, words, comparison.over_largest(comparison.error), entries)
        by = name_factor(
            *fit_factor(comparison.analytic, numeric.value, comparison.allowed), measured.numbers
        )
        scaled = _replace_values(
            measured, by.value * numeric.value, abs(by.value) * numeric.uncertainty
        )
        again = compare_entries(candidate, scaled, allowance)
        if by.names and entries > 1 and _agrees(again):
            words = f"{words}, but for a factor: {by.text}"
            return describe_fault(code, words, again.over_largest(again.error), entries)
    return describe_fault(Code.OTHER_SHAPE, observation)


def _is_telling(comparison: Comparison) -> bool:
    """Whether an agreement would say something: all is finite, and not all is zero."""
    return bool(np.isfinite(comparison.error).all() and comparison.analytic.any())


def _agrees(comparison: Comparison) -> bool:
    return bool(np.all(comparison.error <= comparison.allowed))


def _list_candidates(
    measured: MeasuredGradient, array: Float
) -> Iterator[tuple[Code, str, Float, NumericGradient]]:
    """What an array of another shape may be: a code, words, and two gradients to compare."""
    gradient = measured.gradient
    shape = measured.shape if measured.whole else measured.gradient.shape
    if array.ndim > 1 and array.T.shape == shape:
        yield Code.TRANSPOSED, "it is the transpose of the numeric gradient", array.T, gradient
    yield from _list_jacobians(measured, array)
    if array.size == int(np.prod(shape)):
        observation = "its values are right, but not its shape"
        yield Code.RESHAPED, observation, array.reshape(shape), gradient
    for axes in _list_subsets(array.ndim):
        total = array.sum(axes)
        if total.size == int(np.prod(shape)):
            observation = f"its sum over {_describe_axes(axes)} is the numeric gradient"
            yield Code.NOT_SUMMED, observation, total.reshape(shape), gradient
    for name, x in measured.other_inputs.items():
        if x.shape == array.shape and measured.problem.cotangent is not None:
            observation = f"it is {measured.problem.label(name).gradient}"
            yield Code.GRADIENT_OF_ANOTHER, observation, array, measured.measure(name)
    if not measured.whole:
        return
    for axes in _list_subsets(len(shape)):
        total = measured.value.sum(axes)
        if (
            total.shape == array.shape
            or measured.value.sum(axes, keepdims=True).shape == array.shape
        ):
            count, uncertainty = measured.value.size / total.size, measured.uncertainty.sum(axes)
            for what, by in (("sum", 1.0), ("mean", 1.0 / count)):
                observation = (
                    f"it is the {what} of the numeric gradient over {_describe_axes(axes)}"
                )
                numeric = _replace_values(measured, by * total, by * uncertainty)
                yield Code.SUMMED, observation, array.reshape(total.shape), numeric
    for observation, total in list_upstream_sums(array, measured):
        yield (
            Code.SUMMED,
            f"it is {observation}",
            array,
            _replace_values(measured, total, np.zeros(total.shape)),
        )


def _list_jacobians(
    measured: MeasuredGradient, array: Float
) -> Iterator[tuple[Code, str, Float, NumericGradient]]:
    """The array may be a Jacobian with the inputs first, or only the diagonal of one."""
    gradient, axes = measured.gradient, measured.x.ndim
    if measured.problem.cotangent is not None or not measured.whole:
        return
    outputs = measured.value.ndim - axes
    turned = np.moveaxis(measured.value, range(outputs), range(axes, axes + outputs))
    if array.shape == turned.shape and outputs and axes:
        right = np.moveaxis(array, range(axes), range(outputs, outputs + axes))
        yield Code.TRANSPOSED, "it is the transpose: inputs × outputs", right, gradient
    if measured.shape == (array.size,) * 2 and array.ndim == 1:
        observation = "it is the diagonal of the Jacobian alone, without the zeros around"
        yield Code.RESHAPED, observation, np.diag(array), gradient


def _list_subsets(count: int) -> Iterable[tuple[int, ...]]:
    return [axes for size in range(1, count + 1) for axes in combinations(range(count), size)]


def _describe_axes(axes: Sequence[int]) -> str:
    return f"ax{'i' if len(axes) == 1 else 'e'}s {join_words([str(axis) for axis in axes])}"


def _replace_values(
    measured: MeasuredGradient, value: Float, uncertainty: Float
) -> NumericGradient:
    """The numeric gradient with other values, such as its sum over an axis."""
    nothing = np.zeros(np.shape(value), dtype=bool)
    return replace(
        measured.gradient,
        value=np.asarray(value),
        uncertainty=np.asarray(uncertainty),
        kink=nothing,
        low=np.asarray(value),
        high=np.asarray(value),
    )
