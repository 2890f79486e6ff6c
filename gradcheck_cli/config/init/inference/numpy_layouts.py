"""Evaluate the functions of NumPy and torch that transpose, reshape, split and join arrays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradcheck_cli.config.init.inference import modules
from gradcheck_cli.config.init.inference.axes import Axis, unify
from gradcheck_cli.config.init.inference.numpy_call import NumpyCall
from gradcheck_cli.config.init.inference.operations import concatenate, reshape, split, transpose
from gradcheck_cli.config.init.inference.subscripts import read_axis_size
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    NUMBER,
    RECORD,
    Value,
    array,
    number,
    size,
)
from gradcheck_cli.config.init.names import is_bias

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter


def swap_axes(call: NumpyCall) -> Value:
    """x.T, x.transpose(…), x.permute(…): the axes in another order."""
    first, *order = call.values
    if len(order) == 1 and order[0].kind == ITEMS:
        order = list(order[0].fields.values())
    return transpose(first, [int(one.number or 0) for one in order])


def drop_axes(call: NumpyCall) -> Value:
    """x.squeeze(): the array without its axes of size 1."""
    first, *places = call.values
    if places or first.axes is None:
        return ravel(call)
    return array([axis for axis in first.axes if axis.root.value != 1])


def add_axis(call: NumpyCall) -> Value:
    """x.unsqueeze(0): the array with an axis of size 1 in front."""
    first = call.values[0]
    if not first.is_parameter:
        return Value()
    first.as_array(first.guessed_rank if not is_bias(first.name) else 1)
    return array([Axis(value=1), *(first.axes or [])])


def read_size(call: NumpyCall) -> Value:
    """x.size(), x.size(0): the shape of a tensor or one of its sizes."""
    if call.owner is None:
        return Value()
    return (
        read_axis_size(call.owner, call.read(call.node.args[0]))
        if call.node.args
        else _shape_of(call)
    )


def change_shape(call: NumpyCall) -> Value:
    """x.reshape(…), x.view(…): the array in the shape that is given, or that of another array."""
    found = _shape_as(call.interpreter, call.values)
    found.origin = call.values[0]
    return found


def flatten(call: NumpyCall) -> Value:
    """x.flatten(), x.flatten(1): all entries, or those of each sample, along one axis."""
    several = len(call.values) > 1
    return modules.flatten(call.values[0], call.interpreter.allocate) if several else ravel(call)


def ravel(call: NumpyCall) -> Value:
    """x.ravel(): all entries along one axis."""
    first = call.values[0]
    found = array(None) if first.kind == ARRAY else Value()
    found.origin = first
    return found


def read_length(call: NumpyCall) -> Value:
    """len(x) of an array, a list or a dict."""
    first = call.values[0]
    if first.kind == RECORD and first.is_parameter:
        return number(4)  # the weights and biases of two layers
    if first.kind == ITEMS:
        return number(len(first.fields) or None)
    if first.kind is None and re.search(r"param|weights|layers", first.name):
        return number(4)  # here, too
    first.as_array(first.guessed_rank if first.is_parameter else None)
    return size(first.axes[0]) if first.axes else number()


def join_along(call: NumpyCall) -> Value:
    """concatenate, hstack, stack and the like: the arrays of a list joined along an axis."""
    axis = call.read(call.keyword("axis", "dim"))
    place = {"hstack": 1, "vstack": 0, "column_stack": 1}.get(call.name, axis or 0)
    parts = [part.as_array() for part in call.values[0].fields.values()]
    return concatenate(parts, place, call.interpreter.allocate)


def _shape_of(call: NumpyCall) -> Value:
    """The value of x.shape; its sizes are read where they are used."""
    return Value(ITEMS, node="shape", parts=(call.values[0],))


def cut(call: NumpyCall) -> Value:
    """np.split, torch.chunk: an array in so many equal parts; or, for torch's split, in parts of a
    given size."""
    if len(call.values) < 2:
        return Value()
    first, count, *others = call.values
    along = call.keyword("axis", "dim") or (call.node.args[-1] if others else None)
    axis = call.read(along) if along is not None else 0
    place = axis if isinstance(axis, int) else 0
    if count.kind == NUMBER and count.number:
        found = split(first, int(count.number), place)
        whole = (first.axes or [Axis()])[place]
        part, times = found.node or Axis(), int(count.number)
        whole.root.ends.append(lambda: times * part.size(call.interpreter.allocate))
        return found
    found = split(first, 3, place)
    if isinstance(found.node, Axis):
        unify(found.node, count.as_size())
    return found


def _shape_as(interpreter: Interpreter, values: list[Value]) -> Value:
    """The first value in the shape that the other values give."""
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
    return reshape(target, shape, interpreter.allocate)
