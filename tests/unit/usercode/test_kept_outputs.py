"""Objects that keep their output and gradients in place of returning them, and contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_layer, from_value_and_grad
from gradcheck_cli.errors import CodeError

RNG = np.random.default_rng(3)
X, W = RNG.standard_normal((4, 3)), RNG.standard_normal((3, 2))
LABELS = {"labels": np.array([0, 2, 1, 1])}


class Dense:
    """Keeps its output as `output`, and all gradients."""

    factor = 1.0

    def __init__(self) -> None:
        self.weights = W

    def forward(self, inputs: Any) -> None:
        self.inputs = inputs
        self.output = inputs @ self.weights

    def backward(self, dvalues: Any) -> None:
        self.dweights = self.inputs.T @ dvalues
        self.dinputs = self.factor * dvalues @ self.weights.T


class WrongDense(Dense):
    factor = 2.0


def verdicts(result: Any) -> dict[str, str]:
    return {one.gradient: str(one.verdict) for one in result.gradients}


@pytest.mark.parametrize(("layer", "verdict"), [(Dense(), "pass"), (WrongDense(), "fail")])
def test_a_layer_that_returns_nothing_is_checked_by_what_it_keeps(
    layer: Dense, verdict: str
) -> None:
    result = check(from_layer(layer, {"inputs": X, "weights": W}))
    assert verdicts(result) == {"∂L/∂inputs": verdict, "∂L/∂weights": "pass"}
    assert any("returns nothing: its output is self.output" in note for note in result.notes)


def test_a_forward_that_returns_nothing_and_keeps_nothing_is_told_so() -> None:
    with pytest.raises(CodeError, match="forget returns nothing: it must return its output"):
        check(forget, lambda delta, x: delta, inputs={"x": X})


def forget(x: Any) -> None:
    """Returns nothing."""


class SoftmaxLoss:
    """The backward is handed the output that the forward kept."""

    sign = 1.0

    def forward(self, logits: Any, labels: Any) -> Any:
        e = np.exp(logits)
        self.output = e / e.sum(axis=1, keepdims=True)
        return -np.log(self.output[range(len(logits)), labels]).mean()

    def backward(self, dvalues: Any, y_true: Any) -> None:
        self.dinputs = dvalues.copy()
        self.dinputs[range(len(dvalues)), y_true] -= self.sign
        self.dinputs /= len(dvalues)


class WrongSoftmaxLoss(SoftmaxLoss):
    sign = -1.0


@pytest.mark.parametrize(
    ("loss", "verdict"), [(SoftmaxLoss(), "pass"), (WrongSoftmaxLoss(), "fail")]
)
def test_the_backward_of_a_loss_may_be_handed_the_output_that_its_object_keeps(
    loss: SoftmaxLoss, verdict: str
) -> None:
    result = check(from_layer(loss, {"logits": X}, LABELS))
    assert verdicts(result) == {"∂L/∂logits": verdict}
    told = "was handed the output that the object keeps as its 'dvalues'"
    assert any(told in note for note in result.notes)


class Mul:
    """Static methods that share a context, as in torch, of arrays."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        ctx.scale = 3.0
        return ctx.scale * x * y

    @staticmethod
    def backward(ctx: Any, grad_output: Any) -> Any:
        x, y = ctx.saved_tensors
        return ctx.scale * grad_output * y, ctx.scale * grad_output * x


class WrongMul(Mul):
    @staticmethod
    def backward(ctx: Any, grad_output: Any) -> Any:
        x, y = ctx.saved_tensors
        return ctx.scale * grad_output * x, ctx.scale * grad_output * y


@pytest.mark.parametrize(("function", "verdict"), [(Mul, "pass"), (WrongMul, "fail")])
def test_static_methods_share_a_context(function: type[Mul], verdict: str) -> None:
    result = check(function.forward, function.backward, inputs={"x": X, "y": X[::-1] + 0.5})
    assert set(verdicts(result).values()) == {verdict}


def test_a_context_that_inputs_are_enough_for_is_one_of_them() -> None:
    def attend(context: Any, query: Any) -> Any:
        return query @ context

    def backward(d: Any, context: Any, query: Any) -> Any:
        return query.T @ d, d @ context.T

    result = check(attend, backward, inputs={"k": X, "q": W.T @ X.T})
    assert verdicts(result) == {"∂L/∂k": "pass", "∂L/∂q": "pass"}


@pytest.mark.parametrize(("used", "verdict"), [(0.0, "pass"), (1.0, "fail")])
def test_a_gradient_may_be_left_out_of_what_no_checked_output_depends_on(
    used: float, verdict: str
) -> None:
    def forward(x: Any, w: Any) -> Any:
        return x**2 + used * w.sum(), x @ w, x

    def backward(dout: Any, cache: Any) -> Any:
        return {"dx": 2 * cache * dout}

    result = check(forward, backward, inputs={"x": X, "w": W})
    assert verdicts(result) == {"∂L/∂x": "pass", "∂L/∂w": verdict}
    told = any("no output that is checked depends on w" in note for note in result.notes)
    assert told == (verdict == "pass")


def test_gradients_of_the_parts_of_one_input_may_stand_alone_in_a_dict() -> None:
    def loss(params: Any, x: Any) -> Any:
        z = x @ params["w"]
        return np.sum(z**2) / 2, {"w": x.T @ z}

    result = check(from_value_and_grad(loss, {"params": {"w": W}, "x": X}))
    assert verdicts(result) == {"∂L/∂params.w": "pass", "∂L/∂x": "fail"}  # x has none
