"""Forwards that take many points at once, where they say so, and where that is not true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Verdict, check, from_functions
from gradcheck_cli.errors import CodeError
from tests.support.command import Gradcheck

INPUTS = {
    name: np.random.default_rng(len(name)).standard_normal(shape)
    for name, shape in {"x": (4, 5), "w": (5, 3)}.items()
}


class Affine:
    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Any, w: Any) -> Any:
        self.calls += 1
        return np.tanh(x @ w)

    def backward(self, delta: Any, x: Any, w: Any) -> Any:
        inner = delta * (1 - np.tanh(x @ w) ** 2)
        return inner @ w.T, x.T @ inner


def test_many_points_are_evaluated_in_one_call() -> None:
    one, many = Affine(), Affine()
    plain = check(one.forward, one.backward, INPUTS)
    batched = check(many.forward, many.backward, INPUTS, batched=True)
    assert plain.verdict == batched.verdict == Verdict.PASS
    assert plain.evaluations < batched.evaluations
    assert many.calls < one.calls / 10


def test_auto_tries_and_says_so() -> None:
    one, many = Affine(), Affine()
    check(one.forward, one.backward, INPUTS)
    found = check(many.forward, many.backward, INPUTS, batched="auto")
    assert found.verdict == Verdict.PASS
    assert "the forward takes many points at once (batched)" in found.notes
    assert many.calls < one.calls / 5


def flattening(x: Any, w: Any) -> Any:
    return np.tanh(x.reshape(4, 5) @ w)


def normalizing(x: Any, w: Any) -> Any:
    return x @ w - (x @ w).mean()


def summing(x: Any, w: Any) -> Any:
    return np.sum(x @ w)


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (flattening, "batched: the forward was handed x of 2×4×5, and gives 4×3, not 2×4×3"),
        (normalizing, "batched: the forward was handed x of 2×4×5, and gives other outputs"),
        (
            summing,
            "batched: the forward was handed x of 2×4×5, and gives a single",
        ),
    ],
)
def test_a_forward_that_cannot_is_refused(forward: Any, told: str) -> None:
    with pytest.raises(CodeError) as raised:
        from_functions(forward, Affine().backward, INPUTS, batched=True)
    assert str(raised.value).startswith(told)
    assert "leave batched out" in str(raised.value)


def test_a_config_may_say_so(gradcheck: Gradcheck, tmp_path: Path) -> None:
    config = tmp_path / "layer.yaml"
    config.write_text(
        "forward: tanh(x @ W)\nbatched: true\n"
        "inputs: {x: [n, N], W: [N, M]}\nshapes: {n: 4, N: 5, M: 3}\n"
        "backward:\n  x: (delta * (1 - y**2)) @ W.T\n  W: x.T @ (delta * (1 - y**2))\n"
    )
    done = gradcheck("run", config)
    assert done.returncode == 0, done.stderr


def refusing(x: Any, w: Any) -> Any:
    if x.ndim != 2 or w.ndim != 2:
        raise ValueError("matrices are wanted")
    return x @ w


@pytest.mark.parametrize("forward", [flattening, normalizing, refusing])
def test_auto_leaves_forwards_that_do_not_as_they_are(forward: Any) -> None:
    def backward(delta: Any, x: Any, w: Any) -> Any:
        return np.zeros_like(x), np.zeros_like(w)

    plain = from_functions(forward, backward, INPUTS)
    tried = from_functions(forward, backward, INPUTS, batched="auto")
    assert not tried.batched
    assert tried.notes == plain.notes
    assert tried.late_notes() == plain.late_notes()
    np.testing.assert_array_equal(tried.forward(tried.inputs), plain.forward(plain.inputs))
