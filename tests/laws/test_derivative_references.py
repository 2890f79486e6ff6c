"""Derivatives that are measured hold what other ways of knowing them say: compositions by hand,
complex steps, closed forms in fifty digits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcheck_cli import (
    Numeric,
    Problem,
    check,
    from_functions,
    from_hessian,
    from_jacobian,
    from_jvp,
)
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from tests.support.verdicts import judge

Array = NDArray[Any]
SIZE = 4


class Step(NamedTuple):
    """A function of a vector, its product along a tangent, and along an upstream gradient."""

    value: Callable[[Array], Array]
    push: Callable[[Array, Array], Array]
    pull: Callable[[Array, Array], Array]


def entrywise(value: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Step:
    return Step(value, lambda x, v: slope(x) * v, lambda x, d: slope(x) * d)


def linear(seed: int) -> Step:
    matrix = np.random.default_rng(seed).normal(size=(SIZE, SIZE)) / 2
    return Step(lambda x: matrix @ x, lambda x, v: matrix @ v, lambda x, d: matrix.T @ d)


def softmax(x: Array) -> Array:
    weights = np.exp(x - np.max(x))
    return np.asarray(weights / np.sum(weights))


def softmax_push(x: Array, v: Array) -> Array:
    p = softmax(x)
    return np.asarray(p * (v - p @ v))


STEPS = (
    entrywise(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    entrywise(np.sin, np.cos),
    entrywise(lambda x: x**3 + x, lambda x: 3 * x**2 + 1),
    entrywise(lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
    Step(softmax, softmax_push, softmax_push),
    Step(lambda x: x * x[0], lambda x, v: v * x[0] + x * v[0], lambda x, d: _pull_scaled(x, d)),
    *map(linear, range(3)),
)


def _pull_scaled(x: Array, d: Array) -> Array:
    pulled = d * x[0]
    pulled[0] += x @ d
    return np.asarray(pulled)


class Composition:
    """Some steps, one after the other; `left_out`: a step whose derivative is taken for 1."""

    def __init__(self, places: list[int], left_out: int | None = None) -> None:
        self.steps = [STEPS[place] for place in places]
        self.left_out = left_out

    def forward(self, x: Array) -> Array:
        for step in self.steps:
            x = step.value(x)
        return x

    def jvp(self, x: Array, dx: Array) -> Array:
        for place, step in enumerate(self.steps):
            dx = dx if place == self.left_out else step.push(x, dx)
            x = step.value(x)
        return dx

    def backward(self, delta: Array, x: Array) -> Array:
        points = [x]
        for step in self.steps:
            points.append(step.value(points[-1]))
        for place in reversed(range(len(self.steps))):
            if place != self.left_out:
                delta = self.steps[place].pull(points[place], delta)
        return delta


compositions = st.lists(st.integers(0, len(STEPS) - 1), min_size=1, max_size=5)


def draw(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=SIZE)


@given(compositions, st.integers(0, 100))
def test_both_products_of_a_composition_pass(places: list[int], seed: int) -> None:
    made = Composition(places)
    problems = from_jvp(made.forward, made.jvp, draw(seed), backward=made.backward)
    assert "fail" not in [str(one.verdict) for one in check(problems).gradients]


@given(compositions, st.integers(0, 100), st.data())
def test_a_step_that_is_left_out_fails_on_its_side(
    places: list[int], seed: int, data: st.DataObject
) -> None:
    left_out = data.draw(st.integers(0, len(places) - 1))
    right, wrong = Composition(places), Composition(places, left_out)
    x, v = draw(seed), draw(seed + 1)
    # Where the derivative is as good as 1, or nothing is left of it, there is nothing to find.
    gap = np.abs(right.jvp(x, v) - wrong.jvp(x, v))
    if not np.all(gap > 1e-3 * np.max(np.abs(right.jvp(x, v)))) or np.max(gap) < 1e-6:
        return
    backward = from_jvp(right.forward, right.jvp, x, backward=wrong.backward)
    tangents = from_jvp(right.forward, wrong.jvp, x, backward=right.backward)
    for problems, verdicts in (
        (backward, ("fail", "pass", "fail")),
        (tangents, ("pass", "fail", "fail")),
    ):
        found = [str(one.verdict) for one in check(problems).gradients]
        assert all(
            one in (expected, "inconclusive") for one, expected in zip(found, verdicts, strict=True)
        )
        assert found[-1] == "fail"


def measured(problem: Problem) -> NumericGradient:
    with np.errstate(all="ignore"):
        return measure_gradient(problem, "x", Numeric())


def complex_steps(function: Callable[[Array], Any], x: Array) -> Array:
    """The Jacobian, a column an entry of x. Im f(x + ih)/h has no difference to cancel: W. Squire
    and G. Trapp, SIAM Rev. 40 (1998)."""
    tiny = 1e-200
    columns = [function(x + 1j * tiny * one).imag / tiny for one in np.eye(len(x))]
    return np.stack(columns, axis=-1)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 5, 6, 7, 8]), min_size=1, max_size=4), st.integers(0))
def test_a_jacobian_holds_what_complex_steps_say(places: list[int], seed: int) -> None:
    made, x = Composition(places), draw(seed % 1000)
    exact = complex_steps(made.forward, x)
    (problem,) = from_jacobian(made.forward, lambda x: exact, x)
    found = measured(problem)
    rounding = 1e-14 * np.max(np.abs(exact))
    assert np.all(np.abs(found.value - exact) <= found.uncertainty + rounding)
    assert np.max(found.uncertainty) <= 1e-7 * np.max(np.abs(exact))


# f(x), in NumPy and in mpmath, whose derivatives are taken there in fifty digits.
CLOSED_FORMS: dict[str, tuple[Callable[[Array], Any], Callable[..., Any]]] = {
    "logsumexp": (
        lambda x: np.log(np.sum(np.exp(x))),
        lambda *x: mpmath.log(sum(map(mpmath.exp, x))),
    ),
    "rosenbrock": (
        lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
        lambda *x: sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)),
    ),
    "oscillation": (
        lambda x: np.sin(x[0] * x[1]) * np.exp(-(x[2] ** 2)),
        lambda a, b, c: mpmath.sin(a * b) * mpmath.exp(-(c**2)),
    ),
    "norm": (
        lambda x: np.sqrt(1 + np.sum(x**2)),
        lambda *x: mpmath.sqrt(1 + sum(one**2 for one in x)),
    ),
}


def exact(name: str, x: Array, orders: tuple[int, ...]) -> float:
    with mpmath.workdps(50):
        return float(mpmath.diff(CLOSED_FORMS[name][1], tuple(map(mpmath.mpf, x)), orders))


def orders_of(*places: int) -> tuple[int, ...]:
    return tuple(int(order) for order in sum(np.eye(3, dtype=int)[place] for place in places))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_gradient_holds_the_closed_form(name: str, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=3)
    true = np.array([exact(name, x, orders_of(place)) for place in range(3)])
    problem = from_functions(CLOSED_FORMS[name][0], lambda x: true, x)
    found = measured(problem)
    assert np.all(np.abs(found.value - true) <= found.uncertainty + 1e-15 * np.max(np.abs(true)))
    assert check(problem).verdict == "pass"


@pytest.mark.parametrize("given", [True, False], ids=["by-gradient", "by-forward"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_hessian_holds_the_closed_form(name: str, seed: int, given: bool) -> None:
    x = np.random.default_rng(seed).normal(size=3)
    true = np.array([[exact(name, x, orders_of(i, j)) for j in range(3)] for i in range(3)])

    def gradient(x: Array) -> Array:
        return complex_steps(CLOSED_FORMS[name][0], x)

    problems = from_hessian(
        CLOSED_FORMS[name][0], lambda x: true, x, gradient=gradient if given else None
    )
    found = measured(problems[1 if given else 0])
    assert np.all(np.abs(found.value - true) <= found.uncertainty)
    assert np.max(found.uncertainty) < (1e-9 if given else 1e-5) * np.max(np.abs(true))
    wrong = true + 1e-3 * np.max(np.abs(true)) * np.eye(3)
    for hessian, verdict in ((true, "pass"), (wrong, "fail")):
        made = from_hessian(
            CLOSED_FORMS[name][0], lambda x, h=hessian: h, x, gradient=gradient if given else None
        )
        assert judge(made).verdict == verdict
