"""Tails of activations, where a factor stands still below its last place: no false verdict."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, erfc, exp, pi, sqrt
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli import Verdict, check, from_functions
from tests.support.verdicts import judge

Function = Callable[[Any], Any]
erfs, erfcs = (np.vectorize(function, otypes=[float]) for function in (erf, erfc))
gauss = np.vectorize(lambda x: exp(-x * x / 2) / sqrt(2 * pi), otypes=[float])

# Each with its derivative, in forms that are exact in the tail.
TAILS: dict[str, tuple[Function, Function]] = {
    "gelu": (
        lambda x: 0.5 * x * (1 + erfs(x / sqrt(2))),
        lambda x: 0.5 * erfcs(-x / sqrt(2)) + x * gauss(x),
    ),
    "x (1 + erf x)": (
        lambda x: x * (1 + erfs(x)),
        lambda x: erfcs(-x) + x * 2 / sqrt(pi) * np.exp(-x * x),
    ),
    "x (1 + tanh x)": (
        lambda x: x * (1 + np.tanh(x)),
        lambda x: 2 / (1 + np.exp(-2 * x)) + x / np.cosh(x) ** 2,
    ),
    "x (1 − σ(x))": (
        lambda x: x * (1 - 1 / (1 + np.exp(-x))),
        lambda x: 1 / (1 + np.exp(x)) - x / (2 * np.cosh(x / 2)) ** 2,
    ),
}


@given(st.sampled_from(sorted(TAILS)), st.integers(0, 2**32 - 1), st.sampled_from([3.0, 9.0]))
def test_a_right_derivative_passes_in_the_tail(name: str, seed: int, scale: float) -> None:
    forward, derivative = TAILS[name]
    random = np.random.default_rng(seed)
    side = 1 if name == "x (1 − σ(x))" else -1
    x = np.concatenate([side * scale * random.uniform(0.3, 1, 8), random.uniform(-1, 1, 2)])
    problem = from_functions(forward, lambda delta, x: delta * derivative(x), {"x": x})
    assert check(problem).verdict != Verdict.FAIL


@given(st.sampled_from(sorted(TAILS)), st.integers(0, 2**32 - 1), st.sampled_from([1.0, 5.0, 10.0]))
def test_a_wrong_derivative_fails(name: str, seed: int, scale: float) -> None:
    forward, derivative = TAILS[name]
    x = scale * np.random.default_rng(seed).normal(size=8)

    def wrong(delta: Any, x: Any) -> Any:
        gradient = delta * derivative(x)
        gradient[np.argmax(np.abs(gradient))] *= 1 + 1e-6
        return gradient

    assert judge(from_functions(forward, wrong, {"x": x})).verdict == Verdict.FAIL
