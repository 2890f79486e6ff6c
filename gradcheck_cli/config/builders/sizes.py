"""Evaluate arithmetic of sizes, as in the shape [H*(F+1), 4*M]."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.text import shorten, suggest

LONGEST = 100  # characters of a size: deep nesting would exhaust the stack
LARGEST_SIZE = 2**63 - 1  # of an axis, the largest machine word

OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class SizeError(GradcheckError):
    """The reason why a text is not a size, to follow `the shape of 'x' has`."""


def evaluate_size(text: str, sizes: Mapping[str, int]) -> int:
    """The value of a text of names of sizes, whole numbers, + - * // and parentheses.

    Raises SizeError for anything else, for a name that is not a size (with the near miss), and for
    a value below 1 or above LARGEST_SIZE.
    """
    try:
        if len(text) > LONGEST:
            raise SyntaxError
        value = _evaluate(ast.parse(text.strip(), mode="eval").body, sizes)
    except (SyntaxError, ValueError, ZeroDivisionError) as error:
        raise SizeError(
            f"no size {shorten(text)!r}; a size is made of names, whole numbers and + - * //"
        ) from error
    if not 1 <= value <= LARGEST_SIZE:
        raise SizeError(f"no size '{text}', which is {value} here")
    return value


def _evaluate(node: ast.expr, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        if node.id not in sizes:
            hint = suggest(node.id, sizes, "shapes gives") or f"; write shapes: {{{node.id}: 4}}"
            raise SizeError(f"no size '{node.id}'{hint}")
        return sizes[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = _evaluate(node.left, sizes), _evaluate(node.right, sizes)
        return OPERATORS[type(node.op)](left, right)
    raise SyntaxError
