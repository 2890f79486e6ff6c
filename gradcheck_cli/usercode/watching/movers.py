"""Tracers that add to an inner value while the user's functions run."""

from __future__ import annotations

import sys
from collections.abc import Container, Sequence
from types import FrameType
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks import as_value_like
from gradcheck_cli.usercode.watching.inline_values import Inline
from gradcheck_cli.usercode.watching.tracing import view_as_array
from gradcheck_cli.usercode.watching.watchers import Collector, LineTracer, Moment, Spot, list_held


class Follower(Collector):
    """Moves an inner value that has a name, and copies later inner values."""

    def __init__(self, values: Sequence[Spot], move: Move) -> None:
        super().__init__(values)
        self.move = move
        number, line = move.of.moment
        self.moments.setdefault(number, set()).add(line)

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Copy the values that are wanted here, then move the value if it is here.

        Copying first matters: reading a frame's variables again would undo the move.
        """
        going = super().look(frame, moment, event, value, step)
        if moment == self.move.of.moment:
            self.move.apply(frame, event, value)
        return going


class Mover(LineTracer):
    """Moves an inner value when it is complete, then stops watching."""

    def __init__(self, move: Move) -> None:
        super().__init__()
        self.move = move

    def list_wanted(self, number: int) -> Container[int]:
        """The line of this call after which the value is complete, if it is in this call."""
        return self.move.of.moment[1:] if number == self.move.of.moment[0] else ()

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Move the value; the value of an expression is moved inside its line."""
        if self.move.of.inline is not None:
            return self.replace(frame, self.move.of.inline)
        sys.settrace(None)
        self.move.apply(frame, event, value)
        return None

    def replace(self, frame: FrameType, inline: Inline) -> Any:
        """Move the value of an expression inside the line that this function is about to run.

        Returns a tracer that waits for the end of the line, and then replaces its result.
        """
        value, first = inline.evaluate(frame), frame.f_lineno
        array = view_as_array(value)
        if array is None or not self.move.fits(array) or not np.any(self.move.by):
            sys.settrace(None)
            return None
        moved = array + self.move.by.astype(array.dtype)
        result = inline.replace(frame, as_value_like(value, moved))
        sys.settrace(_watch_no_other)

        def step(frame: FrameType, event: str, returned: Any) -> Any:
            inside = event == "line" and first <= frame.f_lineno <= inline.last
            if event == "exception" or inside:
                return step
            sys.settrace(None)
            given = view_as_array(inline.result(frame, returned))
            if given is not None and given.shape == np.shape(result):
                if given.flags.writeable:
                    given[...] = result
                elif inline.name:
                    frame.f_locals[inline.name] = result
            return None

        return step


class Move:
    """The addition of `by` to the inner value `of`, in one call of the forward."""

    def __init__(self, of: Spot, by: Array) -> None:
        self.of, self.by = of, by
        self.before: list[tuple[Array, Array]] = []

    def fits(self, array: Array) -> bool:
        """Whether an array has the value's shape; in another branch it may have another one."""
        return array.shape == self.by.shape

    def apply(self, frame: FrameType, event: str, returned: Any) -> None:
        """Move the array in place; if it is read only, replace it in the variable that holds it."""
        array = dict(list_held(frame, event, returned)).get(self.of.name)
        if array is None or not self.fits(array):
            return
        by = self.by.astype(array.dtype)
        if array.flags.writeable:
            self.before.append((array, array.copy()))
            array += by
        else:
            held = frame.f_locals  # read once: reading it again undoes changes
            held[self.of.name] = as_value_like(held[self.of.name], array + by)

    def undo(self) -> None:
        """Move the array back: it may outlive the call, such as data of a closure."""
        for array, before in self.before:
            array[...] = before


def _watch_no_other(*_: Any) -> None:
    """Trace no function that is entered from here on; those traced already stay so."""
