"""Faults of the arrays a rule works with: transposed, from before or after an update, added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, factor, fitted
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import Right
from gradcheck_cli.faults.solving import solved
from gradcheck_cli.measure.compare import Comparison
from gradcheck_cli.measure.purity import ELSEWHERE
from gradcheck_cli.problem import Stage, no_stages

Float = NDArray[np.float64]

LEAST_ENTRIES = 3  # from which a term that was added can be told
TYPICAL_PENALTY = 0.01  # the weight of a regulariser
TYPICAL_RATE = 0.01  # of an update
MOST_UNKNOWNS = 32  # entries of an input that is solved for
MOVED = 1e-6  # relative to the largest: by how much an entry differs
LINEAR, ITERATIONS = 1e-6, 6  # to this a rate is solved for, in so many iterations at most
SMALL = 1e-4  # the rate at which the effect of an update is measured


def transposed(right: Right) -> Iterator[Injected]:
    """Another input, a square matrix, in the place of its transpose."""
    for name, x in right.others.items():
        if x.ndim == 2 and x.shape[0] == x.shape[1] > 1:
            same = f"{name} is symmetric" if np.array_equal(x, x.T) else ""
            told = (
                f"it is the gradient with {name} in the place of {name}ᵀ, or the other way around"
            )
            yield from elsewhere(right, {name: x.T.copy()}, told, same)


def left_out(right: Right) -> Iterator[Injected]:
    """Ones in the place of another input."""
    for name, x in right.others.items():
        same = f"{name} is 1 everywhere" if np.all(x == 1) else ""
        told = f"it is the gradient for {name} = 1 everywhere"
        yield from elsewhere(right, {name: np.ones_like(x)}, told, same)


def flipped(right: Right, found: Comparison) -> Iterator[Injected]:
    """Another input transposed, or reversed along an axis."""
    yield from transposed(right)
    for name, x in right.others.items():
        for axis in range(x.ndim):
            if x.shape[axis] > 1:
                told = f"it is the gradient for {name} reversed along axis {axis}"
                yield from elsewhere(right, {name: np.flip(x, axis).copy()}, told, "")


def stale(right: Right) -> Iterator[Injected]:
    """Inputs from an earlier call: those of a call nearby, which every check makes first."""
    if right.problem.cotangent is None:
        return
    for name, x in right.problem.inputs.items():
        before = x * x.dtype.type(ELSEWHERE)
        same = f"{name} is zero" if np.array_equal(before, x) else ""
        told = f"it is the gradient for the {name} of an earlier call"
        yield from elsewhere(right, {name: before}, told, same)


def updated(right: Right) -> Iterator[Injected]:
    """Another input after a step of gradient descent."""
    for name in right.others:
        yield from _updated(right, name, Factor(TYPICAL_RATE, ()))


def updated_before(right: Right, found: Comparison) -> Iterator[Injected]:
    """Another input after a step of gradient descent, of a size that is solved for."""
    for name, x in right.others.items():
        step = right.measured(name).value
        for stage in right.stages if step.shape == x.shape and step.any() else ():
            rate = _solved_rate(right, stage, found, name, step)
            if rate is not None:
                yield from _updated(right, name, factor(rate, LINEAR, {}))


def _solved_rate(
    right: Right, stage: Stage, found: Comparison, name: str, step: Float
) -> float | None:
    """The size of a step of another input that gives the analytic gradient, by Newton's method.

    The derivative is that at the start: what is found is near enough for it.
    """
    x, at = right.problem.inputs[name], right.few
    allowed = found.allowed.ravel()[at]
    analytic, start = found.analytic.ravel()[at], right.value.ravel()[at]

    def measured(rate: float) -> Float | None:
        moved = (x - x.dtype.type(rate) * step).astype(x.dtype)
        values = right.elsewhere(stage, {name: moved})
        return values.value if values is not None else None

    near = measured(SMALL)
    if near is None:
        return None
    change, here, rate = (near - start) / SMALL, start, 0.0
    for _ in range(ITERATIONS):
        more, _precision = fitted(analytic - here, change, allowed)
        rate += more
        after = measured(rate) if np.isfinite(rate) and rate > 0 else None
        if after is None or np.sum(np.abs(analytic - after)) > np.sum(np.abs(analytic - here)):
            return None
        here = after
        if abs(more) < LINEAR * rate:
            break
    return rate


def _updated(right: Right, name: str, rate: Factor) -> Iterator[Injected]:
    step, x = right.measured(name).value, right.problem.inputs[name]
    if step.shape == x.shape and step.any() and np.isfinite(rate.value) and rate.value > 0:
        size = float(f"{rate.value:.1e}") if rate.round else rate.value
        told = (
            f"it is the gradient for {name} − {rate.shown} · {right.problem.label(name).gradient}"
        )
        moved = (x - x.dtype.type(size) * step).astype(x.dtype)
        yield from elsewhere(right, {name: moved}, told, "", fitted_parameters=rate.fitted)


def elsewhere(
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
    for stage in right.stages:
        values = right.elsewhere(stage, changed)
        if values is None:
            continue
        if not right.differs(values):
            graded = {
                name: (x * np.linspace(1.0, 2.0, x.size).reshape(x.shape)).astype(x.dtype)
                for name, x in changed.items()
            }
            probe = right.elsewhere(stage, graded) if same else None
            if probe is None or not right.differs(probe):
                continue
        yield Injected(values, told, same=same, fitted=fitted_parameters)


def diagonal(right: Right) -> Iterator[Injected]:
    """The diagonal of the Jacobian only, where it is square and has more."""
    for stage in right.declared if right.problem.stages is no_stages else ():
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
    for stage in right.stages:
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        for name, x in right.others.items():
            if right.whole and x.shape == delta.shape == right.shape and x.ndim > 1:
                told = f"it is {name} * {stage.symbol}, entry by entry"
                yield Injected(right.whole_values(x * delta), told)


def penalized(right: Right) -> Iterator[Injected]:
    """One percent of the input itself added."""
    if right.value.size == right.gradient.of(right.x).size:
        yield _added(right, right.x, f" · {right.name}", Factor(TYPICAL_PENALTY, ()), extra=True)


def term_added(right: Right, found: Comparison) -> Iterator[Injected]:
    """A multiple of the input, of its sign, of the upstream gradient, or a constant added."""
    terms = [
        (right.x, f" · {right.name}"),
        (np.ones(right.x.shape), ""),
        (np.sign(right.x), f" · sign({right.name})"),
    ]
    terms += [
        (stage.cotangent, f" · {stage.symbol}")
        for stage in right.declared[:1]
        if stage.cotangent.shape == right.x.shape
    ]
    for array, shown in terms:
        x = right.gradient.of(np.asarray(array))
        if x.shape != right.shape or x.size < LEAST_ENTRIES:
            return
        weight, precision = fitted(found.analytic - right.value, x, found.allowed)
        if weight != 0.0:
            size = factor(abs(weight), precision, right.numbers)
            yield _added(right, array, shown, size, extra=weight > 0)
    yield from _factor_and_term(right, found)


def _factor_and_term(right: Right, found: Comparison) -> Iterator[Injected]:
    """A factor and a multiple of the input, as where a mean is taken of one of them alone."""
    x = right.gradient.of(right.x)
    if x.shape != right.shape or x.size <= LEAST_ENTRIES:
        return
    parts = np.stack([right.value.ravel(), np.asarray(x, dtype=np.float64).ravel()])
    weights = solved(parts, found, np.arange(x.size), found.analytic)
    if weights is None or np.min(np.abs(weights)) == 0.0:
        return
    of_gradient, of_input = (factor(float(weight), LINEAR**2, right.numbers) for weight in weights)
    value = of_gradient.value * right.value + of_input.value * x
    yield Injected(
        right.whole_values(value, abs(of_gradient.value) * right.uncertainty),
        f"it is {of_gradient.shown} times the numeric gradient and {of_input.shown} · {right.name}",
        fitted=of_gradient.fitted + of_input.fitted,
        choices=of_gradient.choices * of_input.choices,
        cause="a regulariser and the rest have different factors: one of them has a 1/n too many",
    )


def _added(right: Right, array: NDArray[Any], shown: str, size: Factor, *, extra: bool) -> Injected:
    x = np.broadcast_to(right.gradient.of(array), right.shape).astype(np.float64)
    weight = size.value if extra else -size.value
    return Injected(
        right.whole_values(right.value + weight * x, right.uncertainty),
        f"it is the numeric gradient {'plus' if extra else 'minus'} {size.shown}{shown}",
        same=f"{right.name} is zero" if not x.any() else "",
        fitted=size.fitted,
        choices=size.choices,
        cause=_cause(shown, extra),
    )


def _cause(shown: str, extra: bool) -> str:
    if not shown:
        return "a constant, such as an epsilon against divisions by zero, is added to the result"
    if shown.strip(" ·") in ("δ", "Δ", "the upstream gradient"):
        return (
            "a path of the input around the layer, such as a skip connection, is missing or twice"
        )
    if extra:
        return "a regulariser is in the gradient that is not in the loss, or is there twice"
    return "a regulariser of the loss is missing in the gradient, or has the wrong sign"


def another(right: Right, found: Comparison) -> Iterator[Injected]:
    """Another input with which the rule would give what it gave, where it can be solved.

    The gradient is taken for linear in it, as it is in bilinear layers; what is found is measured.
    """
    at = right.few
    for name, x in right.others.items():
        if not (right.whole and 1 < x.size <= min(MOST_UNKNOWNS, len(at) - 1)):
            continue
        for stage in right.stages:
            parts = _response(right, stage, name, x)
            change = solved(parts, found, at, found.analytic - right.value) if len(parts) else None
            if change is None:
                continue
            other = (x + change.reshape(x.shape)).astype(x.dtype)
            differ = np.argwhere(np.abs(other - x) > MOVED * np.max(np.abs(x)))
            for first in differ[:1]:
                index = tuple(int(axis) for axis in first)
                told = (
                    f"it is the gradient for another {name}: for {other[index]:.6g} at "
                    f"{list(index)} in the place of {x[index]:.6g}, {len(differ)} of {x.size} "
                    "entries differ"
                )
                yield from elsewhere(right, {name: other}, told, "", fitted_parameters=x.size)


def _response(right: Right, stage: Stage, name: str, x: NDArray[Any]) -> Float:
    """How the gradient changes with each entry of another input; empty where that is not known."""
    parts: list[Float] = []
    for index in range(x.size):
        moved = x.copy()
        moved.ravel()[index] += np.sqrt(np.mean(x * x)) or 1.0
        step = float(moved.ravel()[index] - x.ravel()[index])
        probe = right.elsewhere(stage, {name: moved})
        if probe is None:
            return np.empty((0, 0))
        parts.append((probe.value - right.value.ravel()[probe.at]) / step)
    return np.stack(parts)
