"""Tables that fit the window: rules are cut to its width, numbers and verdicts never are.

They are not laid out by rich, which takes half a millisecond for each row and cuts any cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from msgspec import Struct
from rich.cells import cell_len
from rich.text import Text

from gradcheck_cli.report import Outcome
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.lines import STYLES, Line, indent
from gradcheck_cli.reporters.summary import FileRow
from gradcheck_cli.reporters.words import (
    KINDS,
    Row,
    describe_gradient,
    format_errors,
    format_number,
)
from gradcheck_cli.result import GradientResult
from gradcheck_cli.text import count_of, format_shape

PIPED_WIDTH = 80  # characters of a line where there is no window
GAP = 2  # spaces between two columns
LEAST_GRADIENT, LEAST_PATH = 16, 12  # characters that a cell keeps when it is cut

Cells = Sequence[Text]


class Column(Struct, frozen=True):
    """A column of a table: its name, perhaps in several lines, and whether cells align right."""

    name: str
    right: bool = False


GRADIENT_COLUMNS = (
    Column("gradient"),
    Column("shape"),
    Column("abs.\nerror", right=True),
    Column("rel.\nerror", right=True),
    Column("error /\nallowed", right=True),
    Column("verdict"),
)
OUTCOME_NAMES = {
    Outcome.OK: "ok",
    Outcome.WRONG: "wrong",
    Outcome.INCONCLUSIVE: "incon-\nclusive",
    Outcome.ERROR: "errors",
    Outcome.NOT_RUN: "not\nrun",
}


def layout_rows(rows: Sequence[Row], screen: Screen) -> Iterator[Line]:
    """One row for each gradient, with the id of its check in the first column.

    In a narrow window the id is a heading above the rows, and in a very narrow one each gradient
    takes a few lines.
    """
    if not rows:
        return
    fixed = [_fixed_cells(row) for row in rows]
    names = [
        "" if place and row.id == rows[place - 1].id else row.id for place, row in enumerate(rows)
    ]
    rule = _width([describe_gradient(row.gradient) for row in rows])
    spare = _spare_width(GRADIENT_COLUMNS[1:], fixed, screen)
    beside = spare - _width([*names, "check"]) - GAP
    least = min(rule, LEAST_GRADIENT)
    if beside >= least:
        longest = min(rule, beside)
        cells = [
            (Text(name), Text(_cut_rule(row.gradient, longest)), *texts)
            for name, row, texts in zip(names, rows, fixed, strict=True)
        ]
        yield from draw_table((Column("check"), *GRADIENT_COLUMNS), cells)
    elif spare - GAP >= least:
        longest = min(rule, spare - GAP)
        cells = [
            (Text("  " + _cut_rule(row.gradient, longest)), *texts)
            for row, texts in zip(rows, fixed, strict=True)
        ]
        headings = {place: Text(name, "bold") for place, name in enumerate(names) if name}
        yield from draw_table(GRADIENT_COLUMNS, cells, headings)
    else:
        yield from _stack_rows(rows)


def layout_files(files: Sequence[FileRow], screen: Screen) -> Iterator[Line]:
    """One row for each config file; in a very narrow window, two lines."""
    columns = _file_columns(files)
    fixed = [[cell(file) for _, cell in columns] for file in files]
    heads = [column for column, _ in columns]
    spare = _spare_width(heads, fixed, screen)
    names = [file.name for file in files]
    if spare < min(_width(names), LEAST_PATH):
        for file in files:
            yield Text(file.name, style="bold")
            yield indent(_describe_file(file))
        return
    cells = [
        (Text(_cut_start(name, spare)), *texts) for name, texts in zip(names, fixed, strict=True)
    ]
    yield from draw_table((Column("config"), *heads), cells)


def draw_table(
    columns: Sequence[Column], rows: Sequence[Cells], headings: dict[int, Text] | None = None
) -> Iterator[Line]:
    """The lines of a table; headings: lines that stand above the rows of these numbers."""
    widths = _widths(columns, rows)
    height = max(1 + column.name.count("\n") for column in columns)
    for line in range(height):
        cells = [Text(_head_line(column, line, height)) for column in columns]
        yield _join_cells(columns, cells, widths)
    yield Text("─" * (sum(widths) + GAP * (len(widths) - 1)), no_wrap=True)
    for place, row in enumerate(rows):
        if headings and place in headings:
            yield headings[place]
        yield _join_cells(columns, row, widths)


def _head_line(column: Column, line: int, height: int) -> str:
    """One line of a column's head; heads are of this height, and names stand at the bottom."""
    lines = column.name.split("\n")
    return ([""] * (height - len(lines)) + lines)[line]


