"""Formats of a report: one module each, with a function from a SuiteReport to text."""

from __future__ import annotations

from importlib import import_module

from msgspec import Struct

from gradcheck_cli.result import SuiteReport


class Screen(Struct, frozen=True):
    """What a report is written to. width: in columns; None where nothing limits it."""

    width: int | None = None
    color: bool = False


# Modules are imported when their format is used: rich takes a while.
FORMATS = ("table", "json")


def render(report: SuiteReport, format: str, screen: Screen, *, mutants: bool = False) -> str:
    """The report in one of FORMATS, as text that ends with a newline.

    mutants: a table is of the faults that checks would catch, not of how they came out.
    """
    module = import_module(f"{__name__}.{'mutants' if mutants and format == 'table' else format}")
    text: str = module.render(report, screen)
    return text
