"""An entry whose quotients never agree is not known, and one of a scale of its own is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, check
from tests.support.numeric import numeric_gradient
from tests.support.verdicts import judge

Function = Callable[[Any], Any]
# Near zero their quotients grow as steps shrink, by symmetry without a trace in the central one.
SINGULAR: dict[str, tuple[Function, Function]] = {
    "|x|^0.1": (lambda x: abs(x) ** 0.1, lambda x: 0.1 * np.sign(x) * abs(x) ** -0.9),
    "root": (lambda x: np.sqrt(abs(x)), lambda x: 0.5 * np.sign(x) / np.sqrt(abs(x))),
    "cube root": (np.cbrt, lambda x: np.cbrt(x) / x / 3),
    "logarithm": (lambda x: np.log(abs(x)), lambda x: 1 / x),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / x**2),
}


def beside(place: float, seed: int) -> tuple[Any, Any]:
    """Entries around a place, some nearer to it than others by 1e-1 to 1e-14, and weights."""
    random = np.random.default_rng(seed)
    near = random.choice([-1, 1], 4) * 10.0 ** random.uniform(-14, -1, 4)
    return place + np.concatenate([random.normal(size=2), near]), random.normal(size=6)


@given(st.sampled_from(sorted(SINGULAR)), st.sampled_from([0.0, 1.0]), st.integers(0, 2**31))
def test_an_entry_that_does_not_settle_is_never_certain(kind: str, place: float, seed: int) -> None:
    (function, slope), (x, w) = SINGULAR[kind], beside(place, seed)
    with np.errstate(all="ignore"):
        measured, true = numeric_gradient(lambda x: function(x - place), x, w), w * slope(x - place)
    apart = np.abs(measured.value - true) - 1e-9 * np.abs(true)
    assert np.all((apart <= measured.uncertainty) | np.isinf(measured.uncertainty))
    assert measured.unsettled is not None
    assert np.all(np.isinf(measured.uncertainty[measured.unsettled]))


def test_it_is_inconclusive_and_says_so() -> None:
    function, slope = SINGULAR["cube root"]
    x, w = beside(1.0, 3)
    problem = Problem(
        {"x": x},
        lambda inputs: function(inputs["x"] - 1),
        lambda inputs, delta: {"x": delta * slope(inputs["x"] - 1)},
        w,
    )
    (gradient,) = check(problem).gradients
    assert gradient.verdict == Verdict.INCONCLUSIVE
    assert gradient.reason == (
        "the difference quotient does not settle in 1 of 6 entries, such as [4]: as the step "
        "shrinks it goes on to change by more than noise explains; is the forward smooth there? "
        "give other inputs"
    )


def of_sizes(power: float, log: int) -> tuple[Function, Function]:
    """|x|^power · log(|x|)^log and its derivative, both 0 where x is."""

    def function(x: Any) -> Any:
        size = np.where(x == 0, 1.0, abs(x))
        return np.where(x == 0, 0.0, size**power * np.log(size) ** log)

    def slope(x: Any) -> Any:
        size = np.where(x == 0, 1.0, abs(x))
        grown = power * np.log(size) ** log + (log * np.log(size) ** (log - 1) if log else 0.0)
        return np.where(x == 0, 0.0, np.sign(x) * size ** (power - 1) * grown)

    return function, slope


def odd(function: Function, slope: Function) -> tuple[Function, Function]:
    return lambda x: np.sign(x) * function(x), lambda x: np.sign(x) * slope(x)


def on_one_side(function: Function, slope: Function) -> tuple[Function, Function]:
    return lambda x: (x > 0) * function(x), lambda x: (x > 0) * slope(x)


# At zero they have no derivative: their quotients grow like a root or a logarithm.
NONE_AT_ZERO = {
    "x log |x|": odd(*of_sizes(1.0, 1)),
    "x log² |x|": odd(*of_sizes(1.0, 2)),
    "x log x for x > 0": on_one_side(*of_sizes(1.0, 1)),
    "√x for x > 0": on_one_side(*of_sizes(0.5, 0)),
    "±√|x|": odd(*of_sizes(0.5, 0)),
}
# There they have one, though quotients change for many steps before they settle.
SOME_AT_ZERO: dict[str, tuple[Function, Function]] = {
    "|x|^1.5": of_sizes(1.5, 0),
    "x² log |x|": of_sizes(2.0, 1),
    "tanh(1e6 x)": (lambda x: np.tanh(1e6 * x), lambda x: 1e6 * (1 - np.tanh(1e6 * x) ** 2)),
    "x + tanh(1e8 x)": (
        lambda x: x + np.tanh(1e8 * x),
        lambda x: 1 + 1e8 * (1 - np.tanh(1e8 * x) ** 2),
    ),
    "√(x² + 1e-12)": (lambda x: np.hypot(x, 1e-6), lambda x: x / np.hypot(x, 1e-6)),
    "softplus(1e6 x)": (
        lambda x: 1e-6 * np.logaddexp(0.0, 1e6 * x),
        lambda x: 1 / (1 + np.exp(-1e6 * x)),
    ),
}


def with_a_zero(function: Function, slope: Function, seed: int, error: float) -> Problem:
    """Of six entries the first is zero; its gradient is off by a share of the largest entry."""
    random = np.random.default_rng(seed)
    x, w = random.uniform(0.1, 2.0, 6) * random.choice([-1, 1], 6), random.normal(size=6)
    x[0] = 0.0

    def backward(inputs: Any, delta: Any) -> Any:
        gradient = delta * slope(inputs["x"])
        gradient[0] += error * np.max(np.abs(gradient))
        return {"x": gradient}

    return Problem({"x": x}, lambda inputs: function(inputs["x"]), backward, w)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NONE_AT_ZERO)
@pytest.mark.filterwarnings("ignore:overflow")
def test_where_there_is_no_derivative_quotients_do_not_settle(name: str, seed: int) -> None:
    (found,) = check(with_a_zero(*NONE_AT_ZERO[name], seed, 0.0)).gradients
    assert found.verdict == Verdict.INCONCLUSIVE
    assert found.reason.startswith("the difference quotient does not settle in 1 of 6 entries")
    assert "[0]" in found.reason


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SOME_AT_ZERO)
@pytest.mark.filterwarnings("ignore:overflow")
def test_where_there_is_one_they_do(name: str, seed: int) -> None:
    for error, verdict in ((0.0, Verdict.PASS), (1e-4, Verdict.FAIL)):
        assert judge(with_a_zero(*SOME_AT_ZERO[name], seed, error)).verdict == verdict


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (np.sin, np.cos),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        (lambda x: np.log(2 + abs(x)), lambda x: np.sign(x) / (2 + abs(x))),
        (lambda x: np.sqrt(1 + x), lambda x: 0.5 / np.sqrt(1 + x)),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_every_entry_may_have_a_scale_of_its_own(
    function: Function, slope: Function, seed: int
) -> None:
    """From 1e-9 to 1e3 in one vector: noise around its smallest is not that of its largest."""
    random = np.random.default_rng(seed)
    units, z = 10.0 ** random.permutation(np.linspace(-9, 3, 12)), random.uniform(0.3, 0.9, 12)
    problem = Problem(
        {"x": units * z},
        lambda inputs: function(inputs["x"] / units),
        lambda inputs, delta: {"x": delta * slope(inputs["x"] / units) / units},
        random.normal(size=12),
        batched=True,
    )
    (gradient,) = check(problem).gradients
    assert gradient.verdict == Verdict.PASS
    wrong = problem.backward(problem.inputs, problem.cotangent)["x"] * (1 + 1e-6 * (units > 1))
    assert judge(replace(problem, backward=lambda *_: {"x": wrong})).verdict == Verdict.FAIL
