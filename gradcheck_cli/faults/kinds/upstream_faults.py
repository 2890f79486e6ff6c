"""Faults of the upstream gradient δ of a rule: it is left out, squared, averaged or another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import describe_solution, fit_weights
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import Stage, no_stages

Change = Callable[[Float], Float]

SUM_CAUSE = (
    "the sum runs over another axis, or what is summed lacks a factor, such as the input that the "
    "upstream gradient is multiplied by"
)
# Over the largest entry of δ: a larger solution is only possible behind saturated units, and is not
# what a backward has.
LARGEST_SOLVED = 1e4
MOST_UNKNOWNS = 256  # entries of an upstream gradient that is solved for; more entries are measured


def list_stages(measured: MeasuredGradient) -> Iterator[Stage]:
    """The stages at which another upstream gradient may explain the wrong gradient."""
    return filter(measured.may_have_other_upstream, _list_stages_with_upstream(measured))


def _list_stages_with_upstream(measured: MeasuredGradient) -> Iterator[Stage]:
    """The stages with an upstream gradient that a backward is handed, which a loss is not."""
    for stage in measured.stages:
        handed = stage.cotangent.size > 1 or np.any(stage.cotangent != 1)
        if handed or measured.problem.stages is not no_stages:
            yield stage


def _change_upstream(
    measured: MeasuredGradient, change: Change, observation: str, choices: float = 1.0
) -> Iterator[Injected]:
    """The gradient with a changed upstream gradient, for each stage.

    observation: where it has `δ`, the symbol of the stage is put in.
    """
    for stage in list_stages(measured):
        yield change_stage(measured, stage, change, observation, choices)


def change_stage(
    measured: MeasuredGradient, stage: Stage, change: Change, observation: str, choices: float = 1.0
) -> Injected:
    """The gradient with a changed upstream gradient at one stage."""
    delta, symbol = np.asarray(stage.cotangent, dtype=np.float64), stage.symbol
    values = measured.contract(stage, change(delta))
    same = f"{symbol} is the same with it" if np.array_equal(change(delta), delta) else ""
    return Injected(
        values,
        observation
        if observation.startswith("it is")
        else f"it is the gradient for {observation.replace('δ', symbol)}",
        same=same,
        choices=choices,
        upstream=(stage, change(delta)),
    )


def replace_upstream_by_ones(measured: MeasuredGradient) -> Iterator[Injected]:
    """Ones are used for the upstream gradient."""

    def ones(delta: Float) -> Float:
        """Zeros of the gradient of an inner value stay: nothing depends on these entries."""
        return np.where((delta != 0) | (not measured.inner), 1.0, 0.0)

    yield from _change_upstream(measured, ones, "ones in the place of δ")


def square_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The square of the upstream gradient is used."""
    yield from _change_upstream(measured, np.square, "δ² in the place of δ")


def distort_upstream(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The square, the sign or the absolute value of the upstream gradient is used."""
    yield from square_upstream(measured)
    yield from _change_upstream(measured, np.sign, "the sign of δ in its place")
    yield from _change_upstream(measured, np.abs, "|δ| in the place of δ")


def transpose_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The transpose of a square upstream gradient is used."""
    for stage in list_stages(measured):
        shape = stage.cotangent.shape
        if len(shape) == 2 and shape[0] == shape[1] > 1:
            yield change_stage(measured, stage, np.transpose, "δᵀ in the place of δ")


def average_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The mean of the upstream gradient over the samples is used, or subtracted from it."""
    for stage, axis, _ in list_sample_axes(measured):

        def mean(delta: Float, axis: int = axis) -> Float:
            return np.broadcast_to(delta.mean(axis, keepdims=True), delta.shape)

        def centred(delta: Float, axis: int = axis) -> Float:
            return np.asarray(delta - delta.mean(axis, keepdims=True))

        observation = "the mean of δ over the samples in the place of δ"
        yield change_stage(measured, stage, mean, observation)
        yield change_stage(measured, stage, centred, "δ without its mean over the samples")


def list_sample_axes(measured: MeasuredGradient) -> Iterator[tuple[Stage, int, int]]:
    """The stages with several samples, with the axis and the number of the samples."""
    for stage in list_stages(measured):
        axis = stage.sample_axis
        if axis is not None and stage.cotangent.shape[axis] > 1:
            yield stage, axis, stage.cotangent.shape[axis]


def solve_for_upstream(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for the upstream gradient with which the rule would give the analytic gradient."""
    for stage in list_stages(measured):
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        if not 1 < delta.size <= MOST_UNKNOWNS:
            continue
        jacobian = measured.measure_jacobian(stage)
        if len(jacobian.at) <= delta.size:
            continue
        target = measured.subtract_around(stage, comparison.analytic)
        other = fit_weights(jacobian.value, comparison, jacobian.at, target)
        if other is None or np.max(np.abs(other)) > LARGEST_SOLVED * np.max(np.abs(delta)):
            continue
        other = other.reshape(delta.shape)
        text, differ = describe_upstream(stage, delta, other)
        if differ:
            yield Injected(
                measured.contract(stage, other),
                f"it is the gradient {text}",
                parameters=delta.size,
                upstream=(stage, other),
            )


def describe_upstream(stage: Stage, delta: Float, other: Float) -> tuple[str, int]:
    """An upstream gradient that was solved for in words, and how many of its entries differ."""
    solution, differ = describe_solution(other, delta)
    return f"for another upstream gradient than {stage.symbol}: {solution}", differ


def sum_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient is the sum of the upstream gradient over another axis than that of samples."""
    if measured.whole and measured.value.size > 1:
        for stage in _list_stages_with_upstream(measured):
            for axis, total in _sum_over_axes(stage, measured.shape):
                if axis != stage.sample_axis:
                    observation = f"it is the sum of {stage.symbol} over axis {axis}"
                    yield Injected(measured.whole_values(total), observation, cause=SUM_CAUSE)


def list_upstream_sums(claimed: Any, measured: MeasuredGradient) -> Iterator[tuple[str, Float]]:
    """The sums of the upstream gradient over each axis that have the shape of the claim."""
    for stage in measured.declared:
        for axis, total in _sum_over_axes(stage, np.shape(claimed)):
            yield f"the sum of {stage.symbol} over axis {axis}", total


def _sum_over_axes(stage: Stage, shape: tuple[int, ...]) -> Iterator[tuple[int, Float]]:
    """The sums of an upstream gradient over one axis that have this shape, each with its axis."""
    delta = np.asarray(stage.cotangent, dtype=np.float64)
    for axis in range(delta.ndim):
        for total in (delta.sum(axis), delta.sum(axis, keepdims=True)):
            if total.shape == shape and delta.shape[axis] > 1:
                yield axis, total
