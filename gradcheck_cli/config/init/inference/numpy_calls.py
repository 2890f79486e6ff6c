"""Evaluate functions of NumPy and torch, and methods of arrays: a table of them by name."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradcheck_cli.config.init.inference.arithmetic import calculate_sizes
from gradcheck_cli.config.init.inference.axes import unify_all
from gradcheck_cli.config.init.inference.numpy_call import NumpyCall
from gradcheck_cli.config.init.inference.numpy_layouts import (
    add_axis,
    change_shape,
    cut,
    drop_axes,
    flatten,
    join_along,
    ravel,
    read_length,
    read_size,
    swap_axes,
)
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
    contract,
    multiply_matrices,
    reduce_axes,
    sum_products,
)
from gradcheck_cli.config.init.inference.values import ARRAY, ITEMS, Value, array

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter


def call_numpy(call: NumpyCall) -> Value:
    """The value that a function of NumPy or a method of an array returns."""
    if call.name in MADE:
        return _make(call)
    known = call.name in FUNCTIONS and call.values
    return FUNCTIONS[call.name](call) if known else Value()


def _multiply(call: NumpyCall) -> Value:
    return multiply_matrices(*call.values[:2]) if len(call.values) > 1 else Value()


def _one_hot(call: NumpyCall) -> Value:
    if len(call.values) < 2:
        return Value()
    labels, classes = call.values[0].as_array(1), call.values[1].as_size()
    labels.classes = labels.classes or classes
    return array([*(labels.axes or []), classes])


def _expand(call: NumpyCall) -> Value:
    return broadcast(*call.values[:2]) if len(call.values) > 1 else Value()


def _take_along(call: NumpyCall) -> Value:
    if len(call.values) < 2:
        return Value()
    owner, index, *_ = call.values
    along = call.read(call.keyword("axis") or call.node.args[-1])
    return _index_along(owner, index, along if isinstance(along, int) else -1)


def _einsum(call: NumpyCall) -> Value:
    subscripts, *factors = call.values
    return sum_products(subscripts.text, factors) if subscripts.text else Value()


def _tensordot(call: NumpyCall) -> Value:
    axes = call.keyword("axes") or (call.node.args[-1] if len(call.values) > 2 else None)
    if axes is None:
        return Value()
    left, right, *_ = call.values
    return contract(left, right, _axes_of(axes))


def _join(call: NumpyCall) -> Value:
    values = call.values
    found = values[-2] if call.name == "where" and len(values) > 2 else values[0]
    result = broadcast(found, values[-1])
    return broadcast(values[0], result) if len(values) > 2 else result


def _reduce(call: NumpyCall) -> Value:
    place = len(call.node.args) - len(call.arguments) + (call.owner is None)
    place += call.name == "norm"  # its axis comes after its order
    others = call.node.args[place:] if len(call.values) > 1 else []
    axis = call.keyword("axis") or next(iter(others), None)
    known = call.read(axis)
    if axis is not None and not isinstance(known, int):
        return array(None)
    keep = call.keyword("keepdims", "keepdim")
    return reduce_axes(call.values[0], known, isinstance(keep, ast.Constant) and bool(keep.value))


def _same(call: NumpyCall) -> Value:
    return call.values[0]


def _square(call: NumpyCall) -> Value:
    """np.linalg.inv and others of square matrices: note that the argument is one."""
    axes = (call.values[0].as_array(2).axes or []) if call.values[0].is_parameter else []
    if len(axes) > 1:
        unify_all(axes[-1:], axes[-2:-1])
    return Value()


def _log(call: NumpyCall) -> Value:
    """The argument itself; note that it and the data that it is computed from are positive."""
    value: Value | None = call.values[0]
    while value is not None:
        value.positive = True
        for part in value.parts:
            part.positive |= part.is_parameter and part.is_data_like
        value = value.origin
    return call.values[0]


def _count(call: NumpyCall) -> Value:
    made = array([call.values[-1 if len(call.values) == 2 else 0].as_size()])
    made.counts = True
    return made


def _order(call: NumpyCall) -> Value:
    """np.argsort: whole numbers, each place of the argument once."""
    made = array((call.values[0].as_array(1).axes or [])[:1])
    made.counts = True
    return made


def _make(call: NumpyCall) -> Value:
    """An array that is made or drawn; its shape is `size=`, `shape=`, or the positional argument
    where NumPy expects it."""
    named = call.keyword("size", "shape")
    if named is not None:
        shape = [call.interpreter.evaluate(named, call.scope)]
    else:
        last = 1 if call.name in ONE_SHAPE else None
        shape = call.arguments[DRAWN.get(call.name, 0) :][:last]
    if len(shape) == 1 and shape[0].kind == ITEMS and shape[0].node != "shape":
        shape = list(shape[0].fields.values())
    if not shape or shape[0].kind in (ARRAY, ITEMS):
        return Value()
    axes = [_as_size(call.interpreter, one).as_size() for one in shape]
    return array(axes * 2 if call.name == "eye" and len(axes) == 1 else axes)


def _as_size(interpreter: Interpreter, value: Value) -> Value:
    """A value as a size; if it was computed from two others, note that these are sizes, too."""
    if value.kind is None and len(value.parts) == 2 and callable(value.node):
        left, right = value.parts
        return calculate_sizes(left, right, value.node, interpreter.allocate)
    return value


def _index_along(owner: Value, index: Value, place: int) -> Value:
    """take_along_axis: note that the indices are below the size of the axis, and that their other
    axes are those of the array."""
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


def _axes_of(node: ast.expr) -> list[list[int]]:
    """The axes of a tensordot for each of its two arrays; none where they are not literals."""
    try:
        found = ast.literal_eval(node)
    except ValueError:
        return [[], []]
    if isinstance(found, int) or len(found) != 2:
        return [[], []]
    return [[one] if isinstance(one, int) else list(one) for one in found]


FUNCTIONS: dict[str, Callable[[NumpyCall], Value]] = {
    **dict.fromkeys(("dot", "matmul", "mm"), _multiply),
    **dict.fromkeys(("T", "t", "transpose", "permute"), swap_axes),
    "one_hot": _one_hot,
    "squeeze": drop_axes,
    "unsqueeze": add_axis,
    "expand_as": _expand,
    "take_along_axis": _take_along,
    "einsum": _einsum,
    "size": read_size,
    **dict.fromkeys(("split", "array_split", "chunk"), cut),
    "tensordot": _tensordot,
    **dict.fromkeys(("reshape", "view"), change_shape),
    "flatten": flatten,
    "ravel": ravel,
    **dict.fromkeys(JOINED, _join),
    **dict.fromkeys(REDUCED, _reduce),
    **dict.fromkeys(SAME, _same),
    "log": _log,
    **dict.fromkeys(("inv", "cholesky", "solve", "eigh"), _square),
    "len": read_length,
    **dict.fromkeys(("arange", "range"), _count),
    "argsort": _order,
    **dict.fromkeys(
        ("concatenate", "cat", "hstack", "vstack", "stack", "column_stack"), join_along
    ),
}
