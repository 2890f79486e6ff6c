"""Processes that load the user's code once, and fork a sandbox for each check of that code.

A crash still costs one check only, since the process that is forked runs no check itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Self, TypeVar

from gradcheck_cli.errors import GradcheckError, UnfinishedError
from gradcheck_cli.processes.child import Child, Parent, run_at_end, start_method
from gradcheck_cli.processes.executor import Advance
from gradcheck_cli.processes.sandbox import make_clock, receive_result, run_in_sandbox
from gradcheck_cli.processes.sandbox_child import (
    ERROR,
    RESULT,
    Supervisor,
    describe_no_process,
    list_descriptors,
    work_supervised,
)
from gradcheck_cli.processes.signals import hold_signals, interrupt_once
from gradcheck_cli.processes.watchdog import GRACE, Dump

Result = TypeVar("Result")

UNFINISHED = "unfinished"

MOST = 4  # processes that are kept; one that has loaded torch takes 300 MB
THREAD_TIME = 0.2  # s that the thread of the time limit may take to end after it was cancelled
STOP_TIME = 2.0  # s that a process has to end, with the sandbox that it forked


class WarmProcesses:
    """The processes that have loaded code, by the key of that code.

    They wait for work until `close`. A copy that is sent to another process keeps none, since
    nobody would close it there: each sandbox then loads its code itself.

    most: how many processes are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most if start_method() == "fork" else 0
        self._processes: dict[Hashable, _WarmProcess] = {}
        self._unfit: set[Hashable] = set()

    def run(
        self,
        key: Hashable,
        load: Callable[[], None],
        work: Callable[[Any, Supervisor], Result],
        argument: Any,
        advance: Advance,
        timeout: float | None,
    ) -> Result:
        """`run_in_sandbox`, forked from a process that has called `load`, where that is possible.

        key: names the code that `load` loads. What `load` raises, or a time limit that it exceeds,
        is raised as if the work had done so.
        """
        process = self._find(key, load, timeout)
        if process is None:
            return run_in_sandbox(work, argument, advance, timeout)
        try:
            kind, value = process.run(work, argument, advance, timeout)
        except BaseException:
            self._processes.pop(key).stop()
            raise
        if kind == UNFINISHED:
            raise UnfinishedError(*value)
        if kind == ERROR:
            raise GradcheckError(value)
        result: Result = value
        return result

    def _find(
        self, key: Hashable, load: Callable[[], None], timeout: float | None
    ) -> _WarmProcess | None:
        """The process that has loaded this code, started now if there is none; None if no processes
        are kept, or the code has started threads, beside which a fork may hang."""
        if self._most == 0 or key in self._unfit:
            return None
        process = self._processes.pop(key, None)
        if process is not None and not process.is_waiting:
            process.stop()
            process = None
        if process is None:
            while len(self._processes) >= self._most:
                self._processes.pop(next(iter(self._processes))).stop()
            run_at_end(self.close)
            process = _WarmProcess(load, timeout)
            try:
                fit = process.start()
            except BaseException:
                process.stop()
                raise
            if not fit:
                process.stop()
                self._unfit.add(key)
                return None
        self._processes[key] = process  # at the end: the first is the one unused for longest
        return process

    def close(self) -> None:
        """End all processes."""
        while self._processes:
            self._processes.popitem()[1].stop()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as an object that keeps no processes."""
        return WarmProcesses, (0,)

    def __enter__(self) -> Self:
        """Return this; processes are started when they are needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        self.close()


class _WarmProcess:
    """A process that calls `load`, and then forks a sandbox for each piece of work."""

    def __init__(self, load: Callable[[], None], timeout: float | None) -> None:
        self.timeout = timeout
        self.clock = make_clock()
        self.dump = Dump()
        self.child = Child(_serve, load, timeout, self.dump, self.clock, own_group=True)

    @property
    def is_waiting(self) -> bool:
        """Whether it still runs, and waits for work."""
        return not self.child.poll()

    def start(self) -> bool:
        """Wait until the code is loaded; returns whether it can be forked. Raises as load did."""
        fit: bool = receive_result(self.child, _ignore, self.timeout, self.dump, self.clock)
        return fit

    def run(
        self,
        work: Callable[[Any, Supervisor], Any],
        argument: Any,
        advance: Advance,
        timeout: float | None,
    ) -> tuple[str, Any]:
        """The message of the sandbox that it forks for this work; raises if the process itself
        ends or hangs."""
        self.clock.value = time.monotonic()
        self.child.send((work, argument, timeout))
        # It gives up a sandbox that hangs after one GRACE; only if that fails, too, is it given up.
        outcome: tuple[str, Any] = receive_result(
            self.child, advance, timeout, self.dump, self.clock, 2 * GRACE
        )
        return outcome

    def stop(self) -> None:
        """End the process, and a sandbox that it may have forked."""
        with hold_signals(), self.dump.file:
            self.child.terminate()
            self.child.stop(STOP_TIME)


def _serve(
    parent: Parent, load: Callable[[], None], timeout: float | None, dump: Dump, clock: Any
) -> None:
    """Load the code, then fork a sandbox for each piece of work that the parent sends."""
    try:
        before = list_descriptors()
        kind, value = work_supervised(parent, _call, load, timeout, dump, clock, frozenset())
        # The parent's descriptors are hidden by now: all new ones were opened by the code.
        opened = list_descriptors() - before
        parent.send(kind, _is_fit() if kind == RESULT else value)
    except OSError as error:
        parent.send(ERROR, describe_no_process(error))
        return
    signal.signal(signal.SIGTERM, interrupt_once)  # so that its sandbox ends, too
    with suppress(KeyboardInterrupt, EOFError, OSError):  # the parent has ended
        while True:
            work, argument, timeout = parent.receive()
            outcome = _run(parent, work, argument, timeout, clock, opened)
            parent.send(RESULT, outcome)


def _call(load: Callable[[], None], supervisor: Supervisor) -> None:
    load()


def _run(
    parent: Parent,
    work: Callable[[Any, Supervisor], Any],
    argument: Any,
    timeout: float | None,
    clock: Any,
    opened: frozenset[int],
) -> tuple[str, Any]:
    """Do a piece of work in a sandbox; a message with its result, or why there is none."""
    try:
        return RESULT, run_in_sandbox(
            work, argument, parent.advance, timeout, last_call=clock, opened=opened
        )
    except UnfinishedError as error:
        return UNFINISHED, (str(error), error.early)
    except GradcheckError as error:
        return ERROR, str(error)
    except OSError as error:
        return ERROR, describe_no_process(error)


def _is_fit() -> bool:
    """Whether this process has one thread only: a fork has no others, and may wait for their locks
    for ever."""
    until = time.monotonic() + THREAD_TIME
    while len(os.listdir("/proc/self/task")) > 1:
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def _ignore(entries: int) -> None:
    """Loading measures no entries."""
