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


def test_a_slow_check_is_told_once_what_would_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [0.0], list[str]()
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    shown = progress.Progress(None, {"b": "b takes long"}, told.append)
    for seconds, at_work in ((1.0, "a"), (30.0, "a"), (31.0, "b"), (40.0, "b")):
        now[0] = seconds
        shown(1, 10, at_work)
    assert told == []
    for seconds in (42.0, 43.0):
        now[0] = seconds
        shown(1, 10, "b")
    assert told == ["b takes long"]


def test_what_is_measured_of_checks_that_are_not_done_is_known() -> None:
    shown = progress.Progress(None, {}, lambda _: None)
    shown(370, 5000, "a", 0, 370)
    assert shown.left == ", 370 of 5,000 entries measured"
    shown(400, 5000, "b", 0, 0)
    assert shown.left == ""
