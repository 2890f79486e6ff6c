"""Text for people: shapes, paths, lists, suggestions for typing errors; text safe to print."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Sequence
from typing import Any

MOST_CHOICES = 12  # that a message lists


def describe_exit(code: int) -> str:
    """How a process ended, from its exit code: `by SIGKILL; was it out of memory?`."""
    if code >= 0:
        return f"with exit code {code}"
    known = -code in set(signal.Signals)
    name = signal.Signals(-code).name if known else f"signal {-code}"
    return f"by {name}" + ("; was it out of memory?" if name == "SIGKILL" else "")


def format_path(path: str) -> str:
    """The path relative to the current folder, if it is in there; else as it is."""
    try:
        here = os.getcwd() + os.sep
    except OSError:  # it was deleted
        return path
    return path[len(here) :] if path.startswith(here) else path


# GitHub takes `::error::` for a command at the start of a line, and `##[group]` anywhere. `x[::n]`
# and `a::b` are not commands.
_COMMAND = re.compile(r"(?<![\w\[(,.\])]):(?=:[A-Za-z])|(?<=##)\[")


def printable(text: str) -> str:
    """The text as one line that cannot act on a terminal, on its reader or on a CI server.

    Control characters, those that change the direction of text or cannot be seen, and the marks of
    workflow commands are spelled out: `\\x1b`; undecodable bytes are replaced. Nothing that comes
    from a user is written without this.
    """
    if text.isascii() and text.isprintable() and "::" not in text and "##[" not in text:
        return text
    safe = text.encode("utf-8", "replace").decode()
    safe = _COMMAND.sub(lambda found: f"\\x{ord(found[0]):02x}", safe)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in safe)


def printable_lines(text: str) -> str:
    """The text, each of its lines printable."""
    return "\n".join(map(printable, text.split("\n")))


def mask_unprintable(line: str) -> str:
    """The line with `�` for every character that is not printable, so that columns stay."""
    shown = "".join(char if char.isprintable() else "�" for char in line)
    return shown.replace("##[", "##�")


def suggest(word: str, known: Iterable[str], what: str = "") -> str:
    """`; did you mean 'shapes'?`: the known word nearest to this one.

    what: where none is near, the known words are listed behind this; empty: they are not.
    """
    from difflib import get_close_matches

    choices = list(known)
    by_folded: dict[str, list[str]] = {}
    for choice in choices:
        by_folded.setdefault(choice.casefold(), []).append(choice)
    folded = word.casefold()
    close = get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if len(folded) > 3:  # it may be the start of a longer word, as `softmax` is
        close = close or [choice for choice in by_folded if choice.startswith(folded)]
    if close:
        meant = [f"'{choice}'" for choice in by_folded[close[0]]]
        return f"; did you mean {join_words(meant, 'or')}?"
    if len(choices) > MOST_CHOICES:
        nearest = get_close_matches(folded, by_folded, n=len(by_folded), cutoff=0)
        choices = [choice for one in nearest for choice in by_folded[one]]
    return f"; {what}: {name_some(choices, MOST_CHOICES)}" if what and choices else ""


def name_part(name: str, key: Any) -> str:
    """The name of a part of a value: `params.W`, `weights[0]`."""
    return f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}"


def count_of(count: int, word: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def shorten(text: str, most: int = 60) -> str:
    """The text, cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """`n, N and M`."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def name_some(names: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: the first `most` names."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def format_shape(shape: Sequence[int]) -> str:
    """`5×3`; a vector is `(5,)` and a scalar `a single number`, so that neither is misread."""
    if len(shape) == 0:
        return "a single number"
    if len(shape) == 1:
        return f"({shape[0]},)"
    return "×".join(str(size) for size in shape)
