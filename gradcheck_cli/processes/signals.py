"""Ctrl-C, SIGTERM and SIGHUP: what they do at each stage of the command, and where they must wait.

At first they end it at once: nothing is computed yet. While checks run, the first one raises. From
then on, and while reports are written, they wait: nothing that was computed is lost.
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

# Windows has no SIGHUP, which a terminal sends that is closed.
HELD = tuple(name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
END, RAISE, WAIT = "end", "raise", "wait"  # what a signal does
# s after the first signal in which others wait: reports are written by then, unless what reads them
# hangs.
PATIENCE = 30.0


class _Handler:
    """What handles the signals of the command."""

    def __init__(self) -> None:
        self.reaction = END
        self.first: int | None = None  # the number of the first signal that did not end the command
        self.since = 0.0

    def __call__(self, number: int, frame: object) -> None:
        """A signal came."""
        if self.reaction == END:
            _end(number)
        if self.first is None:
            self.first, self.since = number, time.monotonic()
        elif time.monotonic() - self.since > PATIENCE:
            _end(number)
        if self.reaction == RAISE:
            self.raise_first()

    def raise_first(self) -> None:
        """Raise for the first signal, if one came; those that come from now on wait."""
        if self.first is not None:
            self.reaction = WAIT
            if self.first == signal.SIGINT:
                raise KeyboardInterrupt
            raise TerminatedError(self.first)


_handler = _Handler()


def end_on_signals() -> None:
    """Have signals end this process at once, with the exit code of shells; before any work."""
    for name in HELD:
        number = signal.Signals[name]
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and background jobs want it
            signal.signal(number, _handler)


def defer_signals() -> None:
    """Have signals wait: for the next `raise_on_signals`, or for ever."""
    _handler.reaction = WAIT


@contextmanager
def raise_on_signals() -> Iterator[Callable[[], None]]:
    """Have the first signal in the block, or deferred before it, raise; after the block, all wait.

    Raises KeyboardInterrupt, or TerminatedError for others. Yields what raises it once more, if it
    was raised in code that made another exception of it.
    """
    _handler.reaction = RAISE
    try:
        _handler.raise_first()
        yield _handler.raise_first
    finally:
        _handler.reaction = WAIT


def _end(number: int) -> NoReturn:
    _handler.reaction = WAIT  # another one says nothing more
    with suppress(OSError):
        how = "interrupted" if number == signal.SIGINT else "terminated"
        os.write(2, f"gradcheck: {how}\n".encode())
    os._exit(128 + number)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Make these signals wait until the block is done; a child that starts in it waits, too.

    It then calls `release_signals`.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    came_before = None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _held())
    except KeyboardInterrupt as error:  # raised once signals are held, and the block must be done
        came_before = error
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if came_before is not None:
        raise came_before


def release_signals() -> None:
    """Let the signals come that were held when this process was started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _held())


def _held() -> list[signal.Signals]:
    return [signal.Signals[name] for name in HELD]


def interrupt_once(number: int, frame: object) -> NoReturn:
    """Raise KeyboardInterrupt for a signal; others, while the process ends, do nothing."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent, the process of that id, ends (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be asked
            os._exit(1)
