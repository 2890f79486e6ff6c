"""Run the user's code in a process of its own, so that it can spoil one check at most.

It may print, exit, crash, take all memory or never return: the other checks still run.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any, TypeVar

from gradcheck_cli.errors import GradcheckError, UnfinishedError
from gradcheck_cli.processes.child import POLL, PROGRESS, Child, EndedError, start_method
from gradcheck_cli.processes.executor import Advance
from gradcheck_cli.processes.sandbox_child import EARLY, RESULT, Supervisor, serve
from gradcheck_cli.processes.watchdog import GRACE, Dump, describe_timeout

Result = TypeVar("Result")


def run_in_sandbox(
    work: Callable[[Any, Supervisor], Result],
    argument: Any,
    advance: Advance,
    timeout: float | None,
    *,
    last_call: Any = None,
    opened: frozenset[int] = frozenset(),
) -> Result:
    """The result of work(argument, supervisor) in a process of its own.

    timeout: seconds that a call of the user's code may take; None: any time.
    last_call: a clock by `make_clock`, if another process must also know when the last call began.
    opened: file descriptors that the user's code has opened here and may use there.
    Raises GradcheckError with the message of the one that was raised there, UnfinishedError if the
    process ended without a result, and OSError if none can be started.
    """
    clock = make_clock() if last_call is None else last_call
    dump = Dump()
    with (
        dump.file,
        Child(serve, work, argument, timeout, dump, clock, opened, own_group=True) as child,
    ):
        result: Result = receive_result(child, advance, timeout, dump, clock)
        return result


def make_clock() -> Any:
    """A number in shared memory: the time in s at which the last call of the user's code began."""
    context: Any = multiprocessing.get_context(start_method())
    return context.RawValue("d", time.monotonic())


def receive_result(
    child: Child,
    advance: Advance,
    timeout: float | None,
    dump: Dump,
    last_call: Any,
    grace: float = GRACE,
) -> Any:
    """Wait for the result that a child sends; raises what `run_in_sandbox` raises.

    grace: seconds beyond the time limit of a call after which the child is given up.
    """
    early = None
    while True:
        if not child.poll(POLL):
            # A child ends itself after the limit, unless it was stopped.
            if timeout is not None and time.monotonic() - last_call.value > timeout + grace:
                raise UnfinishedError(describe_timeout(timeout), early)
            advance(0)
            continue
        try:
            kind, value = child.receive()
        except EndedError as end:
            raise UnfinishedError(_describe_end(end, timeout, dump), early) from None
        if kind == PROGRESS:
            advance(value)
        elif kind == EARLY:
            early = value
        elif kind == RESULT:
            return value
        else:
            raise GradcheckError(value)


def _describe_end(end: EndedError, timeout: float | None, dump: Dump) -> str:
    """Why a child ended without a result."""
    if timeout is not None and dump.is_of_timeout():
        return "\n".join([describe_timeout(timeout), *dump.read_frames()])
    if end.code is None or not dump.is_empty():
        return "the code closed or wrote to a file descriptor that it did not open"
    return f"the code ended its process {end}"
