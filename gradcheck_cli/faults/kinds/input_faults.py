"""Faults of inputs in a rule: one is transposed, left out, or from before or after an update."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import describe_solution, fit_weights
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.other_inputs import (
    claim_slopes,
    measure_gradient_at,
    take_slopes,
    use_inputs,
)
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import ELSEWHERE, Stage

TYPICAL_RATE = 0.01  # the learning rate in mutants
MOST_UNKNOWNS = 32  # entries of an input that is solved for; each takes a gradient
RATE_PRECISION, MOST_ITERATIONS = 1e-6, 6  # of Newton's method for the rate of an update
SAME_RATES = 4.0  # if two slopes give rates whose ratio is larger, there was no update
PROBING_RATE = 1e-4  # of an update whose effect is measured; small beside the rates in use

TWICE = "is counted twice, or a factor is missing beside it that is 1/2 here, such as 1/√4"


def transpose_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Another input, a square matrix, is used for its transpose."""
    for name, x in measured.other_inputs.items():
        if x.ndim == 2 and x.shape[0] == x.shape[1] > 1:
            same = f"{name} is symmetric" if np.array_equal(x, x.T) else ""
            observation = (
                f"it is the gradient with {name} in the place of {name}ᵀ, or the other way around"
            )
            yield from use_inputs(measured, {name: x.T.copy()}, observation, same)


def leave_out_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """An input is left out: zeros are used for one that is added, ones for one that multiplies."""
    for name, x in _list_added(measured):
        same = f"{name} is 0 everywhere" if not x.any() else ""
        observation = f"it is the gradient for {name} = 0 everywhere"
        for injected in use_inputs(measured, {name: np.zeros_like(x)}, observation, same):
            if injected.values.value.any():
                yield replace(
                    injected,
                    cause="the rule leaves out what this input brings: a bias that is added, an "
                    "earlier time step that comes through it",
                    next_step="look at where the forward uses it, and whether the backward does",
                )
    for name, x in measured.other_inputs.items():
        same = f"{name} is 1 everywhere" if np.all(x == 1) else ""
        observation = f"it is the gradient for {name} = 1 everywhere"
        yield from use_inputs(measured, {name: np.ones_like(x)}, observation, same)


def _list_added(measured: MeasuredGradient) -> Iterator[tuple[str, NDArray[Any]]]:
    """The other inputs, and the input itself if it is broadcast, as a bias is."""
    yield from measured.other_inputs.items()
    cotangent = measured.problem.cotangent
    if cotangent is not None and measured.x.size < cotangent.size:
        yield measured.name, measured.x


def negate_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """An input has another sign, or is counted twice."""
    for name, x in _list_added(measured):
        for by, what, cause in ((-1, "−", "has another sign"), (2, "2·", TWICE)):
            observation = f"it is the gradient for {what}{name} in the place of {name}"
            for injected in use_inputs(measured, {name: by * x}, observation, ""):
                yield replace(
                    injected,
                    cause=f"where the rule computes something anew, this input {cause}",
                    next_step="compare how forward and backward use this input",
                )


def transpose_or_reverse_input(
    measured: MeasuredGradient, comparison: Comparison
) -> Iterator[Injected]:
    """Another input is transposed, or reversed along an axis or along both of an image."""
    yield from transpose_input(measured)
    for name, x in measured.other_inputs.items():
        axes = [(axis,) for axis in range(x.ndim) if x.shape[axis] > 1]
        image = tuple(axis for axis in range(x.ndim)[-2:] if x.shape[axis] > 1)
        for some in [*axes, image] if len(image) == 2 else axes:
            along = " and ".join(f"axis {axis}" for axis in some)
            observation = f"it is the gradient for {name} reversed along {along}"
            yield from use_inputs(measured, {name: np.flip(x, some).copy()}, observation, "")


def use_earlier_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """An input comes from an earlier call; every check first calls the forward at nearby inputs."""
    if measured.problem.cotangent is None:
        return
    for name, x in measured.problem.inputs.items():
        before = x * x.dtype.type(ELSEWHERE)
        same = f"{name} is zero" if np.array_equal(before, x) else ""
        observation = f"it is the gradient for the {name} of an earlier call"
        yield from use_inputs(measured, {name: before}, observation, same)


def update_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Another input is used after a step of gradient descent."""
    for name in measured.other_inputs:
        yield from _step_input(measured, name, Factor(TYPICAL_RATE, ()))


def fit_update(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Another input is used after a step of gradient descent whose rate is solved for."""
    for name, x in measured.other_inputs.items():
        step = measured.measure(name).value
        for stage in measured.stages if step.shape == x.shape and step.any() else ():
            rate = _fit_rate(measured, stage, name, step)
            if rate is not None:
                yield from _step_input(measured, name, name_factor(rate, RATE_PRECISION, {}))


