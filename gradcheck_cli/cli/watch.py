"""`--watch`: after a run, wait until files change, and run the affected checks again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradcheck_cli.cli.streams import note, tell
from gradcheck_cli.config.load import STDIN, SUFFIXES
from gradcheck_cli.errors import GradcheckError, UsageError
from gradcheck_cli.processes.signals import raise_on_signals
from gradcheck_cli.report import CheckReport, ExitCode, Outcome
from gradcheck_cli.text import count_of, name_some

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck

CODE, ARRAYS = (".py",), (".npy", ".csv")
WATCHED = (*SUFFIXES, *CODE, *ARRAYS)
SIGNALS = (ExitCode.HUNG_UP, ExitCode.INTERRUPTED, ExitCode.TERMINATED)
MOST_FILES = 3  # that a note lists
LOOK = 100  # ms between two looks for signals
STEP = 50  # ms without another change until a change is complete: editors save in several steps

Changed = set[Path]  # files, as absolute paths without links


class Watch:
    """Watches the files of a run and chooses the checks that a change affects.

    paths: of the command line. Raises UsageError for stdin, and if watchfiles is not installed.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        if STDIN in paths:
            raise UsageError("--watch needs files; stdin is read once")
        try:
            import watchfiles
        except ImportError as error:
            message = "--watch needs another package: pip install 'gradcheck-cli[watch]'"
            raise UsageError(message) from error
        self._wait = watchfiles.watch
        self._named = [Path(path).resolve() for path in paths]
        self._files = set(self._named)
        self._folders: set[Path] = set()
        self._changed: Changed | None = None  # None: run all checks
        self._failed: set[tuple[str, str]] = set()  # path and id of checks

    def choose(self, checks: Sequence[ConfigCheck]) -> list[ConfigCheck]:
        """The checks that the last change affects; all at the first run."""
        code = [one for check in checks for one in check.layer.code]
        self._files |= {Path(check.path).resolve() for check in checks}
        self._files |= {one.file.resolve() for one in code if one.file is not None}
        self._folders = {one.folder.resolve() for one in code}
        self._failed &= {(check.path, check.id) for check in checks}
        changed = self._changed
        if changed is None:
            return list(checks)
        touched = [check for check in checks if touches(changed, check)]
        note(f"{len(touched)} of {count_of(len(checks), 'check')} to run again")
        return touched

    def keep(self, reports: Sequence[CheckReport]) -> None:
        """Remember which of these failed, and print how many others failed when last run."""
        run = {(report.path, report.id) for report in reports}
        self._failed -= run
        if self._failed:
            note(f"{count_of(len(self._failed), 'other check')} failed when last run")
        bad = [report for report in reports if report.outcome != Outcome.OK]
        self._failed |= {(report.path, report.id) for report in bad}

    def repeat(self, run: Callable[[], int]) -> int:
        """Run now and after every change, until a signal; return the last exit code."""
        while True:
            started, seen = time.time(), self._changed
            try:
                code, seen = run(), set()
            except GradcheckError as error:  # such as a config that is not finished
                code = tell(error)
            changed = Changed() if code in SIGNALS else self._wait_for_change(started)
            if not changed:
                return code
            names = sorted(os.path.relpath(path) for path in changed)
            note(f"{name_some(names, MOST_FILES)} changed")
            self._changed = None if seen is None else seen | changed

    def _wait_for_change(self, started: float) -> Changed:
        """The files that have changed since the run started; if none, wait for the next change."""
        folders = {path if path.is_dir() else path.parent for path in self._files} | self._folders
        there = sorted(path for path in folders if path.is_dir())
        deep = any(path.is_dir() for path in self._named)
        if not there:
            return Changed()
        with raise_on_signals() as raise_signal:
            try:
                changes = self._wait(
                    *there, recursive=deep, step=STEP, rust_timeout=LOOK, yield_on_timeout=True
                )
                found = _keep_watched(next(changes))  # no change is missed from here on
                found |= set(list_newer(there, started))
                if not found:
                    note("waiting for changes; Ctrl-C ends it")
                while not found:
                    found = _keep_watched(next(changes))
            except KeyboardInterrupt:  # watchfiles raises it for any signal
                raise_signal()
                raise
        return found


def _keep_watched(changes: Iterable[tuple[int, str]]) -> Changed:
    return {Path(path).resolve() for _, path in changes if path.endswith(WATCHED)}


def list_newer(folders: Iterable[Path], started: float) -> Iterator[Path]:
    """The configs and code in these folders that were written after a time, in seconds since 1970.

    Arrays do not count, since the run may have written them.
    """
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                if path.suffix in (*SUFFIXES, *CODE) and path.stat().st_mtime > started:
                    yield path.resolve()


def touches(changed: Changed, check: ConfigCheck) -> bool:
    """Whether a change may affect a check: its config changed, or a Python file below the folder of
    its code, or an array below the folder of its config.
    """
    config = Path(check.path).resolve()
    folders = [one.folder.resolve() for one in check.layer.code]
    return any(
        path == config
        or (path.suffix in CODE and any(folder in path.parents for folder in folders))
        or (path.suffix in ARRAYS and config.parent in path.parents)
        for path in changed
    )
