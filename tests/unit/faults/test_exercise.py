"""How much of a forward's Jacobian the inputs of a check exercise."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck_cli import from_functions
from gradcheck_cli.checker.check import check
from gradcheck_cli.result import Exercise
from tests.support.layers import layer, problem

DRAWN = np.random.default_rng(0)
X, W, OUT = DRAWN.normal(size=(3, 4)), DRAWN.normal(size=(4, 5)), DRAWN.normal(size=(5, 2))


def net(x: Any, W: Any, b: Any) -> Any:
    return np.maximum(x @ W + b, 0) @ OUT


def net_backward(delta: Any, x: Any, W: Any, b: Any) -> Any:
    dz = delta @ OUT.T * (x @ W + b > 0)
    return dz @ W.T, x.T @ dz, dz.sum(0)


def exercise(bias: Any) -> dict[str, Exercise]:
    of = from_functions(net, net_backward, {"x": X, "W": W, "b": np.array(bias)})
    return {one.name: one for one in check(of, power=True).exercise}


def test_units_that_are_on_for_every_sample_exercise_all() -> None:
    found = exercise([9.0] * 5)
    # Each of 3×2 outputs depends on its row of x, on all of W and on all of b.
    assert {name: one.entries for name, one in found.items()} == {"x": 24, "W": 120, "b": 30}
    assert all(one.exercised == one.entries and not one.idle for one in found.values())


def test_units_that_are_off_for_every_sample_are_told() -> None:
    found = exercise([9.0, -9.0, 9.0, 9.0, -9.0])
    assert (found["W"].entries, found["W"].exercised) == (120, 72)
    assert found["W"].idle == "columns 1 and 4 of W"
    assert found["b"].idle == "entries 1 and 4 of b"
    assert (found["x"].exercised, found["x"].idle) == (24, "")


def test_what_is_zero_everywhere_does_not_count() -> None:
    x = np.arange(1.0, 5.0)
    of = from_functions(
        lambda x: x[:2] ** 2, lambda delta, x: np.append(2 * x[:2] * delta, [0, 0]), {"x": x}
    )
    (found,) = check(of, power=True).exercise
    assert (found.entries, found.exercised, found.idle) == (2, 2, "")


def test_the_forms_of_the_paper_say_nothing_of_it() -> None:
    assert check(problem(layer()), power=True).exercise == ()


def test_nothing_is_told_that_was_not_asked_for() -> None:
    of = from_functions(net, net_backward, {"x": X, "W": W, "b": np.zeros(5)})
    assert check(of).exercise == ()
