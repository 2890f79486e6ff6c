"""Faults of an activation's derivative: it is missing, taken at the output, or used twice.

A layer with a known activation lists the usual mistakes for ∂L/∂z. In a layer of the user's own
the activation is guessed from the outputs y = f(z). A gradient that uses g for f′(z) is the one for
the upstream gradient δ g / f′(z).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.invertible_activations import ACTIVATIONS, InvertibleActivation
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.other_inputs import measure_jacobian_at, use_inputs
from gradcheck_cli.faults.values import Values
from gradcheck_cli.layers.mistaken_slopes import (
    ANOTHER,
    AT_OUTPUT,
    AT_UPSTREAM,
    BY_INPUT,
    DIAGONAL,
    FUNCTION,
    MISSING,
    OPPOSITE,
    TWICE,
)
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import Stage, no_stages

Change = Callable[[Float], Float]

OBSERVATIONS = {
    MISSING: "it is the gradient without f′(z)",
    AT_OUTPUT: "it is the gradient with f′(y) for f′(z)",
    AT_UPSTREAM: "it is the gradient with f′(δ) for f′(z): the slope or mask is that of the "
    "upstream gradient",
    OPPOSITE: "it is the gradient with f′(−z) for f′(z)",
    FUNCTION: "it is the gradient with f(z) for f′(z)",
    TWICE: "it is the gradient with f′(z)² for f′(z)",
    DIAGONAL: "it is the gradient with y (1 − y) for the Jacobian of a softmax y",
    BY_INPUT: "it is the gradient with z in the place of y in a formula of f′ by y",
}
AROUND_CAUSE = (
    "only what flows around the layer, as in a skip connection, is there, and not what flows "
    "through it"
)
# In root mean squares of the input or outputs: a move that switches the units of a relu on.
SWITCHING_DISTANCE = 10.0


# Formulas for f′ in y, each right for one activation.
FORMULAS: dict[str, Change] = {
    "y (1 − y)": lambda y: y * (1 - y),
    "1 − y²": lambda y: 1 - y * y,
    "1 − y": lambda y: 1 - y,
    "1(y > 0)": lambda y: (y > 0).astype(np.float64),
}


def use_mistake(key: str) -> Callable[[MeasuredGradient], Iterator[Injected]]:
    """Make the injection of one mistake for ∂L/∂z that stages list."""

    def inject(measured: MeasuredGradient) -> Iterator[Injected]:
        for stage in measured.stages:
            if key in stage.mistaken and measured.may_have_other_upstream(stage):
                changed = np.asarray(stage.mistaken[key], dtype=np.float64)
                same = np.array_equal(changed, stage.cotangent)
                where = f", at {stage.symbol}" if measured.inner else ""
                yield Injected(
                    measured.contract(stage, changed),
                    f"{OBSERVATIONS[key]}{where}",
                    same="both are the same at all entries of this check" if same else "",
                )

    return inject


def use_other_slope(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The derivative of another activation is used."""
    yield from guess_other_slope(measured)
    for stage in filter(measured.may_have_other_upstream, measured.stages):
        for key, changed in stage.mistaken.items():
            if key.startswith(ANOTHER):
                observation = (
                    f"it is the gradient with the derivative of {key.removeprefix(ANOTHER)}"
                )
                flat = np.asarray(changed, dtype=np.float64)
                yield Injected(measured.contract(stage, flat), observation)


def guess_mistake(key: str) -> Callable[[MeasuredGradient], Iterator[Injected]]:
    """Make the injection of one mistake where the outputs may be an activation's, at z = f⁻¹(y)."""

    def inject(measured: MeasuredGradient) -> Iterator[Injected]:
        for stage in filter(measured.may_have_other_upstream, _list_plain_stages(measured)):
            y = measured.read(stage)
            with np.errstate(all="ignore"):
                for guess in _list_guesses(stage, y):
                    if np.all(guess.contains(y)):
                        changed = (
                            stage.cotangent
                            * _mistake_slope(key, guess, y)
                            / guess.slope_by_output(y)
                        )
                        name = _name_output(measured, stage)
                        observation = f"{OBSERVATIONS[key]}, if {name} is a {guess.name}"
                        if np.isfinite(changed).all():
                            yield Injected(measured.contract(stage, changed), observation)

    return inject


def _list_guesses(stage: Stage, y: Float) -> list[InvertibleActivation]:
    """The activations that a stage may be. If the code names one, as in `np.tanh(…)`, only that."""
    written = re.match(r"\((?:\w+\.)*(\w+)\(", stage.name)
    known = written is not None and hasattr(np, written[1])
    if y.shape != stage.cotangent.shape:
        return []
    return [guess for guess in ACTIVATIONS if not known or guess.name in stage.name]


def _mistake_slope(key: str, guess: InvertibleActivation, y: Float) -> Float:
    """What is used for f′(z) by mistake."""
    slope, z = guess.slope_by_output(y), guess.inverse(y)
    return {
        MISSING: np.ones_like(y),
        AT_OUTPUT: guess.slope_by_output(guess.value(y)),
        OPPOSITE: slope,
        FUNCTION: y,
        TWICE: slope**2,
        BY_INPUT: guess.slope_by_output(z),
    }[key]


