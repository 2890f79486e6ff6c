"""The map of a gradient's errors in HTML: a table whose cells show their index and their error."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from gradcheck_cli.reporters.error_map import (
    SHADES,
    Rows,
    describe_panels,
    describe_pooling,
    find_shade,
    split_panels,
)
from gradcheck_cli.reporters.html_tag import tag
from gradcheck_cli.result import ErrorMap
from gradcheck_cli.text import printable

FEW, SOME = 12, 24  # columns up to which cells are large, and up to which they are of middle size
EVERY = 5  # with more columns or rows than FEW, one of so many has a number
MOST_STOPS = 60  # with more wrong cells, the Tab key stops at none


def draw_map(of: ErrorMap, shape: tuple[int, ...], where: str) -> Element:
    """The relative errors as a picture with its legend; every panel is a table."""
    columns = len(of.cells[0])
    size = "large" if columns <= FEW else "middle" if columns <= SOME else "dense"
    wrong = sum(cell is not None for row in of.cells for cell in row)
    places = _Places(of, shape, stops=wrong <= MOST_STOPS)
    panels = [
        tag("div", *_draw_panel(name, rows, places, size), class_="panel")
        for name, rows in split_panels(of)
    ]
    label = f"the relative errors of the gradient{': ' * bool(where)}{where}"
    board = tag("div", {"role": "group", "aria-label": printable(label)}, *panels, class_="panels")
    return tag("figure", board, _describe(of))


def _draw_panel(name: str, rows: Rows, places: _Places, size: str) -> Iterator[Element]:
    if name:
        yield tag("p", f"[{name}, :, :]", class_="slice")
    heads = (tag("th", places.label_column(j, len(rows[0]))) for j in range(len(rows[0])))
    table = tag("table", tag("tr", tag("th"), *heads), class_=f"map {size}")
    for i, row in enumerate(rows):
        line = tag("tr", tag("th", places.label_row(i, len(rows))))
        line.extend(places.draw_cell(name, i, j, cell, len(row)) for j, cell in enumerate(row))
        table.append(line)
    yield table


class _Places:
    """Names the index in the gradient of each cell of a map.

    stops: whether the Tab key stops at wrong cells.
    """

    def __init__(self, of: ErrorMap, shape: tuple[int, ...], *, stops: bool) -> None:
        self.down, self.across = of.pooled
        self.stops = stops
        # A column vector is drawn as a row. Without panels, all axes but the last run down.
        self.turned = len(shape) == 2 and shape[1] == 1
        self.before = shape[:-1] if not of.panels else shape[-2:-1]
        self.shape = shape

    def label_column(self, j: int, count: int) -> str:
        return str(j * self.across) if count <= FEW or j % EVERY == 0 else ""

    def label_row(self, i: int, count: int) -> str:
        if len(self.before) == 0 or self.turned or (count > FEW and i % EVERY):
            return ""
        return self._name_row(i) if self.down == 1 else str(i * self.down)

    def draw_cell(self, panel: str, i: int, j: int, cell: float | None, columns: int) -> Element:
        """A cell, with the text that is shown when it is pointed at or has the focus."""
        index = ", ".join(filter(None, (panel, *self._name_place(i, j))))
        error = "right" if cell is None else f"relative error {10.0**cell:.1e}"
        if cell == 0.0:
            error = "relative error 1 or more"
        said = f"[{index}] {'at worst ' * (cell is not None and self._pools())}{error}"
        side = "left" if j < columns / 2 else "right"
        found = tag("td", {"data-tip": said}, class_=f"s{find_shade(cell)} {side}")
        if cell is not None and self.stops:
            found.attrib |= {"tabindex": "0", "aria-label": said}
        return found

    def _name_place(self, i: int, j: int) -> tuple[str, ...]:
        column = _span(j, self.across, self.shape[0 if self.turned else -1])
        if self.turned:
            return column, "0"
        if not self.before:
            return (column,)
        if self.down == 1:
            return self._name_row(i), column
        if len(self.before) > 1:
            return (f"rows {_span(i, self.down, int(np.prod(self.before)))} of all", column)
        return _span(i, self.down, self.before[0]), column

    def _name_row(self, i: int) -> str:
        return ", ".join(str(int(k)) for k in np.unravel_index(i, self.before))

    def _pools(self) -> bool:
        return (self.down, self.across) != (1, 1)


def _span(place: int, pooled: int, size: int) -> str:
    """The indices of a cell along an axis: `3`, or `6–8`."""
    first, last = place * pooled, min(size, (place + 1) * pooled) - 1
    return str(first) if first == last else f"{first}–{last}"


def _describe(of: ErrorMap) -> Element:
    legend = tag("figcaption", "relative error: ")
    for level, shade in enumerate(SHADES):
        swatch = tag("span", class_=f"swatch s{level}")
        legend.append(tag("span", swatch, f" {shade.name}", class_="key"))
    for said in (describe_panels(of), describe_pooling(of)):
        if said:
            legend.append(tag("span", said))
    return legend
