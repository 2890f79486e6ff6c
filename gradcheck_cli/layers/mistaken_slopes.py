"""What people take for ∂L/∂z = δ ⊙ f′(z) below an activation, by what they got wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcheck_cli.formula import parse
from gradcheck_cli.layers.activations import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array

# The keys of `Stage.mistaken`; that of another activation's derivative ends with its name.
MISSING, AT_OUTPUT, OPPOSITE = "f′ missing", "f′ at the output", "f′ at −z"
FUNCTION, TWICE, BY_INPUT = "f for f′", "f′ twice", "f′ by y, at z"
AT_UPSTREAM = "f′ at the upstream gradient"
ANOTHER = "f′ of "
LATER = "in its place "  # a later gradient; the key ends with what reports call that
DIAGONAL = "the diagonal of f′ alone"  # of a function in which each output depends on many inputs


def mistake_slope(activation: Activation, z: Array, y: Array, delta: Array) -> dict[str, Array]:
    """The wrong ∂L/∂z, by key. delta: ∂L/∂y, of the shape of z and of y = f(z)."""

    def slope_at(at: Array, of: Activation = activation) -> Any:
        return evaluate_at(of.derivative, z=at)

    mistaken = {
        MISSING: delta,
        AT_OUTPUT: delta * slope_at(y),
        AT_UPSTREAM: delta * slope_at(delta),
        OPPOSITE: delta * slope_at(-z),
        FUNCTION: delta * y,
        TWICE: delta * slope_at(z) ** 2,
    }
    if activation.by_output:
        mistaken[BY_INPUT] = delta * evaluate_at(activation.by_output, y=z)
    for name, other in ACTIVATIONS.items():
        if other is not activation:
            mistaken[f"{ANOTHER}{name}"] = delta * slope_at(z, other)
    return mistaken


def mistake_softmax(y: Array, delta: Array) -> dict[str, Array]:
    """The wrong ∂L/∂z of y = softmax(z), whose right one is y ⊙ (δ − Σ δ y)."""
    return {MISSING: delta, FUNCTION: delta * y, DIAGONAL: delta * y * (1 - y)}


def evaluate_at(formula: str, **arrays: Array) -> Any:
    """A formula of an activation, with z or y an array."""
    return parse(formula, {name: array.shape for name, array in arrays.items()})(arrays)