def guess_other_slope(measured: MeasuredGradient) -> Iterator[Injected]:
    """The formula in y of another activation's derivative is used."""
    for stage in filter(measured.may_have_other_upstream, _list_plain_stages(measured)):
        y = measured.read(stage)
        for guess in _list_guesses(stage, y):
            for written, formula in FORMULAS.items() if np.all(guess.contains(y)) else ():
                changed = stage.cotangent * formula(y) / guess.slope_by_output(y)
                observation = (
                    f"it is the gradient with {written} for f′, if "
                    f"{_name_output(measured, stage)} is a {guess.name}"
                )
                if np.isfinite(changed).all():
                    yield Injected(measured.contract(stage, changed), observation)


def pass_upstream(measured: MeasuredGradient) -> Iterator[Injected]:
    """The upstream gradient itself is returned, in a layer with outputs of the input's shape."""
    for stage in _list_same_shaped_stages(measured):
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        same = np.array_equal(delta, measured.value)
        yield Injected(
            measured.whole_values(delta),
            f"it is {stage.symbol} itself, as it came in",
            same="the derivative is 1 everywhere" if same else "",
            cause="" if _is_elementwise(measured, stage) else AROUND_CAUSE,
        )


def use_function_for_slope(measured: MeasuredGradient) -> Iterator[Injected]:
    """The function is used for its derivative, in a layer that works entry by entry."""
    for stage in _list_elementwise_stages(measured):
        observation = f"it is {stage.symbol} times the output, f for f′"
        value = stage.cotangent * measured.read(stage)
        yield Injected(measured.whole_values(value), observation)


def evaluate_at_output(measured: MeasuredGradient) -> Iterator[Injected]:
    """The derivative is taken at the output, in a layer that works entry by entry."""
    for stage in _list_elementwise_stages(measured):
        output = measured.read(stage).astype(measured.x.dtype)
        same = "the output is the input" if np.array_equal(output, measured.x) else ""
        observation = "it is the gradient at the output in the place of the input"
        yield from use_inputs(measured, {measured.name: output}, observation, same)


def mirror_input(measured: MeasuredGradient) -> Iterator[Injected]:
    """The derivative is taken at −x, in a layer that works entry by entry."""
    for _ in _list_elementwise_stages(measured):
        same = "the input is zero" if not measured.x.any() else ""
        observation = f"it is the gradient at −{measured.name}"
        yield from use_inputs(measured, {measured.name: -measured.x}, observation, same)


def use_input_in_formula(measured: MeasuredGradient) -> Iterator[Injected]:
    """A formula of f′ in y is given x, in a layer that works entry by entry."""
    for stage in _list_elementwise_stages(measured):
        for guess in ACTIVATIONS:
            value = stage.cotangent * guess.slope_by_output(
                np.asarray(measured.x, dtype=np.float64)
            )
            observation = (
                f"{OBSERVATIONS[BY_INPUT]}, if {_name_output(measured, stage)} is a {guess.name}"
            )
            yield Injected(measured.whole_values(value), observation)


def _name_output(measured: MeasuredGradient, stage: Stage) -> str:
    """The name in reports of outputs that may be an activation's."""
    return stage.name if measured.inner else "y"


def _list_plain_stages(measured: MeasuredGradient) -> Iterator[Stage]:
    """The stages of a layer that does not list any itself, such as the user's own."""
    if measured.problem.stages is no_stages:
        yield from measured.declared


def _list_elementwise_stages(measured: MeasuredGradient) -> Iterator[Stage]:
    for stage in _list_same_shaped_stages(measured):
        if _is_elementwise(measured, stage):
            yield stage


def _is_elementwise(measured: MeasuredGradient, stage: Stage) -> bool:
    """Whether output k depends on input k alone, where the Jacobian was measured."""
    jacobian = measured.measure_jacobian(stage)
    own = np.zeros(jacobian.value.shape, dtype=bool)
    own[jacobian.at, np.arange(len(jacobian.at))] = True
    return not np.any(~own & (np.abs(jacobian.value) > jacobian.uncertainty))


def _list_same_shaped_stages(measured: MeasuredGradient) -> Iterator[Stage]:
    for stage in _list_plain_stages(measured):
        if measured.whole and stage.cotangent.shape == measured.shape and measured.x.size > 1:
            yield stage


def remove_mask(measured: MeasuredGradient) -> Iterator[Injected]:
    """The mask of a relu's units that are off is left out.

    The Jacobian without the mask is measured at another input where the units are on: below the
    relu the layer must be affine, so that its rows are the same there.
    """
    stage = next(_list_plain_stages(measured), None)
    if stage is None or not measured.whole:
        return
    jacobian = measured.measure_jacobian(stage)
    off = ~np.any(jacobian.value, axis=1)
    if not off.any() or off.all():
        return
    value, uncertainty = jacobian.value.copy(), jacobian.uncertainty.copy()
    size = SWITCHING_DISTANCE * max(
        float(np.sqrt(np.mean(np.square(array)))) for array in (measured.x, measured.read(stage))
    )
    # Whatever sign the sums of the weights have, each unit is on at one of these inputs.
    for moved in (measured.x + size, measured.x - size, -measured.x):
        other = measure_jacobian_at(
            measured, stage, {measured.name: moved.astype(measured.x.dtype)}
        )
        if other is None:
            continue
        on = off & np.any(other.value, axis=1)
        value[on], uncertainty[on] = other.value[on], other.uncertainty[on]
        off &= ~on
        if not off.any():
            flat = np.asarray(stage.cotangent, dtype=np.float64).ravel()
            masked = Values(value, uncertainty, jacobian.at)
            yield Injected(
                masked.contract(flat),
                "it is the gradient without the mask of units that are off",
            )
            return
