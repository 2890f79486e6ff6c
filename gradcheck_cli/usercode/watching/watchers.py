"""Tracers that look at the arrays of the user's functions line by line, and copy them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Container, Iterator, Sequence, Set
from copy import copy
from types import FrameType
from typing import Any

import numpy as np
from msgspec import Struct

from gradcheck_cli.text import format_path
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks import run_eagerly
from gradcheck_cli.usercode.watching.inline_values import Inline, find_inline
from gradcheck_cli.usercode.watching.tracing import is_users, view_as_array

MOST_LINES = 2_000  # of a forward that is watched, which takes about a second
RETURNED = "(…)"  # ends the name of what a function returned, until a variable holds it
VARIABLE = re.compile(r"\W*\w*")  # the variable in a name such as `z`, `self.z` or `hs[2]`
MOST_PARTS = 30  # how many parts of a list, a dict or an object are looked at

# The number of a call of one of the user's functions, and how many lines that call has run.
Moment = tuple[int, int]


def watch(call: Callable[[], Any], enter: Callable[[FrameType, str, Any], Any]) -> Any:
    """Run a call under a tracer, which `enter` starts for each function that is entered."""
    with run_eagerly():
        sys.settrace(enter)
        try:
            return call()
        finally:
            sys.settrace(None)


class SeenArray(Struct):
    """An array that was seen, with its value after its last change.

    array: the array itself; keeping it keeps its memory from being used by another one.
    event: how many lines all calls had run at the change.
    old: whether it existed before the forward: an argument from outside of the user's code, or
    something that an object or a container holds from an earlier call.
    """

    array: Array
    name: str
    source: str
    value: Array
    event: int
    moment: Moment
    inline: Inline | None = None
    old: bool = False


class LineTracer:
    """Counts the calls of the user's functions and their lines, and calls `look` at wanted ones."""

    def __init__(self) -> None:
        self.calls = 0

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """Trace a function that is entered, if it is the user's and has lines that are wanted."""
        if not is_users(frame.f_code.co_filename):
            return None
        number, lines = self.calls, 0
        self.calls += 1
        wanted = self.list_wanted(number)
        if not wanted:
            return None  # it runs at full speed; calls that it makes are still seen

        def step(frame: FrameType, event: str, value: Any) -> Any:
            nonlocal lines
            if event not in ("line", "return"):
                return step
            lines += 1
            if lines not in wanted:
                return step
            return self.look(frame, (number, lines), event, value, step)

        return step

    def list_wanted(self, number: int) -> Container[int]:
        """After how many lines of this call `look` is to be called."""
        raise NotImplementedError

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Look at a function before it runs a line or returns `value`.

        Returns what traces the call from then on: `step`, or None for nothing.
        """
        raise NotImplementedError


class Watcher(LineTracer):
    """Notes the arrays of floats that functions hold, with their values after the last change.

    most: the largest size of an array that is noted. every: whether earlier values are noted in
    `before`, and arguments from outside of the user's code count as old.
    found: by address and shape. lines: run by all calls. places: the last line of each call, as
    text.
    """

    def __init__(self, most: int, *, every: bool = False) -> None:
        super().__init__()
        self.most = most
        self.every = every
        self.before: list[SeenArray] = []
        self.found: dict[tuple[int, tuple[int, ...]], SeenArray] = {}
        self.lines = 0
        self.places: dict[int, str] = {}
        self.paths: dict[str, str] = {}

    def name_place(self, frame: FrameType, line: int) -> str:
        """A line of the function that runs in a frame, as `net.py:12`."""
        file = frame.f_code.co_filename
        if file not in self.paths:
            self.paths[file] = format_path(file)
        return f"{self.paths[file]}:{line}"

    def list_wanted(self, number: int) -> Container[int]:
        """All lines of all calls."""
        return range(sys.maxsize)

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Note the arrays that the last line has made, and those inside the line to come."""
        self.lines += 1
        if self.lines > MOST_LINES:
            sys.settrace(None)
            return None
        number, caller = moment[0], frame.f_back
        new = number not in self.places
        source = self.places.get(number) or self.name_place(frame, frame.f_code.co_firstlineno)
        from_outside = False  # whether the arguments do not come from the user's code
        if new and self.every:
            from_outside = caller is None or not is_users(caller.f_code.co_filename)
            source = source if caller is None else self.name_place(caller, caller.f_lineno)
        for name, array in list_held(frame, event, value):
            old = from_outside or (new and not name.isidentifier())
            self.note(array, name, source, moment, old=old)
        self.places[number] = source = self.name_place(frame, frame.f_lineno)
        if event == "line":
            for one, array in find_inline(frame):
                self.note(array, f"({one.text})", source, moment, one)
        return step

    def note(
        self,
        array: Array,
        name: str,
        source: str,
        moment: Moment,
        inline: Inline | None = None,
        *,
        old: bool = False,
    ) -> None:
        """Note an array, or the change of one that was noted before."""
        place = array.__array_interface__["data"][0], array.shape
        known = self.found.get(place)
        if known is None and array.size <= self.most:
            found = SeenArray(array, name, source, array.copy(), self.lines, moment, inline, old)
            self.found[place] = found
        if known is None or inline is not None:
            return
        named = known.name.endswith(RETURNED) and not (name.endswith(RETURNED) or old)
        if named or not same_numbers(known.value, array):
            if self.every:
                self.before.append(copy(known))
            known.value, known.event = array.copy(), self.lines
            known.name, known.source, known.moment, known.old = name, source, moment, False


