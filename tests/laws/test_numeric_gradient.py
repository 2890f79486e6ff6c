"""Laws of the numeric gradient: linear in the cotangent, of the order its stencil claims."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gradcheck_cli import Problem
from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.stencils import STENCILS
from gradcheck_cli.options import Numeric
from gradcheck_cli.result import GradientResult
from tests.support.layers import Float, layers, problem, seeds
from tests.support.verdicts import judge


@given(layers(forms=("XW",)), seeds)
def test_it_is_linear_in_the_cotangent(layer: Layer, seed: int) -> None:
    checked = problem(layer)
    shape = (layer.samples,)
    first, second = np.random.default_rng(seed).normal(size=(2, *shape))
    for name in checked.inputs:
        parts = [
            measure_gradient(replace(checked, cotangent=cotangent), name, Numeric())
            for cotangent in (first, second, first - 2 * second)
        ]
        gap = np.abs(parts[2].value - (parts[0].value - 2 * parts[1].value))
        allowed = parts[2].uncertainty + parts[0].uncertainty + 2 * parts[1].uncertainty
        assert np.all(gap <= allowed)


@pytest.mark.parametrize("order", STENCILS)
def test_each_stencil_shows_its_order(order: int) -> None:
    x: Float = np.array([0.3])
    wave = Problem({"x": x}, lambda values: np.sin(3 * values["x"]), lambda *_: {}, np.ones(1))
    exact = 3 * np.cos(0.9)
    steps = np.array([0.2, 0.1, 0.05])
    errors = [
        abs(measure_gradient(wave, "x", Numeric(order=order, step=step)).value[0] - exact)
        for step in steps
    ]
    slopes = np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert slopes == pytest.approx([order, order], abs=0.15)


@pytest.mark.parametrize("order", STENCILS)
def test_the_weights_solve_the_moment_equations(order: int) -> None:
    stencil = STENCILS[order]
    assert sum(stencil.weights) == 1
    for power in range(1, order // 2):
        moments = zip(stencil.weights, stencil.offsets, strict=True)
        assert sum(weight * offset ** (2 * power) for weight, offset in moments) == 0


def without_numbers(result: GradientResult) -> tuple[object, ...]:
    index = result.worst.index if result.worst else None
    return result.name, result.verdict, result.wrong, index, result.max_rel_error, result.resolution


@given(layers(), st.integers(-40, 40), st.sampled_from(["right", "factor", "one entry"]))
def test_the_verdict_ignores_a_power_of_two(layer: Layer, power: int, fault: str) -> None:
    checked = problem(layer)
    scale = 2.0**power
    assert checked.cotangent is not None

    def backward(values: object, cotangent: object) -> dict[str, Float]:
        claimed = dict(checked.backward(checked.inputs, cotangent))
        if fault == "factor":
            claimed["W"] = claimed["W"] * 1.25
        elif fault == "one entry":
            claimed["W"] = claimed["W"].copy()
            claimed["W"].flat[0] *= 1 + 2.0**-20
        return claimed

    plain = judge(replace(checked, backward=backward))
    scaled = judge(replace(checked, backward=backward, cotangent=checked.cotangent * scale))
    assert scaled.verdict == plain.verdict
    for left, right in zip(plain.gradients, scaled.gradients, strict=True):
        assert without_numbers(left) == without_numbers(right)
        assert left.uncertainty is not None
        assert right.uncertainty == left.uncertainty * scale
