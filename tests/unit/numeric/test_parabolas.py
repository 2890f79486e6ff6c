"""A parabola from three points beside x is one where a fourth meets it, and in many entries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.neville import RATIO
from gradcheck_cli.numeric.noise import DEVIATIONS, Float
from gradcheck_cli.numeric.parabolas import MANY, fit_parabolas, is_bent
from gradcheck_cli.numeric.rung import Rung

STEP, NOISE = 0.5, 1e-15
Curve = Callable[[Float], Float]


def fit(curve: Curve, count: int = MANY) -> tuple[NDArray[np.bool_], Best]:
    """Which entries are seen to have parabolas, and what is then known of them.

    curve: of every entry, through 0, of how far each is moved.
    """
    step = np.full(count, STEP)
    right, left, fourth = (curve(move) / move for move in (step, -step, step / RATIO))
    value = np.stack([(right + left) / 2, right, left])[..., None]
    noise = np.multiply.outer([0.5, 1.0, 1.0], NOISE / step)[..., None]
    slope = np.abs(value[0])
    first = Rung(value, noise, slope, np.zeros_like(slope), slope != 0)
    best = Best.start(first.floor, first.steepness, DEVIATIONS * first.noise[0])
    return fit_parabolas(step, first, fourth[:, None], best), best


def slopes(count: int) -> Float:
    return np.linspace(1.0, 3.0, count)


def parabolas(move: Float) -> Float:
    return np.asarray(slopes(len(move)) * move + 0.7 * move**2)


@pytest.mark.parametrize("count", [MANY, 3 * MANY])
def test_the_slopes_of_parabolas_are_kept(count: int) -> None:
    fits, best = fit(parabolas, count)
    assert fits.all()
    assert np.all(np.abs(best.value - slopes(count)[:, None]) <= best.uncertainty)
    assert np.all(best.uncertainty < 1e-12)
    assert np.all(best.step == STEP)


def test_of_a_few_entries_none_is_taken() -> None:
    fits, best = fit(parabolas, MANY - 1)
    assert not fits.any()
    assert np.all(np.isinf(best.uncertainty))


OTHERS: dict[str, Curve] = {
    "a cube": lambda t: t**3,
    "a fourth power": lambda t: t**4,
    "a wave": lambda t: np.sin(3 * t),
    "an exponential": lambda t: np.expm1(t),
    "a corner": lambda t: np.abs(t),
    "a corner to the right": lambda t: np.maximum(t - 0.1, 0.0),
    "a corner further to the right": lambda t: np.maximum(t - 0.4, 0.0),
    "a corner to the left": lambda t: np.maximum(-t - 0.4, 0.0),
    "a jump": lambda t: np.where(t > 0.2, 1.0, 0.0),
    "a jump to the left": lambda t: np.where(t < -0.3, 1.0, 0.0),
}


@given(
    st.sampled_from(sorted(OTHERS)),
    st.floats(-9, 0),
    st.integers(0, MANY - 1),
    st.booleans(),
)
def test_what_is_no_parabola_is_never_taken_for_one(
    name: str, power: float, entry: int, alone: bool
) -> None:
    where = (np.arange(MANY) == entry) | (not alone)
    fits, _ = fit(lambda move: parabolas(move) + 10.0**power * where * OTHERS[name](move))
    assert not fits.any()


def test_a_curve_that_meets_the_fourth_point_by_chance_is_not_taken() -> None:
    """A cube and a fourth power that cancel there; in the other entries they do not."""

    def curve(fourth: Float) -> Curve:
        return lambda move: parabolas(move) + 1e-6 * (move**3 + fourth * move**4)

    chance = -RATIO / STEP
    assert fit(curve(np.full(MANY, chance)))[0].all()
    assert not fit(curve(chance * slopes(MANY)))[0].any()


def test_an_entry_that_noise_hides_is_left_to_a_ladder() -> None:
    flat = np.where(np.arange(MANY) == 5, 1e-12, 1.0)
    fits, best = fit(lambda move: flat * parabolas(move))
    assert np.flatnonzero(~fits).tolist() == [5]
    assert np.isinf(best.uncertainty[0, 5, 0])


@pytest.mark.parametrize(("curve", "bent"), [(parabolas, False), (np.expm1, True)])
def test_a_curve_is_told_from_a_parabola_before_its_noise_is_known(
    curve: Curve, bent: bool
) -> None:
    step = np.full(MANY, STEP)
    right, left, fourth = (curve(move) / move for move in (step, -step, step / RATIO))
    assert is_bent(right, left, fourth, np.abs(right)) == bent
