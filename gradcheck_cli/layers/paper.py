"""A layer of the paper: form, loss, reduction, sizes and where its arrays come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from gradcheck_cli.arrays import ArraySpec, Drawn, Source
from gradcheck_cli.formula import Shape
from gradcheck_cli.layers.forms import Form, Rule
from gradcheck_cli.layers.losses import LOSSES, Loss
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.text import printable

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array, Arrays

REDUCTIONS = ("sum", "mean")
DELTAS = ("total", "per-sample")
DTYPES = ("float64", "float32")
# A check holds some copies of its arrays, and some twenty numbers for every entry it measures.
BYTES_OF_ARRAYS, BYTES_OF_ENTRIES = 3 * 8, 25 * 8
# How a rule may write the upstream gradient: plain, or as the paper and the reports print it.
UPSTREAM_NAMES = ("delta", "δ", "Δ")


class Layer(Struct, frozen=True, dict=True):
    """What a config says of one of the paper's layers; numbers and text, no arrays yet.

    delta: what Δ holds, ∂L/∂Y (`total`, the paper's (39)) or ∂ℓ_i/∂y_i (`per-sample`).
    gradient_reduction: how per-sample gradients of W and b are combined; None: as calculus asks.
    own_rules: formulas that replace the paper's rule, by input.
    """

    form: Form
    sizes: Mapping[str, int]
    loss: Loss = LOSSES["squared-error"]
    reduction: str = "sum"
    delta: str = "total"
    gradient_reduction: str | None = None
    own_rules: Mapping[str, str] = field(default_factory=dict)
    jacobian: bool = False
    sources: Mapping[str, Source] = field(default_factory=dict)
    seed: int = 0
    dtype: str = "float64"

    def shape(self, name: str) -> Shape:
        """The shape of an array of the layer: an input, the output, or the loss's target."""
        return self._shapes.get(name, self._shapes[self.form.output_name])

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        sizes = {"1": 1, **self.sizes}
        return {
            name: tuple(sizes[size] for size in symbols)
            for name, symbols in self.form.shapes.items()
        }

    @property
    def samples(self) -> int:
        """How many samples the layer has: n, which is 1 for a single vector."""
        return self.sizes.get("n", 1)

    @cached_property
    def names(self) -> dict[str, Shape | int]:
        """What a rule of this layer may name: the form's arrays by shape, sizes by value."""
        arrays = {name: self.shape(name) for name in self.form.shapes}
        output = self.shape(self.form.output_name)
        sizes = {"n": self.samples, "N": self.sizes["N"], "M": self.sizes["M"]}
        outputs = dict.fromkeys((*self.inner_names, "y", *UPSTREAM_NAMES), output)
        return {**arrays, **outputs, self.loss.target: output, **sizes}

    @property
    def inner_names(self) -> tuple[str, ...]:
        """What a rule may call the activation's argument: z, and Z in a batch; () without one."""
        return ("z", self.form.inner_name) if self.form.activation else ()

    @property
    def divides(self) -> dict[str, bool]:
        """Which of the paper's rules get a 1/n, by input.

        Δ per sample lacks the 1/n of a mean loss, so ∂L/∂X needs it; the per-sample gradients of W
        are averaged where `gradient_reduction` (or calculus) says so, and b is a row of W whose x
        is 1. Source: the paper, after (48).
        """
        lacking = self.reduction == "mean" and self.delta == "per-sample"
        averaged = self.gradient_reduction == "mean" if self.gradient_reduction else lacking
        weights = ("W", "b")
        return {rule.of: averaged if rule.of in weights else lacking for rule in self.form.rules}

    def rule(self, rule: Rule) -> tuple[str, Label]:
        """The formula checked for an input, and what a report calls it."""
        gradient = f"∂L/∂{rule.of}"
        if rule.of in self.own_rules:
            formula = self.own_rules[rule.of]
            return formula, Label(gradient, printable(" ".join(formula.split())))
        if self.divides[rule.of]:
            return f"{rule.formula} / n", Label(gradient, f"{rule.shown}/n", rule.number)
        return rule.formula, Label(gradient, rule.shown, rule.number)

    @property
    def gradients(self) -> list[tuple[str, int]]:
        """The inputs that have a gradient, Jacobians after them, and how many entries each has."""
        inputs = [(name, prod(self.shape(name))) for name in self.form.arrays]
        return inputs * 2 if self.jacobian else inputs

    @property
    def code(self) -> tuple[()]:
        """No code of the user's."""
        return ()

    def problems(self) -> list[Problem]:
        """The gradient check of the layer and, where asked for, that of its Jacobians."""
        from gradcheck_cli.layers.paper_gradients import make_gradient_problem
        from gradcheck_cli.layers.paper_jacobians import make_jacobian_problem

        made = [make_gradient_problem(self)]
        return [*made, make_jacobian_problem(self)] if self.jacobian else made

    def describe_settings(self) -> dict[str, Any]:
        """What a report says of the layer."""
        return {
            "form": self.form.name,
            "equation": self.form.equation,
            "bias": "b" in self.form.arrays,
            "activation": self.form.activation.name if self.form.activation else None,
            "loss": self.loss.name,
            "reduction": self.reduction,
            "delta": self.delta,
            "gradient_reduction": "mean" if self.divides["W"] else "sum",
        }

    def bytes(self, numeric: Numeric) -> int:
        """About the memory of a check: the layer's arrays, and of every entry of a gradient, or
        of a Jacobian where they are asked for, what the numeric side keeps of it."""
        arrays = sum(prod(self.shape(name)) for name in self.form.shapes)
        entries = sum(numeric.entries(prod(self.shape(name))) for name in self.form.arrays)
        if self.jacobian:
            entries *= prod(self.shape(self.form.output_name))
        return BYTES_OF_ARRAYS * arrays + BYTES_OF_ENTRIES * entries


def make_arrays(layer: Layer) -> tuple[Arrays, Array]:
    """The inputs of the layer and the target of its loss, drawn or given, in its dtype."""

    def make(name: str, default: Drawn) -> Array:
        spec = ArraySpec(layer.shape(name), layer.sources.get(name, default))
        return spec.array(name, layer.seed, layer.dtype, floats=True)

    inputs = {name: make(name, Drawn()) for name in layer.form.arrays}
    return inputs, make(layer.loss.target, Drawn(layer.loss.draw))
