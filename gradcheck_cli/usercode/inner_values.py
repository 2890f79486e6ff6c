"""Arrays that a forward of the user's computes on its way, by the names that its code gives them.

Each can be read, at any inputs, and moved: what the forward goes on to return is then a function of
it. So the upstream gradient of a hidden layer is measured, though the forward keeps it to itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.text import format_path
from gradcheck_cli.usercode.inline_values import Inline, find_inline
from gradcheck_cli.usercode.tracing import is_users, view_as_array

Array = NDArray[Any]
Forward = Callable[[Mapping[str, Any]], Any]

MOST_LINES = 2_000  # of a forward that is watched: about a second; longer ones are left alone
RETURNED = "(…)"  # ends the name of what a function returned, until a variable holds it
MOST_PARTS = 30  # of a list, a dict or an object that are looked at
MOST_NUMBERS = 400  # of an array that is kept; larger ones would take too many forwards


class InnerValue(Struct, frozen=True):
    """An array that a forward computes on its way.

    name: in the user's code, `z1` or `(x @ W)`; source: the line after which it is there,
    `net.py:12`, in a loop `net.py:12, time 2`.
    value: at the inputs; forward: is called with inputs; event, frame: when and where it is there,
    counted in lines and calls of the user's functions. inline: of what has no name but its text.
    """

    name: str
    source: str
    value: Array
    forward: Forward
    event: int
    frame: int
    inline: Inline | None = None

    def read(self, inputs: Mapping[str, Any]) -> Array:
        """The value at some inputs; not a number where the forward takes another way there."""
        found: list[Array] = []
        self._visit(inputs, lambda array: found.append(array.copy()))
        return found[0] if found else np.full(self.value.shape, np.nan)

    def move(self, inputs: Mapping[str, Any], by: Array) -> Any:
        """What the forward returns where this value is another by so much."""

        kept: list[tuple[Array, Array]] = []

        def add(array: Array) -> None:
            kept.append((array, array.copy()))
            array += by.astype(array.dtype)

        try:
            return self._visit(inputs, add)
        finally:
            for array, before in kept:  # it may outlive the call, as data that a closure holds
                array[...] = before

    def _visit(self, inputs: Mapping[str, Any], act: Callable[[Array], None]) -> Any:
        visitor = _Visitor(self, act)
        return _watch(lambda: self.forward(inputs), visitor.enter)


def list_inner_values(forward: Forward, inputs: Mapping[str, Any]) -> list[InnerValue]:
    """The arrays of floats that a forward computes, in the order in which they are complete.

    inputs: at which it is called. What is an input or the outputs, or has the same numbers as an
    array before, is left out. None are found where another tracer, as a debugger, is at work.
    """
    if sys.gettrace() is not None:
        return []
    watcher = _Watcher()
    outputs = _watch(lambda: forward(inputs), watcher.enter)
    if watcher.lines > MOST_LINES:
        return []
    seen = [*(np.asarray(x) for x in inputs.values()), np.asarray(outputs)]
    values: list[InnerValue] = []
    times: dict[tuple[str, str], int] = {}
    for one in sorted(watcher.found.values(), key=lambda found: found.event):
        if one.old or any(_same(one.value, other) for other in seen):
            continue
        seen.append(one.value)
        place = (one.source, one.name)
        times[place] = times.get(place, 0) + 1
        again = f", time {times[place]}" if times[place] > 1 else ""
        source = f"{one.source}{again}"
        values.append(
            InnerValue(one.name, source, one.value, forward, one.event, one.frame, one.inline)
        )
    return values


def _watch(call: Callable[[], Any], enter: Callable[[FrameType, str, Any], Any]) -> Any:
    sys.settrace(enter)
    try:
        return call()
    finally:
        sys.settrace(None)


def _watch_no_other(*_: Any) -> None:
    """Of functions that are entered, none is watched; one that is goes on to be."""


class _Found(Struct):
    """An array as it was when it changed last.

    array: itself, so that its memory is no other's; old: whether an object or a container held it
    before the function that it was seen in began, as one does from an earlier call.
    """

    array: Array
    name: str
    source: str
    value: Array
    event: int
    frame: int
    inline: Inline | None = None
    old: bool = False


class _Watcher:
    """Looks, before each line of the user's functions, at the arrays that they hold."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, tuple[int, ...]], _Found] = {}
        self.lines = self.frames = 0

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """A function is entered."""
        if not is_users(frame.f_code.co_filename):
            return None
        number, last, new = self.frames, frame.f_lineno, True
        path = format_path(frame.f_code.co_filename)
        self.frames += 1

        def step(frame: FrameType, event: str, value: Any) -> Any:
            nonlocal last, new
            if event in ("line", "return"):
                self.lines += 1
                if self.lines > MOST_LINES:
                    sys.settrace(None)
                    return None
                for name, array in list_held(frame, event, value):
                    old = new and not name.isidentifier()
                    self.see(array, name, f"{path}:{last}", number, old=old)
                last, new = frame.f_lineno, False
            if event == "line":
                for one, array in find_inline(frame):
                    self.see(array, f"({one.text})", f"{path}:{last}", number, one)
            return step

        return step

    def see(
        self,
        array: Array,
        name: str,
        source: str,
        frame: int,
        inline: Inline | None = None,
        *,
        old: bool = False,
    ) -> None:
        """An array is there, with these numbers."""
        place = array.__array_interface__["data"][0], array.shape
        known = self.found.get(place)
        if known is None and can_be_kept(array):
            found = _Found(array, name, source, array.copy(), self.lines, frame, inline, old)
            self.found[place] = found
        elif known is None or inline is not None:
            return
        elif not _same(known.value, array) or (
            known.name.endswith(RETURNED) and not name.endswith(RETURNED)
        ):
            known.value, known.event = array.copy(), self.lines
            known.name, known.source, known.frame, known.old = name, source, frame, False


