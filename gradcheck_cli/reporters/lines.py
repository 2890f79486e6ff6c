"""Turn lines into text for a screen, broken at its width. Only this module writes by rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import StringIO

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.words import BAD, OK, UNSURE

STYLES = {OK: "green", BAD: "bold red", UNSURE: "yellow", "": ""}
UNLIMITED = 10_000  # columns: without a terminal no sentence is broken


class Indented(Struct, frozen=True):
    """A text indented by so many columns, also where a narrow window breaks its line."""

    text: Text
    by: int


# A Text with no_wrap is never broken: rows of tables, and commands for users to copy.
Line = Text | Indented | Table


def indent(text: Text | str, by: int = 2) -> Line:
    """The text, indented; see `Indented`."""
    return Indented(Text(text) if isinstance(text, str) else text, by)


def render_lines(lines: Iterable[Line], screen: Screen) -> str:
    """Write lines and tables as text, broken at the width of the screen."""
    console = Console(
        file=StringIO(),
        width=screen.width or UNLIMITED,
        force_terminal=screen.color,
        no_color=not screen.color,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        for whole in _join_texts(console, lines):
            console.print(whole, soft_wrap=isinstance(whole, Text))
    return "".join(line.rstrip() + "\n" for line in capture.get().splitlines())


def _join_texts(console: Console, lines: Iterable[Line]) -> Iterator[Text | Table]:
    """The tables, and the lines between two of them joined: rich takes as long for many lines as
    for one."""
    texts: list[Text] = []
    for line in lines:
        if not isinstance(line, Table):
            texts.extend(_break_line(console, line))
            continue
        if texts:
            yield Text("\n").join(texts)
        texts = []
        yield line
    if texts:
        yield Text("\n").join(texts)


def _break_line(console: Console, line: Text | Indented) -> Iterator[Text]:
    """The lines that one line becomes in a window of this width."""
    width = console.options.max_width
    text, by = (line.text, line.by) if isinstance(line, Indented) else (line, 0)
    if not text.no_wrap and text.cell_len + by > width:
        parts = iter(text.wrap(console, width - by))
    else:
        parts = iter(text.split("\n", allow_blank=True))
    for part in parts:
        part.rstrip()  # here, because at the end of a coloured line `render_lines` cannot see it
        yield Text(" " * by).append_text(part) if by else part
