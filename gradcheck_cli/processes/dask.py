"""Work on a Dask cluster: pip install 'gradcheck-cli[dask]'."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from gradcheck_cli.errors import UsageError
from gradcheck_cli.processes.executor import Advance

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_TIME = 10  # s that a scheduler may take to answer


@contextmanager
def connect(address: str) -> Iterator[Dask]:
    """The cluster of the scheduler at this address; UsageError where none answers."""
    try:
        from distributed import Client
    except ImportError as error:
        message = "--dask needs another package: pip install 'gradcheck-cli[dask]'"
        raise UsageError(message) from error
    try:
        client: Any = Client(address, timeout=CONNECT_TIME, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        yield Dask(client)


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
        """See `Executor`. An item that is lost with its worker is worked on again, on another."""
        import distributed

        as_completed: Any = distributed.as_completed

        futures = {
            self.client.submit(work, item, _ignore, pure=False): place
            for place, item in enumerate(items)
        }
        try:
            for future in as_completed(futures, loop=self.client.loop):
                place, error = futures[future], future.exception()
                if error is None:
                    yield place, future.result()
                else:
                    yield place, fail(items[place], f"{type(error).__name__}: {error}")
                future.release()
        finally:
            self.client.cancel(list(futures))


def _ignore(entries: int) -> None:
    """Progress is not sent over the network."""
