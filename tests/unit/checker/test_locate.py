"""A backward of the user's own that wrong gradients alone come through is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_torch


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
    assert "test_locate.py:" in note
