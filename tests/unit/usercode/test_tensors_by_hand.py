"""Layers whose gradients are by hand, and which are written in tensors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import CheckResult, check, from_layer, from_value_and_grad
from tests.support.command import Gradcheck

torch = pytest.importorskip("torch")

Tensor = Any
X, W, B = torch.randn(4, 3), torch.randn(3, 2), torch.randn(2)


class Linear:
    """Makes its weights in float32, and adds its gradients up in place."""

    def __init__(self, n_in: int = 3, n_out: int = 2, factor: float = 1.0) -> None:
        self.w, self.b = torch.empty(n_in, n_out).normal_(), torch.zeros(n_out)
        self.dw, self.db = torch.zeros(n_in, n_out), torch.zeros(n_out)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x.mm(self.w) + self.b

    def backward(self, delta: Tensor) -> Tensor:
        self.dw.add_(self.x.t().mm(delta) * self.factor)
        self.db.add_(delta.sum(0))
        return delta.mm(self.w.t())


class ReLU:
    """Holds no tensor: it is one of tensors since its forward takes no array."""

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x.clamp(min=0)

    def backward(self, delta: Tensor) -> Tensor:
        return delta * (self.x > 0).to(delta.dtype)


class Net:
    """Layers in a list, and a loss that calls its own forward."""

    def __init__(self) -> None:
        self.layers: list[Any] = [Linear(), ReLU()]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, delta: Tensor) -> Tensor:
        for layer in reversed(self.layers):
            delta = layer.backward(delta)
        return delta

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.forward(x)
        return (y**2).sum() / 2, self.backward(y)


class Plain:
    """Takes arrays, in a module that imports torch."""

    def forward(self, x: Any) -> Any:
        self.x = x
        return np.square(x)

    def backward(self, delta: Any) -> Any:
        return 2 * np.asarray(self.x) * delta


def verdicts(result: CheckResult) -> dict[str, str]:
    return {gradient.name: gradient.verdict.value for gradient in result.gradients}


def test_an_object_of_tensors_is_checked_in_float64_and_stays_what_it_was() -> None:
    layer = Linear()
    before = copy.deepcopy(layer.w)
    found = verdicts(check(from_layer(layer, {"x": X, "w": W, "b": B})))
    assert found == {"x": "pass", "w": "pass", "b": "pass"}
    assert torch.equal(layer.w, before)
    wrong = check(from_layer(Linear(factor=1.0001), {"x": X, "w": W, "b": B}))
    assert verdicts(wrong) == {"x": "pass", "w": "fail", "b": "pass"}


def test_layers_in_layers_and_methods_that_call_others_get_tensors() -> None:
    net, names = Net(), {"layers[0].w": W, "layers[0].b": B}
    assert set(verdicts(check(from_layer(net, {"x": X, **names}))).values()) == {"pass"}
    loss = check(from_value_and_grad(net.loss, {"x": X, **names}))
    assert verdicts(loss) == dict.fromkeys(["x", *names], "pass")


def test_a_gradient_in_a_tensor_that_is_no_input_is_told() -> None:
    notes = check(from_layer(Linear(), {"x": X})).notes
    assert [note.partition(" ")[0] for note in notes] == ["∂L/∂w", "∂L/∂b"]


def test_what_takes_arrays_gets_arrays() -> None:
    assert verdicts(check(from_layer(Plain(), {"x": X.numpy()}))) == {"x": "pass"}


@pytest.mark.parametrize(("factor", "expected"), [(1.0, "pass"), (1.001, "fail")])
def test_functions_by_hand_take_tensors(factor: float, expected: str) -> None:
    def affine_backward(delta: Tensor, cache: Any) -> Any:
        x, w = cache
        return delta.mm(w.t()), x.t().mm(delta), factor * delta.sum(0)

    result = check(lambda x, w, b: (x.mm(w) + b, (x, w)), affine_backward, (X, W, B))
    assert verdicts(result) == {"x": "pass", "w": "pass", "b": expected}


def test_a_config_says_of_an_object_that_it_is_of_torch(gradcheck: Gradcheck) -> None:
    code = f"{__file__}:Linear"
    config = f"""layer: {code}
framework: torch
inputs: {{x: [4, 3], w: [3, 2], b: [2]}}
"""
    done = gradcheck("run", "--allow-code", "-", stdin=config)
    assert done.returncode == 0, done.stdout + done.stderr
