"""Where wrong entries are: the sentence and the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import GradientError, Problem, assert_gradients, check
from gradcheck_cli.faults.regions import describe_numbers
from gradcheck_cli.result import GradientResult
from tests.support.layers import Float


def wrong_at(mask: Any, error: float = 1e-3) -> GradientResult:
    """The result of a gradient that is off where the mask says so, by numbers that fit nothing."""
    x = np.random.default_rng(1).normal(size=np.shape(mask)) + 3.0
    drawn = 1 + error * np.random.default_rng(2).uniform(1.0, 2.0, size=np.shape(mask))

    def backward(inputs: Any, delta: Float) -> dict[str, Float]:
        return {"x": 2 * inputs["x"] * np.where(mask, drawn, 1.0)}

    def forward(inputs: Any) -> Any:
        axes = tuple(range(-np.ndim(mask), 0))
        return np.sum(inputs["x"] ** 2, axis=axes)[..., None]

    (gradient,) = check(Problem({"x": x}, forward, backward, np.ones(1), batched=True)).gradients
    return gradient


def entries(shape: tuple[int, ...], *slices: Any) -> Any:
    mask = np.zeros(shape, dtype=bool)
    mask[slices] = True
    return mask


SQUARE = np.ones((6, 6), dtype=bool)
SENTENCES: dict[str, Any] = {
    "all 8 wrong entries are in row 3": entries((6, 8), 3),
    "all 12 wrong entries are in columns 0 and 5": entries((6, 8), slice(None), [0, 5]),
    "all 12 wrong entries are in the block of rows 1–3 and columns 4–7": entries(
        (6, 8), slice(1, 4), slice(4, 8)
    ),
    "all 7 wrong entries are in the block of row 3 and columns 1–7": entries(
        (6, 8), 3, slice(1, None)
    ),
    "the wrong entry is in entry 4": entries((9,), 4),
    "all 6 wrong entries are on the diagonal": np.eye(6, dtype=bool),
    "all 30 wrong entries are off the diagonal": ~np.eye(6, dtype=bool),
    "all 15 wrong entries are above the diagonal": np.triu(SQUARE, 1),
    "all 21 wrong entries are on or below the diagonal": np.tril(SQUARE),
    "every entry is wrong": SQUARE,
    "all 12 wrong entries are in the slice along axis 0 at 1": entries((3, 4, 3), 1),
    "all 24 wrong entries are in slices along axis 0 at 0 and 2": entries((3, 4, 3), [0, 2]),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_sentence(sentence: str) -> None:
    assert wrong_at(SENTENCES[sentence]).where == sentence


def test_most_of_what_is_wrong() -> None:
    mask = entries((6, 32), 3)
    mask[3, 0], mask[0, 5] = False, True
    assert wrong_at(mask).where == "31 of 32 wrong entries are in row 3"


def test_wrong_entries_without_a_place() -> None:
    mask = np.random.default_rng(4).random((7, 9)) < 0.4
    assert wrong_at(mask).where == f"the {mask.sum()} wrong entries are spread over the whole array"


def test_three_and_more_axes_are_pictured_in_panels() -> None:
    mask = np.zeros((2, 3, 4, 5), dtype=bool)
    mask[1, 2, 3, 4] = mask[0, 1, 0, 0] = True
    found = wrong_at(mask).map
    assert found is not None
    assert (found.panels, found.pooled, len(found.cells)) == ((2, 3), (1, 1), 6 * 4)
    places = [
        (row, column)
        for row, cells in enumerate(found.cells)
        for column, cell in enumerate(cells)
        if cell is not None
    ]
    assert places == [(1 * 4, 0), (5 * 4 + 3, 4)]


def test_many_panels_are_one_picture() -> None:
    found = wrong_at(entries((5, 4, 3), 2)).map
    assert found is not None
    assert (found.panels, len(found.cells)) == ((5,), 5 * 4)
    found = wrong_at(entries((17, 4, 3), 2)).map
    assert found is not None
    assert (found.panels, found.pooled) == ((), (5, 1))


def test_the_picture_is_in_decades() -> None:
    found = wrong_at(entries((4, 5), 2, slice(1, 3)), error=1e-4).map
    assert found is not None
    assert found.pooled == (1, 1)
    assert [len(row) for row in found.cells] == [5, 5, 5, 5]
    (second, third) = found.cells[2][1:3]
    assert second is not None
    assert third is not None
    assert -4.1 < min(second, third) <= max(second, third) < -3.5
    assert sum(cell is not None for row in found.cells for cell in row) == 2


def test_a_large_gradient_is_pooled_by_maximum() -> None:
    found = wrong_at(entries((20, 50), 19, 49)).map
    assert found is not None
    assert found.pooled == (2, 2)
    assert (len(found.cells), len(found.cells[0])) == (10, 25)
    assert found.cells[-1][-1] is not None
    assert sum(cell is not None for row in found.cells for cell in row) == 1


def test_no_picture_of_what_is_all_alike() -> None:
    x = {"x": np.arange(1.0, 7.0)}
    (gradient,) = check(lambda x: x * x, lambda delta, x: delta * x, x).gradients
    assert gradient.map is not None
    assert len({cell for row in gradient.map.cells for cell in row}) == 1
    with pytest.raises(GradientError) as caught:
        assert_gradients(lambda x: x * x, lambda delta, x: delta * x, x)
    assert "GC103" in str(caught.value)
    assert "relative error:" not in str(caught.value)
    assert gradient.where == "every entry is wrong"


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((3,), "3"),
        ((0, 2), "0 and 2"),
        ((2, 3, 4), "2–4"),
        ((0, 2, 4, 6, 8, 10, 12), "0, 2, 4, 6, 8, 10 and 1 more"),
    ],
)
def test_numbers_in_words(numbers: tuple[int, ...], told: str) -> None:
    assert describe_numbers(numbers) == told
