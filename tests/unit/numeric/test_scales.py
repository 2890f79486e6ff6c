"""The scale of entries, and how they are moved one by one."""

from __future__ import annotations

import numpy as np

from gradcheck_cli.numeric.scales import entry_scale, move_one_by_one, shrink_scales
from tests.support.layers import Float


def test_entries_are_moved_one_at_a_time() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    outputs = move_one_by_one(lambda points: points, x, np.array([3, 0]), np.array([0.5, -1.0]))
    assert outputs.tolist() == [[1.0, 2.0, 3.0, 4.5], [0.0, 2.0, 3.0, 4.0]]


def test_the_scale_of_a_small_entry_is_that_of_its_surroundings() -> None:
    x = np.array([[1.0, 1e-9], [1.0, 1e-6], [0.1, 2e-6]])
    scale = entry_scale(x)
    assert scale[0, 0] == 1.0
    assert 0.5 < scale[2, 0] < 1.0
    assert np.all((scale[:, 1] > 1e-6) & (scale[:, 1] <= 2e-6))


def test_an_entry_that_cannot_bear_its_scale_gets_a_smaller_one() -> None:
    x = np.array([1.0, 1e-6])

    def evaluate(points: Float) -> Float:
        return np.asarray(points[:, :1] + np.tanh(1e6 * points[:, 1:]))

    scale, evaluations = shrink_scales(evaluate, x, entry_scale(x), None)
    assert scale[0] == 1.0
    assert 1e-6 <= scale[1] <= 1e-3
    assert evaluations > 0
    alike, _ = shrink_scales(lambda points: points, x, entry_scale(x), None)
    assert np.array_equal(alike, entry_scale(x))
