"""Shapes are searched from those that were read, until a function takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli.config.init.infer_inputs import Described
from gradcheck_cli.config.init.inference.givens import Given
from gradcheck_cli.config.init.trials import FITS, Search, Trial


def shapes(described: Described) -> dict[str, tuple[int, ...]]:
    """The shape of each input."""
    axes = {name: one.text.strip("[]").split(", ") for name, one in described.inputs.items()}
    return {
        name: tuple(described.sizes.get(axis) or int(axis) for axis in names)
        for name, names in axes.items()
    }


def search(function: Callable[..., Any], **read: str) -> tuple[Described | None, int]:
    """What is found for a function that raises until it gets its shapes, and after how many."""
    calls = 0

    def attempt(described: Described) -> Trial:
        nonlocal calls
        calls += 1
        try:
            function(**{name: np.ones(shape) for name, shape in shapes(described).items()})
        except Exception as error:
            return Trial(0.5, str(error))
        return Trial(FITS)

    sizes = {"n": 4, "N": 5, "M": 3}
    inputs = {name: Given(text) for name, text in read.items()}
    found = Search(attempt).run(Described(inputs, {}, sizes))
    return next(iter(found), None), calls


def test_shapes_that_fit_are_kept_and_tried_once() -> None:
    found, calls = search(lambda x, w: x @ w, x="[n, N]", w="[N, M]")
    assert found is not None
    assert shapes(found) == {"x": (4, 5), "w": (5, 3)}
    assert calls == 1


def test_an_axis_is_added_or_dropped() -> None:
    def function(x: Any, b: Any) -> Any:
        assert (b.ndim, x.ndim) == (1, 2)
        return x @ b

    found, _ = search(function, x="[n]", b="[n, N]")
    assert found is not None
    assert {name: len(shape) for name, shape in shapes(found).items()} == {"x": 2, "b": 1}


def test_a_square_is_made_oblong_where_it_can_be() -> None:
    found, _ = search(lambda x, w: x @ w, x="[n, n]", w="[n, n]")
    assert found is not None
    (rows, inner), (of_w, columns) = shapes(found).values()
    assert inner == of_w
    assert len({rows, inner, columns}) == 3


@pytest.mark.parametrize(
    ("read", "taken", "most"), [("[n, N]", "[N]", 3), ("[n]", "[]", 20)], ids=["sample", "numbers"]
)
def test_all_that_has_a_batch_or_a_shape_changes_at_once(read: str, taken: str, most: int) -> None:
    tried: list[set[str]] = []

    def attempt(described: Described) -> Trial:
        tried.append({one.text for one in described.inputs.values()})
        return Trial(FITS if tried[-1] == {taken} else 0.5, "others are meant")

    inputs = {"x": Given(read), "y": Given(read)}
    assert Search(attempt).run(Described(inputs, {}, {"n": 4, "N": 5}))
    assert tried.index({taken}) < most


def test_a_size_is_that_which_the_code_tells() -> None:
    found, calls = search(lambda x, w: np.dot(x, np.ones(7)) * w, x="[n, N]", w="[n]")
    assert found is not None
    assert {name: one.text for name, one in found.inputs.items()} == {"x": "[n, 7]", "w": "[n]"}
    assert calls < 20


@pytest.mark.parametrize("text", ["[n]", "[n, N, M]"])
def test_a_function_that_takes_nothing_ends_the_search(text: str) -> None:
    def function(x: Any) -> Any:
        raise ValueError("never")

    found, calls = search(function, x=text)
    assert found is None
    assert calls > 10


def test_a_search_that_goes_on_tries_nothing_twice() -> None:
    tried: list[str] = []

    def attempt(described: Described) -> Trial:
        tried.append(str(described.inputs))
        rank = described.inputs["x"].text.count(",") + 1
        return Trial(FITS if rank in (1, 3) else 0.5, "rank")

    search = Search(attempt)
    first = search.run(Described({"x": Given("[n]")}, {}, {"n": 4}))
    more = search.run_further()
    assert len(tried) == len(set(tried))
    ranks = [{one.inputs["x"].text.count(",") + 1 for one in found} for found in (first, more)]
    assert ranks == [{1}, {1, 3}]
