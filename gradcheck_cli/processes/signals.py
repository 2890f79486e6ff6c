"""What Ctrl-C, SIGTERM and SIGHUP do at each stage of the command.

Before any check runs, a signal ends the command at once. While checks run, the first signal raises
an exception. After that, and while reports are written, signals wait, so that no result is lost.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from gradcheck_cli.errors import TerminatedError

# The signals that are handled. Windows has no SIGHUP, which comes when a terminal is closed.
HELD = tuple(name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
END, RAISE, WAIT = "end", "raise", "wait"  # what a signal does
# s after the first signal from which another one ends the command: reports are written by then,
# unless the program that reads them hangs.
PATIENCE = 30.0


class _Handler:
    """The handler of all signals; reaction: what a signal does at this stage."""

    def __init__(self) -> None:
        self.reaction = END
        self.first: int | None = None  # the number of the first signal that did not end the command
        self.since = 0.0

    def __call__(self, number: int, frame: object) -> None:
        """React to a signal."""
        if self.reaction == END:
            _end(number)
        if self.first is None:
            self.first, self.since = number, time.monotonic()
        elif time.monotonic() - self.since > PATIENCE:
            _end(number)
        if self.reaction == RAISE:
            self.raise_first()

    def raise_first(self) -> None:
        """Raise the exception of the first signal, if one came; later signals wait."""
        if self.first is not None:
            self.reaction = WAIT
            if self.first == signal.SIGINT:
                raise KeyboardInterrupt
            raise TerminatedError(self.first)


_handler = _Handler()


def end_on_signals() -> None:
    """From now on, signals end this process at once, with the exit code that shells use."""
    for name in HELD:
        number = signal.Signals[name]
        if signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup and in the background
            signal.signal(number, _handler)


def defer_signals() -> None:
    """From now on, signals wait until the next `raise_on_signals`."""
    _handler.reaction = WAIT


@contextmanager
def raise_on_signals() -> Iterator[Callable[[], None]]:
    """Raise an exception for the first signal in the block or waiting before it; later ones wait.

    Raises KeyboardInterrupt for Ctrl-C, and TerminatedError for others. Yields a function that
    raises it again, for the case that other code caught the exception.
    """
    _handler.reaction = RAISE
    try:
        _handler.raise_first()
        yield _handler.raise_first
    finally:
        _handler.reaction = WAIT


def _end(number: int) -> NoReturn:
    _handler.reaction = WAIT  # a second signal prints nothing
    with suppress(OSError):
        how = "interrupted" if number == signal.SIGINT else "terminated"
        os.write(2, f"gradcheck: {how}\n".encode())
    os._exit(128 + number)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Block signals until the block is done. A child that is started in it has them blocked until
    it calls `release_signals`."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    came_before = None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _held())
    except KeyboardInterrupt as error:  # a signal came just before; the block must still be done
        came_before = error
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if came_before is not None:
        raise came_before


def release_signals() -> None:
    """Deliver the signals that were blocked when this process was started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _held())


def _held() -> list[signal.Signals]:
    return [signal.Signals[name] for name in HELD]


def interrupt_once(number: int, frame: object) -> NoReturn:
    """A handler that raises KeyboardInterrupt once, and ignores the signal from then on."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_with_parent(parent: int) -> None:
    """Let the system kill this process when its parent, of that id, ends (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)
