"""Functions of NumPy and of torch in code that is read, and methods of arrays."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from gradcheck_cli.config.init.inference import modules
from gradcheck_cli.config.init.inference.axes import Axis, unify, unify_all
from gradcheck_cli.config.init.inference.numpy_names import (
    DRAWN,
    JOINED,
    MADE,
    ONE_SHAPE,
    REDUCED,
    SAME,
)
from gradcheck_cli.config.init.inference.operations import (
    broadcast,
    calculate_sizes,
    concatenate,
    contract,
    multiply_matrices,
    reduce_axes,
    reshape,
    split,
    sum_products,
    transpose,
)
from gradcheck_cli.config.init.inference.subscripts import axis_of as _axis_of
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    BIAS,
    ITEMS,
    NUMBER,
    RECORD,
    Value,
    array,
    number,
    size,
)

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.reader import Reader, Scope


def of_numpy(
    reader: Reader,
    name: str,
    owner: Value | None,
    arguments: list[Value],
    node: ast.Call,
    keywords: dict[str, ast.expr],
    scope: Scope,
) -> Value:
    """What a function of NumPy, or a method of an array, returns."""
    if name in MADE:
        return _make(reader, name, arguments, keywords, scope)
    values = arguments if owner is None else [owner, *arguments]
    if not values:
        return Value()
    if name in ("dot", "matmul", "mm") and len(values) > 1:
        return multiply_matrices(values[0], values[1])
    if name in ("T", "t", "transpose", "permute"):
        order = values[1:]
        if len(order) == 1 and order[0].kind == ITEMS:
            order = list(order[0].fields.values())
        return transpose(values[0], [int(one.number or 0) for one in order])
    if name == "one_hot" and len(values) > 1:
        labels, classes = values[0].as_array(1), values[1].as_size()
        labels.classes = labels.classes or classes
        return array([*(labels.axes or []), classes])
    if name == "squeeze" and len(values) == 1 and values[0].axes is not None:
        return array([axis for axis in values[0].axes if axis.root.value != 1])
    if name == "expand_as" and len(values) > 1:
        return broadcast(*values[:2])
    if name == "unsqueeze" and values[0].is_parameter:
        values[0].as_array(values[0].guessed_rank if not BIAS.search(values[0].name) else 1)
        return array([Axis(value=1), *(values[0].axes or [])])
    if name == "take_along_axis" and len(values) > 1:
        along = reader.key(keywords.get("axis", node.args[-1]), scope)
        return _taken_along(values[0], values[1], along if isinstance(along, int) else -1)
    if name == "einsum" and values[0].text:
        return sum_products(values[0].text, values[1:])
    if name == "size" and owner is not None:
        return _axis_of(owner, reader.key(node.args[0], scope)) if node.args else _shape_of(owner)
    if name in ("split", "array_split", "chunk") and len(values) > 1:
        return _split(reader, values, node, keywords, scope)
    if name == "tensordot" and (len(values) > 2 or "axes" in keywords):
        return contract(values[0], values[1], _axes_of(keywords.get("axes", node.args[-1])))
    if name in ("reshape", "view"):
        found = _reshaped(reader, values)
        found.origin = values[0]
        return found
    if name == "flatten" and len(values) > 1:
        return modules.flatten(values[0], reader.allocate)
    if name in ("ravel", "flatten", "squeeze"):
        found = array(None) if values[0].kind == ARRAY else Value()
        found.origin = values[0]
        return found
    if name in JOINED:
        found = values[-2] if name == "where" and len(values) > 2 else values[0]
        result = broadcast(found, values[-1])
        return broadcast(values[0], result) if len(values) > 2 else result
    if name in REDUCED:
        axis = keywords.get(
            "axis",
            node.args[len(node.args) - len(arguments) + (owner is None)]
            if len(values) > 1
            else None,
        )
        known = reader.key(axis, scope) if axis is not None else None
        if axis is not None and not isinstance(known, int):
            return array(None)
        keep = keywords.get("keepdims", keywords.get("keepdim"))
        return reduce_axes(values[0], known, isinstance(keep, ast.Constant) and bool(keep.value))
    return _of_other(reader, name, values, keywords, scope)


def _of_other(
    reader: Reader, name: str, values: list[Value], keywords: dict[str, ast.expr], scope: Scope
) -> Value:
    """What other functions return."""
    first = values[0]
    if name == "log":
        _mark_positive(first)
    if name in SAME:
        return first
    if name == "len":
        if first.kind == RECORD and first.is_parameter:
            return number(4)
        if first.kind == ITEMS:
            return number(len(first.fields) or None)
        if first.kind is None and re.search(r"param|weights|layers", first.name):
            return number(4)  # of two layers
        first.as_array(first.guessed_rank if first.is_parameter else None)
        return size(first.axes[0]) if first.axes else number()
    if name in ("arange", "range"):
        made = array([values[-1 if len(values) == 2 else 0].as_size()])
        made.counts = True
        return made
    if name in ("concatenate", "cat", "hstack", "vstack", "stack", "column_stack"):
        along = keywords.get("axis", keywords.get("dim"))
        axis = reader.key(along, scope) if along is not None else None
        place = {"hstack": 1, "vstack": 0, "column_stack": 1}.get(name, axis or 0)
        return concatenate(
            [part.as_array() for part in first.fields.values()], place, reader.allocate
        )
    if name in ("int", "float", "str", "max", "min", "list", "tuple", "array"):
        return first
    return Value()


def _make(
    reader: Reader, name: str, values: list[Value], keywords: dict[str, ast.expr], scope: Scope
) -> Value:
    """An array that is made or drawn: its shape is `size=` or `shape=`, or where NumPy has it."""
    named = keywords.get("size", keywords.get("shape"))
    if named is not None:
        shape = [reader.value(named, scope)]
    else:
        shape = values[DRAWN.get(name, 0) :][: 1 if name in ONE_SHAPE else None]
    if len(shape) == 1 and shape[0].kind == ITEMS and shape[0].node != "shape":
        shape = list(shape[0].fields.values())
    if not shape or shape[0].kind in (ARRAY, ITEMS):
        return Value()
    axes = [_reckoned(reader, one).as_size() for one in shape]
    return array(axes * 2 if name == "eye" and len(axes) == 1 else axes)


def _reckoned(reader: Reader, value: Value) -> Value:
    """A value that is reckoned from two others, which are sizes from here on; else itself."""
    if value.kind is None and len(value.parts) == 2 and callable(value.node):
        left, right = value.parts
        return calculate_sizes(left, right, value.node, reader.allocate)
    return value


def _mark_positive(value: Value | None) -> None:
    """Note that the logarithm is taken of an array, of what that is made of."""
    while value is not None:
        value.positive = True
        for part in value.parts:
            part.positive |= part.is_parameter and part.is_data_like
        value = value.origin


def _taken_along(owner: Value, index: Value, place: int) -> Value:
    """What indices below the size of an axis take along it."""
    owner.as_array(owner.guessed_rank)
    if owner.axes is not None and -len(owner.axes) <= place < len(owner.axes):
        labels: Value | None = index
        while labels is not None:
            labels.classes = labels.classes or owner.axes[place]
            labels = labels.origin
        if index.axes is not None and len(index.axes) == len(owner.axes):
            unify_all(
                [one for at, one in enumerate(owner.axes) if at != place % len(owner.axes)],
                [one for at, one in enumerate(index.axes) if at != place % len(owner.axes)],
            )
    return index


def _shape_of(owner: Value) -> Value:
    """x.shape, x.size()."""
    found = Value(ITEMS, node="shape")
    found.parts = (owner,)
    return found


def _split(
    reader: Reader,
    values: list[Value],
    node: ast.Call,
    keywords: dict[str, ast.expr],
    scope: Scope,
) -> Value:
    """An array in equal parts: so many, or, of torch, of this size."""
    along = keywords.get("axis", keywords.get("dim"))
    if along is None and len(values) > 2:
        along = node.args[-1]
    axis = reader.key(along, scope) if along is not None else 0
    count, place = values[1], axis if isinstance(axis, int) else 0
    if count.kind == NUMBER and count.number:
        found = split(values[0], int(count.number), place)
        whole = (values[0].axes or [Axis()])[place]
        part, times = found.node or Axis(), int(count.number)
        whole.root.ends.append(lambda: times * part.size(reader.allocate))
        return found
    found = split(values[0], 3, place)
    if isinstance(found.node, Axis):
        unify(found.node, count.as_size())
    return found


def _axes_of(node: ast.expr) -> list[list[int]]:
    """The axes of a tensordot, where they are written out."""
    try:
        found = ast.literal_eval(node)
    except ValueError:
        return [[], []]
    if isinstance(found, int) or len(found) != 2:
        return [[], []]
    return [[one] if isinstance(one, int) else list(one) for one in found]


def _reshaped(reader: Reader, values: list[Value]) -> Value:
    target, shape = values[0], values[1:]
    if len(shape) == 1 and shape[0].node == "shape":
        other = shape[0].parts[0]
        if target.kind is None and other.kind == ARRAY:
            target.kind, target.axes = ARRAY, other.axes
        elif target.axes is None and target.kind == ARRAY:
            target.axes = other.axes
        return array(other.axes)
    if len(shape) == 1 and shape[0].kind == ITEMS:
        shape = list(shape[0].fields.values())
    return reshape(target, shape, reader.allocate)
