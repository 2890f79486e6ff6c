"""Find the first line of the user's code that turns float64 into numbers of low precision."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from gradcheck_cli.errors import is_ours
from gradcheck_cli.text import format_path

LOW = frozenset({"float32", "float16", "bfloat16"})
# Libraries are not traced: a cast in one of them is not the user's.
LIBRARIES = frozenset({"numpy", "torch", "jax", "jaxlib", "scipy", "autograd", "ml_dtypes"})
MOST_PARTS = 8  # how many parts of a tuple or a list are looked at


def find_cast(function: Callable[[Any], Any], argument: Any) -> str:
    """`; f.py:12, in layer: h is float16`: the first line that makes numbers of low precision.

    function: the user's, called with the argument while every line that runs is traced.
    Empty where no line of Python does it.
    """
    found: list[str] = []
    lines: dict[int, int] = {}  # the line that each frame runs, by the id of the frame
    held: dict[int, set[str]] = {}  # variables in low precision that each frame began with

    def report(frame: FrameType, line: int, what: str, kind: str) -> None:
        code = frame.f_code
        place = f"{format_path(code.co_filename)}:{line}, in {code.co_name}"
        found.append(f"; {place}: {what} is {kind}")

    def watch(frame: FrameType, event: str, value: Any) -> Any:
        if found or is_ours(frame.f_code.co_filename) or _root(frame) in LIBRARIES:
            return None
        low = {name: kind for name, one in frame.f_locals.items() if (kind := low_kind(one))}
        if event == "call":
            caller = frame.f_back
            if low and caller is not None and held.get(id(caller)) == set():
                name = f"the {next(iter(low))} of {frame.f_code.co_name}"
                report(caller, caller.f_lineno, name, next(iter(low.values())))
            held[id(frame)] = set(low)
        made = {name: kind for name, kind in low.items() if name not in held[id(frame)]}
        if made and not found:
            report(frame, lines[id(frame)], *next(iter(made.items())))
        elif event == "return" and low_kind(value) and not held[id(frame)]:
            report(frame, frame.f_lineno, "what it returns", low_kind(value))
        lines[id(frame)] = frame.f_lineno
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        with suppress(Exception):  # the check reports errors of the forward where it calls it
            function(argument)
    finally:
        sys.settrace(before)
    return found[0] if found else ""


def low_kind(value: Any) -> str:
    """The type of an array or tensor in low precision, or of a part of a tuple; else empty."""
    parts = value[:MOST_PARTS] if isinstance(value, tuple | list) else (value,)
    return next(filter(None, map(_low_kind_of_one, parts)), "")


def _low_kind_of_one(value: Any) -> str:
    kind = ""
    with suppress(Exception):  # an object of the user may raise when it is asked for an attribute
        kind = str(getattr(value, "dtype", "")).rpartition(".")[2]
    return kind if kind in LOW else ""


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
