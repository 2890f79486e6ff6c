"""Wrong versions of ∂L/∂z = δ ⊙ f′(z) below an activation that people write, by their mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcheck_cli.formula import parse
from gradcheck_cli.layers.activations import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array

# The keys of `Stage.mistaken`; after ANOTHER follows the name of the other activation.
MISSING, AT_OUTPUT, OPPOSITE = "f′ missing", "f′ at the output", "f′ at −z"
FUNCTION, TWICE, BY_INPUT = "f for f′", "f′ twice", "f′ by y, at z"
AT_UPSTREAM = "f′ at the upstream gradient"
ANOTHER = "f′ of "
LATER = "in its place "  # another gradient of the chain; its name in reports follows
DIAGONAL = "the diagonal of f′ alone"  # for functions whose outputs depend on many inputs each


def mistake_slope(activation: Activation, z: Array, y: Array, delta: Array) -> dict[str, Array]:
    """The wrong versions of ∂L/∂z, by key. delta: ∂L/∂y; it, z and y = f(z) have one shape."""

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
    """The wrong versions of ∂L/∂z for y = softmax(z); the right one is y ⊙ (δ − Σ δ y)."""
    return {MISSING: delta, FUNCTION: delta * y, DIAGONAL: delta * y * (1 - y)}


def evaluate_at(formula: str, **arrays: Array) -> Any:
    """Evaluate a formula of an activation with an array for z or y."""
    return parse(formula, {name: array.shape for name, array in arrays.items()})(arrays)
