"""Make the problem of the Jacobians of a layer of the paper, whose outputs are the layer's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gradcheck_cli.formula import Formula, parse
from gradcheck_cli.layers.forms import Form, Rule
from gradcheck_cli.layers.paper import Layer, make_arrays
from gradcheck_cli.layers.paper_gradients import Evaluation, make_evaluation
from gradcheck_cli.problem import Label, Problem

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays


class _Jacobians(Struct, frozen=True):
    """The forward and the Jacobians of a layer, with vectors of one axis.

    A Jacobian is outputs × inputs, the paper's (2) and (3). So x, b and y of a single sample have
    one axis here, though they have two in the paper's formulas.
    axis: the axis of length 1 that such vectors have there. vectors: the inputs that are such.
    rules: ∂z/∂input. slope: f′(z), the factor of ∂z in ∂y; None if there is no activation.
    """

    evaluation: Evaluation
    axis: int
    vectors: tuple[str, ...]
    rules: Mapping[str, Formula]
    slope: Formula | None

    def with_axis(self, inputs: Arrays) -> dict[str, Any]:
        """The inputs as the formulas take them, with two axes."""
        import numpy as np

        return {
            name: np.expand_dims(x, self.axis) if name in self.vectors else x
            for name, x in inputs.items()
        }

    def flat(self, output: Any) -> Any:
        """An output or a vector among the inputs with one axis."""
        return output.squeeze(self.axis) if self.vectors else output

    def forward(self, inputs: Arrays) -> Any:
        """y, with one axis for a single sample."""
        return self.flat(self.evaluation.outputs(self.with_axis(inputs))["y"])

    def backward(self, inputs: Arrays, cotangent: Any) -> dict[str, Any]:
        """∂y/∂input for every input; the cotangent is None."""
        known = self.with_axis(inputs)
        jacobians = {name: rule(known) for name, rule in self.rules.items()}
        if self.slope is None:
            return jacobians
        factor = self.flat(self.slope(self.evaluation.outputs(known)))
        return {
            name: factor.reshape(factor.shape + (1,) * (jacobian.ndim - factor.ndim)) * jacobian
            for name, jacobian in jacobians.items()
        }


def make_jacobian_problem(layer: Layer) -> Problem:
    """Make the problem of ∂y/∂x, ∂y/∂W and ∂y/∂b."""
    form, names = layer.form, layer.names
    inputs, target = make_arrays(layer)
    vectors = () if "n" in form.sizes else tuple(name for name in inputs if name != "W")
    jacobians = _Jacobians(
        evaluation=make_evaluation(layer, target),
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
    """The label of ∂y/∂x: f′(z) times the shown ∂z/∂x, which may be a matrix or one entry."""
    shown = rule.shown
    if form.activation and shown.startswith("1("):
        shown = f"{form.slope[:-1]}_{'ak' if 'n' in form.sizes else 'k'}) {shown}"
    elif form.activation:
        shown = f"diag({form.slope}) {shown}"
    return Label(f"∂{form.output_name}/∂{rule.of}", shown, rule.number)
