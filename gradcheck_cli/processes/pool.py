"""Running many checks in processes; the way all executors are called.

Each takes checks and a function from a check to its report, and yields reports with their places as
they are done; what a check does to its process costs that check alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from gradcheck_cli.config.build_check import ConfigCheck
from gradcheck_cli.processes.sandbox_child import PROGRESS, Throttled, end_with_parent
from gradcheck_cli.result import CheckReport
from gradcheck_cli.text import describe_exit

MOST_AT_ONCE = 32  # checks that a process is handed at once
PARTS = 8  # of the checks that are left, a process is handed one
POLL = 0.2  # seconds between looks at whether a process is still there
PATIENCE = 2.0  # seconds for a process to end by itself
DONE, READY, ENDED = "done", "ready", "ended"

Advance = Callable[[int], None]
One = Callable[[ConfigCheck, Advance], CheckReport]
# Makes the report of a check that could not be run, from the reason.
Lost = Callable[[ConfigCheck, str], CheckReport]


class Executor(Protocol):
    """Runs checks; `one` is a function that can be sent to another process."""

    def __call__(
        self, checks: Sequence[ConfigCheck], one: One, lost: Lost, advance: Advance
    ) -> Generator[tuple[int, CheckReport]]:
        """The reports, each with the place of its check; advance: is told entries in between."""


class Processes:
    """In so many processes at a time."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(
        self, checks: Sequence[ConfigCheck], one: One, lost: Lost, advance: Advance
    ) -> Generator[tuple[int, CheckReport]]:
        """See `Executor`."""
        waiting = deque(range(len(checks)))
        workers = [_Worker(checks, one) for _ in range(min(self.jobs, len(checks)))]
        try:
            while workers:
                wait([worker.connection for worker in workers], POLL)
                for worker in [worker for worker in workers if worker.speaks]:
                    kind, value = worker.told()
                    if kind == PROGRESS:
                        advance(value)
                    elif kind == DONE:
                        yield worker.places.popleft(), value
                    elif kind == READY:
                        worker.hand(self._share(waiting))
                    else:
                        workers.remove(worker)
                        how = worker.end()
                        if worker.places:
                            # It was in the first of its checks; the others are done elsewhere.
                            place, *others = worker.places
                            waiting.extendleft(reversed(others))
                            workers.append(_Worker(checks, one))
                            yield place, lost(checks[place], f"its process ended {how}")
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.end()

    def _share(self, waiting: deque[int]) -> list[int]:
        """The next checks for a process: many of many, one of few."""
        count = min(MOST_AT_ONCE, -(-len(waiting) // (PARTS * self.jobs)))
        return [waiting.popleft() for _ in range(count)]


class _Worker:
    """A process that runs checks; places: those it was handed and has not done, in order."""

    def __init__(self, checks: Sequence[ConfigCheck], one: One) -> None:
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self.connection, theirs = context.Pipe()
        self.places: deque[int] = deque()
        # Not a daemon: those may not start the processes that code of the user runs in.
        self.process = context.Process(target=_serve, args=(checks, one, theirs), daemon=False)
        with warnings.catch_warnings():
            # Python warns of forks beside threads; the only ones are BLAS's, which expect forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        theirs.close()

    @property
    def speaks(self) -> bool:
        """Whether there is something to hear from it, its end at least."""
        # What it started may hold its end of the connection open when it is gone.
        return not self.process.is_alive() or self.connection.poll()

    def told(self) -> tuple[str, Any]:
        """What it says, of which kind."""
        try:
            if self.connection.poll():
                said: tuple[str, Any] = self.connection.recv()
                return said
        except (EOFError, OSError):
            pass
        return ENDED, None

    def hand(self, places: list[int]) -> None:
        """More checks to run; without any, it ends."""
        self.places.extend(places)
        try:
            self.connection.send(places)
        except OSError:  # it ended, which is heard when it is listened to
            return

    def end(self) -> str:
        """Wait for its end, and make it end; how that came."""
        self.connection.close()
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()
        return describe_exit(self.process.exitcode)


def _serve(checks: Sequence[ConfigCheck], one: One, connection: Connection) -> None:
    """Run the checks whose places come, until none come."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends this process
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what it started ends, too
    try:
        advance = Throttled(connection)
        connection.send((READY, None))
        while places := connection.recv():
            for place in places:
                report = one(checks[place], advance)
                connection.send((DONE, report))
            connection.send((READY, None))
    except (KeyboardInterrupt, EOFError, OSError):
        os._exit(1)  # nobody listens any more
