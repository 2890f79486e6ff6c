"""Where what is wrong stands: the code of a backward, and the config that has it checked."""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec import Struct

from gradcheck_cli.reporters.details import Detail

STDIN = "-"
# Where CI servers say that the root of the checkout is: paths of annotations are seen from there.
ROOTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


class Place(Struct, frozen=True):
    """A line of a file; path: from the root of the checkout, with slashes."""

    path: str
    line: int


def list_places(detail: Detail) -> list[Place]:
    """Where to look first, and what is related to it; nothing for a config on stdin.

    A backward in Python comes before the config.
    """
    texts = filter(None, (detail.code_place, detail.place))
    found = (find_place(*text.rpartition(":")[::2]) for text in texts)
    return [place for place in found if place is not None]


def describe_places(details: Iterable[Detail]) -> list[str]:
    """`layers.py:12, checked by c.yaml:3`: each once, of what has a place in a file."""
    found = (
        ", checked by ".join(f"{place.path}:{place.line}" for place in list_places(detail))
        for detail in details
    )
    return list(dict.fromkeys(filter(None, found)))


def find_place(path: str, line: int | str) -> Place | None:
    """A line of a file; None where it is no file, as a config on stdin and the code of eval."""
    if path in (STDIN, "") or path.startswith("<"):
        return None
    return Place(_relate_to_checkout(path), int(line))


def _relate_to_checkout(path: str) -> str:
    """The path from the root of the checkout, where a CI server says it; else as it is."""
    for name in ROOTS:
        root = os.environ.get(name)
        if root:
            relative = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
            if not relative.startswith(os.pardir):
                return relative.replace(os.sep, "/")
    return path.replace(os.sep, "/")
