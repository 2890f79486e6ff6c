"""Faults of an activation's derivative: missing, at the output, twice, on the wrong side.

A layer with an activation knows what people take for its ∂L/∂z. Of a layer of the user's own, whose
outputs may be those of an activation, f′ is guessed from y = f(z): the gradient that uses g for
f′(z) is that for the upstream gradient δ g / f′(z).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.inner_activations import GUESSES, Guess
from gradcheck_cli.faults.measured_gradient import Right, Values
from gradcheck_cli.faults.of_inputs import elsewhere
from gradcheck_cli.measure.compare import Comparison
from gradcheck_cli.problem import Stage, no_stages

Float = NDArray[np.float64]
Change = Callable[[Float], Float]

MISSING, AT_OUTPUT, OPPOSITE = "f′ missing", "f′ at the output", "f′ at −z"
FUNCTION, TWICE, BY_INPUT = "f for f′", "f′ twice", "f′ by y, at z"
ANOTHER = "f′ of "
TOLD = {
    MISSING: "it is the gradient without f′(z)",
    AT_OUTPUT: "it is the gradient with f′(y) for f′(z)",
    OPPOSITE: "it is the gradient with f′(−z) for f′(z)",
    FUNCTION: "it is the gradient with f(z) for f′(z)",
    TWICE: "it is the gradient with f′(z)² for f′(z)",
    BY_INPUT: "it is the gradient with z in the place of y in a formula of f′ by y",
}
FAR = 10.0  # in units of its size, or of the outputs': how far an input is moved to switch units on


# What people write for f′ by y, right for some activation.
FORMULAS: dict[str, Change] = {
    "y (1 − y)": lambda y: y * (1 - y),
    "1 − y²": lambda y: 1 - y * y,
    "1 − y": lambda y: 1 - y,
    "1(y > 0)": lambda y: (y > 0).astype(np.float64),
}


def mistaken(key: str) -> Callable[[Right], Iterator[Injected]]:
    """What a layer says that people take for its ∂L/∂z."""

    def inject(right: Right) -> Iterator[Injected]:
        for stage in right.stages:
            if key in stage.mistaken:
                changed = np.asarray(stage.mistaken[key], dtype=np.float64)
                same = np.array_equal(changed, stage.cotangent)
                yield Injected(
                    right.contracted(stage, changed),
                    TOLD[key],
                    same="both are the same at all entries of this check" if same else "",
                )

    return inject


def of_another(right: Right, found: Comparison) -> Iterator[Injected]:
    """The derivatives of other activations."""
    yield from guessed_another(right)
    for stage in right.stages:
        for key, changed in stage.mistaken.items():
            if key.startswith(ANOTHER):
                told = f"it is the gradient with the derivative of {key.removeprefix(ANOTHER)}"
                flat = np.asarray(changed, dtype=np.float64)
                yield Injected(right.contracted(stage, flat), told)


def guessed(key: str) -> Callable[[Right], Iterator[Injected]]:
    """The same of outputs that may be those of an activation."""

    def inject(right: Right) -> Iterator[Injected]:
        for stage in _plain(right):
            with np.errstate(all="ignore"):
                y = np.asarray(stage.forward(right.problem.inputs), dtype=np.float64)
                for guess in GUESSES if y.shape == stage.cotangent.shape else ():
                    if np.all(guess.inside(y)):
                        changed = stage.cotangent * _taken(key, guess, y) / guess.by_output(y)
                        told = f"{TOLD[key]}, if y is a {guess.name}"
                        if np.isfinite(changed).all():
                            yield Injected(right.contracted(stage, changed), told)

    return inject


def _taken(key: str, guess: Guess, y: Float) -> Float:
    """What is taken for f′(z), which is f′ by y at y."""
    slope, z = guess.by_output(y), guess.inverse(y)
    return {
        MISSING: np.ones_like(y),
        AT_OUTPUT: guess.by_output(guess.value(y)),
        OPPOSITE: slope,
        FUNCTION: y,
        TWICE: slope**2,
        BY_INPUT: guess.by_output(z),
    }[key]


def guessed_another(right: Right) -> Iterator[Injected]:
    """Other formulas in y in the place of f′, of outputs that may be those of an activation."""
    for stage in _plain(right):
        with np.errstate(all="ignore"):
            y = np.asarray(stage.forward(right.problem.inputs), dtype=np.float64)
        for guess in GUESSES if y.shape == stage.cotangent.shape else ():
            for shown, formula in FORMULAS.items() if np.all(guess.inside(y)) else ():
                changed = stage.cotangent * formula(y) / guess.by_output(y)
                told = f"it is the gradient with {shown} for f′, if y is a {guess.name}"
                if np.isfinite(changed).all():
                    yield Injected(right.contracted(stage, changed), told)


def passed_through(right: Right) -> Iterator[Injected]:
    """The upstream gradient itself, where the layer has the shape of its input."""
    for stage in _of_entries(right):
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        same = np.array_equal(delta, right.value)
        yield Injected(
            right.whole_values(delta),
            f"it is {stage.symbol} itself, as it came in",
            same="the derivative is 1 everywhere" if same else "",
        )


def function_for_slope(right: Right) -> Iterator[Injected]:
    """The function in the place of its derivative, where the layer has the shape of its input."""
    for stage in _of_entries(right):
        with np.errstate(all="ignore"):
            output = np.asarray(stage.forward(right.problem.inputs), dtype=np.float64)
        told = f"it is {stage.symbol} times the output, f for f′"
        yield Injected(right.whole_values(stage.cotangent * output), told)


def at_output(right: Right) -> Iterator[Injected]:
    """The derivative at the output, where the layer has the shape of its input."""
    for stage in _of_entries(right):
        with np.errstate(all="ignore"):
            output = np.asarray(stage.forward(right.problem.inputs)).astype(right.x.dtype)
        same = "the output is the input" if np.array_equal(output, right.x) else ""
        told = "it is the gradient at the output in the place of the input"
        yield from elsewhere(right, {right.name: output}, told, same)


def mirrored(right: Right) -> Iterator[Injected]:
    """The derivative at −x, where the layer has the shape of its input."""
    for _ in _of_entries(right):
        same = "the input is zero" if not right.x.any() else ""
        told = f"it is the gradient at −{right.name}"
        yield from elsewhere(right, {right.name: -right.x}, told, same)


def by_input(right: Right) -> Iterator[Injected]:
    """The formula of f′ in y, given x, where the layer has the shape of its input."""
    for stage in _of_entries(right):
        for guess in GUESSES:
            value = stage.cotangent * guess.by_output(np.asarray(right.x, dtype=np.float64))
            told = f"{TOLD[BY_INPUT]}, if y is a {guess.name}"
            yield Injected(right.whole_values(value), told)


def _plain(right: Right) -> Iterator[Stage]:
    """The whole forward of a layer that says nothing of its stages, such as the user's own."""
    if right.problem.stages is no_stages:
        yield from right.declared


