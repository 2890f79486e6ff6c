"""Expressions of -k choose checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck_cli.config.load import load
from gradcheck_cli.errors import UsageError
from gradcheck_cli.run.choose import select

CONFIG = """\
form: XW
shapes: {N: 2, M: 2}
checks:
- {name: batch, matrix: {shapes.n: [1, 8], reduction: [sum, mean]}}
- {name: "odd (name)", shapes: {n: 2}}
- {name: not, shapes: {n: 2}}
"""
SUM_1, MEAN_1, SUM_8, MEAN_8 = (
    f"batch[n={n},reduction={reduction}]" for n in (1, 8) for reduction in ("sum", "mean")
)


def choose(folder: Path, *patterns: str) -> list[str]:
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return [check.id for check in select(load([str(folder)], print), patterns)]


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ("batch and not *n=1*", [SUM_8, MEAN_8]),
        ("not batch", ["odd (name)", "not"]),
        ("not not batch and *sum*", [SUM_1, SUM_8]),
        ("*n=1* or *n=8* and *mean*", [SUM_1, MEAN_1, MEAN_8]),
        ("(*n=1* or *n=8*) and *mean*", [MEAN_1, MEAN_8]),
        ("not (*n=1* or ((*mean*)))", [SUM_8, "odd (name)", "not"]),
        ("odd (name)", ["odd (name)"]),
        ("odd* or *sum*", [SUM_1, SUM_8, "odd (name)"]),
        ("not", ["not"]),
        (f"{SUM_1} or {MEAN_8}", [SUM_1, MEAN_8]),
    ],
)
def test_an_expression_chooses_checks(tmp_path: Path, pattern: str, ids: list[str]) -> None:
    assert choose(tmp_path, pattern) == ids


def test_several_are_joined_by_or(tmp_path: Path) -> None:
    assert choose(tmp_path, "batch and *n=1*", "not") == [SUM_1, MEAN_1, "not"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("batch and", "is no expression at its end; one is 'batch and not"),
        ("or batch", "is no expression before 'or'"),
        ("batch and (not *n=1*", "at its end, where '\\)' is missing"),
        ("batch )", "is no expression before '\\)'"),
        ("not batsh", "no check matches 'batsh'; did you mean 'batch'"),
        ("not " * 5000 + "batch", "nested at most 100 deep"),
        ("(" * 5000 + "batch" + ")" * 5000, "nested at most 100 deep"),
        ("batch and odd*", "no check matches 'batch and odd\\*'"),
    ],
)
def test_what_is_no_expression_or_chooses_nothing_is_told(
    tmp_path: Path, pattern: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose(tmp_path, pattern)
