"""Faults of samples and outputs: some are not counted, or samples are in another order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_weights
from gradcheck_cli.faults.kinds.upstream_faults import change_stage, list_sample_axes, list_stages
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import describe_numbers
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import Stage

MOST_SWAPPED = 12  # samples among which every pair is swapped: 66 candidates
MOST_PARTS = 64  # samples or outputs whose weights are solved for; each is an unknown
WEIGHT_PRECISION = 1e-4  # how far a solved weight may be from 0 or 1, by uncertainty


def leave_out_samples(measured: MeasuredGradient) -> Iterator[Injected]:
    """Only the first sample counts, or all but the last."""
    for stage, axis, size in list_sample_axes(measured):
        first = np.zeros(size)
        first[0] = 1.0
        yield _weight_slices(measured, stage, axis, first)
        if size > 2:
            yield _weight_slices(measured, stage, axis, np.ones(size) - first[::-1])


def fit_samples(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for the samples that a wrong gradient counts; with too few entries, try some."""
    for stage, axis, _ in list_sample_axes(measured):
        shares = _fit_shares(measured, comparison, stage, axis)
        if shares is None:
            yield from leave_out_samples(measured)
        elif not np.all(shares == 1.0):
            yield _weight_slices(measured, stage, axis, shares)


def leave_out_outputs(measured: MeasuredGradient) -> Iterator[Injected]:
    """The last output does not count, or one of several outputs that are joined in one."""
    yield from _leave_out_joined_outputs(measured)
    for stage, axis in list(_list_output_axes(measured))[-1:]:
        shares = np.ones(stage.cotangent.shape[axis])
        shares[-1] = 0.0
        yield _weight_slices(measured, stage, axis, shares)


def fit_outputs(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for the outputs that a wrong gradient counts; with too few entries, try some."""
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
    """One of several outputs that are joined in one does not count."""
    for stage in measured.declared[:1]:
        ends = np.cumsum(measured.problem.parts)
        for place, end in enumerate(ends):
            kept = np.ones(stage.cotangent.shape)
            kept[end - measured.problem.parts[place] : end] = 0.0
            observation = f"δ without that of output {place}"
            yield change_stage(measured, stage, partial(np.multiply, kept), observation)


def _list_output_axes(measured: MeasuredGradient) -> Iterator[tuple[Stage, int]]:
    """The stages with several outputs along an axis other than that of samples, with that axis."""
    for stage in list_stages(measured):
        shape = stage.cotangent.shape
        for axis in range(len(shape)):
            if axis != stage.sample_axis and shape[axis] > 1:
                yield stage, axis


def _weight_slices(
    measured: MeasuredGradient, stage: Stage, axis: int, shares: Float, choices: float = 0.0
) -> Injected:
    """The gradient for δ with its slices along an axis weighted by 0 or 1.

    choices: how many such weights were tried; 0: they were solved for, so all are possible.
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
    changed = change_stage(
        measured, stage, lambda delta: delta * shares.reshape(shape), observation, choices
    )
    return replace(changed, part=f"{observation} {lost}")


def _fit_shares(
    measured: MeasuredGradient, comparison: Comparison, stage: Stage, axis: int
) -> Float | None:
    """The weight, 0 or 1, of each slice of δ along an axis; None if no such weights fit."""
    size = stage.cotangent.shape[axis]
    jacobian = measured.measure_jacobian(stage)
    if not size <= min(MOST_PARTS, len(jacobian.at) - 1):
        return None
    parts = []
    for index in range(size):
        mask = np.zeros(stage.cotangent.shape)
        np.moveaxis(mask, axis, 0)[index] = 1.0
        parts.append((stage.cotangent * mask).ravel() @ jacobian.value)
    target = measured.subtract_around(stage, comparison.analytic)
    weights = fit_weights(np.stack(parts), comparison, jacobian.at, target)
    if weights is None or not np.any(weights):
        return None
    # A common factor is fitted later, so weights are taken relative to the largest.
    shares = weights / weights[np.argmax(np.abs(weights))]
    whole = np.round(shares)
    if np.max(np.abs(shares - whole)) > WEIGHT_PRECISION or not set(whole) <= {0.0, 1.0}:
        return None
    return np.asarray(whole)


def reorder_samples(measured: MeasuredGradient) -> Iterator[Injected]:
    """Samples are reversed, or shifted by one."""
    for stage, axis, size in list_sample_axes(measured):
        yield _reorder(measured, stage, axis, np.arange(size)[::-1], "in reversed order")
        if size > 2:
            yield _reorder(measured, stage, axis, np.roll(np.arange(size), 1), "shifted by 1")


def search_sample_order(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Samples are reversed or shifted, or two are swapped."""
    for stage, axis, size in list_sample_axes(measured):
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
    """The gradient for δ with its samples in another order."""
    choices = float(len(order) ** 2)
    return change_stage(
        measured,
        stage,
        lambda delta: np.take(delta, order, axis),
        f"the samples of δ {observation}",
        choices,
    )
