"""Mistakes that people make in a backward pass, as edits of its text."""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.zoo import rules
from tests.benchmarks.zoo.rules import Rule


@dataclass(frozen=True)
class Edit:
    """A rule with a mistake: its class, the text before and after, and the function."""

    kind: str
    before: str
    after: str
    rule: Rule


def edit(rule: Rule) -> Iterator[Edit]:
    """Every single edit of a rule."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(rule)))
    for place, node in enumerate(ast.walk(tree)):
        for kind, other in _mistake(node):
            changed = copy.deepcopy(tree)
            target = next(one for at, one in enumerate(ast.walk(changed)) if at == place)
            _Replacer(target, other).visit(changed)
            module = ast.fix_missing_locations(changed)
            names = dict(vars(rules))
            exec(compile(module, f"<{rule.__name__}>", "exec"), names)
            yield Edit(kind, ast.unparse(node), ast.unparse(other), names[rule.__name__])


class _Replacer(ast.NodeTransformer):
    def __init__(self, target: ast.AST, other: ast.AST) -> None:
        self.target, self.other = target, other

    def visit(self, node: ast.AST) -> ast.AST:
        return self.other if node is self.target else self.generic_visit(node)


def _mistake(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What people write in the place of a part of a rule, by class."""
    for kinds, mistakes in MISTAKES.items():
        if isinstance(node, kinds):
            for kind, other in mistakes(node):
                yield kind, copy.deepcopy(other)


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    left, right = node.left, node.right
    if isinstance(node.op, ast.Mult):
        for one, lost in ((left, right), (right, left)):
            yield ("missing mask" if _is_mask(lost) else "missing factor"), one
    elif isinstance(node.op, ast.Div):
        yield "missing factor", left
        yield "inverted factor", ast.BinOp(left, ast.Mult(), right)
    elif isinstance(node.op, ast.Add):
        yield "missing term", left
        yield "missing term", right
        yield "sign of a term", ast.BinOp(left, ast.Sub(), right)
        yield "double count", ast.BinOp(node, ast.Add(), right)
    elif isinstance(node.op, ast.Sub):
        yield "missing term", left
        yield "sign of a term", ast.BinOp(left, ast.Add(), right)
        yield "sign", ast.BinOp(right, ast.Sub(), left)
    elif isinstance(node.op, ast.MatMult):
        yield "factors swapped", ast.BinOp(right, ast.MatMult(), left)
    elif isinstance(node.op, ast.Pow):
        yield "missing power", left


def _is_mask(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) or (isinstance(node, ast.Name) and node.id == "mask")


def _of_sign(node: ast.UnaryOp) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield "sign", node.operand


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    (op,) = node.ops
    yield (
        "mask reversed",
        ast.Compare(
            node.left, [ast.Lt() if isinstance(op, ast.Gt) else ast.Gt()], node.comparators
        ),
    )


def _of_attribute(node: ast.Attribute) -> Iterator[tuple[str, ast.AST]]:
    if node.attr == "T":
        yield "transpose missing", node.value


def _of_call(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    yield from _of_loop(node)
    called = node.func
    if not isinstance(called, ast.Attribute):
        return
    if called.attr in ("sum", "mean"):
        other = "mean" if called.attr == "sum" else "sum"
        yield (
            "sum for mean" if called.attr == "mean" else "mean for sum",
            ast.Call(ast.Attribute(called.value, other, ast.Load()), node.args, node.keywords),
        )
        yield "not summed", called.value
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, int):
                other_axis = ast.Constant(1 - argument.value)
                yield "wrong axis", ast.Call(called, [other_axis], node.keywords)
    if called.attr in ("tanh", "exp", "argmax"):
        other = {"tanh": "sin", "exp": "expm1", "argmax": "argmin"}[called.attr]
        yield (
            "wrong function",
            ast.Call(ast.Attribute(called.value, other, ast.Load()), node.args, node.keywords),
        )


def _of_number(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        yield "off by one", ast.Constant(node.value + 1)
        if node.value > 0:
            yield "off by one", ast.Constant(node.value - 1)
    elif isinstance(node.value, float):
        yield "wrong constant", ast.Constant(2 * node.value)


def _of_name(node: ast.Name) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.ctx, ast.Load):
        for one, other in (("z", "y"), ("y", "z"), ("z", "h"), ("h", "z"), ("dz", "d"), ("b", "a"),
                           ("w", "v"), ("dxhat", "d"), ("xhat", "x"), ("dy", "d"), ("y", "x"),
                           ("ds", "dp"), ("p", "s"), ("dv", "dw")):  # fmt: skip
            if node.id == one:
                yield "wrong variable", ast.Name(other, ast.Load())


def _of_added(node: ast.AugAssign) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.op, ast.Add):
        target = copy.deepcopy(node.target)
        yield "overwritten", ast.Assign([target], node.value, lineno=0)
        yield "sign", ast.AugAssign(target, ast.Sub(), node.value)


def _of_loop(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.func, ast.Name) and node.func.id == "range":
        (last,) = node.args
        yield "off by one", ast.Call(node.func, [ast.BinOp(last, ast.Sub(), ast.Constant(1))], [])
        yield "off by one", ast.Call(node.func, [ast.Constant(1), last], [])


def _of_result(node: ast.Return) -> Iterator[tuple[str, ast.AST]]:
    assert isinstance(node.value, ast.Tuple)
    for place, one in enumerate(node.value.elts):
        for kind, text in RESULTS:
            (other,) = ast.parse(text.format(f"({ast.unparse(one)})")).body
            assert isinstance(other, ast.Expr)
            parts = [*node.value.elts]
            parts[place] = other.value
            yield kind, ast.Return(ast.Tuple(parts, ast.Load()))


RESULTS = (
    ("sign", "-{}"),
    ("factor", "{} * 2"),
    ("factor", "{} / len(d)"),
    ("zeros", "{} * 0"),
    ("regulariser", "{} + 0.01 * w"),
)
MISTAKES: dict[type, Callable[..., Iterator[tuple[str, ast.AST]]]] = {
    ast.BinOp: _of_operation,
    ast.UnaryOp: _of_sign,
    ast.Compare: _of_comparison,
    ast.Attribute: _of_attribute,
    ast.Call: _of_call,
    ast.Constant: _of_number,
    ast.Name: _of_name,
    ast.AugAssign: _of_added,
    ast.Return: _of_result,
}
