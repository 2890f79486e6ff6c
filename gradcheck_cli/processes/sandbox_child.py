"""The process that runs the user's code, with limits on its time, memory and prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from gradcheck_cli.errors import DiedError, GradcheckError
from gradcheck_cli.processes.child import Parent, start_method
from gradcheck_cli.processes.watchdog import Dump, Watchdog

RESULT, EARLY, ERROR = "result", "early", "error"

# How much the code may print, since it is called thousands of times.
PRINTED_LINES = 20
PRINTED_CHARACTERS = 4000


class Supervisor:
    """What the work in a sandbox can ask for.

    watch: wraps a function so that each of its calls has the time limit.
    advance: reports how many more entries were measured.
    """

    def __init__(self, parent: Parent, watchdog: Watchdog) -> None:
        self._parent = parent
        self.watch = watchdog.watch
        self.advance = parent.advance

    def keep(self, result: Any) -> None:
        """Send a result that counts if the rest of the work is never done."""
        self._parent.send(EARLY, result)


def serve(parent: Parent, *arguments: Any) -> None:
    """Do the work in this process, and send its message; arguments: those of `work_supervised`."""
    parent.send(*work_supervised(parent, *arguments))


def work_supervised(
    parent: Parent,
    work: Callable[[Any, Supervisor], Any],
    argument: Any,
    timeout: float | None,
    dump: Dump,
    last_call: Any,
    opened: frozenset[int],
) -> tuple[str, Any]:
    """Do the work in this process, under the limits for the user's code.

    opened: file descriptors that the code opened before this process was forked, and may use.
    Returns a message with the result, or with the reason why there is none.
    """
    try:
        _limit_memory()
        if start_method() == "fork":
            _hide_descriptors({parent.connection.fileno(), dump.file.fileno(), *opened})
        with _redirect_streams():
            watchdog = Watchdog(timeout, dump, last_call)
            watchdog.start_call()
            message = _make_message(work, argument, Supervisor(parent, watchdog), dump)
            watchdog.stop()
    except OSError as error:
        message = (ERROR, describe_no_process(error))
    return message


def describe_no_process(error: OSError) -> str:
    """The message where the system cannot start a process, or one lacks what it needs."""
    return f"there is no process to run its code in: {error.strerror or error}"


def _make_message(
    work: Callable[[Any, Supervisor], Any], argument: Any, supervisor: Supervisor, dump: Dump
) -> tuple[str, Any]:
    """Do the work, and make a message of its result or of what it raised."""
    try:
        return RESULT, work(argument, supervisor)
    except DiedError as error:
        if dump.is_of_timeout():  # a call took too long; the parent reads which from the dump
            os._exit(1)
        return ERROR, str(error)
    except GradcheckError as error:
        return ERROR, str(error)
    except MemoryError:
        return ERROR, "not enough memory for this check; use smaller sizes"
    except KeyboardInterrupt:
        return ERROR, "the code raised KeyboardInterrupt"
    except Exception as error:  # most likely because of what the code did to its process
        return ERROR, f"the check could not be done: {type(error).__name__}: {error}"


def _limit_memory() -> None:
    """Make a huge allocation raise MemoryError, so that the system does not kill other programs."""
    with suppress(ImportError, ValueError, OSError, AttributeError):
        import resource

        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_DATA, (whole, whole))


def _hide_descriptors(needed: set[int]) -> None:
    """Point every file descriptor of the parent to the null device, so that the code cannot use it.

    They are not closed: the code's next file would get the number of a closed one, and would be
    closed itself when the parent's object for that number is garbage here.
    """
    with suppress(OSError, ValueError, AttributeError):  # the program may have replaced stderr
        needed.add(sys.stderr.fileno())
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in list_descriptors() - {null, *needed}:
        if descriptor > 2:
            os.dup2(null, descriptor, inheritable=False)


def list_descriptors() -> frozenset[int]:
    """The file descriptors that are open in this process."""
    found = set()
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            os.fstat(int(name))  # raises for the descriptor that listed them, closed by now
            found.add(int(name))
    return frozenset(found)


@contextmanager
def _redirect_streams() -> Iterator[None]:
    """Keep stdout for the report: what the code prints goes to stderr, and its input is empty."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    with suppress(OSError):
        os.dup2(2, 1)
    stream = sys.stderr if sys.stderr is not None else io.StringIO()
    sys.stdout = limited = _LimitedOutput(stream)
    with open(0, encoding="utf-8", closefd=False) as sys.stdin:
        yield
    limited.write_rest()


class _LimitedOutput(io.TextIOBase):
    """Passes on the first lines that are printed, and counts the rest; `buffer` takes bytes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.buffer = _BytesOfText(self)
        self.lines = 0
        self.characters = 0

    def write(self, text: str) -> int:
        """Pass on as much of the text as the limits still allow."""
        lines = text.splitlines(keepends=True)[: max(0, PRINTED_LINES - self.lines)]
        passed = "".join(lines)[: max(0, PRINTED_CHARACTERS - self.characters)]
        self.lines += text.count("\n")
        self.characters += len(text)
        self._pass_on(passed)
        return len(text)

    def write_rest(self) -> None:
        """Write how much was left out."""
        if self.lines > PRINTED_LINES:
            more = self.lines - PRINTED_LINES
            self._pass_on(f"… and {more:,} more lines that the code printed\n")
        elif self.characters > PRINTED_CHARACTERS:
            more = self.characters - PRINTED_CHARACTERS
            self._pass_on(f"\n… and {more:,} more characters that the code printed\n")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream that text is passed on to."""
        return self.stream.encoding

    def fileno(self) -> int:
        """The descriptor of that stream, for code that writes to it itself."""
        return self.stream.fileno()

    def _pass_on(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


class _BytesOfText(io.RawIOBase):
    """Passes bytes on to a text stream."""

    def __init__(self, text: io.TextIOBase) -> None:
        self.text = text

    def writable(self) -> bool:
        """Bytes can be written."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on as text; those that are not UTF-8 are written as numbers."""
        self.text.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)
