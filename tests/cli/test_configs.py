"""The configs of the repository: the whole paper, on every file system."""

from __future__ import annotations

import re

import msgspec
import pytest

from gradcheck_cli.config.load import load
from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.result import GradientResult, Verdict
from tests.support.command import ROOT, run_process

# §2 to §4: gradients, and the Jacobians they come from.
EQUATIONS = {12, 15, 18, 22, 29, 31, 33, 36, 45, 52}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CheckReport]:
    """By the first command of the README, which is quiet and exits with 0."""
    path = tmp_path_factory.mktemp("configs") / "report.json"
    done = run_process("run", "configs", "-o", f"json={path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^(\d+) checks: \1 ok", done.stdout, re.M)
    report = msgspec.json.decode(path.read_bytes(), type=SuiteReport)
    assert report.exit_code == 0
    return {check.id: check for check in report.checks}


def gradients(report: CheckReport) -> list[GradientResult]:
    assert report.result is not None
    return list(report.result.gradients)


def test_every_check_comes_out_as_expected(reports: dict[str, CheckReport]) -> None:
    assert {report.outcome for report in reports.values()} == {Outcome.OK}


def test_every_numbered_result_of_the_paper_passes(reports: dict[str, CheckReport]) -> None:
    passed = {
        gradient.equation
        for report in reports.values()
        if report.expected == Verdict.PASS
        for gradient in gradients(report)
        if gradient.verdict == Verdict.PASS
    }
    assert passed >= EQUATIONS


@pytest.mark.parametrize(
    "name", ["equation-35-as-printed", "sum-the-loss-average-the-gradients", "mixed-pair"]
)
def test_what_is_wrong_in_the_paper_fails(reports: dict[str, CheckReport], name: str) -> None:
    assert reports[name].expected == Verdict.FAIL
    assert [gradient.name for gradient in gradients(reports[name]) if gradient.wrong] == ["W"]


def test_a_clean_float64_check_resolves_1e_11(reports: dict[str, CheckReport]) -> None:
    for report in reports.values():
        # Beside a corner only short steps are left.
        allowed = 1e-8 if report.settings.activation == "relu" else 1e-11
        if report.settings.dtype == "float64" and report.settings.step == "auto":
            for gradient in gradients(report):
                assert gradient.resolution is None or gradient.resolution < allowed


def test_configs_are_data() -> None:
    """`gradcheck run configs` needs no leave to run code."""
    checks = load([str(ROOT / "configs")], print)
    assert {code for check in checks for code in check.layer.code} == set()


def test_no_two_names_are_one_where_case_does_not_count() -> None:
    names = [
        path.relative_to(ROOT).as_posix()
        for folder in ("configs", "docs")
        for path in (ROOT / folder).rglob("*")
    ]
    assert len({name.casefold() for name in names}) == len(names)
