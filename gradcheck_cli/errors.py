"""The errors that a user can meet; `GradcheckError` is the root of all of them.

A message says what was wrong, what was expected and what to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from gradcheck_cli.text import format_path, join_words


class GradcheckError(Exception):
    """The root of all errors of this package; its text is meant for the user."""


class TerminatedError(KeyboardInterrupt):
    """The command got SIGTERM, or SIGHUP because its terminal was closed; number: the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class FormulaError(GradcheckError):
    """A formula that cannot be evaluated.

    offset, length: which characters of the formula are wrong.
    """

    def __init__(self, message: str, offset: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length


class ArrayError(GradcheckError):
    """An input array that cannot be used: a file, its type, its values or its shape."""


class ForwardError(GradcheckError):
    """A forward that cannot be checked: it raises, or does not return an array of numbers."""


class GradientError(GradcheckError, AssertionError):
    """A gradient is wrong, or whether it is right is not known; the text is the report."""

    __module__ = "gradcheck_cli"  # as users import it, and test runners name it


class DiedError(GradcheckError):
    """A process that did a part of a check ended before it was done; how: `by SIGKILL`."""

    def __init__(self, how: str) -> None:
        super().__init__(f"a process of the check ended {how}")


MOST_CHARACTERS = 2000  # of the message of a user's exception that are shown
MOST_FRAMES = 6  # of the user's traceback that are shown: the last ones, where it was raised
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def is_ours(path: str) -> bool:
    """Whether a file of a traceback belongs to this package, so that users need not see it."""
    return path.startswith((_PACKAGE, "<frozen"))


class CodeError(GradcheckError):
    """The user's own code cannot be called in this way, or raises; the text shows their lines."""

    @classmethod
    def raised(cls, function: str, error: BaseException) -> CodeError:
        """The error for what `function` raised, with a traceback of the user's frames alone."""
        if isinstance(error, SystemExit):
            code = "" if error.code is None else repr(error.code)
            sentence = f"{function} called sys.exit({code})"
        else:
            kind, text = type(error).__name__, _text(error)[:MOST_CHARACTERS]
            sentence = f"{function} raised {kind}" + f": {text}" * bool(text)
        return cls("\n".join([sentence, *_frames(error), *_remedy(error)]))


class UntakenError(CodeError):
    """A function has no parameter for an input or constant of this name, nor one by position."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class LackingError(CodeError):
    """A function has parameters of these names for which there is no value."""

    def __init__(self, names: Sequence[str], message: str) -> None:
        super().__init__(message)
        self.names = names


class LeaveError(CodeError):
    """A check names Python code, and the user has not allowed that to run."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(
            "it names Python code, which runs with --allow-code only: " + ", ".join(names)
        )


class UnfinishedError(CodeError):
    """The process of the user's code ended before the check was done.

    early: the result without diagnoses, if it was sent before that; else None.
    """

    def __init__(self, message: str, early: Any) -> None:
        super().__init__(message)
        self.early = early


def _frames(error: BaseException) -> list[str]:
    import traceback

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not is_ours(frame.filename)
    ]
    lines = []
    if len(frames) > MOST_FRAMES:
        lines.append(f"  … {len(frames) - MOST_FRAMES} more calls")
    for frame in frames[-MOST_FRAMES:]:
        place = f'  File "{format_path(frame.filename)}", line {frame.lineno}, in {frame.name}'
        lines += [place, *[f"    {frame.line}"] * bool(frame.line)]
    return lines


# Patterns in the message of a Python error, and what to change in the config where one is found.
REMEDIES = (
    (
        r"\blist\b",
        "a list in constants stays a list; {values: [0, 2, 1]} makes it an array",
    ),
    (
        r"used as indices must be|indices must be integers|cannot be interpreted as an integer",
        "labels, indices and sizes have no gradient: they go under constants, as in "
        "{y: {distribution: integers, low: 0, high: 3, shape: [n]}}",
    ),
)


def _remedy(error: BaseException) -> list[str]:
    """What to change in the config, if a Python error points to a mistake there."""
    of_types = isinstance(error, AttributeError | TypeError | IndexError)
    if not of_types and not isinstance(error, ValueError):
        return []
    text = _text(error)
    found = [remedy for pattern, remedy in REMEDIES if of_types and re.search(pattern, text)]
    return [f"  {remedy}" for remedy in [*_advise_attributes(error), *found]][:1]


def _advise_attributes(error: BaseException) -> list[str]:
    """What to add to the config, if the line that raised uses attributes of self that are None."""
    import traceback

    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return []
    owner = frames[-1][0].f_locals.get("self")
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    used = dict.fromkeys(re.findall(r"\bself\.(\w+)", line))
    names = [f"self.{name}" for name in used if getattr(owner, name, 0) is None]
    if not names:
        return []
    return [
        f"{join_words(names)} {'is' if len(names) == 1 else 'are'} None: what another method would "
        f"make is given by its name, as {names[0].removeprefix('self.')}: under inputs where the "
        "backward has its gradient, else under constants"
    ]


def _text(error: BaseException) -> str:
    """The message of an exception; empty if the exception is the user's and cannot be printed."""
    try:
        return str(error)
    except Exception:
        return ""


class UsageError(GradcheckError):
    """A command line that cannot be carried out."""


def describe_internal_error(error: BaseException) -> str:
    """The message for an exception that is a bug of this package, with the line that raised it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = ""
    if frame is not None:
        file = os.path.basename(frame.tb_frame.f_code.co_filename)
        place = f" ({file}:{frame.tb_lineno})"
    return f"internal error: {type(error).__name__}: {_text(error)}{place}; please report it"