def _join_cells(columns: Sequence[Column], row: Cells, widths: Sequence[int]) -> Text:
    line = Text(no_wrap=True)
    for place, (column, cell, width) in enumerate(zip(columns, row, widths, strict=True)):
        padding = " " * (width - cell.cell_len)
        line.append(" " * GAP * (place > 0) + padding * column.right)
        line.append_text(cell).append(padding * (not column.right))
    line.rstrip()
    return line


def _fixed_cells(row: Row) -> Cells:
    """The cells of a row that are never cut."""
    shape = format_shape(row.gradient.shape)
    return (*map(Text, (shape, *format_errors(row.gradient))), _style_verdict(row))


def _style_verdict(row: Row) -> Text:
    return Text(row.verdict + row.bound, style=STYLES[row.kind])


def _file_columns(
    files: Sequence[FileRow],
) -> list[tuple[Column, Callable[[FileRow], Text]]]:
    """The columns after the path, each with its cell for a file; outcomes that no check has are
    left out."""

    def count(outcome: Outcome) -> Callable[[FileRow], Text]:
        style = STYLES[KINDS[outcome.value]]
        return lambda file: Text(
            f"{file.outcomes[outcome]:,}", style=style if file.outcomes[outcome] else "dim"
        )

    seen = [outcome for outcome in Outcome if any(file.outcomes[outcome] for file in files)]
    return [
        (Column("checks", right=True), lambda file: Text(f"{file.checks:,}")),
        (Column("gradients", right=True), lambda file: Text(f"{file.gradients:,}")),
        *((Column(OUTCOME_NAMES[outcome], right=True), count(outcome)) for outcome in seen),
        (Column("error /\nallowed", right=True), lambda file: Text(format_number(file.worst))),
        (Column("time", right=True), lambda file: Text(_format_seconds(file))),
    ]


def _describe_file(file: FileRow) -> str:
    counts = (f"{count:,} {outcome.value}" for outcome, count in file.outcomes.items() if count)
    return (
        f"{count_of(file.checks, 'check')}, {count_of(file.gradients, 'gradient')}: "
        f"{', '.join(counts)}; error / allowed at worst {format_number(file.worst)}; "
        f"{_format_seconds(file)}"
    )


def _format_seconds(file: FileRow) -> str:
    return f"{file.seconds:.2f} s"


def _width(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts))


def _spare_width(columns: Sequence[Column], cells: Sequence[Cells], screen: Screen) -> int:
    """The width that these columns leave for one more before them."""
    widths = _widths(columns, cells)
    return (screen.width or PIPED_WIDTH) - sum(widths) - GAP * len(widths)


def _widths(columns: Sequence[Column], rows: Sequence[Cells]) -> list[int]:
    return [
        max(_width(column.name.split("\n")), *(row[place].cell_len for row in rows))
        for place, column in enumerate(columns)
    ]


def _cut_rule(gradient: GradientResult, longest: int) -> str:
    """`∂L/∂W = XᵀΔ (52)` in at most so many characters: the end of the rule is cut."""
    text = describe_gradient(gradient)
    equation = f" ({gradient.equation})" if gradient.equation is not None else ""
    room = longest - len(equation)
    if cell_len(text) <= longest or cell_len(gradient.gradient) > room:
        return _cut_end(text, longest)
    return _cut_end(text.removesuffix(equation), room) + equation


def _cut_end(text: str, longest: int) -> str:
    """The text in at most so many characters, with … for what is cut from its end."""
    if cell_len(text) <= longest:
        return text
    while text and cell_len(text) >= longest:
        text = text[:-1]
    return text + "…"


def _cut_start(text: str, longest: int) -> str:
    """The text in at most so many characters, with … for what is cut from its start."""
    if cell_len(text) <= longest:
        return text
    while text and cell_len(text) >= longest:
        text = text[1:]
    return "…" + text


def _stack_rows(rows: Sequence[Row]) -> Iterator[Line]:
    """A few lines for each gradient."""
    for id, of_check in groupby(rows, key=lambda row: row.id):
        yield Text(id, style="bold")
        for row in of_check:
            yield Text(f"  {describe_gradient(row.gradient)}")
            yield Text(f"    {format_shape(row.gradient.shape)}  ").append_text(_style_verdict(row))
            if row.gradient.max_abs_error is not None:
                error, relative, over_allowed = format_errors(row.gradient)
                yield Text(f"    errors: abs. {error}, rel. {relative}")
                yield Text(f"    error / allowed {over_allowed}")
