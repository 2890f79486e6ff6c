"""The record of what is known of entries: joined, taken, put and offered better cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import fields
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import ENTRY_AXES, Best
from gradcheck_cli.numeric.rung import TABLES

NAMES = [field.name for field in fields(Best)]


def some(count: int, seed: int, cotangents: int = 2) -> Best:
    """What is known of entries, with other numbers in every field."""
    random = np.random.default_rng(seed)
    best = Best.start(*random.uniform(size=(4, count, cotangents)))
    for name in NAMES:
        array = getattr(best, name)
        array[...] = (
            random.uniform(size=array.shape).round()
            if array.dtype == bool
            else (random.uniform(size=array.shape))
        )
    return best


def of_entry(best: Best, name: str, row: int) -> NDArray[Any]:
    return np.asarray(np.take(getattr(best, name), row, axis=ENTRY_AXES.get(name, 0)))


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_taken_joined_and_put_by_entries(name: str) -> None:
    best, other = some(4, 1), some(2, 2)
    taken = best.take(np.array([2, 0]))
    joined = Best.joined(iter([some(4, 1), some(2, 2)]), 6)
    for row, origin in enumerate((2, 0)):
        assert np.array_equal(of_entry(taken, name, row), of_entry(best, name, origin))
        assert np.array_equal(of_entry(joined, name, 4 + row), of_entry(other, name, row))
    before = best.take(np.arange(4))
    best.put(np.array([3, 1]), other)
    assert np.array_equal(of_entry(best, name, 0), of_entry(before, name, 0))
    if name != "floor":
        assert np.array_equal(of_entry(best, name, 3), of_entry(other, name, 0))


def test_a_floor_is_never_lowered() -> None:
    best, other = some(2, 1), some(2, 2)
    expected = np.maximum(best.floor, other.floor[::-1])
    best.put(np.array([1, 0]), other)
    assert np.array_equal(best.floor, expected)


def test_what_was_sorted_is_put_back_by_the_inverse_permutation() -> None:
    best, order = some(5, 1), np.array([3, 0, 4, 1, 2])
    back = best.take(order).take(np.argsort(order))
    assert all(np.array_equal(getattr(back, name), getattr(best, name)) for name in NAMES)


def test_only_what_is_usable_is_replaced() -> None:
    best, other = some(3, 1), some(2, 2)
    first = best.value[:, 0].copy()
    best.replace(np.array([0, 2]), other, np.array([False, True]))
    assert np.array_equal(best.value[:, 0], first)
    assert np.array_equal(best.value[:, 2], other.value[:, 1])


def fresh() -> Best:
    return Best.start(np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1)))


def offered(*cells: tuple[float, float, float]) -> tuple[float, float]:
    """What is kept of cells (value, uncertainty, noise) of smaller and smaller steps."""
    best = fresh()
    for number, (value, uncertainty, noise) in enumerate(cells):
        new = np.empty((4, TABLES, 1, 1))
        new[:] = np.reshape([value, uncertainty, noise, 2.0**-number], (4, 1, 1, 1))
        best.offer(np.array([0]), new)
    return best.value[0, 0, 0], best.uncertainty[0, 0, 0]


def test_of_cells_that_agree_the_surest_is_kept() -> None:
    assert offered((1.0, 0.1, 0.01), (1.01, 0.02, 0.01), (1.0, 0.09, 0.08)) == (1.01, 0.02)


def test_a_smaller_step_that_contradicts_a_larger_one_is_believed() -> None:
    assert offered((1.0, 0.01, 0.001), (2.0, 0.5, 0.4)) == (2.0, 0.5)


def test_a_smaller_step_with_little_noise_is_believed_though_it_is_less_sure() -> None:
    assert offered((1.0, 0.01, 0.001), (1.005, 0.02, 0.002)) == (1.005, 0.02)


def test_entries_that_do_not_move_or_have_no_slope_are_told() -> None:
    still = Best.start(np.zeros((2, 1)), np.array([[0.0], [1.0]]), np.full((2, 1), 0.1))
    assert still.unmoved.tolist() == [True, False]
    still.cells[:2] = np.reshape([1.0, 0.1], (2, 1, 1, 1))
    assert still.has_slope.tolist() == [True, True]
    assert still.has_slope_beyond(9.0).tolist() == [True, True]
    assert still.has_slope_beyond(11.0).tolist() == [False, False]
    still.settle_at_zero(1, np.ones(1), np.full(1, 0.2), unused=False)
    assert still.invariant.tolist() == [False, True]
    assert still.has_slope.tolist() == [True, False]


def known(uncertainty: float) -> Best:
    """Two entries of which everything is known to this."""
    best = Best.start(np.zeros((2, 1)), np.ones((2, 1)), np.zeros((2, 1)))
    best.value[:], best.uncertainty[:] = 1.0, uncertainty
    return best


def test_what_is_known_to_nine_digits_and_has_settled_is_clear() -> None:
    assert known(1e-10).clear.all()
    assert not known(1e-8).clear.any()
    assert not fresh().clear.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("diverges", True), ("drift", 1e-3), ("value", 0.0), ("uncertainty", np.inf)],
)
def test_an_entry_that_is_not_is_seen_among_others(name: str, value: float) -> None:
    best = known(0.0)
    getattr(best, name)[..., 1, 0] = value
    assert best.clear.tolist() == [True, False]


def test_of_entries_that_are_clear_the_cells_are_joined_and_of_others_all() -> None:
    parts = [known(0.0), known(0.0)]
    for part in parts:
        part.largest_move[:] = part.hidden_rounding[:] = 7.0
    parts[1].drift[0, 1] = 1.0
    joined = Best.joined(iter(parts), 4)
    assert np.array_equal(joined.value, np.ones(joined.value.shape))
    assert joined.largest_move[:, 0].tolist() == [0.0, 0.0, 0.0, 7.0]
    assert joined.hidden_rounding[:, 0].tolist() == [7.0, 7.0, 7.0, 7.0]
    assert joined.clear.tolist() == [True, True, True, False]
