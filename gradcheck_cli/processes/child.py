"""A child process: it sends messages, its parent notices when it ends, and can kill it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Literal, NoReturn, Self

from gradcheck_cli.processes.signals import end_with_parent, hold_signals, release_signals
from gradcheck_cli.text import describe_exit

POLL = 0.1  # s between two looks at whether a child lives; a crash is noticed after that
EXIT_TIME = 1.0  # s that a child which closed its pipe may take to end
CANNOT_SEND = 74  # the exit code of a child whose pipe is gone: EX_IOERR of sysexits.h
PART_TIME = 2  # s that the next part of a message may take
# Bytes of a message. If code prints into the pipe, its text looks like the header of a larger one.
MOST_BYTES = (1 << 24) - 1
PROGRESS_TIME = 0.05  # s between two messages of progress

PROGRESS = "progress"

_ENDINGS: list[Callable[[], None]] = []  # called at the end of this process, if it is a child


def run_at_end(ending: Callable[[], None]) -> None:
    """Call a function when this process ends, if it is a `Child` and is not killed."""
    if ending not in _ENDINGS:
        _ENDINGS.append(ending)


def start_method() -> Literal["fork", "spawn"]:
    """Whether children are forked, with all that is in memory, or spawned and sent their work.

    Only Linux forks: on macOS libraries start threads, beside which a fork may hang. If the program
    has set multiprocessing to spawn, children are spawned.
    """
    spawn = multiprocessing.get_start_method(allow_none=True) == "spawn"
    return "fork" if sys.platform == "linux" and not spawn else "spawn"


class EndedError(Exception):
    """A child will send no more messages; the text says how it ended.

    code: its exit code; None where it lives, but closed its pipe or wrote something else into it.
    """

    def __init__(self, code: int | None) -> None:
        code = None if code == CANNOT_SEND else code
        super().__init__("by closing its pipe" if code is None else describe_exit(code))
        self.code = code


class Child:
    """A process that calls work(parent, *arguments), where parent is a `Parent`.

    own_group: whether processes that it starts are killed with it.
    Raises OSError where no process can be started.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any, own_group: bool = False) -> None:
        context: Any = multiprocessing.get_context(start_method())
        self.own_group = own_group
        self.connection, theirs = context.Pipe()
        # Not a daemon, which may not start processes: the user's code may do so.
        self.process = context.Process(
            target=_begin, args=(os.getpid(), own_group, theirs, work, arguments), daemon=False
        )
        try:
            _bound_part_time(self.connection)
            with hold_signals(), warnings.catch_warnings():
                # Python warns of a fork beside threads; BLAS has the only ones, and is safe.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.process.start()
        except BaseException:
            self.kill()
            raise
        finally:
            theirs.close()

    def poll(self, seconds: float = 0.0) -> bool:
        """Whether a message comes, or the child ends, within so many seconds."""
        # The pipe alone does not show its end: processes that it started may keep it open.
        return bool(self.connection.poll(seconds)) or not self.process.is_alive()

    def receive(self) -> tuple[str, Any]:
        """The next message: its kind and its value. Raises EndedError if there will be none."""
        # The user's code may have written anything into the pipe.
        with suppress(Exception):
            if self.connection.poll():
                kind, value = pickle.loads(self.connection.recv_bytes(MOST_BYTES))
                return kind, value
        raise EndedError(self._await_exit(EXIT_TIME))

    def send(self, value: Any) -> None:
        """Send a value to the child; if it has ended, the next `receive` raises."""
        with suppress(OSError):
            self.connection.send(value)

    def kill(self) -> None:
        """End the child at once."""
        with hold_signals():
            if self.process.pid is not None:
                if self.own_group:
                    with suppress(OSError, AttributeError):
                        os.killpg(self.process.pid, signal.SIGKILL)
                self.process.kill()
                self.process.join()
            self.connection.close()

    def terminate(self) -> None:
        """Ask the child to end."""
        self.process.terminate()

    def stop(self, seconds: float) -> None:
        """Wait so many seconds for the child to end, then kill it."""
        with hold_signals():
            self._await_exit(seconds)
            self.kill()

    def _await_exit(self, seconds: float) -> int | None:
        """The exit code of the child; None where it still runs after so many seconds."""
        # process.join(seconds) would wait for ever if the code closed all file descriptors.
        until = time.monotonic() + seconds
        while self.process.is_alive():
            if time.monotonic() > until:
                return None
            time.sleep(0.002)
        code: int = self.process.exitcode
        return code

    def __enter__(self) -> Self:
        """Return the child, which is running already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the child."""
        self.kill()


class Parent:
    """The parent process, as a child sees it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._sender = os.getpid()
        self._entries = 0
        self._sent = 0.0

    def send(self, kind: str, value: Any = None) -> None:
        """Send a message."""
        if os.getpid() != self._sender:  # the user's code forked, and this is the copy
            os._exit(1)
        self.connection.send((kind, value))

    def receive(self) -> Any:
        """Wait for the next value from the parent."""
        return self.connection.recv()

    def advance(self, entries: int) -> None:
        """Count entries that were measured, and send their number, but not too often."""
        self._entries += entries
        if time.monotonic() - self._sent > PROGRESS_TIME:
            self.send(PROGRESS, self._entries)
            self._entries, self._sent = 0, time.monotonic()


def _begin(
    parent: int,
    own_group: bool,
    connection: Connection,
    work: Callable[..., None],
    arguments: tuple[Any, ...],
) -> NoReturn:
    """Run a child from start to end; its exit code is 0 if the work was done."""
    code = 1
    _ENDINGS.clear()  # a fork inherits those of its parent
    try:
        for name in ("SIGINT", "SIGHUP"):  # the parent handles them, and ends this process
            if hasattr(signal, name):
                signal.signal(signal.Signals[name], signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if own_group:
            with suppress(OSError, AttributeError):
                os.setpgid(0, 0)
        end_with_parent(parent)
        release_signals()
        work(Parent(connection), *arguments)
        code = 0
    except OSError:
        code = CANNOT_SEND
    finally:
        with suppress(KeyboardInterrupt):  # a signal may come just now
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for ending in _ENDINGS:
            with suppress(Exception):
                ending()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


def _bound_part_time(connection: Connection) -> None:
    """Make a read fail if the rest of a message does not come: a child may stop in the middle."""
    if sys.platform != "win32":
        import socket
        import struct

        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PART_TIME, 0))
