"""What functions remember of the first call that there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions, from_torch, from_value_and_grad

Array = Any  # functions of users have no types

X = np.array([-0.7, 0.4, 1.3])


@pytest.mark.parametrize(("kept", "verdict"), [(-1, "pass"), (0, "fail")])
def test_the_input_of_the_first_call_is_not_that_of_the_last(kept: int, verdict: str) -> None:
    tape: list[Array] = []

    def forward(x: Array) -> Array:
        tape.append(x)
        return x**3

    result = check(from_functions(forward, lambda delta: 3 * delta * tape[kept] ** 2, X))
    assert result.verdict == verdict


def test_a_gradient_that_is_kept_of_the_first_call_is_wrong() -> None:
    kept: dict[str, Array] = {}

    def loss(x: Array) -> Any:
        kept.setdefault("gradient", 3 * x**2)
        return (x**3).sum(), kept["gradient"]

    assert check(from_value_and_grad(loss, X)).verdict == "fail"


def test_where_a_function_has_no_value_elsewhere_it_is_first_called_at_the_inputs() -> None:
    def forward(x: Array) -> Array:
        if x.max() > 1.3:
            raise ValueError("too large")
        return x**2

    result = check(from_functions(forward, lambda delta, x: 2 * delta * x, X))
    assert result.verdict != "fail"


@pytest.mark.parametrize(("kept", "verdict"), [(-1, "pass"), (0, "fail")])
def test_so_it_is_with_tensors(kept: int, verdict: str) -> None:
    torch = pytest.importorskip("torch")
    tape: list[Any] = []

    class Cube(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            tape.append(x.detach().clone())
            return x**3

        @staticmethod
        def backward(ctx: Any, delta: Any) -> Any:
            return 3 * delta * tape[kept] ** 2

    assert check(from_torch(Cube, {"x": X})).verdict == verdict
