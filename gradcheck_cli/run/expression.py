"""Evaluate expressions of `-k`: ids and globs of ids, joined by not, and, or and parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable

from gradcheck_cli.errors import UsageError

AND, OR, NOT, OPEN, CLOSE = OPERATORS = ("and", "or", "not", "(", ")")

DEEPEST = 100  # nested `not` and parentheses, each of which takes some of Python's stack
Places = set[int]  # the positions of checks in their list


def is_expression(text: str) -> bool:
    """Whether a text has an operator or a parenthesis, so that it is not just an id."""
    return not set(OPERATORS).isdisjoint(_split(text))


def evaluate(text: str, find: Callable[[str], Places], count: int) -> Places:
    """The places that an expression chooses from `count` of them.

    find: gives the places that an id or a glob matches. Raises UsageError for a broken expression.
    """
    return _Reader(text, find, count).read()


def _split(text: str) -> list[str]:
    """The operators, parentheses and ids of an expression, in order.

    A parenthesis counts at the edge of a word only, since ids may contain some.
    """
    words = re.sub(r"(?<!\S)(\(+)|(\)+)(?!\S)", _space_out, text).split()
    parts: list[str] = []
    for word in words:
        if parts and not {word, parts[-1]} & set(OPERATORS):
            parts[-1] += f" {word}"  # an id with a space
        else:
            parts.append(word)
    return parts


def _space_out(match: re.Match[str]) -> str:
    return f" {' '.join(match[0])} "


class _Reader:
    """Parses an expression by recursive descent: `not` binds before `and`, `and` before `or`."""

    def __init__(self, text: str, find: Callable[[str], Places], count: int) -> None:
        self.text = text
        self.parts = _split(text)
        self.find = find
        self.every = set(range(count))
        self.depth = 0

    def read(self) -> Places:
        chosen = self._read_or()
        if self.parts:
            raise self._error(f"before '{self.parts[0]}'")
        return chosen

    def _read_or(self) -> Places:
        chosen = self._read_and()
        while self._take(OR):
            chosen = chosen | self._read_and()
        return chosen

    def _read_and(self) -> Places:
        chosen = self._read_not()
        while self._take(AND):
            chosen = chosen & self._read_not()
        return chosen

    def _read_not(self) -> Places:
        self.depth += 1
        if self.depth > DEEPEST:
            raise UsageError(f"an expression is nested at most {DEEPEST} deep")
        chosen = self._read_inner()
        self.depth -= 1
        return chosen

    def _read_inner(self) -> Places:
        """The places of an id, of an expression in parentheses, or all but those after `not`."""
        if self._take(NOT):
            return self.every - self._read_not()
        if self._take(OPEN):
            chosen = self._read_or()
            if not self._take(CLOSE):
                raise self._error("at its end, where ')' is missing")
            return chosen
        if not self.parts or self.parts[0] in OPERATORS:
            raise self._error(f"before '{self.parts[0]}'" if self.parts else "at its end")
        return self.find(self.parts.pop(0))

    def _take(self, part: str) -> bool:
        """Consume this part if it comes next; return whether it did."""
        return bool(self.parts and self.parts[0] == part and self.parts.pop(0))

    def _error(self, place: str) -> UsageError:
        example = "batch and not *n=1*"
        return UsageError(f"'{self.text}' is no expression {place}; one is '{example}'")
