"""A map in forked processes, which share what is in memory, so that nothing has to be sent."""

from __future__ import annotations

import faulthandler
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import wait
from typing import Any, TypeVar

from gradcheck_cli.errors import DiedError, GradcheckError
from gradcheck_cli.processes.child import POLL, Child, EndedError, Parent, start_method

Item = TypeVar("Item")
Result = TypeVar("Result")

RESULT, FAILED, FINISHED = "result", "failed", "finished"


def fork_map(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    done: Callable[[Item], None],
) -> list[Result]:
    """[work(item) for item in items], in that many processes, or in this one if it cannot fork.

    work: any function; it is not sent.
    done: called in this process with every item that is done.
    Raises GradcheckError with the message of what work raised, and DiedError if a process ended
    before it was done.
    """
    if jobs < 2 or len(items) < 2 or not _can_fork():
        return _map_in_turn(work, items, done)
    # The time limit holds for calls in this process, which makes none until the children are done.
    faulthandler.cancel_dump_traceback_later()
    results: dict[int, Result] = {}
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(_serve, work, items, range(part, len(items), jobs)))
            for part in range(min(jobs, len(items)))
        ]
        for place, result in _receive(children):
            results[place] = result
            done(items[place])
    return [results[place] for place in range(len(items))]


def _can_fork() -> bool:
    # A daemon, such as a worker of Dask, may start no process.
    return start_method() == "fork" and not multiprocessing.current_process().daemon


def _map_in_turn(
    work: Callable[[Item], Result], items: Sequence[Item], done: Callable[[Item], None]
) -> list[Result]:
    results = []
    for item in items:
        results.append(work(item))
        done(item)
    return results


def _serve(
    parent: Parent, work: Callable[[Item], Result], items: Sequence[Item], places: range
) -> None:
    """Work on the items at these places, in a child."""
    for place in places:
        try:
            parent.send(RESULT, (place, work(items[place])))
        except BrokenPipeError:  # the parent has ended
            return
        except Exception as error:
            parent.send(FAILED, str(error) or type(error).__name__)
    parent.send(FINISHED)


def _receive(children: Sequence[Child]) -> Iterator[tuple[int, Any]]:
    """The results of all children with their places, as they come in."""
    working = list(children)
    while working:
        wait([child.connection for child in working], POLL)
        for child in [child for child in working if child.poll()]:
            try:
                kind, value = child.receive()
            except EndedError as end:
                raise DiedError(str(end)) from None
            if kind == FINISHED:
                working.remove(child)
            elif kind == FAILED:
                raise GradcheckError(value)
            else:
                yield value
