"""A progress bar on stderr: count, rate and time left, once a run takes more than a second."""

from __future__ import annotations

import sys
import time
from typing import Any

QUIET = 1.0  # seconds without a bar


class Bar:
    """Called after each check with how many are done; draws with rich when it takes long."""

    def __init__(self, total: int) -> None:
        self.started = time.perf_counter()
        self.total = total
        self.bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` checks are done."""
        if self.bar is None:
            if done == total or time.perf_counter() - self.started < QUIET:
                return
            self.bar, self.task = self._start()
        self.bar.update(self.task, completed=done)
        if done == total:
            self.bar.stop()

    def _start(self) -> tuple[Any, Any]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        bar = Progress(
            "checks",
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            transient=True,
        )
        task = bar.add_task("", total=self.total)
        bar.start()
        return bar, task
