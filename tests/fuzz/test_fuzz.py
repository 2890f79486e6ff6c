"""Some of the cases that `python -m tests.fuzz` feeds by the million."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.cases import make_case
from tests.fuzz.feed import feed

CASES, PARTS = 8_000, 4


@pytest.mark.parametrize("part", range(PARTS))
def test_every_case_is_an_error_of_ours_or_an_outcome(part: int, tmp_path: Path) -> None:
    for number in range(part, CASES, PARTS):
        case = make_case(0, number)
        wrong = feed(case, tmp_path)
        assert not wrong, f"python -m tests.fuzz --first {number} --cases 1: {case}\n{wrong}"
