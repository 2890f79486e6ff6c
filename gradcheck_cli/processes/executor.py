"""The interface of executors, which work on many items and yield results as they are done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Advance = Callable[[int], None]  # called with how many more entries were measured


class Executor(Protocol):
    """Works on items, in one process or in many."""

    def __call__(
        self,
        items: Sequence[Item],
        work: Callable[[Item, Advance], Result],
        fail: Callable[[Item, str], Result],
        advance: Advance,
        /,
    ) -> Generator[tuple[int, Result]]:
        """Yield the place of each item with its result, in the order in which they are done.

        work: makes the result of an item; it must be fit to be sent to other processes.
        fail: makes the result of an item that could not be worked on, from the reason.
        advance: called with the progress between two results.
        """


def run_in_turn(
    items: Sequence[Item],
    work: Callable[[Item, Advance], Result],
    fail: Callable[[Item, str], Result],
    advance: Advance,
) -> Generator[tuple[int, Result]]:
    """Work on one item after the other, in this process (an `Executor`)."""
    for place, item in enumerate(items):
        yield place, work(item, advance)
