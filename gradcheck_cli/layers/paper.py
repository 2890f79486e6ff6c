"""A layer of the paper: form + loss + reduction + inputs → Problem.

The outputs of the problem are the per-sample losses; the reduction is the cotangent: ones for
`sum`, ones/n for `mean`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from gradcheck_cli.arrays import ArraySpec, Drawn, Source
from gradcheck_cli.formula import Formula, Shape, parse
from gradcheck_cli.layers.forms import Form, Rule
from gradcheck_cli.layers.losses import LOSSES, Loss
from gradcheck_cli.layers.mistaken_slopes import mistake_slope
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Label, Locality, Problem, Stage
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
ONE_SAMPLE = "n = 1: sum and mean coincide, so no 1/n can go wrong here"


class Layer(Struct, frozen=True):
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
        symbols = self.form.shapes.get(name, self.form.output)
        return tuple(1 if size == "1" else self.sizes[size] for size in symbols)

    @property
    def samples(self) -> int:
        """How many samples the layer has: n, which is 1 for a single vector."""
        return self.sizes.get("n", 1)

    @property
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
        make = (_gradients, _jacobians) if self.jacobian else (_gradients,)
        return [of(self) for of in make]

    def described(self) -> dict[str, Any]:
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


def arrays(layer: Layer) -> tuple[Arrays, Array]:
    """The inputs of the layer and the target of its loss, drawn or given, in its dtype."""

    def make(name: str, default: Drawn) -> Array:
        spec = ArraySpec(layer.shape(name), layer.sources.get(name, default))
        return spec.array(name, layer.seed, layer.dtype, floats=True)

    inputs = {name: make(name, Drawn()) for name in layer.form.arrays}
    return inputs, make(layer.loss.target, Drawn(layer.loss.draw))


class _Evaluation(Struct, frozen=True):
    """The formulas of a layer, parsed, and the target of its loss: what its functions evaluate.

    linear: z of the inputs; activation: y of z, None where y is z.
    loss, derivative: ℓ_i of y and the target, and ∂ℓ_i/∂y_i; samples stand in rows there.
    rules: the rule of every input, of all that `Layer.names` lists.
    """

    layer: Layer
    target: Array
    linear: Formula
    activation: Formula | None
    loss: Formula
    derivative: Formula
    rules: Mapping[str, Formula]

    def outputs(self, inputs: Arrays) -> dict[str, Any]:
        """z and y of the inputs, by every name that a rule may use for them."""
        z = self.linear(inputs)
        y = self.activate(z)
        inner = dict.fromkeys(self.layer.inner_names, z)
        return {**inner, "y": y, self.layer.form.output_name: y}

    def activate(self, z: Any) -> Any:
        """y = f(z)."""
        if self.activation is None:
            return z
        return self.activation(dict.fromkeys(self.layer.inner_names, z))

    def losses(self, inputs: Arrays) -> Any:
        """ℓ_i, the loss of every sample."""
        return self.loss(self.in_rows(self.outputs(inputs)["y"], self.target))

    def losses_of_slices(self, z: Any, cut: Callable[[Any], Any]) -> Any:
        """The losses of some slices of z; `cut` takes the same slices of the target."""
        return self.loss(self.in_rows(self.activate(z), cut(self.target)))

    def in_rows(self, y: Any, target: Any) -> dict[str, Any]:
        """The arguments of the loss: a sample that is a column is turned into a row."""
        form = self.layer.form
        return {"y": _in_rows(form, y), self.layer.loss.target: _in_rows(form, target)}

    def upstream(self, y: Any, weights: Any) -> Any:
        """∂L/∂y, of the shape of y, for L = Σ weights_i · ℓ_i."""
        derivative = self.derivative(self.in_rows(y, self.target))
        return _in_rows(self.layer.form, weights[:, None] * derivative)

    def backward(self, inputs: Arrays, cotangent: Any) -> dict[str, Any]:
        """The gradients that the rules claim; Δ holds what the layer's `delta` says."""
        import numpy as np

        known = {**inputs, **self.outputs(inputs), self.layer.loss.target: self.target}
        weights = cotangent if self.layer.delta == "total" else np.ones_like(cotangent)
        known |= dict.fromkeys(UPSTREAM_NAMES, self.upstream(known["y"], weights))
        return {name: rule(known) for name, rule in self.rules.items()}


def _evaluation(layer: Layer, target: Array) -> _Evaluation:
    """Parse the formulas of a layer."""
    form, loss, names = layer.form, layer.loss, layer.names
    shape = layer.shape(form.output_name)
    rows = shape[::-1] if form.sample_axis == 1 else shape
    loss_names = {"y": rows, loss.target: rows}
    return _Evaluation(
        layer=layer,
        target=target,
        linear=parse(form.forward, names),
        activation=parse(form.activation.value, names) if form.activation else None,
        loss=parse(loss.value, loss_names),
        derivative=parse(loss.delta, loss_names),
        rules={rule.of: parse(layer.rule(rule)[0], names) for rule in form.rules},
    )


def _in_rows(form: Form, array: Any) -> Any:
    """An array of outputs with a sample in every row; where samples are columns, its transpose."""
    return array.swapaxes(-1, -2) if form.sample_axis == 1 else array


