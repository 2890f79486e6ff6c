"""Write reports to stdout and notes to stderr, also where these are closed, full or a pipe."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gradcheck_cli.cli.progress import Bar, Progress
from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.report import ExitCode
from gradcheck_cli.text import printable_lines

COLORS = ("auto", "always", "never")


def write(text: str, code: int) -> int:
    """Write to stdout and return `code`; NOTHING_CHECKED in place of OK if writing fails.

    A pipe that its reader has closed is not a failure.
    """
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        silence_stdout()
        if error.errno not in (errno.EPIPE, errno.EINVAL):
            note(f"error: cannot write the report: {error.strerror}")
            return code or ExitCode.NOTHING_CHECKED
    return code


def silence_stdout() -> None:
    """Discard what is still buffered for stdout, so that the flush at exit prints no error."""
    if sys.stdout is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())


def note(text: str, before: str = "") -> None:
    """Print a note to the user on stderr; before: lines to print above it.

    A stderr that is closed or full does not change the exit code.
    """
    if sys.stderr is not None:
        try:
            lines = f"{before}\n" * bool(before) + _break_lines(f"gradcheck: {text}")
            print(printable_lines(lines), file=sys.stderr, flush=True)
        except OSError:
            sys.stderr = None


def _break_lines(text: str) -> str:
    """The text with long lines broken between words, if stderr is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return text
    import shutil
    from textwrap import fill

    width = shutil.get_terminal_size().columns
    return "\n".join(
        fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def tell(error: GradcheckError) -> int:
    """Print the reason why nothing was checked; return the exit code."""
    if isinstance(error, ConfigError):
        count = f"{error.count:,} error{'' if error.count == 1 else 's'}"
        note(f"{count}; nothing was checked", before=str(error))
    else:
        note(f"error: {error}")
    return ExitCode.NOTHING_CHECKED


def silence(text: str) -> None:
    """Drop a note: used in place of `note` with `--quiet`."""


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def terminal_width() -> int | None:
    """The width of the terminal in columns, from COLUMNS or the terminal; None if stdout is not
    one."""
    if not on_terminal():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def wants_color(asked: str) -> bool:
    """Whether to write colours, decided by `--color`, NO_COLOR, FORCE_COLOR and the terminal, in
    this order."""
    if asked != "auto":
        return asked == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return on_terminal() and os.environ.get("TERM") != "dumb"


@contextmanager
def show_progress(quiet: int = 0, faster: Mapping[str, str] | None = None) -> Iterator[Progress]:
    """Show a progress bar on stderr for runs of more than a second at a terminal.

    faster: advice for slow checks, by id; one is printed once, even where no bar is shown.
    """
    shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
    progress = Progress(Bar() if shown else None, faster or {}, silence if quiet else note)
    try:
        yield progress
    finally:
        progress.close()
