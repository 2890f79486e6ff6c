"""Checks in processes: the order of reports, shares of the work, an end in the middle."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable

import pytest

from gradcheck_cli.config.builders.check import ConfigCheck
from gradcheck_cli.config.load import read_config
from gradcheck_cli.processes.pool import MOST_AT_ONCE, Pool, take_share
from gradcheck_cli.report import CheckReport, Outcome
from gradcheck_cli.run import one as running
from gradcheck_cli.run import suite

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")

DIES = "c[4]"


def checks(count: int) -> list[ConfigCheck]:
    head = "form: XW\nshapes: {n: 2, N: 2, M: 2}\nchecks:\n"
    return read_config(head + "- {}\n" * count, "c.yaml")


def mortal(check: ConfigCheck, advance: Callable[[int], None]) -> CheckReport:
    if check.id == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    return running.report_failure(check, f"seen: {check.id}")


def stopped(check: ConfigCheck, advance: Callable[[int], None]) -> CheckReport:
    return running.report_failure(check, str(os.getpid()))


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_check_is_reported_once_and_one_that_ends_its_process_is_told(jobs: int) -> None:
    given = checks(20)
    found = list(Pool(jobs)(given, mortal, running.report_failure, lambda entries: None))
    assert sorted(place for place, _ in found) == list(range(20))
    for place, report in found:
        died = given[place].id == DIES
        assert report.id == given[place].id
        assert report.error.startswith("its process ended by SIGKILL" if died else "seen: ")


def test_a_suite_reports_in_the_order_of_its_configs() -> None:
    given = checks(9)
    report = suite.run(given, executor=Pool(3))
    assert [check.id for check in report.checks] == [check.id for check in given]
    assert {check.outcome for check in report.checks} == {Outcome.OK}


def test_who_stops_listening_ends_all_processes() -> None:
    seen = Pool(2)(checks(12), stopped, running.report_failure, lambda entries: None)
    _, report = next(seen)
    seen.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(report.error), 0)


def test_many_checks_are_handed_out_many_at_once_and_the_last_one_by_one() -> None:
    waiting = deque(range(10_000))
    shares = []
    while waiting:
        shares.append(take_share(waiting, 2))
    assert [place for share in shares for place in share] == list(range(10_000))
    assert len(shares[0]) == MOST_AT_ONCE
    assert [len(share) for share in shares[-8:]] == [1] * 8
    assert take_share(waiting, 2) == []
