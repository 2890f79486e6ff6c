"""Every error a user can meet. Constructors take data and write the sentence.

`GradcheckError` is the one root; a message says what was wrong, what was expected and what to do.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence

from msgspec import Struct


class GradcheckError(Exception):
    """The root of all errors of this package; its text is meant for the user."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM: whoever started the command wants it to end now."""


class FormulaError(GradcheckError):
    """A formula that cannot be evaluated: what is wrong, and where in its text.

    `offset` and `length` count characters of the formula.
    """

    def __init__(self, message: str, offset: int = 0, length: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length


class ArrayError(GradcheckError):
    """An input array that cannot be used: a file, its type, its values or its shape."""


class ForwardError(GradcheckError):
    """A forward that cannot be checked: it fails, or what it returns is not an array of numbers."""


class GradientError(GradcheckError, AssertionError):
    """A gradient is wrong, or could not be told right from wrong; the text is the report."""


class DiedError(GradcheckError):
    """A process that worked on a part of a check ended before its work did, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a process of the check ended {ended(code)}")
        self.code = code


def ended(code: int) -> str:
    """How a process ended, from its exit code: `by SIGKILL; was it out of memory?`."""
    if code >= 0:
        return f"with exit code {code}"
    known = -code in set(signal.Signals)
    name = signal.Signals(-code).name if known else f"signal {-code}"
    return f"by {name}" + ("; was it out of memory?" if name == "SIGKILL" else "")


MOST_CHARACTERS = 2000  # of the message of a user's exception
MOST_FRAMES = 6  # of the user's traceback; the last ones, where it happened
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def is_ours(path: str) -> bool:
    """Whether a file of a traceback is one of this package, and no business of the user's."""
    return path.startswith((_PACKAGE, "<frozen"))


class CodeError(GradcheckError):
    """The user's own code, called in a way it does not take, or raising: their lines, not ours."""

    @classmethod
    def raised(cls, function: str, error: BaseException) -> CodeError:
        """What `function` raised, as Python would show it, from the user's frames alone."""
        if isinstance(error, SystemExit):
            told = f"{function} called sys.exit({'' if error.code is None else repr(error.code)})"
        else:
            kind, text = type(error).__name__, _text(error)[:MOST_CHARACTERS]
            told = f"{function} raised {kind}: {text}" if text else f"{function} raised {kind}"
        return cls("\n".join([told, *_frames(error), *_remedy(error)]))


def _frames(error: BaseException) -> list[str]:
    import traceback

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not is_ours(frame.filename)
    ]
    lines = []
    if len(frames) > MOST_FRAMES:
        lines.append(f"  … {len(frames) - MOST_FRAMES} more calls")
    for frame in frames[-MOST_FRAMES:]:
        place = f'  File "{shown_path(frame.filename)}", line {frame.lineno}, in {frame.name}'
        lines += [place, *[f"    {frame.line}"] * bool(frame.line)]
    return lines


def _remedy(error: BaseException) -> list[str]:
    """What to change in the config, where a Python error is one of it."""
    if isinstance(error, AttributeError | TypeError) and "list" in _text(error):
        return ["  a list in constants stays a list; {values: [0, 2, 1]} makes it an array"]
    return []


def _text(error: BaseException) -> str:
    """The message of an exception, which may be the user's own and broken."""
    try:
        return str(error)
    except Exception:
        return ""


def shown_path(path: str) -> str:
    """A path as a reader at the terminal would write it: from here, where it is below."""
    try:
        here = os.getcwd() + os.sep
    except OSError:  # it was deleted
        return path
    return path[len(here) :] if path.startswith(here) else path


class Mark(Struct, frozen=True, order=True):
    """A place in a config: line and column from 1, and how many characters it spans.

    argument: the argument of `--set` that it is a place in; empty: it is in the config.
    """

    line: int
    column: int
    length: int = 1
    argument: str = ""


