"""Work in a process of its own: what the user's code does there costs one check at most.

It may print, exit, crash, take all memory or never return; the report goes on.
"""

from __future__ import annotations

import contextlib
import linecache
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import dropwhile, takewhile
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from gradcheck_cli.errors import MOST_FRAMES, CodeError, GradcheckError, is_ours
from gradcheck_cli.processes.sandbox_child import EARLY, PROGRESS, RESULT, Work, run
from gradcheck_cli.text import describe_exit, format_path

Result = TypeVar("Result")
Progress = Callable[[int], None]

POLL = 0.1  # seconds between looks at a process
GRACE = 2.0  # seconds after which a process is ended that should have ended itself

_FRAME = re.compile(r'File "(.+)", line (\d+) in (.+)')


class UnfinishedError(CodeError):
    """A process that ended without a result; early: what it had found by then, or None."""

    def __init__(self, message: str, early: Any) -> None:
        super().__init__(message)
        self.early = early


def isolated(
    work: Work[Result], argument: Any, progress: Progress, timeout: float | None
) -> Result:
    """work(argument, watchdog, progress) in a process of its own.

    timeout: seconds that a call may take, as the watchdog is told of calls; None: any time.
    Raises GradcheckError with the text of the one that was raised there, and UnfinishedError where
    the process ended without a result.
    """
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    descriptor, dump = tempfile.mkstemp(prefix="gradcheck-")
    os.close(descriptor)
    receiving, sending = context.Pipe(duplex=False)
    beat = context.RawValue("d", time.monotonic())
    process = context.Process(
        target=run, args=(work, argument, sending, dump, timeout, beat), daemon=True
    )
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    try:
        with warnings.catch_warnings():
            # Python warns of forks beside threads; the only ones are BLAS's, which expect forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        sending.close()
        result: Result = _result(receiving, process, dump, progress, timeout, beat)
        return result
    finally:
        _end(process)
        receiving.close()
        with contextlib.suppress(OSError):  # the code may have deleted it
            os.unlink(dump)


def _end(process: Any) -> None:
    """End a process and those it started."""
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _result(
    receiving: Connection,
    process: Any,
    dump: str,
    progress: Progress,
    timeout: float | None,
    beat: Any,
) -> Any:
    early = None
    while True:
        if not receiving.poll(POLL):
            if timeout is not None and time.monotonic() - beat.value > timeout + GRACE:
                raise UnfinishedError(_late(timeout), early)  # a stopped process cannot end itself
            progress(0)
            continue
        try:
            kind, value = receiving.recv()
        except EOFError:
            process.join()
            raise UnfinishedError(_death(process.exitcode, dump, timeout), early) from None
        if kind == PROGRESS:
            progress(value)
        elif kind == EARLY:
            early = value
        elif kind == RESULT:
            return value
        else:
            raise GradcheckError(value)


def _late(timeout: float | None) -> str:
    return f"a call did not return within {timeout:g} s; --timeout allows more"


def _death(code: int, dump: str, timeout: float | None) -> str:
    """Why a process ended without a result."""
    text = ""
    with contextlib.suppress(OSError), open(dump, encoding="utf-8", errors="replace") as file:
        text = file.read()
    if "Timeout" in text[:40]:
        inner = dropwhile(lambda frame: is_ours(frame[0]), _FRAME.findall(text))
        frames = list(takewhile(lambda frame: not is_ours(frame[0]), inner))
        lines = [_late(timeout)]
        for path, line, name in reversed(frames[:MOST_FRAMES]):
            source = linecache.getline(path, int(line)).strip()
            lines.append(f'  File "{format_path(path)}", line {line}, in {name}')
            lines += [f"    {source}"] * bool(source)
        return "\n".join(lines)
    return f"the code ended its process {describe_exit(code)}"
