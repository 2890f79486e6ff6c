"""Entries of one invariance: the first of them is looked at in full, the others in short."""

from __future__ import annotations

import numpy as np
import pytest

from gradcheck_cli.numeric.climb import FIRST_STEP, LEAP
from gradcheck_cli.numeric.gradient import NumericGradient, measure_entries
from gradcheck_cli.numeric.invariance import SHARES
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS
from tests.support.layers import Float

RANDOM = np.random.default_rng(7)
QUERIES, KEYS, VALUES, COTANGENT = RANDOM.standard_normal((4, 5, 16))
BIAS = RANDOM.standard_normal(16)


def attend(bias: Float) -> Float:
    """Attention with a bias of the keys, which its softmax takes away."""
    logits = QUERIES @ (KEYS + bias).T
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True) @ VALUES)


def measure(leak: float) -> NumericGradient:
    """The gradient in the bias, one point at a time; an output also has `leak` times entry 9."""

    def forward(bias: Float) -> Float:
        outputs = attend(bias)
        outputs[0, 0] += leak * bias[9]
        return outputs

    def evaluate(points: Float) -> Float:
        return np.stack([forward(point) for point in points])

    scale = entry_scale(BIAS)
    differences = WholeForwards(evaluate, BIAS, scale, COTANGENT, STENCILS[2], alone=True)
    return measure_entries(differences, quick=True)


def test_an_entry_is_moved_as_far_as_a_leap_so_that_both_take_one_point() -> None:
    assert SHARES[-1] == LEAP * FIRST_STEP


def test_entries_of_one_invariance_cost_half_of_the_first_of_them() -> None:
    found = measure(0.0)
    assert found.invariant.all()
    assert found.evaluations <= 45 * BIAS.size


@pytest.mark.parametrize("leak", 10.0 ** -np.arange(1.0, 16.0))
def test_an_entry_with_a_slope_of_its_own_is_none_of_them(leak: float) -> None:
    found = measure(leak)
    exact = np.zeros(BIAS.size)
    exact[9] = COTANGENT[0, 0] * leak
    assert np.all(np.abs(found.value - exact) <= found.uncertainty)
    assert found.invariant[9] == (np.abs(exact[9]) <= found.uncertainty[9])
    assert found.invariant[np.arange(BIAS.size) != 9].all()
