"""Faults of the upstream gradient δ a rule works with: left out, squared, some samples only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_weights
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import describe_numbers
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.problem import Stage, no_stages

Float = NDArray[np.float64]
Change = Callable[[Float], Float]

MOST_SWAPPED = 12  # samples of which all pairs are tried in each other's place: 66 candidates
MOST_PARTS = 64  # samples or outputs whose weights are solved for; each is a column to solve
WEIGHT_PRECISION = 1e-4  # how far a solved weight may be from 0 or 1
SMALLEST_MOVE = 1e-6  # relative to the largest entry: by how much an entry of another δ differs
MOST_UNKNOWNS = 256  # entries of an upstream gradient that is solved for; fewer than measured ones


def _list_stages(measured: MeasuredGradient) -> Iterator[Stage]:
    """The stages whose upstream gradient a rule works with; not a loss, where it is 1."""
    for stage in measured.stages:
        # That of a loss is 1, and is handed to nobody.
        handed = stage.cotangent.size > 1 or np.any(stage.cotangent != 1)
        if handed or measured.problem.stages is not no_stages:
            yield stage


def _change_upstream(
    measured: MeasuredGradient, change: Change, observation: str, choices: float = 1.0
) -> Iterator[Injected]:
    """The gradient with a changed upstream gradient, in whose words `δ` is its symbol."""
    for stage in _list_stages(measured):
        yield _change_stage(measured, stage, change, observation, choices)


def _change_stage(
    measured: MeasuredGradient, stage: Stage, change: Change, observation: str, choices: float = 1.0
) -> Injected:
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
    )


def replace_upstream_by_ones(measured: MeasuredGradient) -> Iterator[Injected]:
    """Ones in the place of the upstream gradient."""
    yield from _change_upstream(measured, np.ones_like, "ones in the place of δ")


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
    for stage in _list_stages(measured):
        shape = stage.cotangent.shape
        if len(shape) == 2 and shape[0] == shape[1] > 1:
            yield _change_stage(measured, stage, np.transpose, "δᵀ in the place of δ")


def average_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The upstream gradient replaced by its mean over the samples, or with that subtracted."""
    for stage, axis, _ in _list_sample_axes(measured):

        def mean(delta: Float, axis: int = axis) -> Float:
            return np.broadcast_to(delta.mean(axis, keepdims=True), delta.shape)

        def centred(delta: Float, axis: int = axis) -> Float:
            return np.asarray(delta - delta.mean(axis, keepdims=True))

        observation = "the mean of δ over the samples in the place of δ"
        yield _change_stage(measured, stage, mean, observation)
        yield _change_stage(measured, stage, centred, "δ without its mean over the samples")


def leave_out_samples(measured: MeasuredGradient) -> Iterator[Injected]:
    """The first sample only, and all but the last."""
    for stage, axis, size in _list_sample_axes(measured):
        first = np.zeros(size)
        first[0] = 1.0
        yield _weight_slices(measured, stage, axis, first)
        if size > 2:
            yield _weight_slices(measured, stage, axis, np.ones(size) - first[::-1])


