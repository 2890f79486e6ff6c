"""The line of the user's after which a gradient is there."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions, from_layer
from gradcheck_cli.result import CheckResult
from gradcheck_cli.usercode.watching import tracing

Array = Any  # functions of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 2))


def product(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ w, (x, w)


def inner(delta: Array, x: Array) -> Array:
    swapped = x.T @ delta
    return 2 * swapped


def outer(delta: Array, cache: tuple[Array, Array]) -> tuple[Array, Array]:
    x, w = cache
    dw = inner(delta, x)
    dx = delta @ w.T
    dx[0] = 0
    return dx, dw.reshape(3, 2)


def line_of(function: Callable[..., Any], text: str) -> str:
    """`inner, test_tracing.py:26`: the line of a function with this text."""
    lines, first = inspect.getsourcelines(function)
    (place,) = [place for place, line in enumerate(lines) if text in line]
    return f"{function.__qualname__}, tests/unit/usercode/test_tracing.py:{first + place}"


def sources(result: CheckResult) -> list[str]:
    return [one.source for one in result.gradients]


def test_the_innermost_function_and_the_last_change_are_named() -> None:
    result = check(from_functions(product, outer, {"x": X, "w": W}))
    assert sources(result) == [line_of(outer, "dx[0] = 0"), line_of(inner, "return 2 * swapped")]


class Layer:
    def __init__(self) -> None:
        self.w = W.copy()

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.w

    def backward(self, delta: Array) -> Array:
        self.dw = 3 * self.x.T @ delta
        return delta @ self.w.T


def test_gradients_that_an_object_keeps_are_found_there() -> None:
    result = check(from_layer(Layer(), {"x": X, "w": W}))
    told = line_of(Layer.backward, "self.dw = 3")
    assert [one.source for one in result.gradients if one.verdict == "fail"] == [told]


def identity(delta: Array, cache: Array) -> Array:
    return delta


def test_what_is_handed_over_as_it_is_is_computed_nowhere() -> None:
    (gradient,) = check(from_functions(np.sin, identity, {"x": X})).gradients
    assert gradient.verdict == "fail"
    assert gradient.source.startswith("identity, ")


def test_another_tracer_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "gettrace", lambda: "a debugger")
    assert tracing.find_lines(lambda: inner(X, X), {"w": 2 * X.T @ X}) == {}


def slow(delta: Array) -> Array:
    total = 0
    for _ in range(tracing.MOST_LINES):
        total += 1
    return delta * total


def test_a_long_loop_is_not_watched_to_its_end() -> None:
    started = time.perf_counter()
    found = tracing.find_lines(lambda: slow(X), {"x": X * tracing.MOST_LINES})
    assert found == {}
    assert sys.gettrace() is None
    assert time.perf_counter() - started < 20
