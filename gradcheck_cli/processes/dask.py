"""Checks on a Dask cluster: pip install 'gradcheck-cli[dask]'."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gradcheck_cli.config.build_check import ConfigCheck
from gradcheck_cli.errors import UsageError
from gradcheck_cli.processes.pool import Advance, Lost, One
from gradcheck_cli.result import CheckReport

PATIENCE = 10  # seconds for a scheduler to answer


@contextmanager
def connected(address: str) -> Iterator[Dask]:
    """The cluster of the scheduler at this address; UsageError where there is none."""
    try:
        from distributed import Client
    except ImportError as error:
        message = "--dask needs another package: pip install 'gradcheck-cli[dask]'"
        raise UsageError(message) from error
    try:
        client: Any = Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        yield Dask(client)


class Dask:
    """On the cluster of a Dask scheduler. client: a distributed.Client."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __call__(
        self, checks: Sequence[ConfigCheck], one: One, lost: Lost, advance: Advance
    ) -> Generator[tuple[int, CheckReport]]:
        """See `Executor`. A check that is lost with its worker is run again, on another."""
        import distributed

        as_completed: Any = distributed.as_completed

        futures = {
            self.client.submit(_remote, check, one, lost, pure=False): place
            for place, check in enumerate(checks)
        }
        try:
            for future in as_completed(futures, loop=self.client.loop):
                place, error = futures[future], future.exception()
                if error is None:
                    yield place, future.result()
                else:
                    yield place, lost(checks[place], f"{type(error).__name__}: {error}")
                future.release()
        finally:
            self.client.cancel(list(futures))


def _remote(check: ConfigCheck, one: One, lost: Lost) -> CheckReport:
    """A check on a worker of a cluster."""
    if check.layer.code and multiprocessing.current_process().daemon:
        return lost(
            check,
            "checks of code need workers that may start processes; start them with --no-nanny, or "
            "with DASK_DISTRIBUTED__WORKER__DAEMON=False",
        )
    return one(check, lambda entries: None)
