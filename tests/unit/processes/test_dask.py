"""A cluster that is not there is said to be, in one sentence."""

from __future__ import annotations

import asyncio
import builtins
import socket
import time
from typing import Any

import pytest

from gradcheck_cli.errors import UsageError
from gradcheck_cli.processes import dask as cluster


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_TIME", 0.5)
    with (
        pytest.raises(UsageError, match=r"^no Dask scheduler answers at tcp://127\.0\.0\.1:9: "),
        cluster.connect("tcp://127.0.0.1:9"),
    ):
        raise AssertionError("connected")


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(UsageError, match=r"pip install 'gradcheck-cli\[dask\]'"),
        cluster.connect("tcp://127.0.0.1:9"),
    ):
        raise AssertionError("connected")


class Future:
    """What the client of a cluster gives: done after so many looks, if ever."""

    def __init__(self, value: Any = None, status: str = "finished", looks: int = 0) -> None:
        self.value = value
        self.status = status
        self.looks = looks

    def done(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def exception(self) -> Any:
        if isinstance(self.value, asyncio.CancelledError):
            raise self.value
        return self.value if isinstance(self.value, Exception) else None

    def result(self) -> Any:
        return self.value


class Client:
    """A cluster of these futures; asked for workers, it raises or says that there is one."""

    def __init__(self, futures: list[Future], error: BaseException | None = None) -> None:
        self.futures = iter(futures)
        self.error = error
        self.status = "running"
        self.cancelled: list[Future] = []

    def submit(self, *_: Any, **options: Any) -> Future:
        return next(self.futures)

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if self.error is not None:
            raise self.error

    def cancel(self, futures: list[Future]) -> None:
        self.cancelled = futures


def run(client: Client, items: int) -> list[tuple[int, Any]]:
    def ignore(entries: int) -> None:
        pass

    executor: Any = cluster.Dask(client)
    return list(executor([None] * items, lambda item, advance: None, lambda _, why: why, ignore))


def test_what_was_done_before_the_scheduler_ended_is_kept() -> None:
    futures = [
        Future("first"),
        Future(status="cancelled", looks=2),
        Future(asyncio.CancelledError(), looks=2),
        Future("last", looks=1),
        Future(ValueError("no"), looks=1),
    ]
    assert run(Client(futures), 5) == [
        (0, "first"),
        (3, "last"),
        (4, "ValueError: no"),
        (1, cluster.SCHEDULER_LOST),
        (2, cluster.SCHEDULER_LOST),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), cluster.NO_WORKER),
        (OSError(), cluster.SCHEDULER_LOST),
        (asyncio.CancelledError(), cluster.SCHEDULER_LOST),
    ],
)
def test_a_cluster_that_stays_silent_is_given_up(
    error: BaseException, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "QUIET_TIME", 0.1)
    client = Client([Future("first"), Future(looks=10**9)], error)
    assert run(client, 2) == [(0, "first"), (1, reason)]
    assert len(client.cancelled) == 1


def test_a_slow_cluster_with_a_worker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "QUIET_TIME", 0.0)
    assert run(Client([Future("late", looks=5)]), 1) == [(0, "late")]


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_TIME", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(UsageError, match="no Dask scheduler answers"), cluster.connect(address):
            raise AssertionError("connected")
        assert time.monotonic() - started < 20
