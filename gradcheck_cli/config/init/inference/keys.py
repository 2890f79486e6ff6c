"""Evaluate keys of dicts and indices of lists, such as "W" + str(1)."""

from __future__ import annotations

import ast
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gradcheck_cli.config.init.inference.values import NUMBER, TEXT

if TYPE_CHECKING:
    from gradcheck_cli.config.init.inference.interpreter import Interpreter, Scope


def read_key(interpreter: Interpreter, node: ast.expr, scope: Scope) -> Any:
    """The text or whole number that an expression gives, such as "W%d" % 1; None if unknown."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.JoinedStr(values=parts):
            texts = [read_key(interpreter, part, scope) for part in parts]
            return None if None in texts else "".join(map(str, texts))
        case ast.FormattedValue(value=value):
            return read_key(interpreter, value, scope)
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod(), right=right):
            return _fill(interpreter, text, right, scope)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = read_key(interpreter, left, scope), read_key(interpreter, right, scope)
            if isinstance(one, str) and isinstance(other, str | int):
                return f"{one}{other}"
        case ast.Call(func=ast.Name(id="str"), args=[inner]):
            found = read_key(interpreter, inner, scope)
            return None if found is None else str(found)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
    found = interpreter.evaluate(node, scope)
    if found.kind == TEXT:
        return found.text
    return int(found.number) if found.kind == NUMBER and found.number is not None else None


def _fill(interpreter: Interpreter, text: str, right: ast.expr, scope: Scope) -> str | None:
    """A text with its %d and %s filled in; None where a value for them is unknown."""
    parts = right.elts if isinstance(right, ast.Tuple) else [right]
    values = tuple(read_key(interpreter, part, scope) for part in parts)
    with suppress(TypeError, ValueError):
        return None if None in values else text % values
    return None
