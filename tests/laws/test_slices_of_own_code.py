"""Slices that a forward of one's own is said to fall into: what whole forwards give, or a note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcheck_cli import CheckResult, Verdict, check, from_functions
from gradcheck_cli.checker.check import check as check_problem
from gradcheck_cli.errors import CodeError
from gradcheck_cli.options import Numeric
from gradcheck_cli.result import MutantStatus
from tests.support.layers import Float

CUTS = {"x": 0, "W": -1, "b": -1}
ENTRIES = Numeric(mode="entries")


def affine(x: Float, W: Float, b: Float) -> Float:
    return np.asarray(x @ W + b)


def affine_backward(delta: Float, x: Float, W: Float, b: Float) -> tuple[Float, Float, Float]:
    return delta @ W.T, x.T @ delta, delta.sum(axis=0)


def curved(x: Float, W: Float, b: Float) -> Float:
    return np.asarray(np.tanh(x @ W + b))


def curved_backward(delta: Float, x: Float, W: Float, b: Float) -> tuple[Float, Float, Float]:
    return affine_backward(delta * (1 - curved(x, W, b) ** 2), x, W, b)


def draw(n: int, N: int, M: int) -> dict[str, Float]:
    shapes: dict[str, tuple[int, ...]] = {"x": (n, N), "W": (N, M), "b": (M,)}
    return {
        name: np.random.default_rng(len(shape) + n).standard_normal(shape)
        for name, shape in shapes.items()
    }


def methods(result: CheckResult) -> list[str]:
    return [one.method for one in result.gradients]


@pytest.mark.parametrize(
    ("forward", "backward", "method"),
    [(affine, affine_backward, "superposition"), (curved, curved_backward, "slices")],
)
@settings(max_examples=5, deadline=None)
@given(n=st.integers(2, 6), extra=st.integers(0, 5))
def test_slices_give_what_whole_forwards_give(
    forward: Callable[..., Any], backward: Callable[..., Any], method: str, n: int, extra: int
) -> None:
    def wrong(*arguments: Any) -> Any:
        grad_x, grad_W, grad_b = backward(*arguments)
        grad_W[3, 2] *= 1 + 1e-6
        return grad_x, grad_W, grad_b

    inputs = draw(n, 40 + extra, 3 + extra)
    right = check(forward, backward, inputs, slices=CUTS)
    assert right.verdict == Verdict.PASS
    assert methods(right)[1] == method
    assert max(one.bound or 0.0 for one in right.gradients) < 1e-8
    found = check(forward, wrong, inputs, slices=CUTS)
    assert [one.verdict == Verdict.FAIL for one in found.gradients] == [False, True, False]
    assert found.gradients[1].worst is not None
    assert (found.gradients[1].wrong, found.gradients[1].worst.index) == (1, (3, 2))


def mixed(x: Float, W: Float, b: Float) -> Float:
    z = x @ W + b
    return np.asarray(z - z.mean(axis=1, keepdims=True))


def mixed_backward(delta: Float, *inputs: Float) -> tuple[Float, Float, Float]:
    x, W, b = inputs
    return affine_backward(delta - delta.mean(axis=1, keepdims=True), x, W, b)


def placed(x: Float, W: Float, b: Float) -> Float:
    return affine(x, W, b) * (1 + np.arange(W.shape[1]))


def placed_backward(delta: Float, *inputs: Float) -> tuple[Float, Float, Float]:
    x, W, b = inputs
    return affine_backward(delta * (1 + np.arange(W.shape[1])), x, W, b)


def fixed(x: Float, W: Float, b: Float) -> Float:
    out = np.zeros((len(x), 6))
    out[:] = affine(x, W, b)
    return out


@pytest.mark.parametrize(
    ("forward", "backward", "reason"),
    [
        (mixed, mixed_backward, "slice 0 alone gives other outputs than it does among all"),
        (placed, placed_backward, "slice 0 alone gives other outputs than it does among all"),
        (fixed, affine_backward, "the forward cannot be called with slice 0 twice: fixed raised"),
    ],
)
def test_what_probes_contradict_is_told_and_measured_by_whole_forwards(
    forward: Callable[..., Any], backward: Callable[..., Any], reason: str
) -> None:
    cuts = {"W": 1, "b": -1}
    result = check(forward, backward, draw(4, 40, 6), slices=cuts, numeric=ENTRIES)
    assert result.verdict == Verdict.PASS
    assert methods(result)[1] == "whole forwards"
    told = [note for note in result.notes if note.startswith("slices of W")]
    assert len(told) == 1
    assert reason in told[0]


def test_faults_are_put_into_gradients_by_slices_and_found() -> None:
    problem = from_functions(curved, curved_backward, draw(4, 40, 6), slices=CUTS)
    mutants = check_problem(problem, power=True).mutants
    assert mutants
    assert all(
        mutant.status == MutantStatus.CAUGHT for mutant in mutants if mutant.gradient == "∂L/∂W"
    )


def test_axes_of_the_input_and_of_the_output_may_differ() -> None:
    def forward(x: Float, w: Float) -> Float:
        return np.asarray(np.einsum("ncl,fc->nfl", x, w))

    def backward(delta: Float, x: Float, w: Float) -> tuple[Float, Float]:
        return np.einsum("nfl,fc->ncl", delta, w), np.einsum("nfl,ncl->fc", delta, x)

    random = np.random.default_rng(0)
    inputs = {"x": random.standard_normal((3, 20, 4)), "w": random.standard_normal((6, 20))}
    result = check(forward, backward, inputs, slices={"x": -1, "w": (0, 1)})
    assert result.verdict == Verdict.PASS
    assert methods(result) == ["superposition", "superposition"]


@pytest.mark.parametrize(
    ("cuts", "reason"),
    [
        ({"w": 1}, "there is no input 'w'; did you mean 'W'"),
        ({"W": 2}, "'W' is 40×6, and has no axis 2"),
        ({"W": (1, 3)}, "the output is 4×6, and has no axis 3"),
    ],
)
def test_axes_that_are_not_there_are_refused(cuts: dict[str, Any], reason: str) -> None:
    with pytest.raises(CodeError, match=reason):
        check(affine, affine_backward, draw(4, 40, 6), slices=cuts)
