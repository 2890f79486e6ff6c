"""Gradients of another shape than their input: transposed, not summed, summed too far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.catalogue import told_of
from gradcheck_cli.faults.factors import factor, fitted
from gradcheck_cli.faults.measured_gradient import Right
from gradcheck_cli.faults.of_upstream import summed_wrongly
from gradcheck_cli.measure.compare import Comparison, compared
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.result import Code, Diagnosis
from gradcheck_cli.text import format_shape, join_words

Float = NDArray[np.float64]


def shape_diagnosed(right: Right, claimed: Any, rtol: float, atol: float) -> Diagnosis:
    """What became of a gradient that has another shape than its input."""
    array = np.asarray(claimed, dtype=np.float64)
    told = f"it is {format_shape(array.shape)}, and its values are not the gradient's"
    for code, words, candidate, numeric in _reshaped(right, array):
        found = compared(candidate, numeric, rtol, atol)
        entries = found.analytic.size
        if not _tells(found):
            continue
        if _fits(found):
            return told_of(code, words, found.over_largest(found.error), entries)
        by = factor(*fitted(found.analytic, numeric.value, found.allowed), right.numbers)
        scaled = _numeric(right, by.value * numeric.value, abs(by.value) * numeric.uncertainty)
        again = compared(candidate, scaled, rtol, atol)
        if by.names and entries > 1 and _fits(again):
            words = f"{words}, but for a factor: {by.shown}"
            return told_of(code, words, again.over_largest(again.error), entries)
    return told_of(Code.OTHER_SHAPE, told)


def _tells(found: Comparison) -> bool:
    """Whether there are values that could tell a gradient from another."""
    return bool(np.isfinite(found.error).all() and found.analytic.any())


def _fits(found: Comparison) -> bool:
    return bool(np.all(found.error <= found.allowed))


def _reshaped(right: Right, array: Float) -> Iterator[tuple[Code, str, Float, NumericGradient]]:
    """What an array of another shape may be: a code, words, and what to compare with what."""
    gradient = right.gradient
    shape = right.shape if right.whole else right.gradient.shape
    if array.ndim > 1 and array.T.shape == shape:
        yield Code.TRANSPOSED, "it is the transpose of the numeric gradient", array.T, gradient
    if array.size == int(np.prod(shape)):
        told = "its values are right, but not its shape"
        yield Code.RESHAPED, told, array.reshape(shape), gradient
    for axes in _subsets(array.ndim):
        total = array.sum(axes)
        if total.size == int(np.prod(shape)):
            told = f"its sum over {_axes(axes)} is the numeric gradient"
            yield Code.NOT_SUMMED, told, total.reshape(shape), gradient
    for name, x in right.others.items():
        if x.shape == array.shape and right.problem.cotangent is not None:
            told = f"it is {right.problem.label(name).gradient}"
            yield Code.GRADIENT_OF_ANOTHER, told, array, right.measured(name)
    if not right.whole:
        return
    for axes in _subsets(len(shape)):
        total = right.value.sum(axes)
        if total.shape == array.shape or right.value.sum(axes, keepdims=True).shape == array.shape:
            count, uncertainty = right.value.size / total.size, right.uncertainty.sum(axes)
            for what, by in (("sum", 1.0), ("mean", 1.0 / count)):
                told = f"it is the {what} of the numeric gradient over {_axes(axes)}"
                numeric = _numeric(right, by * total, by * uncertainty)
                yield Code.SUMMED, told, array.reshape(total.shape), numeric
    for told, total in summed_wrongly(array, right):
        yield Code.SUMMED, f"it is {told}", array, _numeric(right, total, np.zeros(total.shape))


def _subsets(count: int) -> Iterable[tuple[int, ...]]:
    return [axes for size in range(1, count + 1) for axes in combinations(range(count), size)]


def _axes(axes: Sequence[int]) -> str:
    return f"ax{'i' if len(axes) == 1 else 'e'}s {join_words([str(axis) for axis in axes])}"


def _numeric(right: Right, value: Float, uncertainty: Float) -> NumericGradient:
    """Something that follows from the numeric gradient, in its place."""
    nothing = np.zeros(np.shape(value), dtype=bool)
    return replace(
        right.gradient,
        value=np.asarray(value),
        uncertainty=np.asarray(uncertainty),
        kink=nothing,
        low=np.asarray(value),
        high=np.asarray(value),
    )
