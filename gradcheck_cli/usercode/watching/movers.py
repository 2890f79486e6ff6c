"""Tracers that move an array of the user's functions while these run, and see what follows."""

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
    """Moves an inner value that has a name when it is there, and copies those that come after."""

    def __init__(self, values: Sequence[Spot], move: Move) -> None:
        super().__init__(values)
        self.move = move
        number, line = move.of.moment
        self.moments.setdefault(number, set()).add(line)

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Copy what is wanted here, then move the value if it is here.

        In this order: variables that are read again are what they were.
        """
        going = super().look(frame, moment, event, value, step)
        if moment == self.move.of.moment:
            self.move.make(frame, event, value)
        return going


class Mover(LineTracer):
    """Moves an inner value when it is there, and watches no longer."""

    def __init__(self, move: Move) -> None:
        super().__init__()
        self.move = move

    def list_wanted(self, number: int) -> Container[int]:
        """Where this call has the value."""
        return self.move.of.moment[1:] if number == self.move.of.moment[0] else ()

    def look(self, frame: FrameType, moment: Moment, event: str, value: Any, step: Any) -> Any:
        """Move what is to be moved, if it is here."""
        if self.move.of.inline is not None:
            return self.replace(frame, self.move.of.inline)
        sys.settrace(None)
        self.move.make(frame, event, value)
        return None

    def replace(self, frame: FrameType, inline: Inline) -> Any:
        """Move what an expression gives inside the line that this function is about to run.

        Returns what watches for the end of the line, which gives another result then.
        """
        value, first = inline.evaluate(frame), frame.f_lineno
        asked = view_as_array(value)
        if asked is None or not self.move.fits(asked) or not np.any(self.move.by):
            sys.settrace(None)
            return None
        asked = asked + self.move.by.astype(asked.dtype)
        result = inline.replace(frame, as_value_like(value, asked))
        sys.settrace(_watch_no_other)

        def step(frame: FrameType, event: str, returned: Any) -> Any:
            inside = event == "line" and first <= frame.f_lineno <= inline.last
            if event == "exception" or inside:
                return step
            sys.settrace(None)
            array = view_as_array(inline.result(frame, returned))
            if array is not None and array.shape == np.shape(result):
                if array.flags.writeable:
                    array[...] = result
                elif inline.name:
                    frame.f_locals[inline.name] = result
            return None

        return step


class Move:
    """An inner value that is moved by so much where it is, in one call of the forward."""

    def __init__(self, of: Spot, by: Array) -> None:
        self.of, self.by = of, by
        self.before: list[tuple[Array, Array]] = []

    def fits(self, array: Array) -> bool:
        """Whether it has the shape of the value, which it may not have by another way."""
        return array.shape == self.by.shape

    def make(self, frame: FrameType, event: str, returned: Any) -> None:
        """Move the array; where it is read only, the variable holds another one then."""
        array = dict(list_held(frame, event, returned)).get(self.of.name)
        if array is None or not self.fits(array):
            return
        by = self.by.astype(array.dtype)
        if array.flags.writeable:
            self.before.append((array, array.copy()))
            array += by
        else:
            held = frame.f_locals  # each time it is read anew, it is what it was
            held[self.of.name] = as_value_like(held[self.of.name], array + by)

    def undo(self) -> None:
        """Move the array back: it may outlive the call, as data that a closure holds."""
        for array, before in self.before:
            array[...] = before


def _watch_no_other(*_: Any) -> None:
    """Watch no function that is entered from here on; one that is watched already goes on to be."""
