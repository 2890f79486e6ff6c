"""Work on some items in forked processes, which have all that is in memory without being sent."""

from __future__ import annotations

import faulthandler
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, TypeVar

from gradcheck_cli.errors import DiedError, GradcheckError

Item = TypeVar("Item")
Result = TypeVar("Result")


def forked(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    done: Callable[[Item], None],
) -> list[Result]:
    """[work(item) for item in items], in `jobs` processes, or in this one where there is no fork.

    done: is told of every item that is done.
    Raises what work raised; DiedError where a process ended before its work did.
    """
    if jobs < 2 or len(items) < 2 or not hasattr(os, "fork"):
        results = []
        for item in items:
            results.append(work(item))
            done(item)
        return results
    # A limit of the time of calls is for calls made here, and none is meanwhile.
    faulthandler.cancel_dump_traceback_later()
    children: dict[Connection, int] = {}
    try:
        for part in range(min(jobs, len(items))):
            receiving, pid = _started(work, items, range(part, len(items), jobs))
            children[receiving] = pid
        found: dict[int, Result] = {}
        for place, result in _received(children):
            found[place] = result
            done(items[place])
    finally:
        for receiving, pid in children.items():
            receiving.close()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return [found[place] for place in range(len(items))]


def _started(
    work: Callable[[Item], Result], items: Sequence[Item], places: range
) -> tuple[Connection, int]:
    """A process that does these items, and where it sends what came of them."""
    receiving, sending = Pipe(duplex=False)
    with warnings.catch_warnings():
        # Python warns of forks beside threads; the only ones are BLAS's, which expect forks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        sending.close()
        return receiving, pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends this process
        receiving.close()
        _work(work, items, places, sending)
        code = 0
    finally:
        os._exit(code)


def _work(
    work: Callable[[Item], Result], items: Sequence[Item], places: range, sending: Connection
) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it any more
        for place in places:
            try:
                told: tuple[int, Any, str] = (place, work(items[place]), "")
            except Exception as error:
                told = (place, None, str(error) or type(error).__name__)
            sending.send(told)
        sending.send(None)


def _received(children: dict[Connection, int]) -> Iterator[tuple[int, Any]]:
    """The results of all processes, as they come in."""
    open_ones = list(children)
    while open_ones:
        for receiving in wait(open_ones):
            assert isinstance(receiving, Connection)
            try:
                told = receiving.recv()
            except EOFError:
                _, status = os.waitpid(children[receiving], 0)
                raise DiedError(os.waitstatus_to_exitcode(status)) from None
            if told is None:
                open_ones.remove(receiving)
                continue
            place, result, error = told
            if error:
                raise GradcheckError(error)
            yield place, result
