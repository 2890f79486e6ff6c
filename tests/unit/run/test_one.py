"""One check: whatever happens in it, there is one report of it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import NoReturn

import pytest

from gradcheck_cli.config.builders.check import ConfigCheck
from gradcheck_cli.config.load import read_config
from gradcheck_cli.report import CheckReport, Outcome
from gradcheck_cli.run import one
from gradcheck_cli.run.one import run_check


def ignore(entries: int) -> None:
    """Of progress."""


def test_a_bug_of_ours_costs_one_check_and_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def divide_by_zero(*arguments: object) -> NoReturn:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(one, "run_problems", divide_by_zero)
    (check,) = read_config("form: Wx\nshapes: {N: 2, M: 2}\n", "a.yaml")
    report = run_check(check, ignore)
    assert (report.id, report.outcome) == ("a", Outcome.ERROR)
    assert report.error.startswith("internal error: ZeroDivisionError: division by zero (test_one")
    assert report.error.endswith("; please report it")


def run_in_daemon(check: ConfigCheck) -> CheckReport:
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    daemon = context.Process(
        target=lambda: sending.send(run_check(check, ignore, allow_code=True)), daemon=True
    )
    daemon.start()
    report: CheckReport = receiving.recv()
    daemon.join()
    return report


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no forks")
def test_a_worker_that_may_start_no_process_says_how_to_start_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(x): return x\ndef g(delta): return delta\n")
    text = "forward: a.py:f\nbackward: a.py:g\ninputs: {x: [2]}\n"
    report = run_in_daemon(read_config(text, str(tmp_path / "a.yaml"))[0])
    assert report.outcome == Outcome.ERROR
    assert "start them with --no-nanny" in report.error
    (formula,) = read_config("form: Wx\nshapes: {N: 2, M: 2}\n", "a.yaml")
    assert run_in_daemon(formula).outcome == Outcome.OK
