"""An executor that works in several processes; a process that crashes costs one item only."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, TypeVar

from gradcheck_cli.errors import describe_internal_error
from gradcheck_cli.processes.child import POLL, PROGRESS, Child, EndedError, Parent
from gradcheck_cli.processes.executor import Advance
from gradcheck_cli.processes.signals import interrupt_once

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE = 32  # items that a worker gets at once
# A worker gets 1/SHARES of its fair share of the items that are left, so that all end together.
SHARES = 8
STOP_TIME = 2.0  # s that a worker has to end, with the processes that it started

READY, RESULT, FAILED, ENDED = "ready", "result", "failed", "ended"


class Pool:
    """An `Executor` that works in so many processes."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Advance], Result],
        fail: Callable[[Item, str], Result],
        advance: Advance,
    ) -> Generator[tuple[int, Result]]:
        """See `Executor`."""
        waiting = deque(range(len(items)))
        crew = _Crew(items, work)
        try:
            crew.hire(min(self.jobs, len(items)))
            while crew.workers:
                for worker, kind, value in crew.receive():
                    if kind == PROGRESS:
                        advance(value)
                    elif kind == READY:
                        worker.hand(take_share(waiting, self.jobs))
                    elif kind == RESULT:
                        yield worker.places.popleft(), value
                    elif worker.places:
                        # It failed at the first of its items. If its process ended, the others
                        # wait again, for any worker.
                        place = worker.places.popleft()
                        if kind == ENDED:
                            waiting.extendleft(reversed(worker.places))
                            crew.hire(1)
                        yield place, fail(items[place], value)
            for place in waiting:
                yield place, fail(items[place], f"no process could be started: {crew.problem}")
        finally:
            crew.stop()


def take_share(waiting: deque[int], jobs: int) -> list[int]:
    """Take the places of the next items for one of `jobs` workers; the fewer are left, the fewer
    it gets."""
    count = min(MOST_AT_ONCE, -(-len(waiting) // (SHARES * jobs)))
    return [waiting.popleft() for _ in range(count)]


class _Crew:
    """The workers of a pool; problem: why the last one that is gone ended, or did not start."""

    def __init__(self, items: Sequence[Any], work: Callable[[Any, Advance], Any]) -> None:
        self.items = items
        self.work = work
        self.workers: list[_Worker] = []
        self.problem = ""

    def hire(self, count: int) -> None:
        """Start that many more workers, or as many as can be started."""
        try:
            for _ in range(count):
                self.workers.append(_Worker(Child(_serve, self.items, self.work)))
        except OSError as error:
            self.problem = error.strerror or str(error)

    def receive(self) -> Iterator[tuple[_Worker, str, Any]]:
        """The kind and value of a message from each worker that has sent one or has ended."""
        wait([worker.child.connection for worker in self.workers], POLL)
        for worker in [worker for worker in self.workers if worker.child.poll()]:
            try:
                kind, value = worker.child.receive()
            except EndedError as end:
                worker.child.kill()
                self.workers.remove(worker)
                self.problem = f"its process ended {end}"
                kind, value = ENDED, self.problem
            yield worker, kind, value

    def stop(self) -> None:
        """End all workers and the processes that they started."""
        for worker in self.workers:
            worker.child.terminate()
        for worker in self.workers:
            worker.child.stop(STOP_TIME)


class _Worker:
    """A process of the pool; places: of the items that it has got and not done."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.places: deque[int] = deque()

    def hand(self, places: list[int]) -> None:
        """Hand the worker more items; if there are none, it ends."""
        self.places.extend(places)
        self.child.send(places)


def _serve(parent: Parent, items: Sequence[Item], work: Callable[[Item, Advance], Result]) -> None:
    """Work on the items whose places the parent sends, until it sends none."""
    signal.signal(signal.SIGTERM, interrupt_once)  # so that processes which it started end, too
    with suppress(KeyboardInterrupt, EOFError, OSError):  # the parent has ended
        parent.send(READY)
        while places := parent.receive():
            for place in places:
                message: tuple[str, Any]
                try:
                    message = (RESULT, work(items[place], parent.advance))
                except Exception as error:
                    message = (FAILED, describe_internal_error(error))
                parent.send(*message)
            parent.send(READY)
