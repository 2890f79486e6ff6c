"""Entries of one gradient in several processes: the same gradient, and processes that end."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
import pytest

from gradcheck_cli.errors import DiedError, GradcheckError
from gradcheck_cli.measure.measure import measure_entries_of
from gradcheck_cli.options import Numeric
from gradcheck_cli.processes.fork_map import fork_map
from tests.support.layers import layer, problem

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def ignored(item: Any) -> None:
    """Told of what is done."""


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.05 * (item == 0))
        return item * item

    assert fork_map(slow_first, range(10), 3, ignored) == [item * item for item in range(10)]


def test_every_item_is_told_of_once() -> None:
    told: list[int] = []
    fork_map(lambda item: item, range(7), 2, told.append)
    assert sorted(told) == list(range(7))


def test_other_processes_do_the_work() -> None:
    assert os.getpid() not in fork_map(lambda _: os.getpid(), range(4), 2, ignored)
    assert fork_map(lambda _: os.getpid(), range(4), 1, ignored) == [os.getpid()] * 4


def test_where_nothing_is_forked_this_process_does_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gradcheck_cli.processes.fork_map.start_method", lambda: "spawn")
    assert fork_map(lambda _: os.getpid(), range(3), 2, ignored) == [os.getpid()] * 3


def test_a_process_that_forks_and_crashes_is_noticed_at_once() -> None:
    def crashing(item: int) -> int:
        if os.fork() == 0:
            time.sleep(3)
        os._exit(3)

    started = time.monotonic()
    with pytest.raises(DiedError, match="with exit code 3"):
        fork_map(crashing, range(4), 2, ignored)
    assert time.monotonic() - started < 2


def test_what_work_raises_is_raised() -> None:
    def raising(item: int) -> int:
        raise GradcheckError("no")

    with pytest.raises(GradcheckError, match="no"):
        fork_map(raising, range(4), 2, ignored)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda: os._exit(3), "with exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "by SIGKILL; was it out of memory"),
    ],
)
def test_a_process_that_ends_is_named_and_leaves_none_behind(end: Any, told: str) -> None:
    def dying(item: int) -> int:
        if item == 1:
            end()
        time.sleep(0.2)
        return item

    with pytest.raises(DiedError, match=told):
        fork_map(dying, range(8), 2, ignored)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("locality", [True, False])
def test_a_gradient_is_the_same_in_any_number_of_processes(
    locality: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradcheck_cli.measure.measure.AFFORDABLE", 0)
    monkeypatch.setattr("gradcheck_cli.numeric.local.quotients.CHUNK", 50)
    checked = problem(layer("XW", n=8, N=30, M=20))
    told: list[int] = []
    one, three = (
        measure_entries_of(checked, "W", Numeric(jobs=jobs, locality=locality), None, told.append)
        for jobs in (1, 3)
    )
    np.testing.assert_array_equal(one.value, three.value)
    np.testing.assert_array_equal(one.uncertainty, three.uncertainty)
    assert one.evaluations == three.evaluations
    assert sum(told) == 2 * 600


def test_code_of_the_user_runs_in_processes_too() -> None:
    from gradcheck_cli.checker.check import check
    from gradcheck_cli.usercode.problems import from_functions

    made = from_functions(
        np.tanh, lambda delta, x: delta / np.cosh(x) ** 2, {"x": np.linspace(-2, 2, 300)}
    )
    one, two = (check(made, numeric=Numeric(jobs=jobs)) for jobs in (1, 2))
    assert one.verdict == two.verdict
    assert one.gradients == two.gradients
