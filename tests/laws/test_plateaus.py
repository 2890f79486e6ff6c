"""Law: where numbers cancel, a forward is smooth over tiny steps, and its slope there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import Numeric, Verdict, check, from_functions
from tests.support.verdicts import judge

Array = NDArray[np.float64]
SEEDS = 6
# A function with its derivative, by a series that is right to 1e-9 at the inputs, and that of its
# plateaus, where the difference in it stands still.
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], ...]] = {
    "(1 - cos x) / x²": (
        lambda x: (1 - np.cos(x)) / x**2,
        lambda x: -x / 12 + x**3 / 180,
        lambda x: -2 * (1 - np.cos(x)) / x**3,
    ),
    "(exp x - 1) / x": (
        lambda x: (np.exp(x) - 1) / x,
        lambda x: 0.5 + x / 3 + x**2 / 8,
        lambda x: -(np.exp(x) - 1) / x**2,
    ),
    "log(cosh x) / x": (
        lambda x: np.log(np.cosh(x)) / x,
        lambda x: 0.5 - x**2 / 4,
        lambda x: -np.log(np.cosh(x)) / x**2,
    ),
    "(1 + x)² - 1 - 2x": (
        lambda x: (1 + x) ** 2 - 1 - 2 * x,
        lambda x: 2 * x,
        lambda x: np.full(x.shape, -2.0),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [1e-4, 1e-6])
def test_no_right_gradient_fails_and_that_of_a_plateau_does_not_pass(
    name: str, scale: float
) -> None:
    function, derivative, on_plateau = FUNCTIONS[name]
    for seed in range(SEEDS):
        x = scale * np.random.default_rng(seed).uniform(0.2, 1.0, 4)
        right = check(function, lambda delta, x: delta * derivative(x), {"x": x}, seed=seed)
        assert right.verdict != Verdict.FAIL
        wrong = from_functions(
            function, lambda delta, x: delta * on_plateau(x), {"x": x}, seed=seed
        )
        assert judge(wrong).verdict != Verdict.PASS


@pytest.mark.parametrize("scale", [1e-3, 1e-4])
@pytest.mark.parametrize("mode", ["entries", "directions"])
def test_entries_of_many_sizes_round_by_different_amounts(scale: float, mode: str) -> None:
    """Where those of one size stand still over the finest probes, others do not."""
    function, derivative, _ = FUNCTIONS["(1 - cos x) / x²"]
    for seed in range(SEEDS):
        x = scale * 10 ** np.random.default_rng(seed).uniform(-2, 0, 6)
        right = check(
            function,
            lambda delta, x: delta * derivative(x),
            {"x": x},
            seed=seed,
            numeric=Numeric(mode=mode),
        )
        assert right.verdict != Verdict.FAIL


def test_a_curve_that_asks_for_tiny_steps_is_none() -> None:
    x = np.random.default_rng(0).normal(size=6)
    steep = check(lambda x: np.sin(1e6 * x), lambda d, x: d * 1e6 * np.cos(1e6 * x), {"x": x})
    assert steep.verdict == Verdict.PASS


@pytest.mark.parametrize(
    ("function", "derivative", "scale"),
    [(lambda x: np.exp(x) - x - 1, np.expm1, 1e-8), (np.sinh, np.cosh, 30.0)],
    ids=["exp x - x - 1", "sinh"],
)
def test_no_right_gradient_fails_along_directions(
    function: Callable[[Array], Array], derivative: Callable[[Array], Array], scale: float
) -> None:
    for seed in range(SEEDS):
        x = scale * np.random.default_rng(seed).normal(size=(3, 4))
        numeric = Numeric(mode="directions")
        result = check(
            function, lambda delta, x: delta * derivative(x), {"x": x}, seed=seed, numeric=numeric
        )
        assert result.verdict != Verdict.FAIL
