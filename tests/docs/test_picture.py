"""The picture in the README is the report of a real run, as a terminal shows it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.support.command import ROOT, Gradcheck

PICTURE = ROOT / "docs" / "report.svg"
COMMAND = "gradcheck run misprint.yaml"
CONFIG = 'form: xW\nshapes: {N: 5, M: 5}\nbackward: {W: "(x * delta).T @ ones(1, M)"}\n'
WIDTH = 84
# Fonts of the reader's machine alone: a picture fetches nothing.
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def draw(report: str) -> str:
    """A terminal with the command and its report, colours included, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(f"[bold green]$[/] {COMMAND}")
    console.print(Text.from_ansi(report))
    svg = console.export_svg(title="gradcheck", theme=MONOKAI, unique_id="gradcheck")
    return FONTS.sub("", svg)


def without_rounding(svg: str) -> str:
    """What is the same on every machine: no times, no rounding errors, no last digits."""
    svg = re.sub(r"\d+\.\d\d&#160;s\b", "0.00&#160;s", svg)
    svg = re.sub(r"\b\d(\.\d)?e-\d\d\b", "0e-00", svg)
    return re.sub(r"(\d\.\d{8})\d+", r"\1", svg)


def test_the_picture_is_what_the_command_prints(
    gradcheck_process: Gradcheck, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "misprint.yaml").write_text(CONFIG, encoding="utf-8")
    done = gradcheck_process("run", "--color", "always", "misprint.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    made = draw(done.stdout)
    if request.config.getoption("--update-golden"):
        PICTURE.write_text(made, encoding="utf-8")
        return
    assert without_rounding(made) == without_rounding(PICTURE.read_text(encoding="utf-8"))


def test_the_picture_fetches_nothing() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|href=|<script", text)
