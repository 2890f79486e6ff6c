"""Right gradients before wrong ones in a backward: the error is between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_torch
from gradcheck_cli.config.load import load_config
from gradcheck_cli.run import suite

NET = """\
import numpy as np

def net(x, W1, b1, W2, b2):
    return np.tanh(x @ W1 + b1) @ W2 + b2

def backward(delta, x, W1, b1, W2, b2):
    hidden = np.tanh(x @ W1 + b1)
    grad_W2 = hidden.T @ delta
    grad_b2 = delta.sum(axis=0)
    inner = {inner}
    grad_W1 = x.T @ inner
    grad_b1 = inner.sum(axis=0)
    grad_x = inner @ W1.T{factor}
    return grad_x, grad_W1, grad_b1, grad_W2, grad_b2
"""
CONFIG = """\
forward: net.py:net
backward: net.py:backward
inputs: {x: [6, 4], W1: [4, 5], b1: [5], W2: [5, 3], b2: [3]}
"""
WRONG = "delta @ W2.T * (1 - hidden**2 / (1 + hidden[::-1] ** 2))"
RIGHT = "delta @ W2.T * (1 - hidden**2)"


def order_notes(folder: Path, inner: str, factor: str = "") -> list[str]:
    (folder / "net.py").write_text(NET.format(inner=inner, factor=factor))
    (folder / "c.yaml").write_text(CONFIG)
    (check,) = suite.run(load_config(str(folder / "c.yaml")), allow_code=True).checks
    assert check.result is not None, check.error
    return [note for note in check.result.notes if "look between" in note]


def test_the_error_is_between_what_is_right_and_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert order_notes(tmp_path, WRONG) == [
        "∂L/∂W2 and ∂L/∂b2 are right, and there after backward, net.py:9; ∂L/∂W1, ∂L/∂b1 and ∂L/∂x "
        "are wrong, the first of them there after backward, net.py:11: look between them, at what "
        "is computed for these alone"
    ]


@pytest.mark.parametrize(
    ("inner", "factor"),
    [(RIGHT, " * 2"), (RIGHT, " ** 3 / 7"), (f"2 * {RIGHT}", "")],
    ids=["a known fault", "one gradient alone", "a fault of all that are wrong"],
)
def test_nothing_is_said_where_a_line_or_a_fault_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str, factor: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert order_notes(tmp_path, inner, factor) == []


def test_the_function_that_wrong_gradients_alone_come_through_is_named() -> None:
    torch = pytest.importorskip("torch")
    base: Any = torch.autograd.Function

    class Squash(base):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.tanh(x)

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            (x,) = ctx.saved_tensors
            return upstream[0] * (1 - torch.tanh(x) ** 3)

    def net(x: Any, w: Any, v: Any) -> Any:
        return Squash.apply(x @ w) @ v

    random = np.random.default_rng(0)
    shapes = {"x": (4, 3), "w": (3, 5), "v": (5, 2)}
    result = check(
        from_torch(net, {name: random.standard_normal(shape) for name, shape in shapes.items()})
    )
    (note,) = [note for note in result.notes if "look there" in note]
    assert note.startswith(
        "∂L/∂v is right; ∂L/∂x and ∂L/∂w are wrong, and alone come through the backward of Squash, "
    )
    assert "test_backward_order.py:" in note
