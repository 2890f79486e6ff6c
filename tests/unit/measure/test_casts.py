"""The first line of a function that turns float64 into low precision."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradcheck_cli.measure.casts import find_cast

TABLE = np.ones(3, "float32")


def inner(x: Any) -> Any:
    return 2 * x


def passed_on(x: Any) -> Any:
    return inner(x.astype("float16"))


def assigned(x: Any) -> Any:
    y = x + 1
    z = y.astype(np.float32)
    return z.astype(float)


def returned(x: Any) -> Any:
    return (x + 1).astype(np.float32), 1


def in_a_function(x: Any) -> Any:
    return inner(assigned(x))


def in_a_comprehension(x: Any) -> Any:
    return sum([one.astype("float32") for one in x])


def not_at_all(x: Any) -> Any:
    return inner(x) * TABLE


def raises_first(x: Any) -> Any:
    raise ValueError(x)


@pytest.mark.parametrize(
    ("function", "of", "line", "told"),
    [
        (passed_on, passed_on, 1, "in passed_on: the x of inner is float16"),
        (assigned, assigned, 2, "in assigned: z is float32"),
        (returned, returned, 1, "in returned: what it returns is float32"),
        (in_a_function, assigned, 2, "in assigned: z is float32"),
    ],
)
def test_it_is_told_by_its_line(
    function: Callable[..., Any], of: Callable[..., Any], line: int, told: str
) -> None:
    place = f"tests/unit/measure/test_casts.py:{of.__code__.co_firstlineno + line}"
    assert find_cast(function, np.ones(3)) == f"; {place}, {told}"


def test_the_end_of_an_expression_is_told_where_no_name_holds_it() -> None:
    told = find_cast(in_a_comprehension, np.ones((2, 3)))
    assert f"test_casts.py:{in_a_comprehension.__code__.co_firstlineno + 1}, in " in told
    assert told.endswith(": what it returns is float32")


@pytest.mark.parametrize("function", [not_at_all, raises_first])
def test_nothing_is_told_where_nothing_is_seen(function: Callable[..., Any]) -> None:
    assert find_cast(function, np.ones(3)) == ""


def test_low_precision_that_was_handed_over_is_not_made() -> None:
    assert find_cast(inner, np.ones(3, "float32")) == ""


def test_the_tracing_of_others_is_put_back() -> None:
    before = sys.gettrace()
    find_cast(inner, np.ones(3))
    assert sys.gettrace() is before
