"""What takes long is made by one of the workers of a test run, for all of them."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Made = TypeVar("Made")


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Made]) -> Made:
    """What `make` gives, of which a copy is kept under a name for the other workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    folder = factory.getbasetemp().parent
    claim, kept = folder / f"{name}.claim", folder / name
    while not kept.exists():
        try:
            claim.mkdir()
        except FileExistsError:
            time.sleep(0.05)
            continue
        try:
            (folder / f"{name}.part").write_bytes(pickle.dumps(make()))
            (folder / f"{name}.part").rename(kept)
        finally:
            claim.rmdir()
    made: Made = pickle.loads(kept.read_bytes())
    return made
