"""Faults of the arrays a rule works with: transposed, left out, from before or after an update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor, fit_weights
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.measure.purity import ELSEWHERE
from gradcheck_cli.problem import Stage

Float = NDArray[np.float64]

TYPICAL_RATE = 0.01  # the learning rate in mutants
NUDGED = 1e-4  # of an input: how far it is moved to see whether the gradient moves, too
SAME_RATIO = 0.01  # within which ratios of slopes to claims are the same; kinks and steps move them
MOST_UNKNOWNS = 32  # entries of an input that is solved for; the gradient is measured for each
SMALLEST_MOVE = 1e-6  # relative to the largest entry: by how much an entry of another input differs
RATE_PRECISION, MOST_ITERATIONS = 1e-6, 6  # of Newton's method for the rate of an update
PROBING_RATE = 1e-4  # at which the effect of an update is measured; small beside the rates in use


def transpose_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Another input, a square matrix, in the place of its transpose."""
    for name, x in measured.others.items():
        if x.ndim == 2 and x.shape[0] == x.shape[1] > 1:
            same = f"{name} is symmetric" if np.array_equal(x, x.T) else ""
            observation = (
                f"it is the gradient with {name} in the place of {name}ᵀ, or the other way around"
            )
            yield from measure_elsewhere(measured, {name: x.T.copy()}, observation, same)


def leave_out_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Zeros in the place of an input, which is added; ones in that of another, which multiplies."""
    for name, x in _list_added(measured):
        same = f"{name} is 0 everywhere" if not x.any() else ""
        observation = f"it is the gradient for {name} = 0 everywhere"
        for injected in measure_elsewhere(measured, {name: np.zeros_like(x)}, observation, same):
            if injected.values.value.any():
                yield replace(
                    injected,
                    cause="the rule leaves out what this input brings: a bias that is added, an "
                    "earlier time step that comes through it",
                    next_step="look at where the forward uses it, and whether the backward does",
                )
    for name, x in measured.others.items():
        same = f"{name} is 1 everywhere" if np.all(x == 1) else ""
        observation = f"it is the gradient for {name} = 1 everywhere"
        yield from measure_elsewhere(measured, {name: np.ones_like(x)}, observation, same)


def _list_added(measured: MeasuredGradient) -> Iterator[tuple[str, NDArray[Any]]]:
    """The other inputs; the input itself, too, where it is broadcast, as a bias."""
    yield from measured.others.items()
    cotangent = measured.problem.cotangent
    if cotangent is not None and measured.x.size < cotangent.size:
        yield measured.name, measured.x


def negate_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Minus an input, and twice an input, in its place."""
    for name, x in _list_added(measured):
        for by, what in ((-1, "−"), (2, "2·")):
            observation = f"it is the gradient for {what}{name} in the place of {name}"
            for injected in measure_elsewhere(measured, {name: by * x}, observation, ""):
                yield replace(
                    injected,
                    cause="where the rule computes something anew, this input has another sign, "
                    "or is counted twice",
                    next_step="compare how forward and backward use this input",
                )


def transpose_or_reverse_input(
    measured: MeasuredGradient, comparison: Comparison
) -> Iterator[Injected]:
    """Another input transposed, or reversed along an axis, or along both of an image."""
    yield from transpose_input(measured)
    for name, x in measured.others.items():
        axes = [(axis,) for axis in range(x.ndim) if x.shape[axis] > 1]
        image = tuple(axis for axis in range(x.ndim)[-2:] if x.shape[axis] > 1)
        for some in [*axes, image] if len(image) == 2 else axes:
            along = " and ".join(f"axis {axis}" for axis in some)
            observation = f"it is the gradient for {name} reversed along {along}"
            yield from measure_elsewhere(measured, {name: np.flip(x, some).copy()}, observation, "")


