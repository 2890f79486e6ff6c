"""Results without diagnoses: they take most of the time of a check that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from gradcheck_cli.checker.check import check
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult


class _JudgedError(Exception):
    def __init__(self, result: CheckResult) -> None:
        self.result = result


def judge(problems: Problem | Sequence[Problem], numeric: Numeric | None = None) -> CheckResult:
    """What `check` finds; where it fails, of the first problem that does and before diagnoses."""

    def stop(result: CheckResult) -> NoReturn:
        raise _JudgedError(result)

    try:
        return check(problems, numeric=numeric, keep=stop)
    except _JudgedError as judged:
        return judged.result
