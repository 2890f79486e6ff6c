"""Show the progress of a long run on stderr: a bar at a terminal, and advice on a slow check."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from gradcheck_cli.text import printable

SILENT_SECONDS = 1.0  # a run shorter than this shows no bar
NARROW, WIDE = 60, 100  # columns of the terminal: below NARROW no bar, below WIDE a short one
REDRAW_SECONDS = 0.1  # between two drawings, each of which takes a millisecond
SLOW_SECONDS = 10.0  # a check that takes longer gets a line of advice on what would be faster


class Bar:
    """A progress bar of measured entries, drawn with rich once a run takes long."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.drawn = 0.0
        self.bar: Any = None

    def __call__(self, done: int, total: int, at_work: str = "", failed: int = 0) -> None:
        """Show that `done` of `total` entries are done, the running check, and the number that
        failed."""
        if self.bar is None:
            if done == total or time.perf_counter() - self.started < SILENT_SECONDS:
                return
            self.bar, self.task = self._start(total)
        self.bar.update(
            self.task,
            completed=done,
            rate=self._rate(done),
            at_work=printable(at_work),
            failed=f"{failed} failed" if failed else "",
        )
        if time.perf_counter() - self.drawn > REDRAW_SECONDS or done == total:
            self.drawn = time.perf_counter()
            self.bar.refresh()

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self.bar is not None:
            self.bar.stop()

    def _rate(self, done: int) -> str:
        """The number of entries per second so far."""
        return f"{done / max(1e-9, time.perf_counter() - self.started):,.0f}"

    def _start(self, total: int) -> tuple[Any, Any]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        console = Console(file=sys.stderr)
        one_line = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        speed = [TextColumn("{task.fields[rate]}/s"), TimeRemainingColumn()]
        bar = Progress(
            *["entries"] * (console.width >= WIDE),
            *[BarColumn(40 if console.width >= WIDE else 10)] * (console.width >= NARROW),
            MofNCompleteColumn(),
            *(speed if console.width >= NARROW else ()),
            TextColumn("{task.fields[failed]}", style="bold red", markup=False),
            TextColumn("{task.fields[at_work]}", markup=False, table_column=one_line),
            console=console,
            transient=True,
            expand=True,
            auto_refresh=False,  # no thread: processes are forked while the bar is shown
        )
        task = bar.add_task("", total=total, rate=self._rate(0), at_work="", failed="")
        bar.start()
        return bar, task


class Progress:
    """Shows how far a run is, and prints once what would make a slow check faster.

    bar: None to show none. faster: the advice, by the id of the check. tell: prints a line.
    """

    def __init__(
        self, bar: Bar | None, faster: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self.bar = bar
        self.faster = faster
        self.tell = tell
        self.advised = False
        self.at_work = ""
        self.since = time.perf_counter()
        self.left = ""  # for an interrupted run: the entries measured for unfinished checks

    def __call__(
        self, done: int, total: int, at_work: str = "", failed: int = 0, unfinished: int = 0
    ) -> None:
        """Note that `done` of `total` entries are done, `unfinished` of them of running checks."""
        if self.bar is not None:
            self.bar(done, total, at_work, failed)
        if at_work != self.at_work:
            self.at_work, self.since = at_work, time.perf_counter()
        slow = time.perf_counter() - self.since > SLOW_SECONDS
        if slow and not self.advised and at_work in self.faster:
            self.advised = True
            self.tell(self.faster[at_work])
        self.left = f", {done:,} of {total:,} entries measured" if unfinished else ""

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self.bar is not None:
            self.bar.close()
