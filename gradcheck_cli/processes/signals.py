"""Signals that must not come in between, and processes that must not outlive their parent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HELD = ("SIGINT", "SIGTERM")


@contextmanager
def hold_signals() -> Iterator[None]:
    """Make Ctrl-C and SIGTERM wait until the block is done; a child that starts in it waits, too.

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


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent, the process of that id, ends (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be asked
            os._exit(1)
