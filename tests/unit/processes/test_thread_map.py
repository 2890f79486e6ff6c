"""Work in threads: results in order, under the settings of the thread that asked."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from gradcheck_cli.processes import thread_map as threads
from gradcheck_cli.processes.thread_map import thread_map


@pytest.fixture(params=[1, 3])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(threads, "count_cores", lambda: count)
    return count


def test_results_come_in_the_order_of_the_items(cores: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 * (item == 0))
        return item * item

    assert list(thread_map(slow_first, range(10))) == [item * item for item in range(10)]


def test_threads_of_their_own_do_the_work_where_there_are_cores(cores: int) -> None:
    here = threading.get_ident()
    idents = set(thread_map(lambda _: threading.get_ident(), range(8)))
    assert (idents == {here}) == (cores == 1)


def test_how_numpy_treats_an_overflow_holds_in_the_threads(cores: int) -> None:
    """A warning would be an error of this suite."""
    with np.errstate(all="ignore"):
        found = list(thread_map(lambda x: np.float64(x) * 1e300, [1e300, 1.0, 2.0]))
    assert found == [np.inf, 1e300, 2e300]


def test_what_work_raises_is_raised_and_what_is_left_is_not_begun(cores: int) -> None:
    begun: list[int] = []

    def failing(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        list(thread_map(failing, range(100)))
    assert len(begun) < 50


def test_no_items_have_no_results(cores: int) -> None:
    assert list(thread_map(str, [])) == []
