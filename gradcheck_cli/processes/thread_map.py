"""A map in threads: NumPy releases the interpreter's lock in most operations on large arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 4  # more threads would wait for the interpreter's lock between NumPy's operations


def count_cores() -> int:
    """The cores that this process may use."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def thread_map(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """work(item) for every item, in their order, with one thread for each core.

    work: must call nothing of the user's, and change nothing that the work on other items reads.
    """
    threads = min(len(items), count_cores(), MOST_THREADS)
    if threads < 2:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    # The settings of this thread, such as NumPy's errstate, hold in the others, too.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda context, item: context.run(work, item), contexts, items)
