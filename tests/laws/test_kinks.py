"""At a kink every value between the two slopes is right; beside it, only one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Problem, Verdict, check
from gradcheck_cli.result import CheckResult
from tests.support.layers import Float
from tests.support.verdicts import judge


def relu(x: Any) -> Any:
    return np.maximum(x, 0.0)


def judged(
    function: Callable[[Any], Any], x: list[float], claimed: Callable[[Any], Any]
) -> CheckResult:
    """The check of Σ function(x), with a claimed derivative."""
    points = np.array(x)
    return judge(
        Problem(
            {"x": points},
            lambda inputs: function(inputs["x"]),
            lambda inputs, delta: {"x": delta * claimed(inputs["x"])},
            np.ones(points.shape),
        )
    )


KINKS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "relu": (relu, 0.0, 1.0),
    "abs": (np.abs, -1.0, 1.0),
    "leaky relu": (lambda x: np.where(x > 0, x, 0.1 * x), 0.1, 1.0),
    "relu of tanh": (lambda x: relu(np.tanh(x)), 0.0, 1.0),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_every_subgradient_at_the_corner_is_accepted_and_left_out(name: str, share: float) -> None:
    function, low, high = KINKS[name]
    slope = low + share * (high - low)

    def claimed(x: Float) -> Any:
        smooth = np.array([(function(p + 1e-7) - function(p - 1e-7)) / 2e-7 for p in x])
        exact = np.where(name == "relu of tanh", relu(np.sign(x)) / np.cosh(x) ** 2, smooth)
        rounded = np.round(smooth, 6) if name != "relu of tanh" else exact
        return np.where(x == 0, slope, rounded)

    result = judged(function, [0.0, 0.7, -1.3], claimed)
    (gradient,) = result.gradients
    assert (gradient.verdict, gradient.kinks) == (Verdict.PASS, 1)
    assert gradient.notes[0].startswith("1 of 3 entries are at a kink and left out, such as [0]")


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("beyond", [-0.01, 1.01])
def test_a_value_beyond_the_slopes_is_wrong(name: str, beyond: float) -> None:
    function, low, high = KINKS[name]
    slope = low + beyond * (high - low)
    (gradient,) = judged(function, [0.0], lambda x: np.full(x.shape, slope)).gradients
    assert gradient.verdict == Verdict.FAIL


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-4])
def test_beside_a_kink_the_slope_of_its_side_is_asked_for(distance: float) -> None:
    points = [distance, -distance, 1.0]
    right = judged(relu, points, lambda x: 1.0 * (x > 0))
    assert right.verdict == Verdict.PASS
    wrong = judged(relu, points, lambda x: np.where(np.abs(x) < 0.5, 0.5, 1.0 * (x > 0)))
    assert wrong.verdict == Verdict.FAIL


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_largest_entries_that_tie_are_left_out(share: float) -> None:
    """Where both are moved alike, the corner between them lies away from x, too."""

    def gradient(inputs: Any, delta: Any) -> Any:
        return {"x": delta * np.array([0.0, share, 1 - share, 0.0])}

    x = np.array([1.0, 3.0, 3.0, 2.0])
    problem = Problem({"x": x}, lambda inputs: inputs["x"].max(), gradient, np.asarray(-1.2))
    result = check(problem).gradients[0]
    assert (result.verdict, result.kinks) == (Verdict.PASS, 2)
    assert "where the slopes are -1.2 and 0 and the analytic value is" in "; ".join(result.notes)


def test_only_kinks_leave_nothing_to_compare() -> None:
    (gradient,) = judged(relu, [0.0, 0.0], lambda x: np.zeros(x.shape)).gradients
    assert gradient.verdict == Verdict.INCONCLUSIVE
    assert gradient.reason.startswith("every entry is at a kink")


def test_a_jump_of_the_curvature_is_no_kink() -> None:
    def huber(x: Float) -> Any:
        return np.where(np.abs(x) <= 1, x**2 / 2, np.abs(x) - 0.5)

    (gradient,) = judged(huber, [1.0, -1.0, 0.4], lambda x: np.clip(x, -1, 1)).gradients
    assert (gradient.verdict, gradient.kinks) == (Verdict.PASS, 0)


@pytest.mark.parametrize("seed", range(5))
def test_smooth_functions_have_no_kinks(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=40)
    (gradient,) = judged(np.tanh, x.tolist(), lambda x: 1 / np.cosh(x) ** 2).gradients
    assert (gradient.verdict, gradient.kinks) == (Verdict.PASS, 0)


def test_a_quotient_that_does_not_settle_says_what_was_seen() -> None:
    def rough(x: Float) -> Any:
        return np.where(x == 0, 0.0, x * np.sin(1 / np.where(x == 0, 1.0, x)))

    (gradient,) = judged(rough, [0.0], lambda x: np.zeros(x.shape)).gradients
    assert gradient.verdict in (Verdict.INCONCLUSIVE, Verdict.PASS)
    if gradient.verdict == Verdict.INCONCLUSIVE:
        assert "does not settle" in gradient.reason or "kink" in gradient.reason


@pytest.mark.parametrize("distance", [1e-8, 1e-9, 1e-10])
def test_a_corner_that_rounding_hides_within_the_step_is_uncertainty(distance: float) -> None:
    """A unit of a net is so far from its corner; large steps see both slopes, tiny ones neither."""
    random = np.random.default_rng(9)
    W, V = random.normal(size=(5, 7)), random.normal(size=(7, 3))

    def net(x: Any) -> Any:
        return np.tanh(np.maximum(x @ W, 0) @ V)

    def backward(delta: Any, x: Any) -> Any:
        return W @ ((V @ (delta * (1 - net(x) ** 2))) * (x @ W > 0))

    for seed in range(8):
        draws = np.random.default_rng(seed)
        x, w = draws.normal(size=5), W[:, 0]
        x -= w * (x @ w + distance * draws.uniform(-3, 3)) / (w @ w)
        assert check(net, backward, x, seed=seed).verdict != Verdict.FAIL
