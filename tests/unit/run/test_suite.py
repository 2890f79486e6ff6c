"""Many checks: selection, outcomes, what one failure costs, Ctrl-C, rerun commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gradcheck_cli.config.builders.check import ConfigCheck
from gradcheck_cli.config.load import read_config
from gradcheck_cli.errors import ForwardError, UsageError
from gradcheck_cli.processes.warm import WarmProcesses
from gradcheck_cli.report import ExitCode, Outcome
from gradcheck_cli.result import CheckResult
from gradcheck_cli.run import choose, suite
from gradcheck_cli.run import one as running
from gradcheck_cli.run.sandbox_work import Work

CONFIG = """\
form: XW
shapes: {n: 2, N: 2, M: 2}
checks:
- {name: right}
- {name: "odd [name]"}
- {name: wrong, backward: {W: 2 * X.T @ delta}}
- {}
"""


@pytest.fixture
def checks() -> list[ConfigCheck]:
    return read_config(CONFIG, "some dir/c.yaml")


def ids(found: list[ConfigCheck]) -> list[str]:
    return [check.id for check in found]


def test_checks_are_named_by_their_name_or_their_place(checks: list[ConfigCheck]) -> None:
    assert ids(checks) == ["right", "odd [name]", "wrong", "c[4]"]
    assert ids(read_config("form: Wx\nshapes: {N: 2, M: 2}\n", "dir/one.yaml")) == ["one"]


def test_selection_is_by_id_or_glob(checks: list[ConfigCheck]) -> None:
    assert ids(choose.select(checks, [])) == ids(checks)
    assert ids(choose.select(checks, ["w*", "*odd*"])) == ["odd [name]", "wrong"]
    assert ids(choose.select(checks, ["odd [name]", "right"])) == ["right", "odd [name]"]
    assert ids(choose.select(checks, ["c[4]"])) == ["c[4]"]


def test_a_pattern_that_selects_nothing_is_an_error(checks: list[ConfigCheck]) -> None:
    with pytest.raises(UsageError, match="no check matches 'rigth'; did you mean 'right'"):
        choose.select(checks, ["rigth"])


def test_the_rerun_command_quotes_what_a_shell_would_take_apart(checks: list[ConfigCheck]) -> None:
    assert running.write_rerun(checks[1]) == "gradcheck run --select 'odd [name]' 'some dir/c.yaml'"
    (alone,) = read_config("form: Wx\nshapes: {N: 2, M: 2}\n", "-odd.yaml")
    assert running.write_rerun(alone) == "gradcheck run -- -odd.yaml"


def test_one_check_that_cannot_run_costs_only_itself(
    checks: list[ConfigCheck], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_problems = running.run_problems
    failures = {"right": MemoryError(), "odd [name]": ForwardError("the forward returns text")}

    def run_or_fail(
        check: ConfigCheck,
        work: Work[CheckResult],
        advance: Callable[[int], None],
        timeout: float | None,
        allow_code: bool,
        warm: WarmProcesses | None,
    ) -> CheckResult:
        if check.id in failures:
            raise failures[check.id]
        return run_problems(check, work, advance, timeout, allow_code, warm)

    monkeypatch.setattr(running, "run_problems", run_or_fail)
    report = suite.run(checks)
    assert [check.outcome for check in report.checks] == [
        Outcome.ERROR,
        Outcome.ERROR,
        Outcome.WRONG,
        Outcome.OK,
    ]
    assert "not enough memory" in report.checks[0].error
    assert report.checks[1].error == "the forward returns text"
    assert report.exit_code == ExitCode.WRONG
    assert suite.exit_code(report.checks[:2]) == ExitCode.NOTHING_CHECKED


def test_ctrl_c_keeps_what_is_done(
    checks: list[ConfigCheck], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = running.run_check

    def interrupted(check: ConfigCheck, advance: Callable[[int], None], **options: Any) -> object:
        if check.id == "wrong":
            raise KeyboardInterrupt
        return plain(check, advance, **options)

    monkeypatch.setattr(suite, "run_check", interrupted)
    report = suite.run(checks)
    assert (report.interrupted, report.exit_code) == (True, ExitCode.INTERRUPTED)
    assert [check.id for check in report.checks] == ["right", "odd [name]"]


def test_progress_names_the_check_at_work_and_counts_those_that_failed(
    checks: list[ConfigCheck],
) -> None:
    seen: list[tuple[str, int]] = []
    suite.run(checks, lambda done, total, id, failed, left: seen.append((id, failed)))
    ids = [check.id for check in checks]
    assert list(dict.fromkeys(id for id, _ in seen)) == [*ids, ""]
    assert [failed for id, failed in seen if id == ids[2]] == [0, 0, 0]
    assert [failed for id, failed in seen if id == ids[3]] == [1, 1, 1]


def test_progress_counts_the_entries_of_all_gradients(checks: list[ConfigCheck]) -> None:
    seen: list[tuple[int, int]] = []
    suite.run(checks, lambda done, total, *_: seen.append((done, total)))
    # Four checks of a 2×2 X and a 2×2 W, told after each gradient and each check.
    assert [done for done, _ in seen] == [4, 8, 8, 12, 16, 16, 20, 24, 24, 28, 32, 32]
    assert {total for _, total in seen} == {32}
