"""Low precision: the backward as it is, against the same forward in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli import Numeric, check
from gradcheck_cli.measure.rounded_backward import spread_by_rounding
from gradcheck_cli.problem import Problem
from tests.support.layers import layer as paper_layer
from tests.support.layers import problem

Array = NDArray[Any]
TYPES = ["float16", "float32"]


def layer(x: Array, w: Array) -> Array:
    return np.asarray(np.tanh(x @ w))


def backward(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
    inner = delta.astype(x.dtype) * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


def arrays(dtype: str) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    x, w = random.normal(size=(16, 32)), random.normal(size=(32, 8)) / 5
    return x.astype(dtype), w.astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_right_backward_passes_and_a_wrong_one_fails(dtype: str) -> None:
    right = check(layer, backward, arrays(dtype))
    wrong = check(layer, lambda *given: tuple(0.9 * one for one in backward(*given)), arrays(dtype))
    assert [str(one.verdict) for one in (right, wrong)] == ["pass", "fail"]
    off = {"float16": "2e-02", "float32": "3e-06"}[dtype]
    assert right.notes == (
        f"the backward in {dtype} is compared with the same forward in float64: it may be off by "
        f"23 roundings of a gradient's largest entry, {off}",
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_the_backward_gets_its_inputs_as_they_are_and_in_float64(dtype: str) -> None:
    seen = set()

    def spy(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
        seen.update([(str(delta.dtype), str(x.dtype), str(w.dtype))])
        return backward(delta, x, w)

    check(layer, spy, arrays(dtype))
    assert seen == {(dtype,) * 3, ("float64",) * 3}


@pytest.mark.parametrize("dtype", TYPES)
def test_what_rounding_would_hide_is_found_in_float64(dtype: str) -> None:
    factor = {"float16": 1.01, "float32": 1 + 1e-5}[dtype]
    result = check(
        layer, lambda *given: tuple(factor * one for one in backward(*given)), arrays(dtype)
    )
    assert result.verdict == "fail"
    assert any("handed them in float64" in note for note in result.notes)
    diagnosis = result.gradients[1].diagnosis
    assert diagnosis is not None
    assert diagnosis.observation == f"it is {factor:g} times the numeric gradient"


def test_what_is_wrong_in_low_precision_alone_is_said_to_be() -> None:
    def overflows(delta: Array, x: Array) -> Array:
        large = x.dtype.type(30000)
        return np.asarray(delta * (x * large) / large * 2)

    with np.errstate(over="ignore"):
        result = check(lambda x: x**2, overflows, np.arange(1, 6).astype("float16"))
    assert result.verdict == "fail"
    assert result.gradients[0].reason.endswith(
        "in float64 it is right: this is lost in float16, by rounding or overflow"
    )


def test_a_long_sum_in_low_precision_passes() -> None:
    ones = np.ones((4096, 1))
    result = check(
        lambda b: ones.astype(b.dtype) * b,
        lambda delta, b: delta.sum(0),
        np.array([0.5, -1.0, 2.0], "float16"),
    )
    assert result.verdict == "pass"


def casts_in_a_line(x: Array, w: Array) -> Array:
    inner = x @ w
    narrow = inner.astype("float16")
    return np.asarray(np.tanh(narrow))


def casts_at_the_end(x: Array, w: Array) -> Array:
    return np.asarray(np.tanh(x @ w), dtype="float16")


@pytest.mark.parametrize(
    ("forward", "line", "told"),
    [
        (casts_in_a_line, 2, "in casts_in_a_line: narrow is float16"),
        (casts_at_the_end, 1, "in casts_at_the_end: what it returns is float16"),
    ],
)
def test_a_forward_that_casts_inside_is_told_by_its_line(
    forward: Any, line: int, told: str
) -> None:
    place = f"tests/unit/measure/test_precision.py:{forward.__code__.co_firstlineno + line}, {told}"
    result = check(forward, backward, arrays("float16"), numeric=Numeric(sample=3))
    unresolved = [one for one in result.gradients if one.verdict == "inconclusive"]
    assert unresolved
    for one in unresolved:
        assert one.reason.endswith(f"; the forward turns float64 into low precision; {place}")
    assert result.notes[0] == (
        "the forward gives float16 for inputs in float64: it was measured in float16; " + place
    )


def test_the_forward_can_be_differenced_in_its_own_type() -> None:
    result = check(layer, backward, arrays("float16"), numeric=Numeric(widen=False, sample=5))
    assert result.notes == ()
    assert result.verdict == "inconclusive"


def test_sums_of_more_terms_round_more() -> None:
    def roundings(terms: int) -> int:
        x, w = np.ones((2, terms), "float32"), np.ones((terms, 2), "float32")
        notes = check(layer, backward, (x, w), numeric=Numeric(sample=2)).notes
        (note,) = (one for one in notes if "roundings" in one)
        return int(note.split("off by ")[1].split()[0])

    assert [roundings(terms) for terms in (4, 64, 256, 1024)] == [16, 16, 32, 64]


@pytest.mark.parametrize("activation", ["none", "tanh", "gelu"])
@pytest.mark.parametrize("mode", ["entries", "directions"])
def test_a_form_in_float32_is_differenced_in_float64(activation: str, mode: str) -> None:
    made = problem(paper_layer("XW", n=6, N=4, M=3, activation=activation, dtype="float32"))
    result = check(made, numeric=Numeric(mode=mode))
    assert result.verdict == "pass"
    assert any("in float64" in note for note in result.notes)
    assert all(one.resolution is not None and one.resolution < 1e-3 for one in result.gradients)
    alone = check(made, numeric=Numeric(mode=mode, widen=False))
    assert not any("in float64" in note for note in alone.notes)


@pytest.mark.parametrize("mode", ["entries", "directions"])
def test_a_wrong_entry_of_a_form_in_float32_is_found(mode: str) -> None:
    made = problem(paper_layer("XW", n=6, N=4, M=3, dtype="float32"))

    def wrong(inputs: Any, cotangent: Any) -> Any:
        found = dict(made.backward(inputs, cotangent))
        found["W"] = found["W"] + 0.01 * np.max(np.abs(found["W"])) * (np.arange(3) == 1)
        return found

    result = check(replace(made, backward=wrong), numeric=Numeric(mode=mode))
    assert [str(one.verdict) for one in result.gradients] == ["pass", "fail"]


def saturated(x: Array) -> Array:
    """A unit whose last digits float32 does not have, where it is certain."""
    return np.asarray(1 / (1 + np.exp(-x)) - (x > 0))


def saturated_slope(delta: Array, x: Array) -> Array:
    """1 − y has no digits left in float32 where y is 1 to rounding, and 1e-11 in float64."""
    y = 1 / (1 + np.exp(-x))
    return np.asarray(delta.astype(x.dtype) * y * (1 - y))


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.floats(12, 25))
def test_a_backward_may_be_off_by_its_own_roundings_and_no_more(seed: int, far: float) -> None:
    x = (far + np.random.default_rng(seed).uniform(size=(3, 2))).astype("float32")

    def wrong(delta: Array, x: Array) -> Array:
        """By 64 roundings of 1, in float32 alone."""
        off = 64 * np.finfo("float32").eps * np.max(np.abs(delta)) * (x == np.max(x))
        return np.asarray(saturated_slope(delta, x) + off * (x.dtype == "float32"))

    assert check(saturated, saturated_slope, x).verdict == "pass"
    assert check(saturated, wrong, x).verdict != "pass"


def test_a_right_gradient_that_float32_rounds_away_says_how_far_off_it_is() -> None:
    made = problem(
        paper_layer("xW", N=6, M=4, loss="softmax-cross-entropy", dtype="float32", seed=3)
    )
    far = {"x": 4 * made.inputs["x"], "W": made.inputs["W"]}
    result = check(replace(made, inputs=far))
    assert result.verdict == "pass"
    for one in result.gradients:
        assert one.bound is not None
        assert 0.03 < one.bound < 0.1
        (note,) = one.notes
        assert note.startswith("in float64 it is right; in float32 it is off by up to ")


def in_place(x: Array) -> Array:
    y = np.exp(x)
    y /= y.sum()
    y[0] -= 1
    np.add.at(y, [1, 1], x[:2])
    return np.asarray(y)


ON_THE_WAY = {
    "a sum that cancels": lambda x: np.stack([x, 1 - x]).sum(0) - 1,
    "a product that cancels": lambda x: np.stack([x, -1.1 * x, 0.1 * x], 1) @ np.ones(3, x.dtype),
    "a saturated unit": lambda x: 1 - np.tanh(5 + x) ** 2,
    "functions that are no ufuncs": lambda x: np.where(x > 0, x, np.cumsum(x)) - np.outer(x, x)[0],
    "an underflow": lambda x: np.exp(-60 - 50 * x) * x.dtype.type(1e30),
    "in place": in_place,
}


@pytest.mark.parametrize("gradient", ON_THE_WAY.values(), ids=ON_THE_WAY)
@given(st.integers(0, 2**31))
def test_what_float32_rounds_is_within_the_spread_of_roundings_in_float64(
    gradient: Any, seed: int
) -> None:
    x = np.random.default_rng(seed).uniform(0.1, 1, 5).astype("float32")
    narrow = Problem({"x": x}, lambda at: at["x"], lambda inputs, _: {"x": gradient(inputs["x"])})
    problem = replace(narrow, inputs={"x": x.astype("float64")})
    wide = gradient(x.astype("float64"))
    spread = spread_by_rounding(problem, narrow, "x", wide)
    assert np.all(np.abs(gradient(x) - wide) <= spread)
    assert np.max(spread) < 1e-4 * (1 + np.max(np.abs(wide)))


def test_what_rounding_does_not_explain_fails_there_too() -> None:
    x = np.array([17.0, 18.0, 19.0], "float32")
    wrong = check(saturated, lambda delta, x: 2 * saturated_slope(delta, x), x)
    assert wrong.verdict == "fail"


def test_a_cast_in_a_check_of_float64_is_told_where_nothing_is_seen() -> None:
    def forward(x: Array) -> Array:
        narrow = x.astype("float16")
        return np.asarray(np.exp(narrow), dtype="float64")

    result = check(forward, lambda delta, x: delta * np.exp(x), np.linspace(0.1, 0.9, 5))
    assert result.verdict == "inconclusive"
    line = forward.__code__.co_firstlineno + 1
    place = f"tests/unit/measure/test_precision.py:{line}, in forward: narrow is float16"
    assert result.gradients[0].reason.endswith(f"turns float64 into low precision; {place}")