def _gradients(layer: Layer) -> Problem:
    """The check of ∂L/∂x, ∂L/∂W and ∂L/∂b: the outputs are the losses, the cotangent reduces."""
    import numpy as np

    inputs, target = arrays(layer)
    evaluation = _evaluation(layer, target)
    weight = 1.0 / layer.samples if layer.reduction == "mean" else 1.0
    reduction = np.full(layer.samples, weight, dtype=layer.dtype)
    blind = layer.reduction == "mean" and layer.samples == 1
    return Problem(
        inputs=inputs,
        forward=evaluation.losses,
        backward=evaluation.backward,
        cotangent=reduction,
        batched=True,
        labels={rule.of: layer.rule(rule)[1] for rule in layer.form.rules},
        notes=(ONE_SAMPLE,) if blind else (),
        stages=partial(_stages, evaluation, reduction),
        numbers=layer.sizes,
        locality=Locality(
            inner=evaluation.linear,
            axes={name: (axis, axis) for name, axis in layer.form.slices.items()},
            outer=evaluation.losses_of_slices,
            samples=layer.form.sample_axis,
            sums=layer.loss.sums,
        ),
    )


def _stages(evaluation: _Evaluation, reduction: Array, inputs: Arrays) -> list[Stage]:
    """y with its ∂L/∂y and, below an activation, z with its ∂L/∂z = ∂L/∂y ⊙ f′(z)."""
    form, known = evaluation.layer.form, evaluation.outputs(inputs)
    delta = evaluation.upstream(known["y"], reduction)
    axis = 0 if "n" in form.sizes else None
    outer = Stage(
        lambda values: evaluation.outputs(values)["y"],
        delta,
        batched=True,
        symbol=form.cotangent[0][0],
        sample_axis=axis,
    )
    if form.activation is None:
        return [outer]
    slope = parse(form.activation.derivative, evaluation.layer.names)
    inner = Stage(
        evaluation.linear,
        delta * slope(known),
        batched=True,
        symbol=f"∂L/∂{form.inner_name}",
        sample_axis=axis,
        mistaken=mistake_slope(form.activation, known["z"], known["y"], delta),
    )
    return [outer, inner]


class _Jacobians(Struct, frozen=True):
    """The forward and the Jacobians of a layer, with vectors that are flat.

    A Jacobian is outputs × inputs (2, 3), so x, b and y of a single sample have one axis here;
    the paper's formulas give them two.
    axis: the axis of length 1 of such vectors; vectors: the inputs that are; rules: ∂z/∂input.
    slope: f′(z), of which each entry of ∂y is that many times its entry of ∂z; None without one.
    """

    evaluation: _Evaluation
    axis: int
    vectors: tuple[str, ...]
    rules: Mapping[str, Formula]
    slope: Formula | None

    def with_axis(self, inputs: Arrays) -> dict[str, Any]:
        """The inputs as the formulas take them, in two dimensions."""
        import numpy as np

        return {
            name: np.expand_dims(x, self.axis) if name in self.vectors else x
            for name, x in inputs.items()
        }

    def flat(self, output: Any) -> Any:
        """An output, or a vector among the inputs, without its axis of length 1."""
        return output.squeeze(self.axis) if self.vectors else output

    def forward(self, inputs: Arrays) -> Any:
        """y, flat for a single sample."""
        return self.flat(self.evaluation.outputs(self.with_axis(inputs))["y"])

    def backward(self, inputs: Arrays, cotangent: Any) -> dict[str, Any]:
        """∂y/∂input for every input; there is no cotangent."""
        known = self.with_axis(inputs)
        jacobians = {name: rule(known) for name, rule in self.rules.items()}
        if self.slope is None:
            return jacobians
        factor = self.flat(self.slope(self.evaluation.outputs(known)))
        return {
            name: factor.reshape(factor.shape + (1,) * (jacobian.ndim - factor.ndim)) * jacobian
            for name, jacobian in jacobians.items()
        }


def _jacobians(layer: Layer) -> Problem:
    """The check of ∂y/∂x, ∂y/∂W and ∂y/∂b."""
    form, names = layer.form, layer.names
    inputs, target = arrays(layer)
    vectors = () if "n" in form.sizes else tuple(name for name in inputs if name != "W")
    jacobians = _Jacobians(
        evaluation=_evaluation(layer, target),
        axis=-1 if form.sample_axis == 1 else -2,
        vectors=vectors,
        rules={rule.of: parse(rule.formula, names) for rule in form.jacobians},
        slope=parse(form.activation.derivative, names) if form.activation else None,
    )
    return Problem(
        inputs={name: jacobians.flat(x) if name in vectors else x for name, x in inputs.items()},
        forward=jacobians.forward,
        backward=jacobians.backward,
        batched=True,
        labels={rule.of: _jacobian_label(form, rule) for rule in form.jacobians},
    )


def _jacobian_label(form: Form, rule: Rule) -> Label:
    """∂y/∂x as it is shown: rows of ∂z/∂x times f′(z), or its entries, where those are shown."""
    shown = rule.shown
    if form.activation and shown.startswith("1("):
        shown = f"{form.slope[:-1]}_{'ak' if 'n' in form.sizes else 'k'}) {shown}"
    elif form.activation:
        shown = f"diag({form.slope}) {shown}"
    return Label(f"∂{form.output_name}/∂{rule.of}", shown, rule.number)
