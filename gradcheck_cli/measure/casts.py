"""Find the first line of the user's code that turns float64 into numbers of low precision."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
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
    tracer, before = _CastTracer(), sys.gettrace()
    sys.settrace(tracer.trace)
    try:
        with suppress(Exception):  # the check reports errors of the forward where it calls it
            function(argument)
    finally:
        sys.settrace(before)
    return tracer.found


class _CastTracer:
    """Traces the lines that run, until one of them makes a number of low precision.

    found: that line as a clause, or empty.
    lines: the line that each frame ran last; low_arguments: which arguments of its function were
        in low precision. Both are by the id of the frame.
    """

    def __init__(self) -> None:
        self.found = ""
        self.lines: dict[int, int] = {}
        self.low_arguments: dict[int, set[str]] = {}

    def trace(self, frame: FrameType, event: str, value: Any) -> Any:
        """Look at the variables of a frame; called by Python before each line, as `sys.settrace`
        describes."""
        if self.found or is_ours(frame.f_code.co_filename) or _root(frame) in LIBRARIES:
            return None
        low = {name: kind for name, one in frame.f_locals.items() if (kind := low_kind(one))}
        if event == "call":
            self._enter(frame, low)
        given = self.low_arguments[id(frame)]
        made = [(name, kind) for name, kind in low.items() if name not in given]
        if made:
            self._report(frame, self.lines[id(frame)], *made[0])
        elif event == "return" and low_kind(value) and not given:
            self._report(frame, frame.f_lineno, "what it returns", low_kind(value))
        self.lines[id(frame)] = frame.f_lineno
        return self.trace

    def _enter(self, frame: FrameType, low: Mapping[str, str]) -> None:
        """Note the arguments of a call. A caller without any in low precision that passes one has
        made it in the line of the call."""
        caller = frame.f_back
        if low and caller is not None and self.low_arguments.get(id(caller)) == set():
            name, kind = next(iter(low.items()))
            self._report(caller, caller.f_lineno, f"the {name} of {frame.f_code.co_name}", kind)
        self.low_arguments[id(frame)] = set(low)

    def _report(self, frame: FrameType, line: int, what: str, kind: str) -> None:
        code = frame.f_code
        place = f"{format_path(code.co_filename)}:{line}, in {code.co_name}"
        self.found = self.found or f"; {place}: {what} is {kind}"


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
