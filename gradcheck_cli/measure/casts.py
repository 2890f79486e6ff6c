"""Where code makes numbers of low precision of its own accord: the first line that does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from gradcheck_cli.errors import is_ours
from gradcheck_cli.text import format_path

LOW = frozenset({"float32", "float16", "bfloat16"})
# Libraries whose inner casts are none of the user's.
LIBRARIES = frozenset({"numpy", "torch", "jax", "jaxlib", "scipy", "autograd", "ml_dtypes"})


MOST_PARTS = 8  # of a list that is looked into


def find_cast(function: Callable[[Any], Any], argument: Any) -> str:
    """`; f.py:12, in layer: h is float16`: the first line that makes such numbers of others.

    function, argument: of the user's; what is called is watched line by line. Empty where no line
    of Python is seen to do it.
    """
    found: list[str] = []
    lines: dict[int, int] = {}
    held: dict[int, set[str]] = {}

    def tell(frame: FrameType, line: int, what: str, kind: str) -> None:
        code = frame.f_code
        found.append(
            f"; {format_path(code.co_filename)}:{line}, in {code.co_name}: {what} is {kind}"
        )

    def watch(frame: FrameType, event: str, value: Any) -> Any:
        if found or is_ours(frame.f_code.co_filename) or _root(frame) in LIBRARIES:
            return None
        low = {name: kind for name, one in frame.f_locals.items() if (kind := low_kind(one))}
        if event == "call":
            caller = frame.f_back
            if low and caller is not None and held.get(id(caller)) == set():
                name = f"the {next(iter(low))} of {frame.f_code.co_name}"
                tell(caller, caller.f_lineno, name, next(iter(low.values())))
            held[id(frame)] = set(low)
        made = {name: kind for name, kind in low.items() if name not in held[id(frame)]}
        if made and not found:
            tell(frame, lines[id(frame)], *next(iter(made.items())))
        elif event == "return" and low_kind(value) and not held[id(frame)]:
            tell(frame, frame.f_lineno, "what it returns", low_kind(value))
        lines[id(frame)] = frame.f_lineno
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        with suppress(Exception):  # the forward's own errors are told where it is called
            function(argument)
    finally:
        sys.settrace(before)
    return found[0] if found else ""


def low_kind(value: Any) -> str:
    """The type of low precision that an array or tensor holds; of a tuple, one of its first parts.

    Empty where it holds none.
    """
    parts = value[:MOST_PARTS] if isinstance(value, tuple | list) else (value,)
    return next(filter(None, map(_low_kind_of_one, parts)), "")


def _low_kind_of_one(value: Any) -> str:
    kind = ""
    with suppress(Exception):  # objects of others may raise for any attribute
        kind = str(getattr(value, "dtype", "")).rpartition(".")[2]
    return kind if kind in LOW else ""


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
