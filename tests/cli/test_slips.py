"""Code as people write it passes without a config; with the slip that is noted in it, it fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_code_files import RUN, outcomes
from tests.support.command import run_here

FILES = sorted((Path(__file__).parents[1] / "data/slips").glob("*.py"))
SLIP = re.compile(r"\n[^\n]*\n( *)# slip: ", re.MULTILINE)  # a line, and below it the wrong one


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_right_code_passes_and_a_slip_in_it_is_found(file: Path, tmp_path: Path) -> None:
    text = file.read_text()
    wrong, slips = SLIP.subn(r"\n\1", text)
    assert slips == 1
    (tmp_path / "right.py").write_text(text)
    (tmp_path / "wrong.py").write_text(wrong)
    right = run_here(*RUN, "right.py", cwd=tmp_path)
    assert set(outcomes(right).values()) == {"ok"}, right.stdout
    assert "wrong" in outcomes(run_here(*RUN, "wrong.py", cwd=tmp_path)).values()
