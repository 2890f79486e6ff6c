"""The values of the interpreter: arrays, sizes, numbers, dicts, lists, objects, functions."""

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
    """What is known of the value of an expression; more is filled in where the code uses it.

    kind: one of the kinds above, None while it is unknown.
    name: the parameter, key or variable that it is called by.
    axes: of an array; None while their number is unknown. last: its last axis, where only that is
        known. axis: of a size. number: of a number, if known. text: of a text or a torch layer.
    fields: the parts of a record by key, of items by place, of an object by attribute.
    node: the syntax tree of a function or class, or what else made the value, with its `parts`.
    column: whether the samples of an array are its columns, as in W @ X.
    ends: where the parts end that are cut from a vector. cut_from: the vector of such a part.
    classes: the axis that an array of whole numbers indexes.
    positive: whether its logarithm is taken.
    is_parameter: whether it is a parameter or a part of one. has_gradient: whether a gradient of it
        is returned, so that it is an array. summed: whether that gradient is a sum over samples.
    is_documented: whether the docstring gives its shape.
    meets_numbers: whether it is added to, multiplied with or compared to a number.
    counts: whether it counts from 0. bound: the size that the variable of a loop stays below.
    origin: the array that this is a part or another shape of.
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
        """Whether its kind is known, or it is a parameter."""
        return self.kind is not None or self.is_parameter

    @property
    def rank(self) -> int | None:
        """The number of axes of an array; None if unknown."""
        return None if self.axes is None else len(self.axes)

    def as_array(self, rank: int | None = None) -> Value:
        """Note that this is an array, of `rank` axes if their number is unknown; return it."""
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
        """Unify the last axis with `last`, which was read while there were no axes."""
        if self.last is not None and self.axes:
            unify(self.axes[-1], self.last)

    def as_size(self) -> Axis:
        """Note that this value is used as a size; return the axis of that size."""
        if self.kind is None:
            self.kind, self.axis = SIZE, Axis(name=self.name)
            note_name(self.axis, self.name)
        if self.kind == NUMBER and self.number is not None:
            return Axis(value=int(self.number))
        return self.axis or Axis()

    def field(self, key: Any) -> Value:
        """A part of a record, of items or of an object, which is made at the first access."""
        if key not in self.fields:
            name = key if isinstance(key, str) else ""
            self.fields[key] = Value(name=name, is_parameter=self.is_parameter)
        return self.fields[key]

    @property
    def guessed_rank(self) -> int:
        """The number of axes that an array of this name usually has."""
        return 1 if is_vector(self.name) else 2

    @property
    def is_number_like(self) -> bool:
        """Whether the name of this parameter suggests a setting, neither data nor a weight."""
        long = len(self.name) > 2 and not is_weight(self.name) and not is_bias(self.name)
        return self.is_parameter and long and not self.is_data_like

    @property
    def is_data_like(self) -> bool:
        """Whether it has a gradient, or its name suggests data or something computed from data."""
        if self.has_gradient:
            return True
        if self.name in ("C", "G") or is_size(self.name):
            return False
        return is_data(self.name)


def note_name(axis: Axis, name: str) -> None:
    """Note whether the name of a size is that of a filter, or of something cut into heads."""
    axis.small |= is_kernel_size(name)
    axis.even |= is_even_size(name)


def number(value: float | None = None) -> Value:
    """A number; None: an unknown one."""
    return Value(NUMBER, number=value)


def size(axis: Axis) -> Value:
    """The size of an axis."""
    return Value(SIZE, axis=axis)


def array(axes: list[Axis] | None, *, column: bool = False) -> Value:
    """An array with these axes; None: an array of unknown rank."""
    return Value(ARRAY, axes=axes, column=column)


def function(node: ast.AST, owner: Value | None = None) -> Value:
    """A function, or a method with the object that owns it."""
    return Value(FUNCTION, node=(node, owner))


def sequence(*parts: Value) -> Value:
    """A tuple or a list of these values."""
    return Value(ITEMS, fields=dict(enumerate(parts)))