def _of_entries(right: Right) -> Iterator[Stage]:
    for stage in _plain(right):
        if right.whole and stage.cotangent.shape == right.shape and right.x.size > 1:
            yield stage


def switched_on(right: Right) -> Iterator[Injected]:
    """Without the mask of units that are off, as below a relu: their rows of the Jacobian.

    They are those where the input itself is another: a layer that is affine in it below the relu
    has the same row wherever the unit is on.
    """
    stage = next(_plain(right), None)
    if stage is None or not right.whole:
        return
    jacobian = right.jacobian(stage)
    off = ~np.any(jacobian.value, axis=1)
    if not off.any() or off.all():
        return
    value, uncertainty = jacobian.value.copy(), jacobian.uncertainty.copy()
    outputs = np.asarray(stage.forward(right.problem.inputs), dtype=np.float64)
    size = FAR * max(float(np.sqrt(np.mean(np.square(array)))) for array in (right.x, outputs))
    # Whatever the other factor is, its sum has a sign: one of these is on.
    for moved in (right.x + size, right.x - size, -right.x):
        other = right.jacobian_at(stage, {right.name: moved.astype(right.x.dtype)})
        on = off & np.any(other.value, axis=1) if other is not None else np.zeros_like(off)
        if other is not None:
            value[on], uncertainty[on] = other.value[on], other.uncertainty[on]
            off &= ~on
        if not off.any():
            flat = np.asarray(stage.cotangent, dtype=np.float64).ravel()
            found = Values(value, uncertainty, jacobian.at)
            yield Injected(
                found.contracted(flat), "it is the gradient without the mask of units that are off"
            )
            return
