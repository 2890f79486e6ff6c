"""A forward that works on its arguments in place fails by name, however often it repeats itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli import Verdict, check, from_functions
from gradcheck_cli.result import GradientResult

Array = Any  # functions of users have no types


def relu(x: Array, w: Array) -> Array:
    x[x < 0] = 0
    return x * w


def clip(x: Array, w: Array) -> Array:
    np.clip(x, -0.5, 0.5, out=x)
    return x * w


def sign(x: Array, w: Array) -> Array:
    x[:] = np.sign(x)
    return x * w


def sort(x: Array, w: Array) -> Array:
    x.sort()
    return x * w


def reset(x: Array, w: Array) -> Array:
    w[:] = 1
    return x * w


def backward(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
    return delta * w, delta * x


def judge(forward: Callable[..., Array], seed: int, batched: bool = False) -> GradientResult:
    x, w = np.random.default_rng(seed).standard_normal((2, 6))
    problem = from_functions(forward, backward, {"x": x, "w": w}, batched=batched)
    np.testing.assert_array_equal(problem.inputs["x"], x)
    return check(problem).gradients[0]


@given(st.sampled_from([relu, clip, sign, sort, reset]), st.integers(0, 2**32 - 1))
def test_a_forward_that_changes_its_arguments_fails_by_name(
    forward: Callable[..., Array], seed: int
) -> None:
    result = judge(forward, seed)
    name = "w" if forward is reset else "x"
    assert result.verdict == Verdict.FAIL
    assert result.reason == (
        f"the forward changes its input {name} in place; let it work on a copy"
    )


@pytest.mark.parametrize("forward", [relu, clip])
def test_so_does_one_that_takes_many_points_at_once(forward: Callable[..., Array]) -> None:
    assert "changes its input x in place" in judge(forward, 0, batched=True).reason
