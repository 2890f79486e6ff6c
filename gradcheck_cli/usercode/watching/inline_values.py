"""What a line of the user's hands on without a name: the `x @ W + b` of `h = relu(x @ W + b)`.

The line is read, not changed. Before it runs, the expression inside is evaluated by itself, and the
whole line once more with another value in its place.
"""

from __future__ import annotations

import ast
import copy
import linecache
from collections.abc import Iterator
from functools import cache
from types import CodeType, FrameType
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.usercode.watching.tracing import view_as_array

MOST = 6  # expressions of one line that are looked at
PLACEHOLDER = "_gradcheck_inline"  # the name, in the line, of what the expression gives
# What an expression may be made of: nothing that binds a name, waits, or runs a block.
PLAIN = (
    ast.Name, ast.Attribute, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Slice,
    ast.Tuple, ast.List, ast.Call, ast.keyword, ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
    ast.expr_context,
)  # fmt: skip


class Inline(Struct, frozen=True):
    """An expression inside a line that assigns or returns one value.

    text: as it stands in the code; inner: gives its value; whole: what the line assigns or returns,
    with PLACEHOLDER for the expression; target: what is assigned to, None of a `return`; name: of
    a variable that it is, or empty.
    last: the last line of the statement.
    """

    text: str
    inner: CodeType
    whole: CodeType
    target: CodeType | None
    name: str
    last: int

    def evaluate(self, frame: FrameType) -> Any:
        """The value of the expression, in a function that is about to run the line."""
        return eval(self.inner, frame.f_globals, dict(frame.f_locals))

    def replace(self, frame: FrameType, value: Any) -> Any:
        """What the line would give with this value for the expression."""
        return eval(self.whole, frame.f_globals, {**frame.f_locals, PLACEHOLDER: value})

    def result(self, frame: FrameType, returned: Any) -> Any:
        """What the line has given, in a function that has run it."""
        if self.target is None:
            return returned
        return eval(self.target, frame.f_globals, dict(frame.f_locals))


def find_inline(frame: FrameType) -> list[tuple[Inline, NDArray[Any]]]:
    """The arrays inside the line that a function is about to run."""
    found = []
    for one in _read_line(frame.f_code.co_filename, frame.f_lineno):
        try:
            value = one.evaluate(frame)
        except Exception:
            continue  # the line will say so itself
        array = None if isinstance(value, np.generic) else view_as_array(value)
        if array is not None and array.dtype.kind == "f" and (array.flags.writeable or one.name):
            found.append((one, array))
    return found


@cache
def _read_line(path: str, line: int) -> list[Inline]:
    """The expressions of the statement that begins at a line."""
    node = _read_file(path).get(line)
    return [] if node is None else list(_of_statement(node))


@cache
def _read_file(path: str) -> dict[int, ast.stmt]:
    """The statements of a file that give a value, by the line that they begin at."""
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except (SyntaxError, ValueError):
        return {}
    return {
        node.lineno: node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return) and node.value is not None
    }


def _of_statement(node: Any) -> Iterator[Inline]:
    """The arguments that are computed inside a statement that gives one value, and changes none."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    plain = all(isinstance(part, PLAIN) for part in ast.walk(node.value))
    names = [part.arg for part in ast.walk(node.value) if isinstance(part, ast.keyword)]
    if not plain or "out" in names or len(targets) != 1 or isinstance(node.value, ast.Tuple):
        return
    if not isinstance(targets[0], ast.Name | ast.Attribute | ast.Subscript | None):
        return
    target = None if targets[0] is None else _compile(_loaded(targets[0]))
    name = targets[0].id if isinstance(targets[0], ast.Name) else ""
    for part in list(_list_parts(node.value))[:MOST]:
        whole = _compile(_Replaced(part).visit(copy.deepcopy(node.value)))
        last = node.end_lineno or node.lineno
        yield Inline(ast.unparse(part), _compile(part), whole, target, name, last)


def _list_parts(whole: ast.expr) -> Iterator[ast.expr]:
    """What is computed to be handed to a function, then what functions give to be added or so."""
    nodes = list(ast.walk(whole))
    arguments = [one for node in nodes if isinstance(node, ast.Call) for one in node.args]
    yield from (bare for bare in map(_bare, arguments) if isinstance(bare, ast.BinOp | ast.Call))
    operands = [
        one for node in nodes if isinstance(node, ast.BinOp) for one in (node.left, node.right)
    ]
    yield from (one for one in operands if isinstance(one, ast.Call))


def _bare(node: ast.expr) -> ast.expr:
    """An expression without the sign before it."""
    return node.operand if isinstance(node, ast.UnaryOp) else node


def _loaded(target: ast.expr) -> ast.expr:
    """The target of an assignment as an expression that reads it."""
    return ast.parse(ast.unparse(target), mode="eval").body


def _compile(node: ast.expr) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Expression(node)), "<inline>", "eval")


class _Replaced(ast.NodeTransformer):
    """A copy of an expression with a name for one part of it."""

    def __init__(self, part: ast.expr) -> None:
        self.place = (part.lineno, part.col_offset, part.end_lineno, part.end_col_offset)

    def visit(self, node: ast.AST) -> Any:
        """The node, or the name in its place."""
        place = tuple(
            getattr(node, key, None)
            for key in ("lineno", "col_offset", "end_lineno", "end_col_offset")
        )
        if isinstance(node, ast.expr) and place == self.place:
            return ast.Name(PLACEHOLDER, ast.Load())
        return self.generic_visit(node)