class Spot(Struct, frozen=True, kw_only=True):
    """When and where an array is found again in another call of the forward.

    name: in the user's code. moment: the call and its line; event: the lines that all calls have
    run by then. inline: the expression, for a value that no variable holds.
    """

    name: str
    event: int
    moment: Moment
    inline: Inline | None = None


class Collector(LineTracer):
    """Copies inner values when they are complete, and stops watching after the last."""

    def __init__(self, values: Sequence[Spot]) -> None:
        super().__init__()
        self.wanted: dict[Moment, list[Spot]] = {}
        for one in values:
            self.wanted.setdefault(one.moment, []).append(one)
        self.moments: dict[int, set[int]] = {}
        for number, line in self.wanted:
            self.moments.setdefault(number, set()).add(line)
        self.found: dict[tuple[int, str], Array] = {}

    def list_wanted(self, number: int) -> Container[int]:
        """The lines of this call after which a value is wanted."""
        return self.moments.get(number, ())

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Copy the values that are wanted here."""
        if moment not in self.wanted:
            return step
        wanted, held = self.wanted.pop(moment), frame.f_locals
        parts = [one.name for one in wanted if one.name not in held]
        if parts:  # parts of lists and objects, or what is returned
            variables = {VARIABLE.match(name)[0] for name in parts}  # type: ignore[index]
            held = {**held, **dict(list_held(frame, event, value, variables))}
        for one in wanted:
            inline = one.inline if event == "line" else None
            array = view_as_array(inline.evaluate(frame) if inline else held.get(one.name))
            if array is not None:
                self.found[one.event, one.name] = array.copy()
        if self.wanted:
            return step
        sys.settrace(None)
        return None


def list_held(
    frame: FrameType, event: str, returned: Any, wanted: Set[str] | None = None
) -> Iterator[tuple[str, Array]]:
    """The arrays of floats that a function holds or returns, with names: `z`, `self.z`, `relu(…)`.

    Those in variables, and in lists, dicts and objects there, come before what is returned.
    wanted: the variables that are looked at; None: all of them.
    """
    variables = frame.f_locals
    for name in variables if wanted is None else wanted & variables.keys():
        yield from _list_parts(name, variables[name], 2)
    if event == "return":
        name, several = frame.f_code.co_name, isinstance(returned, tuple)
        for place, part in enumerate(returned if several else [returned]):
            yield from _list_parts(f"{name}{f'[{place}]' * several}{RETURNED}", part, 0)


def _list_parts(name: str, value: Any, depth: int) -> Iterator[tuple[str, Array]]:
    array = None if isinstance(value, np.generic) else view_as_array(value)
    if array is not None:
        # A read-only array can only be moved by replacing it in the variable that holds it.
        if _has_floats(array) and (array.flags.writeable or name.isidentifier()):
            yield name, array
    elif not depth or isinstance(value, type) or callable(value):
        return
    elif isinstance(value, dict):
        for key, part in list(value.items())[:MOST_PARTS]:
            yield from _list_parts(f"{name}[{key!r}]", part, depth - 1)
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value[:MOST_PARTS]):
            yield from _list_parts(f"{name}[{place}]", part, depth - 1)
    elif hasattr(value, "__dict__"):
        for key, part in list(vars(value).items())[:MOST_PARTS]:
            yield from _list_parts(f"{name}.{key}", part, depth - 1)


def _has_floats(array: Array) -> bool:
    return array.dtype.kind == "f" and array.size > 0


def same_numbers(array: Array, other: Array) -> bool:
    """Whether two arrays hold the same numbers, in the same shape."""
    return array.shape == other.shape and key_of(array) == key_of(other)


def key_of(array: Array) -> tuple[tuple[int, ...], bytes]:
    """A key that is equal for arrays with the same shape and numbers, whatever their type."""
    wide = array.astype(np.result_type(array.dtype, np.float64))
    return array.shape, (wide + 0.0).tobytes()  # makes −0 equal to 0
