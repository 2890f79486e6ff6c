"""What a name stands for in code that is read: an array, a size, a number, a dict, an object."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gradcheck_cli.config.init.inference.axes import Axis, unify
from gradcheck_cli.config.init.names import (
    is_bias,
    is_data,
    is_even_size,
    is_filter,
    is_kernel_size,
    is_size,
    is_vector,
    is_weight,
)

ARRAY, SIZE, NUMBER, RECORD, ITEMS, OBJECT, FUNCTION, TEXT = (
    "array",
    "size",
    "number",
    "record",
    "items",
    "object",
    "function",
    "text",
)


class Value(Struct, eq=False):
    """What an expression stands for, as far as it is known; parts of it are filled in by use.

    kind: None while nothing tells. axes: of an array, None while their number is not known.
    axis: of a size; number: of a number, if known. fields: of a record by key, of items by place,
    of an object by attribute. column: an array whose samples are columns, as W @ X.
    ends: of a vector that is cut into parts, how far each goes. classes: the axis that an array of
    whole numbers indexes. positive: whether its logarithm is taken. meets_numbers: it is reckoned
    with a number. counts: it is 0, 1, 2 … bound: the size that a number of a loop stays below.
    origin: the array that this is another shape of. has_gradient: it is an array, since it has one.
    last: its last axis, where that alone is known. is_documented: its shape is in the docstring.
    summed: its gradient is a sum over samples.
    """

    kind: str | None = None
    name: str = ""
    axes: list[Axis] | None = None
    axis: Axis | None = None
    number: float | None = None
    fields: dict[Any, Value] = {}
    node: Any = None
    column: bool = False
    parts: tuple[Value, ...] = ()
    ends: list[Callable[[], int]] = []
    cut_from: Value | None = None
    classes: Axis | None = None
    positive: bool = False
    is_parameter: bool = False
    has_gradient: bool = False
    summed: bool = False
    is_documented: bool = False
    meets_numbers: bool = False
    counts: bool = False
    bound: Axis | None = None
    origin: Value | None = None
    last: Axis | None = None
    text: str = ""

    @property
    def is_known(self) -> bool:
        """Whether something tells what this is, or it is what a function was handed."""
        return self.kind is not None or self.is_parameter

    @property
    def rank(self) -> int | None:
        """How many axes an array has; None where that is not known."""
        return None if self.axes is None else len(self.axes)

    def as_array(self, rank: int | None = None) -> Value:
        """This value, now known to be an array; with that many axes, where nothing says other."""
        if self.kind is None:
            self.kind = ARRAY
            for part in self.parts:
                if part.kind is None and not part.is_number_like:
                    part.as_array()
        if self.kind == ARRAY and self.axes is None and rank is not None:
            self.axes = [Axis() for _ in range(rank)]
            self.tie_last()
            for axis in self.axes if is_filter(self.name) else ():
                axis.small = True
        return self

    def tie_last(self) -> None:
        """Make the last axis, now that there are axes, the one that was asked for before."""
        if self.last is not None and self.axes:
            unify(self.axes[-1], self.last)

    def as_size(self) -> Axis:
        """The size that this value, used as a whole number, is."""
        if self.kind is None:
            self.kind, self.axis = SIZE, Axis(name=self.name)
            note_name(self.axis, self.name)
        if self.kind == NUMBER and self.number is not None:
            return Axis(value=int(self.number))
        return self.axis or Axis()

    def field(self, key: Any) -> Value:
        """A part of a record, of items or of an object, made when it is first asked for."""
        if key not in self.fields:
            name = key if isinstance(key, str) else ""
            self.fields[key] = Value(name=name, is_parameter=self.is_parameter)
        return self.fields[key]

    @property
    def guessed_rank(self) -> int:
        """How many axes an array of this name mostly has."""
        return 1 if is_vector(self.name) else 2

    @property
    def is_number_like(self) -> bool:
        """Whether this parameter is called like a setting, and not like data or a weight."""
        long = len(self.name) > 2 and not is_weight(self.name) and not is_bias(self.name)
        return self.is_parameter and long and not self.is_data_like

    @property
    def is_data_like(self) -> bool:
        """Whether this is called like data, or what is made of it."""
        if self.has_gradient:
            return True
        if self.name in ("C", "G") or is_size(self.name):
            return False
        return is_data(self.name)


def note_name(axis: Axis, name: str) -> None:
    """Note what the name of a size tells of it."""
    axis.small |= is_kernel_size(name)
    axis.even |= is_even_size(name)


def number(value: float | None = None) -> Value:
    """A number, known or not."""
    return Value(NUMBER, number=value)


def size(axis: Axis) -> Value:
    """A whole number that is the size of an axis."""
    return Value(SIZE, axis=axis)


def array(axes: list[Axis] | None, *, column: bool = False) -> Value:
    """An array of these axes."""
    return Value(ARRAY, axes=axes, column=column)


def function(node: ast.AST, owner: Value | None = None) -> Value:
    """A function of the file, or a method with its object."""
    return Value(FUNCTION, node=(node, owner))


def row(*parts: Value) -> Value:
    """A tuple or a list of these."""
    return Value(ITEMS, fields=dict(enumerate(parts)))
