"""The items that loops go over, and the variables that they carry from one turn to the next."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradcheck_cli.config.init.inference.axes import unify_all
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    Value,
    array,
    number,
    sequence,
)
from gradcheck_cli.config.init.names import is_samples

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter, Scope


def list_items(interpreter: Interpreter, over: ast.expr, scope: Scope) -> list[Value]:
    """The items that a loop goes over, if they are known and few; else one that stands for all."""
    match over:
        case ast.Call(func=ast.Name(id="range"), args=bounds):
            values = [interpreter.evaluate(bound, scope) for bound in bounds]
            for value in values:
                value.as_size()
            first = values[0].number if len(values) > 1 else 0
            last = values[-1 if len(values) < 3 else 1].number
            step = values[2].number if len(values) > 2 else 1
            if first is not None and last is not None and step:
                places = range(int(first), int(last), int(step))
                if 0 < len(places) < 5:
                    return [number(place) for place in places]
            counted = number(first)
            counted.counts = True
            counted.bound = values[0].axis if len(values) == 1 else None
            return [counted]
        case ast.Call(func=ast.Name(id="reversed" | "list" | "sorted"), args=[inner]):
            return list_items(interpreter, inner, scope)
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
            return [
                sequence(number(k), one)
                for k, one in enumerate(list_items(interpreter, inner, scope))
            ]
        case ast.Call(func=ast.Name(id="zip"), args=parts):
            lists = [list_items(interpreter, part, scope) for part in parts]
            return [sequence(*one) for one in zip(*lists, strict=False)]
    return _items_of(interpreter.evaluate(over, scope))


def _items_of(value: Value) -> list[Value]:
    """The items of a value. A parameter of unknown kind is taken for a list of two; the items of an
    array have the same shape, so that one stands for all."""
    if value.kind is None and value.is_parameter and is_samples(value.name):
        value.as_array(2)
    if value.kind is None and value.is_parameter:
        value.kind = ITEMS
        for place in (0, 1):
            value.field(place)
    if value.kind == ITEMS:
        return list(value.fields.values())
    if value.kind == ARRAY and value.axes:
        return [array(value.axes[1:])]
    return [Value()]


def carry(before: Scope, after: Scope) -> None:
    """Unify the shape of a variable after a turn of a loop with its shape before: the next turn
    starts from it."""
    for name, one in before.items():
        other = after[name]
        if one is not other and one.axes and other.axes:
            unify_all(one.axes, other.axes)