def use_earlier_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Inputs from an earlier call: those of a call nearby, which every check makes first."""
    if measured.problem.cotangent is None:
        return
    for name, x in measured.problem.inputs.items():
        before = x * x.dtype.type(ELSEWHERE)
        same = f"{name} is zero" if np.array_equal(before, x) else ""
        observation = f"it is the gradient for the {name} of an earlier call"
        yield from measure_elsewhere(measured, {name: before}, observation, same)


def update_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """Another input after a step of gradient descent."""
    for name in measured.others:
        yield from _step_input(measured, name, Factor(TYPICAL_RATE, ()))


def fit_update(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Another input after a step of gradient descent, of a size that is solved for."""
    for name, x in measured.others.items():
        step = measured.measure(name).value
        for stage in measured.stages if step.shape == x.shape and step.any() else ():
            rate = _fit_rate(measured, stage, comparison, name, step)
            if rate is not None:
                yield from _step_input(measured, name, name_factor(rate, RATE_PRECISION, {}))


def _fit_rate(
    measured: MeasuredGradient, stage: Stage, comparison: Comparison, name: str, step: Float
) -> float | None:
    """The size of a step of another input that gives the analytic gradient, by Newton's method.

    The derivative is that at the start, which is near enough for the rates in use.
    """
    x, at = measured.problem.inputs[name], measured.few
    allowed = comparison.allowed.ravel()[at]
    analytic, start = comparison.analytic.ravel()[at], measured.value.ravel()[at]

    def step_by(rate: float) -> Float | None:
        moved = (x - x.dtype.type(rate) * step).astype(x.dtype)
        values = measured.measure_elsewhere(stage, {name: moved})
        return values.value if values is not None else None

    near = step_by(PROBING_RATE)
    if near is None:
        return None
    change, here, rate = (near - start) / PROBING_RATE, start, 0.0
    for _ in range(MOST_ITERATIONS):
        more, _precision = fit_factor(analytic - here, change, allowed)
        rate += more
        after = step_by(rate) if np.isfinite(rate) and rate > 0 else None
        if after is None or np.sum(np.abs(analytic - after)) > np.sum(np.abs(analytic - here)):
            return None
        here = after
        if abs(more) < RATE_PRECISION * rate:
            break
    return rate


def _step_input(measured: MeasuredGradient, name: str, rate: Factor) -> Iterator[Injected]:
    step, x = measured.measure(name).value, measured.problem.inputs[name]
    if step.shape == x.shape and step.any() and np.isfinite(rate.value) and rate.value > 0:
        size = float(f"{rate.value:.1e}") if rate.is_round else rate.value
        observation = (
            f"it is the gradient for {name} − {rate.text} · {measured.problem.label(name).gradient}"
        )
        moved = (x - x.dtype.type(size) * step).astype(x.dtype)
        yield from measure_elsewhere(
            measured, {name: moved}, observation, "", parameters=rate.parameters
        )


def measure_elsewhere(
    measured: MeasuredGradient,
    changed: Mapping[str, NDArray[Any]],
    observation: str,
    same: str,
    parameters: int = 0,
) -> Iterator[Injected]:
    """The gradient with other inputs.

    Nothing where the forward does not take them, or where the gradient does not depend on them:
    then no rule for it uses them.
    """
    for stage in measured.stages:
        if not _may_fit(measured, stage, changed):
            continue
        values = measured.measure_elsewhere(stage, changed)
        if values is None:
            continue
        if not measured.differs_from(values):
            graded = {
                name: (x * np.linspace(1.0, 2.0, x.size).reshape(x.shape)).astype(x.dtype)
                for name, x in changed.items()
            }
            probe = measured.measure_elsewhere(stage, graded) if same else None
            if probe is None or not measured.differs_from(probe):
                continue
        discrete = measured.claimed is not None and _jumps(measured, stage, changed, values)
        yield Injected(values, observation, same=same, parameters=parameters, discrete=discrete)


def _jumps(
    measured: MeasuredGradient, stage: Stage, changed: Mapping[str, Any], values: Values
) -> bool:
    """Whether the gradient is the same where these inputs are a little different, as by masks."""
    nudged = {
        name: (x * (1 + NUDGED * np.linspace(1.0, 2.0, x.size).reshape(x.shape))).astype(x.dtype)
        for name, x in changed.items()
        if name != measured.name
    }
    if not nudged or not any(x.any() for x in nudged.values()):
        return False
    beside = measured.measure_elsewhere(stage, {**changed, **nudged})
    return beside is not None and not values.differs_from(beside)


