"""Make the problem of the gradients of a layer of the paper.

The outputs are the losses of the samples, and the cotangent is their reduction: ones for `sum`,
ones/n for `mean`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.arrays import Drawn
from gradcheck_cli.formula import Formula, parse
from gradcheck_cli.layers.forms import Form
from gradcheck_cli.layers.mistaken_slopes import mistake_slope
from gradcheck_cli.layers.paper import UPSTREAM_NAMES, Layer, make_arrays
from gradcheck_cli.problem import Locality, Problem, Stage

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array, Arrays

ONE_SAMPLE = "n = 1: sum and mean coincide, so no 1/n can go wrong here"


class Evaluation(Struct, frozen=True):
    """A layer with its parsed formulas and the target of its loss.

    linear: z as a function of the inputs. activation: y as one of z; None if y is z.
    loss, derivative: ℓ_i and ∂ℓ_i/∂y_i as functions of y and the target, whose rows are samples.
    rules: the rule of every input, a function of the values that `Layer.names` lists.
    """

    layer: Layer
    target: Array
    linear: Formula
    activation: Formula | None
    loss: Formula
    derivative: Formula
    rules: Mapping[str, Formula]

    def outputs(self, inputs: Arrays) -> dict[str, Any]:
        """z and y, by every name that a rule may use for them."""
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
        """The loss ℓ_i of every sample."""
        return self.loss(self.in_rows(self.outputs(inputs)["y"], self.target))

    def losses_of_slices(self, z: Any, cut: Callable[[Any], Any]) -> Any:
        """The losses for some slices of z; `cut` takes the same slices of the target."""
        return self.loss(self.in_rows(self.activate(z), cut(self.target)))

    def in_rows(self, y: Any, target: Any) -> dict[str, Any]:
        """The arguments of the loss, with samples as rows even where the only one is a column."""
        form = self.layer.form
        return {"y": _in_rows(form, y), self.layer.loss.target: _in_rows(form, target)}

    def upstream(self, y: Any, weights: Any) -> Any:
        """∂L/∂y in the shape of y, for L = Σ weights_i · ℓ_i."""
        derivative = self.derivative(self.in_rows(y, self.target))
        return _in_rows(self.layer.form, weights[:, None] * derivative)

    def backward(self, inputs: Arrays, cotangent: Any) -> dict[str, Any]:
        """The gradients that the rules claim; Δ is total or per sample, as the layer says."""
        import numpy as np

        known = {**inputs, **self.outputs(inputs), self.layer.loss.target: self.target}
        weights = cotangent if self.layer.delta == "total" else np.ones_like(cotangent)
        known |= dict.fromkeys(UPSTREAM_NAMES, self.upstream(known["y"], weights))
        return {name: rule(known) for name, rule in self.rules.items()}


def make_evaluation(layer: Layer, target: Array) -> Evaluation:
    """Parse the formulas of a layer."""
    form, loss, names = layer.form, layer.loss, layer.names
    shape = layer.shape(form.output_name)
    rows = shape[::-1] if form.sample_axis == 1 else shape
    loss_names = {"y": rows, loss.target: rows}
    return Evaluation(
        layer=layer,
        target=target,
        linear=parse(form.forward, names),
        activation=parse(form.activation.value, names) if form.activation else None,
        loss=parse(loss.value, loss_names),
        derivative=parse(loss.delta, loss_names),
        rules={rule.of: parse(layer.rule(rule)[0], names) for rule in form.rules},
    )


def _in_rows(form: Form, array: Any) -> Any:
    """Outputs with samples as rows: the transpose if samples are columns."""
    return array.swapaxes(-1, -2) if form.sample_axis == 1 else array


def make_gradient_problem(layer: Layer) -> Problem:
    """Make the problem of ∂L/∂x, ∂L/∂W and ∂L/∂b."""
    import numpy as np

    inputs, target = make_arrays(layer)
    evaluation = make_evaluation(layer, target)
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
        stages=partial(_list_stages, evaluation, reduction),
        numbers=layer.sizes,
        change=partial(_resize, layer),
        locality=Locality(
            inner=evaluation.linear,
            axes={name: (axis, axis) for name, axis in layer.form.slices.items()},
            outer=evaluation.losses_of_slices,
            samples=layer.form.sample_axis,
            sums=layer.loss.sums,
        ),
    )


def _resize(layer: Layer, name: str, value: float, turn: int) -> Problem | None:
    """Make the problem with a larger size; None if arrays are given, or it is no size."""
    drawn = all(isinstance(source, Drawn) for source in layer.sources.values())
    if name not in layer.sizes or not drawn:
        return None
    sizes = {**layer.sizes, name: int(value) + 1 + turn}
    return make_gradient_problem(replace(layer, sizes=sizes))


def _list_stages(evaluation: Evaluation, reduction: Array, inputs: Arrays) -> list[Stage]:
    """The stages of the forward: y with ∂L/∂y and, if there is an activation, z with ∂L/∂z."""
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
