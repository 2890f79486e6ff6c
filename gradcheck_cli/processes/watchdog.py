"""The time limit on each call of the user's code, which may hang outside of Python."""

from __future__ import annotations

import faulthandler
import linecache
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import dropwhile, takewhile
from typing import Any, BinaryIO, TypeVar

from gradcheck_cli.errors import MOST_FRAMES, is_ours
from gradcheck_cli.processes.signals import hold_signals
from gradcheck_cli.text import format_path

Result = TypeVar("Result")

# Setting an alarm costs some 50 µs. Calls that begin within this share of the time limit after one
# was set do not set another, so a call may be ended that much too early.
REARM = 0.1
GRACE = 2.0  # s beyond the limit after which a process that has not ended itself is killed

_STARTS = re.compile(r"[\\/]multiprocessing[\\/]")  # files that start a process
_FRAME = re.compile(r'File "(.+)", line (\d+) in (.+)')


class Dump:
    """A file without a name, to which a process that is ended by an alarm writes where it was."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        if file is None:
            with hold_signals():
                file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for a process that is spawned: it gets a duplicate of the descriptor."""
        if sys.platform == "win32":
            import _winapi
            import msvcrt
            from multiprocessing.reduction import DupHandle

            access = _winapi.GENERIC_READ | _winapi.GENERIC_WRITE
            return _open, (DupHandle(msvcrt.get_osfhandle(self.file.fileno()), access),)
        from multiprocessing.reduction import DupFd

        return _open, (DupFd(self.file.fileno()),)

    def is_empty(self) -> bool:
        """Whether nothing was written, so that no process was ended by an alarm."""
        return os.fstat(self.file.fileno()).st_size == 0

    def is_of_timeout(self) -> bool:
        """Whether it has the heading that faulthandler writes; code may write into it, too."""
        self.file.seek(0)
        return re.search(rb"^Timeout \(", self.file.read(), re.MULTILINE) is not None

    def read_frames(self) -> list[str]:
        """The lines of the user's code that were running when the process was ended."""
        self.file.seek(0)
        text = self.file.read().decode("utf-8", "replace")
        whole = _FRAME.findall(text)
        inner = dropwhile(lambda frame: is_ours(frame[0]), whole)
        frames = list(takewhile(lambda frame: not is_ours(frame[0]), inner))
        if frames and is_ours(whole[0][0]) and _STARTS.search(frames[0][0]):
            return []  # none of the user's code was running: we were reading what it returned
        lines = []
        for path, line, name in reversed(frames[:MOST_FRAMES]):
            source = linecache.getline(path, int(line)).strip()
            lines.append(f'  File "{format_path(path)}", line {line}, in {name}')
            lines += [f"    {source}"] * bool(source)
        return lines


def _open(duplicate: Any) -> Dump:
    descriptor = duplicate.detach()
    if sys.platform == "win32":
        import msvcrt

        descriptor = msvcrt.open_osfhandle(descriptor, os.O_RDWR)
    return Dump(open(descriptor, "r+b", buffering=0))


class Watchdog:
    """Ends this process if a call does not return in time, and dumps where it was.

    limit: s that a call may take; None: any time.
    last_call: a number shared with the parent: when the last call began.
    """

    def __init__(self, limit: float | None, dump: Dump, last_call: Any) -> None:
        self.limit = limit
        self.dump = dump
        self.last_call = last_call
        self.armed = (0, 0.0)  # the process that set the last alarm, and when

    def start_call(self) -> None:
        """Start the time of a call."""
        now = self.last_call.value = time.monotonic()
        if self.limit is None:
            return
        process, since = self.armed
        if now - since > REARM * self.limit or process != os.getpid():
            faulthandler.dump_traceback_later(self.limit, exit=True, file=self.dump.file)
            self.armed = (os.getpid(), now)

    def stop(self) -> None:
        """Cancel the alarm, since no call is running any more."""
        faulthandler.cancel_dump_traceback_later()

    def watch(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """The function, with the time limit on each of its calls."""

        def call(*arguments: Any) -> Result:
            self.start_call()
            return function(*arguments)

        return call


def describe_timeout(limit: float) -> str:
    """The message for a call that took longer than the limit."""
    return f"a call did not return within {limit:g} s; --timeout allows more"
