"""A cluster that is not there is said to be, in one sentence."""

from __future__ import annotations

import builtins
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