def _fit_rate(measured: MeasuredGradient, stage: Stage, name: str, step: Float) -> float | None:
    """The rate of an update of another input that explains the analytic gradient; None without one.

    By Newton's method for two slopes, with their derivative at the start, which is close enough at
    the rates in use.
    """
    x, claims = measured.problem.inputs[name], claim_slopes(measured, stage)[0]

    def move(rate: float) -> dict[str, NDArray[Any]]:
        return {name: (x - x.dtype.type(rate) * step).astype(x.dtype)}

    start, near = (take_slopes(measured, stage, inputs) for inputs in ({}, move(PROBING_RATE)))
    if start is None or near is None or not near.differs_from(start):
        return None
    change, here, rate = (near.value - start.value) / PROBING_RATE, start.value, 0.0
    alone = (claims - here) / change
    if not np.max(alone) < SAME_RATES * np.min(alone):
        return None
    for _ in range(MOST_ITERATIONS):
        more = float((claims - here) @ change / (change @ change))
        rate += more
        if abs(more) < RATE_PRECISION * rate:
            return rate
        found = np.isfinite(rate) and rate > 0
        after = take_slopes(measured, stage, move(rate), central=True) if found else None
        if after is None or _distance(claims, after.value) > _distance(claims, here):
            return None
        here = after.value
    return rate


def _distance(one: Float, other: Float) -> float:
    return float(np.sum(np.abs(one - other)))


def _step_input(measured: MeasuredGradient, name: str, rate: Factor) -> Iterator[Injected]:
    """Another input is used after a step of gradient descent of this rate."""
    step, x = measured.measure(name).value, measured.problem.inputs[name]
    if step.shape == x.shape and step.any() and np.isfinite(rate.value) and rate.value > 0:
        size = float(f"{rate.value:.1e}") if rate.is_round else rate.value
        observation = (
            f"it is the gradient for {name} − {rate.text} · {measured.problem.label(name).gradient}"
        )
        moved = (x - x.dtype.type(size) * step).astype(x.dtype)
        yield from use_inputs(measured, {name: moved}, observation, "", parameters=rate.parameters)


def find_other_input(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """An input has another sign, is counted twice, or is another array that is solved for."""
    yield from negate_input(measured)
    yield from solve_for_input(measured, comparison)


def solve_for_input(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for another input with which the rule would give the analytic gradient.

    The gradient must be affine in it, as in bilinear layers; that at the solution is measured.
    """
    at = measured.entries_elsewhere
    for name, x in measured.other_inputs.items():
        if not (measured.whole and 1 < x.size <= min(MOST_UNKNOWNS, len(at) - 1)):
            continue
        for stage in measured.stages:
            if not _is_affine(measured, stage, name, x):
                continue
            parts = _measure_response(measured, stage, name, x)
            change = (
                fit_weights(parts, comparison, at, comparison.analytic - measured.value)
                if len(parts)
                else None
            )
            if change is None:
                continue
            other = (x + change.reshape(x.shape)).astype(x.dtype)
            solution, differ = describe_solution(other, x)
            if differ:
                observation = f"it is the gradient for another {name}: {solution}"
                yield from use_inputs(measured, {name: other}, observation, "", parameters=x.size)


def _is_affine(measured: MeasuredGradient, stage: Stage, name: str, x: NDArray[Any]) -> bool:
    """Whether the gradient depends on another input, and is affine in it as two slopes show."""
    move = (np.sqrt(np.mean(x * x)) or 1.0) * np.linspace(1.0, 2.0, x.size).reshape(x.shape)
    slopes = [
        take_slopes(measured, stage, {name: (x + by * move).astype(x.dtype)}) for by in (0, 1, 2)
    ]
    here, near, far = slopes
    if here is None or near is None or far is None or not near.differs_from(here):
        return False
    middle = Values((here.value + far.value) / 2, (here.uncertainty + far.uncertainty) / 2, near.at)
    return not near.differs_from(middle)


def _measure_response(
    measured: MeasuredGradient, stage: Stage, name: str, x: NDArray[Any]
) -> Float:
    """∂gradient/∂(another input), entries of both; empty if the forward fails somewhere."""
    parts: list[Float] = []
    for index in range(x.size):
        moved = x.copy()
        moved.ravel()[index] += np.sqrt(np.mean(x * x)) or 1.0
        step = float(moved.ravel()[index] - x.ravel()[index])
        probe = measure_gradient_at(measured, stage, {name: moved})
        if probe is None:
            return np.empty((0, 0))
        parts.append((probe.value - measured.value.ravel()[probe.at]) / step)
    return np.stack(parts)
