"""The map of a gradient's relative errors: its shades and its legend, for every format."""

from __future__ import annotations

from itertools import product
from math import inf

from msgspec import Struct

from gradcheck_cli.reporters.words import BAD, UNSURE
from gradcheck_cli.result import ErrorMap

Rows = tuple[tuple[float | None, ...], ...]


class Shade(Struct, frozen=True):
    """How a range of relative errors is drawn.

    least: log10 of the smallest error in the range; bound: the same as text.
    character: how it is drawn on a screen; kind: its colour; name: its name in a legend.
    """

    least: float
    bound: str
    character: str
    kind: str
    name: str


RIGHT = Shade(-inf, "", "·", "", "right")
SHADES = (
    RIGHT,
    Shade(-300.0, "", "░", UNSURE, "below 1e-6"),
    Shade(-6.0, "1e-6", "▒", UNSURE, "to 1e-3"),
    Shade(-3.0, "1e-3", "▓", BAD, "to 0.1"),
    Shade(-1.0, "0.1", "█", BAD, "above"),
)
# Bounds stand between the two shades that they separate.
LEGEND = "relative error: · none  " + "  ".join(
    word for shade in SHADES[1:] for word in (shade.bound, shade.character) if word
)


def find_shade(cell: float | None) -> int:
    """The index in SHADES for a cell of a map: log10 of an error, None where nothing is wrong."""
    if cell is None:
        return 0
    return max(place for place, shade in enumerate(SHADES) if cell >= shade.least)


def split_panels(of: ErrorMap) -> list[tuple[str, Rows]]:
    """The panels of a map, each with its rows; its name is its index before the last two axes,
    such as `0, 1`."""
    names = [", ".join(map(str, index)) for index in product(*map(range, of.panels))]
    height = len(of.cells) // len(names)
    return [
        (name, of.cells[place * height : (place + 1) * height]) for place, name in enumerate(names)
    ]


def describe_panels(of: ErrorMap) -> str:
    """What a panel shows; empty if there is one only."""
    if not of.panels:
        return ""
    before = ", ".join("ijklm"[: len(of.panels)])
    axes = len(of.panels)
    return f"a panel is [{before}, :, :], axis {axes} down and axis {axes + 1} across"


def describe_pooling(of: ErrorMap) -> str:
    """How many entries a cell of a map stands for; empty if it is one."""
    down, across = of.pooled
    if (down, across) == (1, 1):
        return ""
    return f"a cell is {down}×{across} entries, the worst is shown"