def _may_fit(measured: MeasuredGradient, stage: Stage, changed: Mapping[str, Any]) -> bool:
    """Whether two slopes at other inputs may be the wrong gradient's, but for a factor.

    They take four forwards, and rule out most of what all entries would be measured for.
    """
    claimed, inputs = measured.claimed, {**measured.problem.inputs, **changed}
    if claimed is None or not measured.whole or not claimed.smooth.all():
        return True
    x, delta = inputs[measured.name], np.asarray(stage.cotangent, dtype=np.float64)
    step = np.cbrt(np.finfo(x.dtype).eps) * (np.sqrt(np.mean(np.square(x))) or 1.0)
    random, slopes = np.random.default_rng(x.size), []
    forward = measured.effort.count(stage.forward)
    turned = [claimed.analytic]
    if x.ndim == 2 and x.shape[0] == x.shape[1]:
        turned.append(claimed.analytic.T)
    claims = np.empty((2, len(turned)))
    for row in claims:
        along = random.choice([-1.0, 1.0], x.shape)
        with suppress(Exception):  # what code of the user raises at other inputs
            ends = [
                np.asarray(
                    forward({**inputs, measured.name: (x + by * step * along).astype(x.dtype)})
                )
                for by in (1.0, -1.0)
            ]
            slopes.append(float(np.sum(delta * (ends[0] - ends[1]))) / (2 * step))
        row[:] = [np.sum(one * along) for one in turned]
    if len(slopes) < 2 or not np.isfinite(slopes).all():
        return True
    crossed = slopes[0] * claims[1], slopes[1] * claims[0]
    close = np.abs(crossed[0] - crossed[1]) <= SAME_RATIO * (abs(crossed[0]) + abs(crossed[1]))
    return bool(np.any(close))


def find_other_input(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Another sign or twice another input in its place, or one that is solved for."""
    yield from negate_input(measured)
    yield from solve_for_input(measured, comparison)


def solve_for_input(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Solve for another input with which the rule would give the analytic gradient.

    The gradient is taken for linear in it, as it is in bilinear layers; the solution is measured.
    """
    at = measured.few
    for name, x in measured.others.items():
        if not (measured.whole and 1 < x.size <= min(MOST_UNKNOWNS, len(at) - 1)):
            continue
        for stage in measured.stages:
            parts = _measure_response(measured, stage, name, x)
            change = (
                fit_weights(parts, comparison, at, comparison.analytic - measured.value)
                if len(parts)
                else None
            )
            if change is None:
                continue
            other = (x + change.reshape(x.shape)).astype(x.dtype)
            differ = np.argwhere(np.abs(other - x) > SMALLEST_MOVE * np.max(np.abs(x)))
            for first in differ[:1]:
                index = tuple(int(axis) for axis in first)
                observation = (
                    f"it is the gradient for another {name}: for {other[index]:.6g} at "
                    f"{list(index)} in the place of {x[index]:.6g}, {len(differ)} of {x.size} "
                    "entries differ"
                )
                yield from measure_elsewhere(
                    measured, {name: other}, observation, "", parameters=x.size
                )


def _measure_response(
    measured: MeasuredGradient, stage: Stage, name: str, x: NDArray[Any]
) -> Float:
    """∂gradient/∂(another input), entries × entries; empty where it cannot be measured."""
    parts: list[Float] = []
    for index in range(x.size):
        moved = x.copy()
        moved.ravel()[index] += np.sqrt(np.mean(x * x)) or 1.0
        step = float(moved.ravel()[index] - x.ravel()[index])
        probe = measured.measure_elsewhere(stage, {name: moved})
        if probe is None:
            return np.empty((0, 0))
        parts.append((probe.value - measured.value.ravel()[probe.at]) / step)
    return np.stack(parts)
