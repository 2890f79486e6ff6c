"""Low precision: the backward as it is, against the same forward in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import Numeric, check

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
    assert right.notes == (f"the backward in {dtype} is compared with the same forward in float64",)


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
