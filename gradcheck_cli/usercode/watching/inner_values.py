"""Inner values: arrays that the user's forward computes, with the names they have in its code.

An inner value can be read at any inputs. It can also be moved in the middle of a call, so that the
outputs become a function of it: this measures the upstream gradient of a hidden layer.
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

MOST_NUMBERS = 400  # of an inner value; a larger one would take too many forwards
MOST_KEPT = 500  # points at which all inner values are kept


class Reader:
    """Reads all inner values in one call of the forward, and keeps those of the last MOST_KEPT.

    The Jacobians of all inner values are measured at the same points, which are thus called once.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.values: list[InnerValue] = []
        self.kept: dict[bytes, dict[tuple[int, str], Array]] = {}
        self.last: Mapping[str, Any] = {}
        self.found: dict[tuple[int, str], Array] = {}

    def read(self, inputs: Mapping[str, Any]) -> dict[tuple[int, str], Array]:
        """The inner values at some inputs, by event and name, as far as the forward gets there."""
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
    """An array that a forward computes and does not return.

    name: in the user's code, such as `z1` or `(x @ W)`. source: the line that computes it,
    `net.py:12`, or in a loop `net.py:12, time 2`.
    value: at the inputs of the check. reader: calls the forward.
    """

    source: str
    value: Array
    reader: Reader

    def read(self, inputs: Mapping[str, Any]) -> Array:
        """The value at some inputs; NaN where the forward takes another branch there."""
        found = self.reader.read(inputs).get((self.event, self.name))
        same = found is not None and found.shape == self.value.shape
        return found if found is not None and same else np.full(self.value.shape, np.nan)

    def move(self, inputs: Mapping[str, Any], by: Array) -> Any:
        """What the forward returns when `by` is added to this value."""
        move = Move(self, by)
        try:
            return watch(lambda: self.reader.forward(inputs), Mover(move).enter)
        finally:
            move.undo()

    def list_later(self) -> list[InnerValue]:
        """The inner values that are complete after this one."""
        return [one for one in self.reader.values if one.event > self.event]

    def follow(
        self, inputs: Mapping[str, Any], by: Array, later: Sequence[InnerValue]
    ) -> tuple[dict[tuple[int, str], Array], Any]:
        """Some later inner values, and what the forward returns, when `by` is added to this one.

        This value must have a name. Returns the later ones by event and name, and the outputs.
        """
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

    inputs: at which it is called. most: the largest size of an array. every: whether earlier values
    of an array that changes are listed, too, and arrays with equal numbers.
    An array is left out if it, or what it becomes, has the numbers of an input or the outputs; and
    without `every`, if an earlier one has its numbers. The list is empty where another tracer, such
    as a debugger, is active, or where the forward runs more than MOST_LINES lines.
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
