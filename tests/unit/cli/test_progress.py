"""The progress bar at a terminal."""

from __future__ import annotations

import io
import re

import pytest

from gradcheck_cli.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_bar_names_the_check_at_work_and_counts_those_that_failed(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    bar = progress.Bar()
    bar(10, 40, "batch[n=8]", 0)
    bar(20, 40, "a [bold]name[/] that is longer than any window of a terminal " * 3, 2)
    bar.close()
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    first = next(line for line in lines if "10/40" in line)
    assert first.rstrip().endswith("batch[n=8]")
    assert "failed" not in first
    second = next(line for line in lines if "20/40" in line)
    assert re.search(r"2 failed a \[bold\]nam.*…$", second.rstrip())
    assert len(second) <= width
