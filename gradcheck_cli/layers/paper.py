"""A layer of the paper: form + loss + reduction + inputs → Problem.

The outputs of the problem are the per-sample losses; the reduction is the cotangent: ones for
`sum`, ones/n for `mean`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from gradcheck_cli.arrays import Drawn, Source
from gradcheck_cli.errors import ArrayError
from gradcheck_cli.formula import Formula, Shape, parse
from gradcheck_cli.layers.activations import ACTIVATIONS
from gradcheck_cli.layers.forms import Form, Rule
from gradcheck_cli.layers.losses import LOSSES, Loss
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

        Source: DESIGN §2. Δ per sample lacks the 1/n of a mean loss, so ∂L/∂X needs it; the
        per-sample gradients of W are averaged where `gradient_reduction` (or calculus) says so, and
        b is a row of W whose x is 1.
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
    import numpy as np

    dtype = np.dtype(layer.dtype)

    def make(name: str, default: Drawn) -> Array:
        source = layer.sources.get(name, default)
        with np.errstate(all="ignore"):
            made = source.array(name, layer.shape(name), layer.seed).astype(dtype, copy=False)
        if not np.isfinite(made).all():
            raise ArrayError(f"{name} is not finite in {layer.dtype}; give it a smaller scale")
        return made

    inputs = {name: make(name, Drawn()) for name in layer.form.arrays}
    return inputs, make(layer.loss.target, Drawn(layer.loss.draw))


def _outputs(layer: Layer) -> Callable[[Arrays], dict[str, Any]]:
    """The forward of the layer: z and y by every name that a rule may use for them."""
    outer = ("y", layer.form.output_name)
    linear, activated = _linear(layer), _activated(layer)

    def outputs(values: Arrays) -> dict[str, Any]:
        z = linear(values)
        return {**dict.fromkeys(layer.inner_names, z), **dict.fromkeys(outer, activated(z))}

    return outputs


def _linear(layer: Layer) -> Callable[[Arrays], Any]:
    """z, of the inputs."""
    return parse(layer.form.forward, layer.names)


def _activated(layer: Layer) -> Callable[[Any], Any]:
    """y, of z."""
    if layer.form.activation is None:
        return lambda z: z
    value, inner_names = parse(layer.form.activation.value, layer.names), layer.inner_names
    return lambda z: value(dict.fromkeys(inner_names, z))


def _gradients(layer: Layer) -> Problem:
    import numpy as np

    form, loss, names = layer.form, layer.loss, layer.names
    inputs, target = arrays(layer)
    outputs = _outputs(layer)
    linear, activated = _linear(layer), _activated(layer)
    # The losses are written for samples in rows; a sample that is a column is turned.
    turned = form.sample_axis == 1

    def rows(array: Any) -> Any:
        return np.swapaxes(array, -1, -2) if turned else array

    shape = layer.shape(form.output_name)
    row_names = {"y": shape[::-1] if turned else shape}
    row_names[loss.target] = row_names["y"]
    value, derivative = parse(loss.value, row_names), parse(loss.delta, row_names)
    row_target = rows(target)
    rules = {rule.of: parse(layer.rule(rule)[0], names) for rule in form.rules}
    weight = 1.0 / layer.samples if layer.reduction == "mean" else 1.0
    reduction = np.full(layer.samples, weight, dtype=layer.dtype)

    def losses(values: Arrays) -> Any:
        return value({"y": rows(outputs(values)["y"]), loss.target: row_target})

    def upstream(y: Any, cotangent: Any) -> Any:
        """∂L/∂y, of the shape of y."""
        return rows(cotangent[:, None] * derivative({"y": rows(y), loss.target: row_target}))

    def outer(z: Any, cut: Callable[[Any], Any]) -> Any:
        y = rows(activated(z))
        return value({"y": y, loss.target: rows(cut(target))})

    def backward(values: Arrays, cotangent: Any) -> dict[str, Any]:
        known = {**values, **outputs(values), loss.target: target}
        share = cotangent if layer.delta == "total" else np.ones_like(cotangent)
        known |= dict.fromkeys(UPSTREAM_NAMES, upstream(known["y"], share))
        return {name: rule(known) for name, rule in rules.items()}

    def stages(values: Arrays) -> list[Stage]:
        return _stages(layer, values, upstream(outputs(values)["y"], reduction))

    return Problem(
        inputs=inputs,
        forward=losses,
        backward=backward,
        cotangent=reduction,
        batched=True,
        labels={rule.of: layer.rule(rule)[1] for rule in form.rules},
        notes=("n = 1: sum and mean coincide, so no 1/n can go wrong here",)
        if layer.reduction == "mean" and layer.samples == 1
        else (),
        stages=stages,
        numbers=layer.sizes,
        locality=Locality(
            inner=linear,
            axes=form.slices,
            outer=outer,
            samples=form.sample_axis,
            sums=loss.sums,
        ),
    )


def _stages(layer: Layer, inputs: Arrays, delta: Any) -> list[Stage]:
    """y with its ∂L/∂y and, below an activation, z with its ∂L/∂z = ∂L/∂y ⊙ f′(z)."""
    forward, activation = _outputs(layer), layer.form.activation
    symbol, axis = layer.form.cotangent[0][0], 0 if "n" in layer.form.sizes else None
    stages = [Stage(lambda values: forward(values)["y"], delta, True, symbol, axis)]
    if activation is not None:
        known, derivative = forward(inputs), parse(activation.derivative, layer.names)

        def slope(at: Any) -> Any:
            return derivative({**known, **dict.fromkeys(layer.inner_names, at)})

        y, z = known["y"], known["z"]
        mistaken = {
            "f′ missing": delta,
            "f′ at the output": delta * slope(y),
            "f′ at −z": delta * slope(-z),
            "f for f′": delta * y,
            "f′ twice": delta * slope(z) ** 2,
        }
        if activation.by_output:
            by_output = parse(activation.by_output, layer.names)
            mistaken["f′ by y, at z"] = delta * by_output({**known, "y": z})
        for name, other in ACTIVATIONS.items():
            if other is not activation:
                mistaken[f"f′ of {name}"] = delta * parse(other.derivative, layer.names)(known)
        stages.append(
            Stage(
                lambda values: forward(values)["z"],
                delta * slope(z),
                batched=True,
                symbol=f"∂L/∂{layer.form.inner_name}",
                sample_axis=axis,
                mistaken=mistaken,
            )
        )
    return stages


def _jacobians(layer: Layer) -> Problem:
    """∂y/∂x, ∂y/∂W and ∂y/∂b. A Jacobian is outputs × inputs (2, 3), so vectors become flat here.

    The form has those of z; each entry of ∂y is f′(z) times that of ∂z.
    """
    import numpy as np

    form, names = layer.form, layer.names
    inputs, _ = arrays(layer)
    forward = _outputs(layer)
    # Of x, b and y, a vector has one axis of length 1 in the paper's two-dimensional writing.
    flat = -1 if form.sample_axis == 1 else -2
    vectors = [] if "n" in form.sizes else [name for name in inputs if name != "W"]
    rules: dict[str, Formula] = {rule.of: parse(rule.formula, names) for rule in form.jacobians}
    slope = parse(form.activation.derivative, names) if form.activation else None

    def matrices(values: Arrays) -> dict[str, Any]:
        return {**values, **{name: np.expand_dims(values[name], flat) for name in vectors}}

    def flattened(output: Any) -> Any:
        return np.squeeze(output, flat) if vectors else output

    def outputs(values: Arrays) -> Any:
        return flattened(forward(matrices(values))["y"])

    def backward(values: Arrays, cotangent: Any) -> dict[str, Any]:
        known = matrices(values)
        found = {name: rule(known) for name, rule in rules.items()}
        if slope is None:
            return found
        factor = flattened(slope(forward(known)))
        return {
            name: factor.reshape(factor.shape + (1,) * (jacobian.ndim - factor.ndim)) * jacobian
            for name, jacobian in found.items()
        }

    return Problem(
        inputs={
            name: flattened(array) if name in vectors else array for name, array in inputs.items()
        },
        forward=outputs,
        backward=backward,
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
