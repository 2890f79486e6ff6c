"""The process the user's code runs in: bounded in time and memory, and its prints kept apart."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol, TextIO, TypeVar

from gradcheck_cli.errors import DiedError, GradcheckError

Result = TypeVar("Result")
Returned = TypeVar("Returned", covariant=True)

PROGRESS, RESULT, EARLY, ERROR = "progress", "result", "early", "error"

PRINTED_LINES = 20  # of what the code prints; it is called thousands of times
OFTEN = 0.05  # seconds between reports of progress
REARM = 0.1  # the share of a timeout in which the watchdog is not set again


class Work(Protocol[Returned]):
    """What is done in the process: a function of an argument, the watchdog and progress."""

    def __call__(
        self, argument: Any, watchdog: Watchdog, progress: Callable[[int], None], /
    ) -> Returned:
        """Do it."""


class Watchdog:
    """Ends the process when a call does not return in time, and writes where it was.

    keep: sends a result that holds if the rest of the work is never done.
    limit: in seconds; file: where the traceback goes; last: a value the parent sees, which gets the
    time of each call.
    """

    def __init__(
        self, limit: float | None, file: Any, last: Any, keep: Callable[[Any], None]
    ) -> None:
        self.keep = keep
        self.limit = limit
        self.file = file
        self.last = last
        self.armed = -1e9

    def beat(self) -> None:
        """A call begins."""
        now = self.last.value = time.monotonic()
        if self.limit is not None and now - self.armed > REARM * self.limit:
            faulthandler.dump_traceback_later(self.limit, exit=True, file=self.file)
            self.armed = now

    def stop(self) -> None:
        """No call is going on any more."""
        faulthandler.cancel_dump_traceback_later()

    def watched(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """The function, each call of which is a beat."""

        def call(*arguments: Any) -> Result:
            self.beat()
            return function(*arguments)

        return call


def run(
    work: Work[Any],
    argument: Any,
    sending: Connection,
    dump: str,
    timeout: float | None,
    beat: Any,
) -> None:
    """Do the work and send what came of it; where that took too long, `dump` says where it was."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends this process
    with contextlib.suppress(OSError, AttributeError):
        os.setpgid(0, 0)  # with what the code starts, to be ended together
    end_with_parent()
    _limit_memory()
    with open(dump, "w", encoding="utf-8") as file, _quiet_streams():
        watchdog = Watchdog(timeout, file, beat, lambda result: sending.send((EARLY, result)))
        watchdog.beat()
        try:
            told = (RESULT, work(argument, watchdog, Throttled(sending)))
        except DiedError as error:
            if os.path.getsize(dump):  # a call took too long, and this tells which
                os._exit(1)
            told = (ERROR, str(error))
        except GradcheckError as error:
            told = (ERROR, str(error))
        except MemoryError:
            told = (ERROR, "not enough memory for this check; use smaller sizes")
        except KeyboardInterrupt:
            told = (ERROR, "the code raised KeyboardInterrupt")
        except Exception as error:  # most likely of what the code did to its process
            told = (ERROR, f"the check could not be done: {type(error).__name__}: {error}")
        watchdog.stop()
    sending.send(told)  # the last thing: the process is not waited for


class Throttled:
    """Sends progress, but not more often than anyone could look."""

    def __init__(self, sending: Connection) -> None:
        self.sending = sending
        self.waiting = 0
        self.sent = 0.0

    def __call__(self, entries: int) -> None:
        """So many more are done."""
        self.waiting += entries
        if time.monotonic() - self.sent > OFTEN:
            self.sending.send((PROGRESS, self.waiting))
            self.waiting, self.sent = 0, time.monotonic()


class _Quiet(io.TextIOBase):
    """Passes the first lines on, and counts the rest."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lines = 0

    def write(self, text: str) -> int:
        """Write, if not too much was written before."""
        left = PRINTED_LINES - self.lines
        shown = text.splitlines(keepends=True)[: max(0, left)]
        self.lines += text.count("\n")
        with contextlib.suppress(OSError, ValueError):
            self.stream.write("".join(shown))
            self.stream.flush()
        return len(text)

    def tell_rest(self) -> None:
        """Say how much was not passed on."""
        if self.lines > PRINTED_LINES:
            more = self.lines - PRINTED_LINES
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(f"… and {more:,} more lines that the code printed\n")


class _quiet_streams(contextlib.AbstractContextManager[None]):  # noqa: N801
    """stdout is the report's: what the code prints goes to stderr, and input has an end."""

    def __enter__(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        with contextlib.suppress(OSError):
            os.dup2(2, 1)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        target = sys.stderr if sys.stderr is not None else open(os.devnull, "w")
        self.quiet = _Quiet(target)
        sys.stdout = self.quiet

    def __exit__(self, *_: object) -> None:
        self.quiet.tell_rest()


def end_with_parent() -> None:
    """Have this process killed when the one that started it is gone; Linux alone knows how."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory() -> None:
    """A huge allocation is a MemoryError, not the end of other programs."""
    with contextlib.suppress(ImportError, ValueError, OSError, AttributeError):
        import resource

        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_DATA, (whole, whole))
