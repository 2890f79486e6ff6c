"""Faults of the arrays a rule works with: transposed, from before or after an update, added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, factor, fitted
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.right import Right, Values
from gradcheck_cli.faults.solving import solved
from gradcheck_cli.problem import Stage
from gradcheck_cli.purity import ELSEWHERE
from gradcheck_cli.verdict import Comparison

Float = NDArray[np.float64]

TYPICAL_PENALTY = 0.01  # the weight of a regulariser
TYPICAL_RATE = 0.01  # of an update
MOST_UNKNOWNS = 32  # entries of an input that is solved for
MOVED = 1e-6  # relative to the largest: by how much an entry differs
LINEAR = 1e-6  # to this a rate is known that is solved for
SMALL = 1e-4  # the rate at which the effect of an update is measured


def transposed(right: Right) -> Iterator[Injected]:
    """Another input, a square matrix, in the place of its transpose."""
    for name, x in right.others.items():
        if x.ndim == 2 and x.shape[0] == x.shape[1] > 1:
            same = f"{name} is symmetric" if np.array_equal(x, x.T) else ""
            told = f"it is the gradient for {name} transposed, so for a sum over its other axis"
            yield from _elsewhere(right, {name: x.T.copy()}, told, same)


def stale(right: Right) -> Iterator[Injected]:
    """Inputs from an earlier call: those of a call nearby, which every check makes first."""
    if right.problem.cotangent is None:
        return
    for name, x in right.problem.inputs.items():
        before = x * x.dtype.type(ELSEWHERE)
        same = f"{name} is zero" if np.array_equal(before, x) else ""
        told = f"it is the gradient for the {name} of an earlier call"
        yield from _elsewhere(right, {name: before}, told, same)


def updated(right: Right) -> Iterator[Injected]:
    """Another input after a step of gradient descent."""
    for name in right.others:
        yield from _updated(right, name, Factor(TYPICAL_RATE, ()))


def updated_before(right: Right, found: Comparison) -> Iterator[Injected]:
    """Another input after a step of gradient descent, of a size that is solved for."""
    for name, x in right.others.items():
        step = right.measured(name)
        if step.value.shape == x.shape:
            nearby = x - x.dtype.type(SMALL) * step.value
            for probe in _elsewhere(right, {name: nearby}, "", ""):
                at = probe.values.at
                change = (probe.values.value - right.value.ravel()[at]) / SMALL
                error = (found.analytic - right.value).ravel()[at]
                # What is not linear in the rate is seen by the gradient that is measured with it.
                rate, precision = fitted(error, change, found.allowed.ravel()[at])
                by = factor(rate, max(precision, LINEAR), {})
                yield from _updated(right, name, by)


def _updated(right: Right, name: str, rate: Factor) -> Iterator[Injected]:
    step, x = right.measured(name).value, right.problem.inputs[name]
    if step.shape == x.shape and step.any() and np.isfinite(rate.value) and rate.value > 0:
        size = float(f"{rate.value:.1e}") if rate.round else rate.value
        told = (
            f"it is the gradient for {name} − {rate.shown} · {right.problem.label(name).gradient}"
        )
        moved = (x - x.dtype.type(size) * step).astype(x.dtype)
        yield from _elsewhere(right, {name: moved}, told, "", fitted_parameters=rate.fitted)


def at_output(right: Right) -> Iterator[Injected]:
    """The derivative at the output, where the layer has the shape of its input."""
    for stage in right.stages[:1]:
        with np.errstate(all="ignore"):
            output = np.asarray(stage.forward(right.problem.inputs))
        if output.shape == right.x.shape and output.size > 1 and right.whole:
            same = "the output is the input" if np.array_equal(output, right.x) else ""
            told = "it is the gradient at the output in the place of the input"
            yield from _elsewhere(right, {right.name: output.astype(right.x.dtype)}, told, same)


def _elsewhere(
    right: Right,
    changed: Mapping[str, NDArray[Any]],
    told: str,
    same: str,
    fitted_parameters: int = 0,
) -> Iterator[Injected]:
    """The gradient with other inputs.

    Nothing where the forward does not take them, or where the gradient does not depend on them:
    then no rule for it uses them.
    """
    for stage in right.stages[:1]:
        values = _measured(right, stage, changed)
        if values is None:
            continue
        if not right.differs(values):
            graded = {
                name: (x * np.linspace(1.0, 2.0, x.size).reshape(x.shape)).astype(x.dtype)
                for name, x in changed.items()
            }
            probe = _measured(right, stage, graded) if same else None
            if probe is None or not right.differs(probe):
                continue
        yield Injected(values, told, same=same, fitted=fitted_parameters)


def _measured(right: Right, stage: Stage, changed: Mapping[str, NDArray[Any]]) -> Values | None:
    try:
        with np.errstate(all="ignore"):
            return right.elsewhere(stage, changed)
    except Exception:  # whatever the user's forward raises at inputs that they did not give
        return None


def function_for_slope(right: Right) -> Iterator[Injected]:
    """The function in the place of its derivative, where the layer has the shape of its input."""
    for stage in right.stages[:1]:
        if stage.cotangent.shape == right.x.shape and right.x.size > 1 and right.whole:
            with np.errstate(all="ignore"):
                output = np.asarray(stage.forward(right.problem.inputs), dtype=np.float64)
            told = f"it is {stage.symbol} times the output, f for f′"
            yield Injected(right.whole_values(stage.cotangent * output), told)


def diagonal(right: Right) -> Iterator[Injected]:
    """The diagonal of the Jacobian only, where it is square and has more."""
    for stage in right.stages[:1]:
        if stage.cotangent.shape != right.x.shape or right.x.size < 2 or not right.whole:
            continue
        jacobian = right.jacobian(stage)
        if len(jacobian.at) == right.x.size:
            delta = np.asarray(stage.cotangent, dtype=np.float64)
            value, uncertainty = (
                np.diag(part).reshape(right.shape)
                for part in (jacobian.value, jacobian.uncertainty)
            )
            yield Injected(
                right.whole_values(delta * value, np.abs(delta) * uncertainty),
                "it is the gradient as if output k depended on input k alone",
                same="output k depends on input k alone",
            )


def elementwise(right: Right) -> Iterator[Injected]:
    """The product, entry by entry, of an input and the upstream gradient."""
    for stage in right.stages[:1]:
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        for name, x in right.others.items():
            if right.whole and x.shape == delta.shape == right.shape and x.ndim > 1:
                told = f"it is {name} * {stage.symbol}, entry by entry"
                yield Injected(right.whole_values(x * delta), told)


def penalized(right: Right) -> Iterator[Injected]:
    """One percent of the input itself added."""
    yield _added(right, right.x, f" · {right.name}", Factor(TYPICAL_PENALTY, ()))


def term_added(right: Right, found: Comparison) -> Iterator[Injected]:
    """A multiple of the input, of its sign, or a constant added."""
    for array, shown in (
        (right.x, f" · {right.name}"),
        (np.sign(right.x), f" · sign({right.name})"),
        (np.ones(right.x.shape), ""),
    ):
        x = right.gradient.of(array)
        if x.shape != right.shape:
            return
        weight, precision = fitted(found.analytic - right.value, x, found.allowed)
        if weight != 0.0:
            yield _added(right, array, shown, factor(weight, precision, right.numbers))


def _added(right: Right, array: NDArray[Any], shown: str, weight: Factor) -> Injected:
    x = np.broadcast_to(right.gradient.of(array), right.shape).astype(np.float64)
    extra = weight.value > 0
    size = weight.shown.removeprefix("−")
    return Injected(
        right.whole_values(right.value + weight.value * x, right.uncertainty),
        f"it is the numeric gradient {'plus' if extra else 'minus'} {size}{shown}",
        same=f"{right.name} is zero" if not x.any() else "",
        fitted=weight.fitted,
        choices=weight.choices,
        cause=_cause(shown, extra),
    )


def _cause(shown: str, extra: bool) -> str:
    if not shown:
        return "a constant, such as an epsilon against divisions by zero, is added to the result"
    if extra:
        return "a regulariser is in the gradient that is not in the loss, or is there twice"
    return "a regulariser of the loss is missing in the gradient, or has the wrong sign"


def mirrored(right: Right) -> Iterator[Injected]:
    """The derivative at −x, where the layer has the shape of its input."""
    for stage in right.stages[:1]:
        if stage.cotangent.shape == right.x.shape and right.x.size > 1 and right.whole:
            same = "the input is zero" if not right.x.any() else ""
            yield from _elsewhere(right, {right.name: -right.x}, "it is the gradient at −x", same)


def another(right: Right, found: Comparison) -> Iterator[Injected]:
    """Another input with which the rule would give what it gave, where it can be solved.

    The gradient is taken for linear in it, as it is in bilinear layers; what is found is measured.
    """
    at = right.few
    for name, x in right.others.items():
        if not (right.stages and right.whole and 1 < x.size <= min(MOST_UNKNOWNS, len(at) - 1)):
            continue
        parts = _response(right, name, x)
        change = solved(parts, found, at, found.analytic - right.value) if len(parts) else None
        if change is None:
            continue
        other = (x + change.reshape(x.shape)).astype(x.dtype)
        differ = np.argwhere(np.abs(other - x) > MOVED * np.max(np.abs(x)))
        for first in differ[:1]:
            index = tuple(int(axis) for axis in first)
            told = (
                f"it is the gradient for another {name}: for {other[index]:.6g} at {list(index)} "
                f"in the place of {x[index]:.6g}, {len(differ)} of {x.size} entries differ"
            )
            yield from _elsewhere(right, {name: other}, told, "", fitted_parameters=x.size)


def _response(right: Right, name: str, x: NDArray[Any]) -> Float:
    """How the gradient changes with each entry of another input; empty where that is not known."""
    parts: list[Float] = []
    for index in range(x.size):
        moved = x.copy()
        moved.ravel()[index] += np.sqrt(np.mean(x * x)) or 1.0
        step = float(moved.ravel()[index] - x.ravel()[index])
        probe = _measured(right, right.stages[0], {name: moved})
        if probe is not None:
            parts.append((probe.value - right.value.ravel()[probe.at]) / step)
    return np.stack(parts) if len(parts) == x.size else np.empty((0, 0))
