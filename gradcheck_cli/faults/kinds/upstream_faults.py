"""Faults of the upstream gradient δ a rule works with: left out, squared, some samples only."""

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
# Over the largest entry: a larger one is what saturated units hide, and nobody's upstream gradient.
LARGEST_SOLVED = 1e4
MOST_UNKNOWNS = 256  # entries of an upstream gradient that is solved for; fewer than measured ones


def list_stages(measured: MeasuredGradient) -> Iterator[Stage]:
    """The stages whose upstream gradient a rule works with, and another may explain what is wrong.

    Not a loss, where it is 1.
    """
    return filter(measured.may_have_other_upstream, _list_handed(measured))


def _list_handed(measured: MeasuredGradient) -> Iterator[Stage]:
    for stage in measured.stages:
        # That of a loss is 1, and is handed to nobody.
        handed = stage.cotangent.size > 1 or np.any(stage.cotangent != 1)
        if handed or measured.problem.stages is not no_stages:
            yield stage


def _change_upstream(
    measured: MeasuredGradient, change: Change, observation: str, choices: float = 1.0
) -> Iterator[Injected]:
    """The gradient with a changed upstream gradient, in whose words `δ` is its symbol."""
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
    """Ones in the place of the upstream gradient."""

    def ones(delta: Float) -> Float:
        """Where a value inside is not used at all, nobody multiplies by anything."""
        return np.where((delta != 0) | (not measured.inner), 1.0, 0.0)

    yield from _change_upstream(measured, ones, "ones in the place of δ")


def square_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The square of the upstream gradient in its place."""
    yield from _change_upstream(measured, np.square, "δ² in the place of δ")


def distort_upstream(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The square, the sign or the size of the upstream gradient in its place."""
    yield from square_upstream(measured)
    yield from _change_upstream(measured, np.sign, "the sign of δ in its place")
    yield from _change_upstream(measured, np.abs, "|δ| in the place of δ")


def transpose_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The transpose of the upstream gradient in its place, where it is square."""
    for stage in list_stages(measured):
        shape = stage.cotangent.shape
        if len(shape) == 2 and shape[0] == shape[1] > 1:
            yield change_stage(measured, stage, np.transpose, "δᵀ in the place of δ")


def average_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The upstream gradient replaced by its mean over the samples, or with that subtracted."""
    for stage, axis, _ in list_sample_axes(measured):

        def mean(delta: Float, axis: int = axis) -> Float:
            return np.broadcast_to(delta.mean(axis, keepdims=True), delta.shape)

        def centred(delta: Float, axis: int = axis) -> Float:
            return np.asarray(delta - delta.mean(axis, keepdims=True))

        observation = "the mean of δ over the samples in the place of δ"
        yield change_stage(measured, stage, mean, observation)
        yield change_stage(measured, stage, centred, "δ without its mean over the samples")


def list_sample_axes(measured: MeasuredGradient) -> Iterator[tuple[Stage, int, int]]:
    """The stages whose upstream gradient has several samples, along which axis, and how many."""
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
        told, differ = describe_upstream(stage, delta, other)
        if differ:
            yield Injected(
                measured.contract(stage, other),
                f"it is the gradient {told}",
                parameters=delta.size,
                upstream=(stage, other),
            )


def describe_upstream(stage: Stage, delta: Float, other: Float) -> tuple[str, int]:
    """What an upstream gradient that was solved for stands for, and how many entries differ."""
    solution, differ = describe_solution(other, delta)
    return f"for another upstream gradient than {stage.symbol}: {solution}", differ


def sum_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The sum of the upstream gradient over another axis than that of samples."""
    if measured.whole and measured.value.size > 1:
        for stage in _list_handed(measured):
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
    """The sums of an upstream gradient that have this shape, and over which axis they are."""
    delta = np.asarray(stage.cotangent, dtype=np.float64)
    for axis in range(delta.ndim):
        for total in (delta.sum(axis), delta.sum(axis, keepdims=True)):
            if total.shape == shape and delta.shape[axis] > 1:
                yield axis, total
