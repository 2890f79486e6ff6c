"""Errors of configs with their places, printed as compilers do: all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.text import mask_unprintable, printable


class Mark(Struct, frozen=True, order=True):
    """A place in a config: line and column, from 1, and the number of characters there.

    argument: the argument of `--set` that it is a place in; empty: a place in the config.
    """

    line: int
    column: int
    length: int = 1
    argument: str = ""


class Finding(Struct, frozen=True, order=True):
    """An error of a config at a place in it."""

    mark: Mark
    message: str

    def render(self, path: str, lines: Sequence[str]) -> str:
        """The finding as compilers print it: place and message, then the line with a caret."""
        if self.mark.argument:
            path, lines = SET, self.mark.argument.splitlines()
        place = f"{printable(path)}:{self.mark.line}:{self.mark.column}"
        text = f"{place}: error: {printable(self.message)}"
        if not 1 <= self.mark.line <= len(lines) or not lines[self.mark.line - 1].strip():
            return text
        line = mask_unprintable(lines[self.mark.line - 1].expandtabs(1))
        shown, start = _window(line, self.mark.column - 1)
        length = max(1, min(self.mark.length, len(shown) - start))
        return f"{text}\n{BAR}{shown}\n{BAR}{' ' * start}^{'~' * (length - 1)}"


SET = "--set"  # the path of a finding in an argument of this option


LONGEST_SHOWN_LINE = 100


MOST_FINDINGS = 50  # that are shown for a file: nobody repairs more before the next try


# Stands before lines of configs: at the start of an output line, they could be commands to a CI
# server.
BAR = "  | "


def _window(line: str, start: int) -> tuple[str, int]:
    """The part of a long line around a place, and that place in the part."""
    if len(line) <= LONGEST_SHOWN_LINE:
        return line, start
    left = max(0, min(start - LONGEST_SHOWN_LINE // 2, len(line) - LONGEST_SHOWN_LINE))
    part = line[left : left + LONGEST_SHOWN_LINE]
    return ("…" + part[1:] if left else part), start - left


class ConfigError(GradcheckError):
    """Configs that cannot be used, with all findings, sorted by place.

    count: of all findings; places: the first findings of each config, with its path; shown: the
    text of these.
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
    def join(cls, errors: Sequence[GradcheckError]) -> ConfigError:
        """Several errors as one, in order and without repetition.

        Errors of other kinds, such as for a file that cannot be read, have no place.
        """
        whole = cls("", "", [])
        lines: list[str] = []
        for error in errors:
            if isinstance(error, ConfigError):
                lines += error.shown
                whole.places += error.places
                whole.count += error.count
            else:
                lines.append(f"error: {printable(str(error))}")
                whole.count += 1
        whole.shown = list(dict.fromkeys(lines))
        whole.count -= len(lines) - len(whole.shown)
        whole.args = ("\n".join(whole.shown),)
        return whole
