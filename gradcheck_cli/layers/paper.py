"""A layer of the paper: its form, loss, reduction, sizes and the sources of its arrays."""

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
# A check holds three copies of its arrays, and some 25 numbers for every entry it measures.
BYTES_OF_ARRAYS, BYTES_OF_ENTRIES = 3 * 8, 25 * 8
# Names of the upstream gradient in rules; the paper and the reports write δ and Δ.
UPSTREAM_NAMES = ("delta", "δ", "Δ")


class Layer(Struct, frozen=True, dict=True):
    """A layer of the paper as a config describes it, before its arrays are made.

    reduction: sum or mean of the losses. delta: whether Δ is ∂L/∂Y (`total`, the paper's (39)) or
    holds ∂ℓ_i/∂y_i (`per-sample`).
    gradient_reduction: how per-sample gradients of W and b are combined; None: the right way.
    own_rules: formulas that replace the paper's rules, by input.
    jacobian: whether Jacobians are checked, too. sources: of arrays, by name.
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
        """The shape of an array of the layer: of an input, the output, or the loss's target."""
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
        """The number of samples n, which is 1 for a single vector."""
        return self.sizes.get("n", 1)

    @cached_property
    def names(self) -> dict[str, Shape | int]:
        """The names that a rule of this layer may use: arrays by shape, sizes by value."""
        arrays = {name: self.shape(name) for name in self.form.shapes}
        output = self.shape(self.form.output_name)
        sizes = {"n": self.samples, "N": self.sizes["N"], "M": self.sizes["M"]}
        outputs = dict.fromkeys((*self.inner_names, "y", *UPSTREAM_NAMES), output)
        return {**arrays, **outputs, self.loss.target: output, **sizes}

    @property
    def inner_names(self) -> tuple[str, ...]:
        """The names of the activation's argument in rules: z, and Z in a batch; () without one."""
        return ("z", self.form.inner_name) if self.form.activation else ()

    @property
    def divides(self) -> dict[str, bool]:
        """Whether the paper's rule for each input needs a factor 1/n.

        A Δ per sample lacks the 1/n of a mean loss, so ∂L/∂X needs it. For W and b,
        `gradient_reduction` may say whether per-sample gradients are averaged; b is like a row of W
        whose x is 1. Source: the paper, after (48).
        """
        lacking = self.reduction == "mean" and self.delta == "per-sample"
        averaged = self.gradient_reduction == "mean" if self.gradient_reduction else lacking
        weights = ("W", "b")
        return {rule.of: averaged if rule.of in weights else lacking for rule in self.form.rules}

    def rule(self, rule: Rule) -> tuple[str, Label]:
        """The formula that is checked in place of a rule of the form, and its label in reports."""
        gradient = f"∂L/∂{rule.of}"
        if rule.of in self.own_rules:
            formula = self.own_rules[rule.of]
            return formula, Label(gradient, printable(" ".join(formula.split())))
        if self.divides[rule.of]:
            return f"{rule.formula} / n", Label(gradient, f"{rule.shown}/n", rule.number)
        return rule.formula, Label(gradient, rule.shown, rule.number)

    @property
    def gradients(self) -> list[tuple[str, int]]:
        """The inputs, and again for Jacobians if these are checked, with the number of entries."""
        inputs = [(name, prod(self.shape(name))) for name in self.form.arrays]
        return inputs * 2 if self.jacobian else inputs

    @property
    def code(self) -> tuple[()]:
        """None: the paper's layers run no code of the user's."""
        return ()

    def problems(self) -> list[Problem]:
        """Make the problem of the gradients and, if `jacobian`, that of the Jacobians."""
        from gradcheck_cli.layers.paper_gradients import make_gradient_problem
        from gradcheck_cli.layers.paper_jacobians import make_jacobian_problem

        made = [make_gradient_problem(self)]
        return [*made, make_jacobian_problem(self)] if self.jacobian else made

    def describe_settings(self) -> dict[str, Any]:
        """The settings of the layer that a report shows."""
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
        """Estimate the memory of a check: for the layer's arrays, and for every measured entry of
        its gradients or Jacobians."""
        arrays = sum(prod(self.shape(name)) for name in self.form.shapes)
        entries = sum(numeric.entries(prod(self.shape(name))) for name in self.form.arrays)
        if self.jacobian:
            entries *= prod(self.shape(self.form.output_name))
        return BYTES_OF_ARRAYS * arrays + BYTES_OF_ENTRIES * entries


def make_arrays(layer: Layer) -> tuple[Arrays, Array]:
    """Make the inputs of the layer and the target of its loss, drawn or given, in its dtype."""

    def make(name: str, default: Drawn) -> Array:
        spec = ArraySpec(layer.shape(name), layer.sources.get(name, default))
        return spec.array(name, layer.seed, layer.dtype, floats=True)

    inputs = {name: make(name, Drawn()) for name in layer.form.arrays}
    return inputs, make(layer.loss.target, Drawn(layer.loss.draw))
