"""bfloat16: held in float32, rounded, and handed to functions as such."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcheck_cli import CheckResult, check, from_jacobian, from_torch
from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.low_precision import (
    narrow_to_bfloat16,
    round_to_bfloat16,
    to_bfloat16,
    widen_bfloat16,
)
from tests.support.command import Gradcheck

Array = NDArray[Any]
random = np.random.default_rng(0)
X, W = random.normal(size=(8, 32)), random.normal(size=(32, 6)) / 5


def layer(x: Array, w: Array) -> Array:
    return np.asarray(np.tanh(x @ w))


def backward(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1))
def test_rounding_is_that_of_ml_dtypes(values: list[float]) -> None:
    pytest.importorskip("ml_dtypes")
    array = np.array(values, np.float32)
    assert np.array_equal(round_to_bfloat16(array), widen_bfloat16(to_bfloat16(array)))


def test_arrays_in_dicts_and_lists_are_lowered_and_held_again() -> None:
    pytest.importorskip("ml_dtypes")
    value: dict[str, Any] = {"a": [np.ones(2), 3], "b": (np.array([1, 2]), "text")}
    low = narrow_to_bfloat16(value)
    assert str(low["a"][0].dtype) == "bfloat16"
    assert widen_bfloat16(low)["a"][0].dtype == np.float32
    assert low["b"][0].dtype == value["b"][0].dtype


def test_arrays_of_ml_dtypes_are_checked_in_bfloat16() -> None:
    pytest.importorskip("ml_dtypes")
    seen = set()

    def spy(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
        seen.add((str(delta.dtype), str(x.dtype)))
        return backward(delta, x, w)

    inputs = (to_bfloat16(X), to_bfloat16(W))
    result = check(layer, spy, inputs)
    assert result.verdict == "pass"
    assert ("float64", "float64") in seen
    assert {kind for _, kind in seen} == {"float64", "bfloat16"}
    assert any("the backward in bfloat16 is compared" in note for note in result.notes)
    wrong = check(layer, lambda *a: tuple(1.02 * one for one in backward(*a)), inputs)
    assert [code(wrong, place) for place in (0, 1)] == ["it is 1.02 times the numeric gradient"] * 2


def code(result: CheckResult, place: int) -> str:
    diagnosis = result.gradients[place].diagnosis
    return "" if diagnosis is None else diagnosis.observation


def test_a_jacobian_in_bfloat16_is_refused() -> None:
    pytest.importorskip("ml_dtypes")
    with pytest.raises(CodeError, match="bfloat16 goes with a backward alone"):
        from_jacobian(np.exp, lambda x: np.diag(np.exp(x)), to_bfloat16(X[0]))


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(CodeError, match="pip install ml_dtypes"):
        to_bfloat16(X)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_torch_in_low_precision_is_differenced_in_float64(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.LayerNorm(8), torch.nn.Tanh())
    result = check(from_torch(net, X, dtype=dtype))
    assert result.verdict == "pass"
    assert any(f"the backward in {dtype} is compared" in note for note in result.notes)
    assert all(one.bound is not None and one.bound < 0.1 for one in result.gradients)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_that_casts_inside_is_told_by_its_line(dtype: str) -> None:
    torch = pytest.importorskip("torch")

    def cast(x: Any, w: Any) -> Any:
        wide = x.float()
        return torch.tanh(wide @ w.float())

    result = check(from_torch(cast, (X, W), dtype=dtype))
    assert result.verdict == "pass"
    line = cast.__code__.co_firstlineno + 1
    (note,) = (one for one in result.notes if "counts as its noise" in one)
    assert note.endswith(f"test_low_precision.py:{line}, in cast: wide is float32")


CODE = """
import numpy as np


def layer(x, w):
    return np.tanh(x @ w)


def layer_backward(delta, x, w):
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


def wrong(delta, x, w):
    dx, dw = layer_backward(delta, x, w)
    return dx * dx.dtype.type(1.02), dw
"""


def test_a_config_says_which_type(gradcheck: Gradcheck, tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    (tmp_path / "f.py").write_text(CODE)
    config = """
forward: f.py:layer
inputs: {x: [8, 32], w: {shape: [32, 6], scale: 0.2}}
matrix: {backward: ["f.py:layer_backward", "f.py:wrong"], dtype: [float16, bfloat16]}
"""
    (tmp_path / "c.yaml").write_text(config)
    done = gradcheck("run", "--allow-code", "--format", "plain", "c.yaml", cwd=tmp_path)
    rows = [line.split("\t")[1:4] for line in done.stdout.splitlines()]
    assert [row[2] for row in rows] == ["pass"] * 4 + ["fail", "pass"] * 2
