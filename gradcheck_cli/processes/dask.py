"""Work on a Dask cluster: pip install 'gradcheck-cli[dask]'."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from gradcheck_cli.errors import UsageError
from gradcheck_cli.processes.executor import Advance
from gradcheck_cli.processes.signals import raise_on_signals

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_TIME = 10.0  # s that a scheduler may take to answer
POLL = 0.05  # s between looks at what is done
QUIET_TIME = 5.0  # s without a result, after which the scheduler is asked whether it has workers
WORKER_TIME = 30.0  # s that a cluster may have no worker: some start them only when there is work
CLOSE_TIME = 2.0  # s to wait for a connection to close, since the cluster may be gone
SCHEDULER_LOST = "the connection to the Dask scheduler was lost before this was done"
NO_WORKER = f"the Dask cluster had no worker for {WORKER_TIME:g} s"


@contextmanager
def connect(address: str) -> Iterator[Dask]:
    """Connect to the scheduler at this address; raises UsageError if none answers."""
    try:
        from distributed import Client
    except ImportError as error:
        message = "--dask needs another package: pip install 'gradcheck-cli[dask]'"
        raise UsageError(message) from error
    for name in ("distributed", "tornado", "asyncio"):  # the report says what was lost
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(Client(address, timeout=CONNECT_TIME, set_as_default=False))  # type: ignore[no-untyped-call]
        except Exception as error:
            answers.append(error)

    # In a thread, because the client's own time limit holds for each of several attempts.
    asking = threading.Thread(target=ask, daemon=True)
    with raise_on_signals():
        asking.start()
        asking.join(CONNECT_TIME)
    answer = answers[0] if answers else TimeoutError(f"silent for {CONNECT_TIME:g} s")
    if isinstance(answer, Exception):
        raise UsageError(f"no Dask scheduler answers at {address}: {answer}") from answer
    try:
        yield Dask(answer)
    finally:
        with suppress(Exception):
            answer.close(timeout=CLOSE_TIME)


class Dask:
    """An `Executor` that works on the cluster of a Dask scheduler.

    client: a distributed.Client.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Advance], Result],
        fail: Callable[[Item, str], Result],
        advance: Advance,
    ) -> Generator[tuple[int, Result]]:
        """See `Executor`. If a worker is lost, another one works on its items again."""
        futures = [self.client.submit(work, item, _ignore, pure=False) for item in items]
        # `futures` keeps them all alive: a client that loses its scheduler goes through them.
        waiting = {future: place for place, future in enumerate(futures)}
        since, problem = time.monotonic(), ""
        try:
            while waiting and not problem:
                done = [future for future in waiting if future.done()]
                for future in done:
                    place = waiting.pop(future)
                    value, reason = _take_result(future)
                    yield place, fail(items[place], reason) if reason else value
                if done:
                    since = time.monotonic()
                elif time.monotonic() - since > QUIET_TIME:
                    problem, since = self._find_problem(), time.monotonic()
                else:
                    time.sleep(POLL)
            for place in waiting.values():
                yield place, fail(items[place], problem)
        finally:
            if self.client.status == "running":
                with suppress(Exception):
                    self.client.cancel(list(waiting))

    def _find_problem(self) -> str:
        """Why no more results will come; empty if there is a worker, or one comes soon."""
        try:
            self.client.wait_for_workers(1, timeout=WORKER_TIME)
        except TimeoutError:
            return NO_WORKER
        except (Exception, asyncio.CancelledError):
            return SCHEDULER_LOST
        return ""


def _take_result(future: Any) -> tuple[Any, str]:
    """The result of a future that is done, and why there is none, or an empty text."""
    if future.status in ("cancelled", "lost"):
        return None, SCHEDULER_LOST
    try:
        error = future.exception()
        if error is None:
            return future.result(), ""
    except (Exception, asyncio.CancelledError):
        return None, SCHEDULER_LOST
    return None, f"{type(error).__name__}: {error}"


def _ignore(entries: int) -> None:
    """Progress is not sent over the network."""
