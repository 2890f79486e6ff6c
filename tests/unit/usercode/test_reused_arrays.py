"""Functions that return the same array from every call, filled anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions, from_torch
from gradcheck_cli.problem import Problem

Array = Any  # functions of users have no types

X = np.random.default_rng(1).normal(size=6)


def verdict(problem: Problem) -> str:
    return check(problem).verdict.value


@pytest.mark.parametrize(("slope", "expected"), [(2.0, "pass"), (1.0, "fail")])
def test_an_output_that_every_call_overwrites_is_differenced_as_it_was(
    slope: float, expected: str
) -> None:
    output, gradient = np.zeros_like(X), np.zeros_like(X)

    def forward(x: Array) -> Array:
        return np.square(x, out=output)

    def backward(delta: Array, x: Array) -> Array:
        return np.multiply(slope * delta, x, out=gradient)

    assert verdict(from_functions(forward, backward, X)) == expected


@pytest.mark.parametrize(("slope", "expected"), [(1.0, "pass"), (2.0, "fail")])
def test_so_is_a_tensor(slope: float, expected: str) -> None:
    torch = pytest.importorskip("torch")
    output = torch.zeros(6, dtype=torch.float64)

    class Exp(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.exp(x, out=output)

        @staticmethod
        def backward(ctx: Any, delta: Any) -> Any:
            return slope * delta * torch.exp(ctx.saved_tensors[0])

    assert verdict(from_torch(Exp, {"x": X})) == expected
