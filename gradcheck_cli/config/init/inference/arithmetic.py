"""The values of arithmetic and comparisons, and what these imply for sizes and shapes."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from gradcheck_cli.config.init.inference.axes import Axis, lengthen, unify_all
from gradcheck_cli.config.init.inference.operations import Allocate, broadcast, multiply_matrices
from gradcheck_cli.config.init.inference.values import (
    ITEMS,
    NUMBER,
    SIZE,
    Value,
    number,
    sequence,
    size,
)

OPERATIONS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: a // max(b, 1),
    ast.Div: lambda a, b: a // max(b, 1),
}


def combine(op: ast.operator, left: Value, right: Value, allocate: Allocate) -> Value:
    """The value of `left op right`."""
    if isinstance(op, ast.MatMult):
        return multiply_matrices(left, right)
    if isinstance(op, ast.Add) and left.kind == right.kind == ITEMS:
        return sequence(*left.fields.values(), *right.fields.values())
    operate = OPERATIONS.get(type(op))
    kinds = {left.kind, right.kind}
    if operate is None or not kinds <= {None, SIZE, NUMBER}:
        return broadcast(left, right)
    if kinds == {NUMBER} and left.number is not None and right.number is not None:
        return number(operate(left.number, right.number))
    for one, other in ((left, right), (right, left)):
        one.meets_numbers |= other.kind == NUMBER
    unknown = any(one.kind is None and not one.is_parameter for one in (left, right))
    if SIZE in kinds and not unknown:
        return calculate_sizes(left, right, operate, allocate)
    if kinds == {SIZE, NUMBER}:
        return number()
    data = left.is_data_like and right.is_data_like
    if kinds == {None} and data and left.is_parameter and right.is_parameter:
        return broadcast(left.as_array(left.guessed_rank), right)
    return Value(node=operate, parts=(left, right))


def calculate_sizes(
    left: Value, right: Value, operate: Callable[[int, int], int], allocate: Allocate
) -> Value:
    """The size that an operation computes from two sizes."""
    one, other = left.as_size(), right.as_size()
    if operate(5, 3) == 8 and other.root.value is not None:
        return size(lengthen(one, other.root.value))
    if operate(5, 3) == 8 and one.root.value is not None:
        return size(lengthen(other, one.root.value))
    return size(
        Axis(
            calculate=lambda: operate(one.size(allocate), other.size(allocate)),
            needs=(one, other),
            is_sum=operate(5, 3) == 8,
        )
    )


def compare(left: Value, right: Value) -> Value:
    """The value of `left == right` or another comparison; shapes that are compared are unified."""
    for one, other in ((left, right), (right, left)):
        if one.node == "shape" and other.kind == ITEMS and other.node != "shape":
            axes = [value.as_size() for value in other.fields.values()]
            unify_all(one.parts[0].as_array(len(axes)).axes or [], axes)
            return Value()
    return broadcast(left, right)
