"""Evaluate subscripts: items of dicts and lists, slices of arrays and of packed vectors."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradcheck_cli.config.init.inference.axes import Axis, unify, unify_all
from gradcheck_cli.config.init.inference.operations import concatenate
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    NUMBER,
    RECORD,
    SIZE,
    Value,
    array,
    size,
)
from gradcheck_cli.config.init.names import is_bias, is_layers, is_sizes

# np.r_ and np.c_ join what stands in their brackets; the rank that the parts have.
JOINS = {"r_": 1, "c_": 2}

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter, Scope


def evaluate_subscript(interpreter: Interpreter, node: ast.Subscript, scope: Scope) -> Value:
    """The value of a subscript: an item of a dict or a list, a size, or a part of an array."""
    owner = interpreter.evaluate(node.value, scope)
    parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if not parts:  # x[()] is x
        return owner
    if isinstance(node.value, ast.Attribute) and node.value.attr in JOINS:
        return _join(
            interpreter, [interpreter.evaluate(part, scope) for part in parts], node.value.attr
        )
    if owner.node == "shape":
        return read_axis_size(owner.parts[0], interpreter.evaluate_key(parts[0], scope))
    if (
        len(parts) == 1
        and not isinstance(parts[0], ast.Slice)
        and owner.kind in (None, RECORD, ITEMS)
    ):
        key = interpreter.evaluate_key(parts[0], scope)
        if isinstance(key, str) and owner.is_parameter and owner.kind in (None, RECORD):
            owner.kind = RECORD
            return owner.field(key)
        if owner.kind in (RECORD, ITEMS):
            places = list(owner.fields)
            if isinstance(key, int) and owner.kind == ITEMS and -len(places) <= key < 0:
                key = places[key]
            return owner.fields.get(key, Value()) if not owner.is_parameter else owner.field(key)
    if owner.kind == ITEMS:
        return _slice_of_items(owner, parts[0])
    cuts = owner.is_parameter and (owner.kind is None or bool(owner.ends))
    if isinstance(parts[0], ast.Slice) and len(parts) == 1 and cuts:
        found = _cut_vector(interpreter, owner, parts[0], scope)
        if found is not None:
            return found
    return _index(interpreter, owner, parts, scope)


def _join(interpreter: Interpreter, values: list[Value], name: str) -> Value:
    """np.r_[0, x], np.c_[np.ones(n), x]: parts joined along the last axis; a number is an entry."""
    rank = JOINS[name]
    parts = [
        array([Axis(value=1)] * rank) if one.kind in (NUMBER, SIZE) else one.as_array(rank)
        for one in values
    ]
    columns = [
        array([*one.axes, Axis(value=1)]) if one.axes and len(one.axes) < rank else one
        for one in parts
    ]
    return concatenate(columns, rank - 1, interpreter.allocate)


def read_axis_size(owner: Value, place: Any) -> Value:
    """The size `x.shape[k]`; an unknown one if k is not known or there is no such axis."""
    if not isinstance(place, int):
        return size(Axis())
    if owner.kind is None and owner.is_parameter and place == -1:
        owner.last = owner.last or Axis()
        return size(owner.last)
    if owner.kind is None or owner.axes is None:
        owner.as_array(max(owner.guessed_rank, place + 1) if place >= 0 else owner.guessed_rank)
    if owner.axes is None or not -len(owner.axes) <= place < len(owner.axes):
        return size(Axis())
    return size(owner.axes[place])


def _slice_of_items(owner: Value, part: ast.expr) -> Value:
    """The items of a list in a slice, such as sizes[1:] or sizes[:-1]."""
    items = list(owner.fields.values())
    if isinstance(part, ast.Slice):
        lower = part.lower.value if isinstance(part.lower, ast.Constant) else 0
        start = lower if isinstance(lower, int) else 0
        negative = isinstance(part.upper, ast.UnaryOp)
        items = items[start:-1] if negative else items[start:]
        return Value(ITEMS, fields=dict(enumerate(items)))
    return Value()


def _cut_vector(
    interpreter: Interpreter, owner: Value, part: ast.Slice, scope: Scope
) -> Value | None:
    """A slice of a vector that packs all parameters; None where the bounds are plain numbers.

    A parameter called like a list, in `sizes[:-1]` or `params[:-1]`, becomes one.
    """
    bounds = [
        interpreter.evaluate(one, scope) if one is not None else None
        for one in (part.lower, part.upper)
    ]
    if all(one is None or one.kind == NUMBER for one in bounds):
        if isinstance(part.upper, ast.UnaryOp) and is_sizes(owner.name):  # sizes[:-1]
            owner.kind = ITEMS
            for place in range(3):
                owner.field(place).as_size()
            return _slice_of_items(owner, part)
        if isinstance(part.upper, ast.UnaryOp) and is_layers(owner.name):  # params[:-1]
            owner.kind = ITEMS
            for place in range(2):
                owner.field(place)
            return _slice_of_items(owner, part)
        return None
    lower, upper = bounds
    made = array([Axis()])
    made.cut_from = owner
    if owner.axes is None:
        owner.kind, ends = ARRAY, owner.ends
        owner.axes = [Axis(calculate=lambda: max((end() for end in ends), default=4))]
    start = _bound_size(interpreter, lower) if lower is not None else (lambda: 0)
    if upper is not None:
        owner.ends.append(_bound_size(interpreter, upper))
    else:
        owner.ends.append(lambda: start() + _count_entries(interpreter, made))
    return made


def _count_entries(interpreter: Interpreter, value: Value) -> int:
    count = 1
    for axis in value.axes or ():
        count *= axis.size(interpreter.allocate)
    return count


def _bound_size(interpreter: Interpreter, value: Value) -> Callable[[], int]:
    """A function that computes the bound of a slice; note that the bound is made of sizes."""
    if value.parts and value.node is not None:
        operate = value.node
        one, other = (_bound_size(interpreter, part) for part in value.parts)
        return lambda: operate(one(), other())
    axis = value.as_size()
    return lambda: axis.size(interpreter.allocate)


def _index(interpreter: Interpreter, owner: Value, parts: list[ast.expr], scope: Scope) -> Value:
    """The part of an array at slices, new axes, whole numbers or arrays of whole numbers."""
    plain = [one for one in parts if not _is_new_axis(one)]
    written_out = len(plain) > 1 or len(parts) > len(plain)
    if owner.kind is None and owner.is_parameter:
        owner.as_array(len(plain) if written_out else max(owner.guessed_rank, len(plain)))
    if owner.kind == ARRAY and owner.axes is None and len(plain) > 1:
        owner.as_array(len(plain))
    axes = list(owner.axes or [])
    if any(isinstance(one, ast.Constant) and one.value is Ellipsis for one in parts) or not axes:
        axes = [Axis() for _ in plain]
    found: list[Axis] = []
    first: Value | None = None
    for one in parts:
        if _is_new_axis(one):
            found.append(Axis(value=1))
            continue
        axis = axes.pop(0) if axes else Axis()
        if isinstance(one, ast.Slice):
            found.append(_slice_axis(interpreter, one, axis, scope))
            continue
        first_alone = isinstance(one, ast.Constant) and one.value == 0 and len(plain) > 2
        if first_alone and owner.is_parameter and is_bias(owner.name) and axis.root.open:
            axis.root.value = 1  # b[0, 0, 0, c]
        index = _as_index(interpreter.evaluate(one, scope), axis)
        if index.kind == ARRAY and first is None:
            first = index
            found += index.axes or []
        elif index.kind == ARRAY and first is not None and first.axes and index.axes:
            unify_all(first.axes, index.axes)
    result = array([*found, *axes]) if owner.axes is not None else array(None)
    result.origin = owner
    return result


def _slice_axis(interpreter: Interpreter, part: ast.Slice, axis: Axis, scope: Scope) -> Axis:
    """The axis that remains of one that is sliced: all, the first few, or a window of it."""
    if part.lower is None and part.upper is None:
        return axis
    window = part.upper  # x[i * stride : i * stride + K]
    if part.lower is not None and isinstance(window, ast.BinOp) and isinstance(window.op, ast.Add):
        long = interpreter.evaluate(window.right, scope)
        if ast.unparse(window.left) == ast.unparse(part.lower) and long.kind in (SIZE, NUMBER):
            return long.as_size()
    lower, upper = (
        interpreter.evaluate(one, scope) if one is not None else None
        for one in (part.lower, part.upper)
    )
    if upper is not None and upper.kind in (SIZE, None) and not upper.is_number_like:
        end = upper.as_size()
        if lower is not None and (lower.kind == SIZE or lower.number is not None):
            axis.root.ends.append(lambda: end.size(interpreter.allocate))
        start = lower.as_size() if lower is not None and lower.number != 0 else None
        if lower is None or (lower.kind == NUMBER and not lower.number):
            return end
        if start is not None and lower.kind == SIZE:
            needs = (start, end)
            return Axis(calculate=lambda: _slice_length(interpreter, *needs), needs=needs)
    if upper is None and lower is not None and lower.kind == SIZE:
        start, rest = lower.as_size(), Axis()
        axis.root.ends.append(
            lambda: start.size(interpreter.allocate) + rest.size(interpreter.allocate)
        )
        return rest
    return Axis()


def _slice_length(interpreter: Interpreter, start: Axis, end: Axis) -> int:
    """The number of entries from start to end; at least 1."""
    return max(1, end.size(interpreter.allocate) - start.size(interpreter.allocate))


def _as_index(index: Value, axis: Axis) -> Value:
    """Note that an index holds whole numbers below the size of the axis; return it."""
    if index.kind is None and index.is_parameter and not index.is_number_like:
        index.as_array(1)
    if index.kind != ARRAY:
        if index.bound is not None:  # the loop goes over the whole axis
            unify(index.bound, axis)
        return index
    if index.counts and index.axes:
        unify(index.axes[0], axis)
        return index
    origin: Value | None = index
    while origin is not None:
        origin.classes = origin.classes or axis
        origin = origin.origin
    return index


def _is_new_axis(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or ast.unparse(node).endswith(
        "newaxis"
    )