class Finding(Struct, frozen=True, order=True):
    """One thing wrong with a config, at a place in it."""

    mark: Mark
    message: str

    def render(self, path: str, lines: Sequence[str]) -> str:
        """The finding as compilers print it: place, sentence, the line and a caret."""
        if self.mark.argument:
            path, lines = SET, self.mark.argument.splitlines()
        place = f"{printable(path)}:{self.mark.line}:{self.mark.column}"
        text = f"{place}: error: {printable(self.message)}"
        if not 1 <= self.mark.line <= len(lines) or not lines[self.mark.line - 1].strip():
            return text
        line = lines[self.mark.line - 1].expandtabs(1).translate(UNPRINTABLE)
        shown, start = _window(line, self.mark.column - 1)
        length = max(1, min(self.mark.length, len(shown) - start))
        return f"{text}\n  {shown}\n  {' ' * start}^{'~' * (length - 1)}"


SET = "--set"  # what stands for the path of a finding in an argument of this option
LONGEST_SHOWN_LINE = 100
MOST_FINDINGS = 50  # shown of a file; nobody repairs more before the next try
# Control characters of a config would act on the terminal; in a line they keep their width.
UNPRINTABLE = dict.fromkeys([*range(32), *range(127, 160)], "�")


def printable(text: str) -> str:
    """The text with control characters spelled out and undecodable bytes replaced."""
    safe = text.encode("utf-8", "replace").decode()
    return "".join(
        repr(char)[1:-1] if char < " " or "\x7f" <= char < "\xa0" else char for char in safe
    )


def _window(line: str, start: int) -> tuple[str, int]:
    """The part of a long line around `start`, and where `start` is in it."""
    if len(line) <= LONGEST_SHOWN_LINE:
        return line, start
    left = max(0, min(start - LONGEST_SHOWN_LINE // 2, len(line) - LONGEST_SHOWN_LINE))
    part = line[left : left + LONGEST_SHOWN_LINE]
    return ("…" + part[1:] if left else part), start - left


class ConfigError(GradcheckError):
    """Configs that cannot be used: every finding at once, sorted by place.

    count: of the findings; places: the first of them, each with the path of its config.
    """

    def __init__(self, path: str, source: str, findings: Iterable[Finding]) -> None:
        found = sorted(set(findings))
        self.count = len(found)
        lines = source.splitlines()
        self.places = [(path, finding) for finding in found[:MOST_FINDINGS]]
        self.shown = [finding.render(path, lines) for _, finding in self.places]
        if len(found) > MOST_FINDINGS:
            self.shown.append(f"{printable(path)}: and {len(found) - MOST_FINDINGS:,} more errors")
        super().__init__("\n".join(self.shown))

    @classmethod
    def joined(cls, errors: Sequence[ConfigError]) -> ConfigError:
        """The findings of several files as one error, file by file; what is the same, once."""
        whole = cls("", "", [])
        whole.shown = list(dict.fromkeys(line for error in errors for line in error.shown))
        whole.places = [place for error in errors for place in error.places]
        repeated = sum(len(error.shown) for error in errors) - len(whole.shown)
        whole.count = sum(error.count for error in errors) - repeated
        whole.args = ("\n".join(whole.shown),)
        return whole


class UsageError(GradcheckError):
    """A command line that names nothing that can be checked."""


def near_miss(word: str, known: Iterable[str], what: str = "") -> str:
    """`; did you mean 'shapes'?`; where nothing is near, the list of `what` is known, if asked."""
    from difflib import get_close_matches

    choices = list(known)
    by_folded: dict[str, list[str]] = {}
    for choice in choices:
        by_folded.setdefault(choice.casefold(), []).append(choice)
    folded = word.casefold()
    close = get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if len(folded) > 3:  # a word that was cut short, such as softmax
        close = close or [choice for choice in by_folded if choice.startswith(folded)]
    if close:
        meant = [f"'{choice}'" for choice in by_folded[close[0]]]
        return f"; did you mean {listed(meant, 'or')}?"
    return f"; {what}: {', '.join(choices)}" if what and choices else ""


def plural(count: int, word: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """`n, N and M`."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shown_shape(shape: Sequence[int]) -> str:
    """`5×3`; a vector is `(5,)` and a scalar `a single number`, so that neither is misread."""
    if len(shape) == 0:
        return "a single number"
    if len(shape) == 1:
        return f"({shape[0]},)"
    return "×".join(str(size) for size in shape)