class _Visitor:
    """Does something with an inner value when it is there, and watches no longer."""

    def __init__(self, wanted: InnerValue, act: Callable[[Array], None]) -> None:
        self.wanted, self.act = wanted, act
        self.lines = self.frames = 0

    def enter(self, frame: FrameType, event: str, _: Any) -> Any:
        """A function is entered."""
        if not is_users(frame.f_code.co_filename):
            return None
        number = self.frames
        self.frames += 1

        def step(frame: FrameType, event: str, value: Any) -> Any:
            if event in ("line", "return"):
                self.lines += 1
                if self.lines == self.wanted.event and self.wanted.inline is not None:
                    return self.replace(frame, self.wanted.inline)
                if self.lines == self.wanted.event:
                    sys.settrace(None)
                    array = dict(list_held(frame, event, value)).get(self.wanted.name)
                    if number == self.wanted.frame and array is not None:
                        self.act_on(array)
                    return None
            return step

        return step

    def replace(self, frame: FrameType, inline: Inline) -> Any:
        """Act on an expression inside the line that this function is about to run.

        Returns what watches for the end of the line, which gives another result then.
        """
        value = inline.evaluate(frame)
        first, asked = frame.f_lineno, value.copy()
        self.act_on(asked)
        if np.array_equal(asked, value):
            sys.settrace(None)
            return None
        result = inline.replace(frame, asked)
        sys.settrace(_watch_no_other)

        def step(frame: FrameType, event: str, returned: Any) -> Any:
            inside = event == "line" and first <= frame.f_lineno <= inline.last
            if event == "exception" or inside:
                return step
            sys.settrace(None)
            array = inline.result(frame, returned)
            if isinstance(array, np.ndarray) and array.shape == np.shape(result):
                array[...] = result
            return None

        return step

    def act_on(self, array: Array) -> None:
        """The array is there, in a shape that it may have by another way."""
        if array.shape == self.wanted.value.shape:
            self.act(array)


def list_held(frame: FrameType, event: str, returned: Any) -> Iterator[tuple[str, Array]]:
    """The arrays of floats that a function holds or returns, with names: `z`, `self.z`, `relu(…)`.

    Variables come first, and what lists, dicts and objects in them hold.
    """
    for name, value in frame.f_locals.items():
        yield from _list_parts(name, value, 2)
    if event == "return":
        yield from _list_parts(f"{frame.f_code.co_name}{RETURNED}", returned, 0)


def _list_parts(name: str, value: Any, depth: int) -> Iterator[tuple[str, Array]]:
    array = None if isinstance(value, np.generic) else view_as_array(value)
    if array is not None:
        if can_be_kept(array):
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


def can_be_kept(array: Array) -> bool:
    """Whether this is an array of floats that can be moved, and is not too large."""
    return array.dtype.kind == "f" and 1 <= array.size <= MOST_NUMBERS and array.flags.writeable


def _same(array: Array, other: Array) -> bool:
    return array.shape == other.shape and np.array_equal(array, other, equal_nan=True)