def fit_samples(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for the samples that a wrong gradient counts; where entries are too few, try some."""
    for stage, axis, _ in _list_sample_axes(measured):
        shares = _fit_shares(measured, comparison, stage, axis)
        if shares is None:
            yield from leave_out_samples(measured)
        elif not np.all(shares == 1.0):
            yield _weight_slices(measured, stage, axis, shares)


def leave_out_outputs(measured: MeasuredGradient) -> Iterator[Injected]:
    """All outputs but the last; of several outputs that are joined, all but each."""
    yield from _leave_out_joined_outputs(measured)
    for stage, axis in list(_list_output_axes(measured))[-1:]:
        shares = np.ones(stage.cotangent.shape[axis])
        shares[-1] = 0.0
        yield _weight_slices(measured, stage, axis, shares)


def fit_outputs(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for the outputs that a wrong gradient counts; where entries are too few, try some."""
    yield from _leave_out_joined_outputs(measured)
    for stage, axis in _list_output_axes(measured):
        shares = _fit_shares(measured, comparison, stage, axis)
        if shares is None:
            count = stage.cotangent.shape[axis]
            for left_out in range(min(count, MOST_PARTS)):
                weights = (np.arange(count) != count - 1 - left_out).astype(np.float64)
                yield _weight_slices(measured, stage, axis, weights, float(count))
        elif not np.all(shares == 1.0):
            yield _weight_slices(measured, stage, axis, shares)


def _leave_out_joined_outputs(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient without each of several outputs that are joined in one."""
    for stage in measured.declared[:1]:
        ends = np.cumsum(measured.problem.parts)
        for place, end in enumerate(ends):
            kept = np.ones(stage.cotangent.shape)
            kept[end - measured.problem.parts[place] : end] = 0.0
            observation = f"δ without that of output {place}"
            yield _change_stage(measured, stage, partial(np.multiply, kept), observation)


def _list_sample_axes(measured: MeasuredGradient) -> Iterator[tuple[Stage, int, int]]:
    for stage in _list_stages(measured):
        axis = stage.sample_axis
        if axis is not None and stage.cotangent.shape[axis] > 1:
            yield stage, axis, stage.cotangent.shape[axis]


def _list_output_axes(measured: MeasuredGradient) -> Iterator[tuple[Stage, int]]:
    for stage in _list_stages(measured):
        shape = stage.cotangent.shape
        for axis in range(len(shape)):
            if axis != stage.sample_axis and shape[axis] > 1:
                yield stage, axis


def _weight_slices(
    measured: MeasuredGradient, stage: Stage, axis: int, shares: Float, choices: float = 0.0
) -> Injected:
    """The gradient for δ with its slices along an axis weighted by 0 or 1.

    choices: how many such weights were tried; 0 where they were solved for, among all there are.
    """
    shape = [1] * stage.cotangent.ndim
    shape[axis] = len(shares)
    kept, lost = np.flatnonzero(shares), np.flatnonzero(shares == 0)
    part = "sample" if axis == stage.sample_axis else "output"
    some = kept if len(kept) <= len(lost) else lost
    named = f"{part}{'s' * (len(some) != 1)} {describe_numbers(tuple(map(int, some)))}"
    along = f" along axis {axis}" if len(shape) > 1 and part == "output" else ""
    observation = f"{named}{along} of δ only" if some is kept else f"δ without {named}{along}"
    choices = choices or 2.0 ** min(len(shares), 300)
    return _change_stage(
        measured, stage, lambda delta: delta * shares.reshape(shape), observation, choices
    )


def _fit_shares(
    measured: MeasuredGradient, comparison: Comparison, stage: Stage, axis: int
) -> Float | None:
    """The weight, 0 or 1, of each slice of δ along an axis; None where no such weights fit."""
    size = stage.cotangent.shape[axis]
    jacobian = measured.measure_jacobian(stage)
    if not size <= min(MOST_PARTS, len(jacobian.at) - 1):
        return None
    parts = []
    for index in range(size):
        mask = np.zeros(stage.cotangent.shape)
        np.moveaxis(mask, axis, 0)[index] = 1.0
        parts.append((stage.cotangent * mask).ravel() @ jacobian.value)
    weights = fit_weights(np.stack(parts), comparison, jacobian.at, comparison.analytic)
    if weights is None or not np.any(weights):
        return None
    # A factor common to all weights is fitted afterwards.
    shares = weights / weights[np.argmax(np.abs(weights))]
    whole = np.round(shares)
    if np.max(np.abs(shares - whole)) > WEIGHT_PRECISION or not set(whole) <= {0.0, 1.0}:
        return None
    return np.asarray(whole)


def reorder_samples(measured: MeasuredGradient) -> Iterator[Injected]:
    """Samples reversed, and shifted by one."""
    for stage, axis, size in _list_sample_axes(measured):
        yield _reorder(measured, stage, axis, np.arange(size)[::-1], "in reversed order")
        if size > 2:
            yield _reorder(measured, stage, axis, np.roll(np.arange(size), 1), "shifted by 1")


def search_sample_order(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Samples reversed, shifted, and any two in each other's place."""
    for stage, axis, size in _list_sample_axes(measured):
        every = np.arange(size)
        yield _reorder(measured, stage, axis, every[::-1], "in reversed order")
        for shift in range(1, min(size, MOST_PARTS)):
            by = shift if shift <= size // 2 else shift - size
            observation = f"shifted by {by}".replace("-", "−")
            yield _reorder(measured, stage, axis, np.roll(every, shift), observation)
        for first in range(min(size, MOST_SWAPPED)):
            for second in range(first):
                order = every.copy()
                order[[first, second]] = second, first
                observation = f"with samples {second} and {first} swapped"
                yield _reorder(measured, stage, axis, order, observation)


def _reorder(
    measured: MeasuredGradient, stage: Stage, axis: int, order: NDArray[np.intp], observation: str
) -> Injected:
    choices = float(len(order) ** 2)
    return _change_stage(
        measured,
        stage,
        lambda delta: np.take(delta, order, axis),
        f"the samples of δ {observation}",
        choices,
    )


def solve_for_upstream(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for the upstream gradient with which the rule would give the analytic gradient."""
    for stage in _list_stages(measured):
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        if not 1 < delta.size <= MOST_UNKNOWNS:
            continue
        jacobian = measured.measure_jacobian(stage)
        if len(jacobian.at) <= delta.size:
            continue
        other = fit_weights(jacobian.value, comparison, jacobian.at, comparison.analytic)
        if other is None:
            continue
        other = other.reshape(delta.shape)
        differ = np.argwhere(np.abs(other - delta) > SMALLEST_MOVE * np.max(np.abs(delta)))
        for first in differ[:1]:
            index = tuple(int(axis) for axis in first)
            yield Injected(
                jacobian.contract(other.ravel()),
                f"it is the gradient for another upstream gradient than {stage.symbol}: for "
                f"{_round_off(other[index], other):.6g} at {list(index)} in the place of "
                f"{delta[index]:.6g}, {len(differ)} of {delta.size} entries differ",
                parameters=delta.size,
                upstream=(stage, other),
            )


def _round_off(entry: float, solved: Float) -> float:
    """An entry of what was solved for; 0 where it is rounding."""
    return float(entry) if abs(entry) > SMALLEST_MOVE * np.max(np.abs(solved)) else 0.0


def sum_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The sum of the upstream gradient over another axis than that of samples."""
    if measured.whole and measured.value.size > 1 and not measured.inner:
        for stage in _list_stages(measured):
            for axis, total in _sum_over_axes(stage, measured.shape):
                if axis != stage.sample_axis:
                    observation = f"it is the sum of {stage.symbol} over axis {axis}"
                    yield Injected(measured.whole_values(total), observation)


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
            if total.shape == shape:
                yield axis, total
