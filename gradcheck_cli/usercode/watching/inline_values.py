"""Values inside a line that no variable holds: `x @ W + b` in `h = relu(x @ W + b)`.

The user's line stays as it is. Before it runs, the inner expression is evaluated separately; to
move its value, the whole right-hand side is evaluated with another value in its place.
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

MOST_EXPRESSIONS = 6  # of one line that are looked at
PLACEHOLDER = "_gradcheck_inline"  # the name that stands for the expression's value in the line
# The parts that an expression may have: none of them binds a name, awaits or makes a function.
PLAIN = (
    ast.Name, ast.Attribute, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Slice,
    ast.Tuple, ast.List, ast.Call, ast.keyword, ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
    ast.expr_context,
)  # fmt: skip


class Inline(Struct, frozen=True):
    """An expression inside a statement that assigns or returns one value.

    text: its source. inner: its code. whole: the code of what the statement assigns or returns,
    with PLACEHOLDER in place of the expression.
    target: the code that reads what was assigned; None for a `return`. name: of the variable that
    is assigned to, or empty. last: the last line of the statement.
    """

    text: str
    inner: CodeType
    whole: CodeType
    target: CodeType | None
    name: str
    last: int

    def evaluate(self, frame: FrameType) -> Any:
        """Evaluate the expression in a function that is about to run the line."""
        return eval(self.inner, frame.f_globals, dict(frame.f_locals))

    def replace(self, frame: FrameType, value: Any) -> Any:
        """Evaluate what the line would assign or return with this value for the expression."""
        return eval(self.whole, frame.f_globals, {**frame.f_locals, PLACEHOLDER: value})

    def result(self, frame: FrameType, returned: Any) -> Any:
        """What the line assigned or returned, in a function that has run it."""
        if self.target is None:
            return returned
        return eval(self.target, frame.f_globals, dict(frame.f_locals))


def find_inline(frame: FrameType) -> list[tuple[Inline, NDArray[Any]]]:
    """The expressions inside the line that a function is about to run, with their arrays."""
    found = []
    for one in _read_line(frame.f_code.co_filename, frame.f_lineno):
        try:
            value = one.evaluate(frame)
        except Exception:
            continue  # the line itself will raise the same
        array = None if isinstance(value, np.generic) else view_as_array(value)
        if array is not None and array.dtype.kind == "f" and (array.flags.writeable or one.name):
            found.append((one, array))
    return found


@cache
def _read_line(path: str, line: int) -> list[Inline]:
    """The inner expressions of the statement that begins at a line."""
    node = _read_file(path).get(line)
    return [] if node is None else list(_find_expressions(node))


@cache
def _read_file(path: str) -> dict[int, ast.stmt]:
    """The assignments and returns of a file, by the line that they begin at."""
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except (SyntaxError, ValueError):
        return {}
    return {
        node.lineno: node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return) and node.value is not None
    }


def _find_expressions(node: Any) -> Iterator[Inline]:
    """The inner expressions of a statement; none unless it has one target and changes no array."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    plain = all(isinstance(part, PLAIN) for part in ast.walk(node.value))
    names = [part.arg for part in ast.walk(node.value) if isinstance(part, ast.keyword)]
    if not plain or "out" in names or len(targets) != 1 or isinstance(node.value, ast.Tuple):
        return
    if not isinstance(targets[0], ast.Name | ast.Attribute | ast.Subscript | None):
        return
    target = None if targets[0] is None else _compile(_as_reader(targets[0]))
    name = targets[0].id if isinstance(targets[0], ast.Name) else ""
    for part in list(_list_parts(node.value))[:MOST_EXPRESSIONS]:
        whole = _compile(_Replacer(part).visit(copy.deepcopy(node.value)))
        last = node.end_lineno or node.lineno
        yield Inline(ast.unparse(part), _compile(part), whole, target, name, last)


def _list_parts(whole: ast.expr) -> Iterator[ast.expr]:
    """Computed arguments of functions, then results of functions that are operands: f(x) + b."""
    nodes = list(ast.walk(whole))
    arguments = [one for node in nodes if isinstance(node, ast.Call) for one in node.args]
    yield from (
        bare for bare in map(_strip_sign, arguments) if isinstance(bare, ast.BinOp | ast.Call)
    )
    operands = [
        one for node in nodes if isinstance(node, ast.BinOp) for one in (node.left, node.right)
    ]
    yield from (one for one in operands if isinstance(one, ast.Call))


def _strip_sign(node: ast.expr) -> ast.expr:
    """An expression without a sign before it."""
    return node.operand if isinstance(node, ast.UnaryOp) else node


def _as_reader(target: ast.expr) -> ast.expr:
    """The target of an assignment as an expression that reads it."""
    return ast.parse(ast.unparse(target), mode="eval").body


def _compile(node: ast.expr) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Expression(node)), "<inline>", "eval")


class _Replacer(ast.NodeTransformer):
    """Puts PLACEHOLDER in the place of one part of an expression."""

    def __init__(self, part: ast.expr) -> None:
        self.place = (part.lineno, part.col_offset, part.end_lineno, part.end_col_offset)

    def visit(self, node: ast.AST) -> Any:
        """The node, or PLACEHOLDER if it is the part."""
        place = tuple(
            getattr(node, key, None)
            for key in ("lineno", "col_offset", "end_lineno", "end_col_offset")
        )
        if isinstance(node, ast.expr) and place == self.place:
            return ast.Name(PLACEHOLDER, ast.Load())
        return self.generic_visit(node)
