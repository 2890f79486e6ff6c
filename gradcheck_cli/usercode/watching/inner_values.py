"""Arrays that a forward of the user's computes on its way, by the names that its code gives them.

Each can be read, at any inputs, and moved: what the forward goes on to return is then a function of
it. So the upstream gradient of a hidden layer is measured, though the forward keeps it to itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.watching.movers import Follower, Move, Mover
from gradcheck_cli.usercode.watching.watchers import (
    MOST_LINES,
    Collector,
    Spot,
    Watcher,
    key_of,
    watch,
)

Forward = Callable[[Mapping[str, Any]], Any]

MOST_NUMBERS = 400  # of an array; larger ones would take too many forwards
MOST_KEPT = 500  # inputs, of which all inner values are kept


class Reader:
    """Reads all inner values of a forward in one call of it, and keeps those of the last inputs.

    Their Jacobians are measured at the same points: what one of them asks for is there for all.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.values: list[InnerValue] = []
        self.kept: dict[bytes, dict[tuple[int, str], Array]] = {}
        self.last: Mapping[str, Any] = {}
        self.found: dict[tuple[int, str], Array] = {}

    def read(self, inputs: Mapping[str, Any]) -> dict[tuple[int, str], Array]:
        """The values at some inputs, by event and name, as far as the forward gets to them."""
        if inputs is self.last:
            return self.found
        key = b"".join(np.asarray(x).tobytes() for x in inputs.values())
        if key not in self.kept:
            collector = Collector(self.values)
            watch(lambda: self.forward(inputs), collector.enter)
            if len(self.kept) == MOST_KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[key] = collector.found
        self.last, self.found = inputs, self.kept[key]
        return self.found


class InnerValue(Spot, frozen=True, kw_only=True):
    """An array that a forward computes on its way.

    name: in the user's code, `z1` or `(x @ W)`; source: the line after which it is there,
    `net.py:12`, in a loop `net.py:12, time 2`.
    value: at the inputs; reader: calls the forward.
    """

    source: str
    value: Array
    reader: Reader

    def read(self, inputs: Mapping[str, Any]) -> Array:
        """The value at some inputs; not a number where the forward takes another way there."""
        found = self.reader.read(inputs).get((self.event, self.name))
        same = found is not None and found.shape == self.value.shape
        return found if found is not None and same else np.full(self.value.shape, np.nan)

    def move(self, inputs: Mapping[str, Any], by: Array) -> Any:
        """What the forward returns where this value is another by so much."""
        move = Move(self, by)
        try:
            return watch(lambda: self.reader.forward(inputs), Mover(move).enter)
        finally:
            move.undo()

    def list_later(self) -> list[InnerValue]:
        """The inner values that are there after this one."""
        return [one for one in self.reader.values if one.event > self.event]

    def follow(
        self, inputs: Mapping[str, Any], by: Array, later: Sequence[InnerValue]
    ) -> tuple[dict[tuple[int, str], Array], Any]:
        """What some later inner values are where this one, which has a name, is another by so much;
        and what the forward returns."""
        move = Move(self, by)
        follower = Follower(later, move)
        try:
            outputs = watch(lambda: self.reader.forward(inputs), follower.enter)
        finally:
            move.undo()
        return follower.found, outputs


def list_inner_values(
    forward: Forward, inputs: Mapping[str, Any], most: int = MOST_NUMBERS, *, every: bool = False
) -> list[InnerValue]:
    """The arrays of floats that a forward computes, in the order in which they are complete.

    inputs: at which it is called; most: numbers of an array that is kept; every: of an array that
    changes or is handed on, also what it was before. What is an input or the outputs, or else has
    the same numbers as an array before, is left out; so is what becomes an input or the outputs.
    None are found where another tracer, as a debugger, is at work.
    """
    if sys.gettrace() is not None:
        return []
    watcher = Watcher(most, every=every)
    outputs = watch(lambda: forward(inputs), watcher.enter)
    if watcher.lines > MOST_LINES:
        return []
    seen = {key_of(np.asarray(x)) for x in (*inputs.values(), outputs)}
    reader = Reader(forward)
    values = reader.values
    times: dict[tuple[str, str], int] = {}
    becomes = {id(one.array): one.value for one in watcher.found.values()}
    for one in sorted([*watcher.before, *watcher.found.values()], key=lambda found: found.event):
        key = key_of(one.value)
        if one.old or key in seen or key_of(becomes[id(one.array)]) in seen:
            continue
        if not every:
            seen.add(key)
        place = (one.source, one.name)
        times[place] = times.get(place, 0) + 1
        again = f", time {times[place]}" if times[place] > 1 else ""
        values.append(
            InnerValue(
                name=one.name,
                event=one.event,
                moment=one.moment,
                inline=one.inline,
                source=f"{one.source}{again}",
                value=one.value,
                reader=reader,
            )
        )
    return values
