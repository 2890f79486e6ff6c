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
def test_the_backward_gets_its_inputs_as_they_are(dtype: str) -> None:
    seen = set()

    def spy(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
        seen.update([str(x.dtype), str(w.dtype)])
        return backward(delta, x, w)

    check(layer, spy, arrays(dtype))
    assert seen == {dtype}


def test_a_forward_that_casts_inside_is_told() -> None:
    def cast(x: Array, w: Array) -> Array:
        return layer(x.astype("float32"), w.astype("float32"))

    notes = check(cast, backward, arrays("float32")).notes
    assert notes[0] == (
        "the forward gives float32 for inputs in float64: it was measured in float32"
    )


def test_the_forward_can_be_differenced_in_its_own_type() -> None:
    result = check(layer, backward, arrays("float16"), numeric=Numeric(widen=False))
    assert result.notes == ()
    assert result.verdict == "inconclusive"


def test_sums_of_more_terms_round_more() -> None:
    def roundings(terms: int) -> int:
        x, w = np.ones((2, terms), "float32"), np.ones((terms, 2), "float32")
        (note,) = (one for one in check(layer, backward, (x, w)).notes if "roundings" in one)
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
def test_digits_that_a_saturated_unit_has_in_float64_alone_are_no_failure(
    seed: int, far: float
) -> None:
    x = (far + np.random.default_rng(seed).uniform(size=(3, 2))).astype("float32")
    assert check(saturated, saturated_slope, x).verdict != "fail"


def test_what_rounding_does_not_explain_fails_there_too() -> None:
    x = np.array([17.0, 18.0, 19.0], "float32")
    wrong = check(saturated, lambda delta, x: 2 * saturated_slope(delta, x), x)
    assert wrong.verdict == "fail"
