"""Advise how to make a slow check of code faster, by keys of its config and options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gradcheck_cli.options import DIRECTIONS
from gradcheck_cli.text import join_words, printable

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck


def find_faster(checks: Sequence[ConfigCheck]) -> dict[str, str]:
    """By the id of a check, a sentence on what would make it faster, if anything would."""
    ways = {check.id: list(_list_ways(check)) for check in checks}
    return {
        name: f"{printable(name)} takes long; it would take less with {join_words(found, 'or')}"
        for name, found in ways.items()
        if found
    }


def _list_ways(check: ConfigCheck) -> Iterator[str]:
    if not check.layer.code:
        return
    if not getattr(check.layer, "batched", True):
        yield "`batched: true` (if the forward takes many points at once)"
    if check.numeric.mode != DIRECTIONS:
        yield "`numeric: {mode: directions}` (about a hundred forwards a gradient)"
    if check.numeric.budget is None:
        yield "`--budget 30s` (what fits into it)"
