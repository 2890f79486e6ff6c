"""The backward of the backward, as torch has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import CheckResult, check, double_backward, from_functions, from_torch
from gradcheck_cli.errors import CodeError
from tests.support.command import Gradcheck

torch = pytest.importorskip("torch")

X = np.random.default_rng(0).normal(size=(4, 3))
Function: Any = torch.autograd.Function


def verdicts(result: CheckResult) -> dict[str, str]:
    return {gradient.gradient: str(gradient.verdict) for gradient in result.gradients}


@pytest.mark.parametrize(
    "function",
    [
        torch.tanh,
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 2)),
        torch.nn.LayerNorm(3),
        lambda input: (input**3).sum(),
        lambda input: (torch.sin(input), input[:2] ** 2),
        torch.relu,
    ],
    ids=["op", "net", "norm", "loss", "two-outputs", "piecewise-linear"],
)
def test_what_torch_differentiates_twice_is_right(function: Any) -> None:
    result = check(double_backward(from_torch(function, X)))
    assert result.verdict == "pass"
    assert list(verdicts(result))[-1] == "∂(v·∇L)/∂δ"
    assert len(result.gradients) % 2 == 1


class Slope(Function):  # type: ignore[misc]
    """3x²δ, with a backward of its own, which is wrong by a factor in one place."""

    factors = (1.0, 1.0)

    @staticmethod
    def forward(ctx: Any, delta: Any, x: Any) -> Any:
        ctx.save_for_backward(delta, x)
        return 3 * x**2 * delta

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (v,), (delta, x) = upstream, ctx.saved_tensors
        of_delta, of_x = Slope.factors
        return of_delta * 3 * x**2 * v, of_x * 6 * x * delta * v


class Cube(Function):  # type: ignore[misc]
    """x³, whose first backward is wrong by a factor."""

    factor = 1.0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (delta,), (x,) = upstream, ctx.saved_tensors
        return Slope.apply(Cube.factor * delta, x)


@pytest.mark.parametrize(
    ("factor", "factors", "expected"),
    [
        (1.0, (1.0, 1.0), ("pass", "pass", "pass")),
        (1.0, (1.0, 0.5), ("pass", "fail", "pass")),
        (1.0, (-1.0, 1.0), ("pass", "pass", "fail")),
        (2.0, (1.0, 1.0), ("fail", "pass", "pass")),
    ],
    ids=["right", "input", "upstream", "first-backward"],
)
def test_a_wrong_double_backward_and_a_wrong_backward_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    factors: tuple[float, float],
    expected: tuple[str, ...],
) -> None:
    monkeypatch.setattr(Cube, "factor", factor)
    monkeypatch.setattr(Slope, "factors", factors)
    result = check(double_backward(from_torch(Cube, {"x": X})))
    assert verdicts(result) == dict(
        zip(("∂L/∂x", "∂(v·∇L)/∂x", "∂(v·∇L)/∂δ"), expected, strict=True)
    )


def times_slope(ctx: Any, delta: Any) -> Any:
    (x,) = ctx.saved_tensors
    return 3 * x**2 * delta


class OnceCube(Cube):
    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return torch.autograd.function.once_differentiable(times_slope)(ctx, *upstream)


class NumpyCube(Cube):
    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (delta,), (x,) = upstream, ctx.saved_tensors
        return torch.from_numpy(3 * x.detach().numpy() ** 2 * delta.detach().numpy())


@pytest.mark.parametrize("function", [OnceCube, NumpyCube])
def test_a_backward_that_cannot_be_differentiated_is_told(function: Any) -> None:
    result = check(double_backward(from_torch(function, {"x": X})))
    assert list(verdicts(result).values()) == ["pass", "fail", "fail"]
    assert any("gives a ∂L/∂x that is cut off" in note for note in result.notes)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_double_backward_in_low_precision_is_differenced_in_float64(dtype: str) -> None:
    result = check(double_backward(from_torch(torch.tanh, X, dtype=dtype)))
    assert result.verdict == "pass"
    assert sum(f"the backward in {dtype} is compared" in note for note in result.notes) == 1


class SavedSwish(Function):  # type: ignore[misc]
    """What is saved is no input and no output, and so is cut off from x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        s = torch.sigmoid(x)
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (delta,), (x, s) = upstream, ctx.saved_tensors
        return delta * (s + x * s * (1 - s))


def test_an_intermediate_that_is_saved_is_found() -> None:
    result = check(double_backward(from_torch(SavedSwish, {"x": X})))
    assert list(verdicts(result).values()) == ["pass", "fail", "pass"]


def test_a_backward_by_hand_has_no_double_backward() -> None:
    problem = from_functions(np.exp, lambda delta, x: delta * np.exp(x), X)
    with pytest.raises(CodeError, match="double_backward is of a function of torch, jax or autog"):
        double_backward(problem)


CODE = """
import torch


def layer(x, w):
    return torch.tanh(x @ w)


class Flat(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, delta):
        (x,) = ctx.saved_tensors
        return 3 * x.detach() ** 2 * delta
"""


def test_a_config_asks_for_it(gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(CODE)
    config = """
inputs: {x: [4, 3]}
double_backward: true
checks:
- {name: layer, forward: "f.py:layer", inputs: {w: [3, 2]}}
- {name: flat, forward: "f.py:Flat"}
"""
    (tmp_path / "c.yaml").write_text(config)
    done = gradcheck("run", "--allow-code", "--format", "plain", "c.yaml", cwd=tmp_path)
    rows = [line.split("\t")[1:4] for line in done.stdout.splitlines()]
    assert rows == [
        ["layer", "∂L/∂x", "pass"],
        ["layer", "∂L/∂w", "pass"],
        ["layer", "∂(v·∇L)/∂x", "pass"],
        ["layer", "∂(v·∇L)/∂w", "pass"],
        ["layer", "∂(v·∇L)/∂δ", "pass"],
        ["flat", "∂L/∂x", "pass"],
        ["flat", "∂(v·∇L)/∂x", "fail"],
        ["flat", "∂(v·∇L)/∂δ", "pass"],
    ]
