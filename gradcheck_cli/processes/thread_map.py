"""A map in threads of this process: most of what NumPy does with large arrays lets others run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 4  # with more, they wait for the interpreter between the operations of NumPy


def count_cores() -> int:
    """The cores that this process may use."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def thread_map(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """work(item) of every item, in their order, in a thread a core.

    work: calls nothing of the user's, and changes nothing that is read for another item.
    """
    threads = min(len(items), count_cores(), MOST_THREADS)
    if threads < 2:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    # What is set for this thread, such as how NumPy treats an overflow, holds for them, too.
    contexts = [copy_context() for _ in items]
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda context, item: context.run(work, item), contexts, items)
