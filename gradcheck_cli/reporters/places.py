"""The places of a failure: the code of the backward, and the config of its check."""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec import Struct

from gradcheck_cli.reporters.details import Detail

STDIN = "-"
# Variables in which CI servers give the root of the checkout: annotations have paths from there.
ROOTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


class Place(Struct, frozen=True):
    """A line of a file; path: from the root of the checkout, with slashes."""

    path: str
    line: int


def list_places(detail: Detail) -> list[Place]:
    """The places of a failure, the first to look at first: a backward in Python, then the config.

    A config on stdin has none.
    """
    texts = filter(None, (detail.code_place, detail.place))
    found = (find_place(*text.rpartition(":")[::2]) for text in texts)
    return [place for place in found if place is not None]


def describe_places(details: Iterable[Detail]) -> list[str]:
    """`layers.py:12, checked by c.yaml:3`: the places of all details in files, each once."""
    found = (
        ", checked by ".join(f"{place.path}:{place.line}" for place in list_places(detail))
        for detail in details
    )
    return list(dict.fromkeys(filter(None, found)))


def find_place(path: str, line: int | str) -> Place | None:
    """A line of a file; None where there is no file, as for stdin and for code of `eval`."""
    if path in (STDIN, "") or path.startswith("<"):
        return None
    return Place(_relate_to_checkout(path), int(line))


def _relate_to_checkout(path: str) -> str:
    """The path from the root of the checkout, if a CI server gives that; else as it is."""
    for name in ROOTS:
        root = os.environ.get(name)
        if root:
            relative = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
            if not relative.startswith(os.pardir):
                return relative.replace(os.sep, "/")
    return path.replace(os.sep, "/")
