"""The functions that a formula may call, as a table: how each is written, checked and evaluated."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

from gradcheck_cli.formula.checker import Checker
from gradcheck_cli.formula.cost import ARITHMETIC_COST, FUNCTION_COST, MAX_AXES
from gradcheck_cli.formula.terms import Function, Term
from gradcheck_cli.text import format_shape


def _numpy(name: str) -> Callable[..., Any]:
    """The numpy function of this name; numpy is imported at its first call, since that is slow."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        import numpy as np

        return getattr(np, name)(*arguments, **keywords)

    return call


def _sigmoid(z: Any) -> Any:
    """1 / (1 + exp(−z)), without overflow on either side."""
    import numpy as np

    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def _softmax(z: Any, axis: int) -> Any:
    """exp(z) / Σ exp(z) along an axis, shifted by the maximum."""
    import numpy as np

    weights = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return weights / np.sum(weights, axis=axis, keepdims=True)


def _logsumexp(z: Any, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
    """log Σ exp(z), shifted by the maximum."""
    import numpy as np

    peak = np.max(z, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(z - peak), axis=axis, keepdims=True)) + peak
    return total if keepdims else np.squeeze(total, axis=axis)


def _elementwise(function: Callable[..., Any]) -> Callable[[Checker, ast.Call, str], Term]:
    def check(checker: Checker, node: ast.Call, name: str) -> Term:
        terms = [checker.term(item) for item in node.args]
        return checker.elementwise(node, function, terms, FUNCTION_COST)

    return check


def _argument(node: ast.Call, position: int, keyword: str) -> ast.expr | None:
    """An argument given by position or by keyword."""
    for item in node.keywords:
        if item.arg == keyword:
            return item.value
    return node.args[position] if len(node.args) > position else None


def _along(rank: int, axes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Axes counted from the back, so that they stay right with further leading axes."""
    return None if axes is None else tuple(axis - rank for axis in axes)


def _reduction(
    function: Callable[[Any, tuple[int, ...] | None, bool], Any],
    cost: int = ARITHMETIC_COST,
    copies: int = 0,
) -> Callable[[Checker, ast.Call, str], Term]:
    """The check of a function that reduces axes.

    cost: the work for each entry. copies: how many arrays of the same shape it makes inside.
    """

    def check(checker: Checker, node: ast.Call, name: str) -> Term:
        inner = checker.term(node.args[0])
        checker.spend(node, cost * math.prod(inner.shape), copies * math.prod(inner.shape))
        rank = len(inner.shape)
        where = _argument(node, 1, "axis")
        axes = None if where is None else checker.axes(where, rank)
        keep = _argument(node, 2, "keepdims")
        keepdims = keep is not None and _flag(checker, keep)
        gone = range(rank) if axes is None else axes
        shape = tuple(
            1 if axis in gone else size
            for axis, size in enumerate(inner.shape)
            if keepdims or axis not in gone
        )
        checker.bound(node, shape)
        evaluate, along = inner.evaluate, _along(rank, axes)
        return Term(shape, lambda env: function(evaluate(env), along, keepdims))

    return check


def _flag(checker: Checker, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant) and node.value in (True, False, 0, 1):
        return bool(node.value)
    raise checker.refuse(node, "keepdims must be True or False")


def _reduced_by(name: str) -> Callable[[Checker, ast.Call, str], Term]:
    reduce = _numpy(name)
    return _reduction(lambda array, axis, keepdims: reduce(array, axis=axis, keepdims=keepdims))


def _check_softmax(checker: Checker, node: ast.Call, name: str) -> Term:
    inner = checker.term(node.args[0])
    rank = len(inner.shape)
    where = _argument(node, 1, "axis")
    axes = (rank - 1,) if where is None else checker.axes(where, rank)
    if rank == 0 or len(axes) != 1:
        raise checker.refuse(node, "softmax needs an array and one axis")
    size = math.prod(inner.shape)
    checker.spend(node, SHIFTED_COST * size, SHIFTED_COPIES * size)
    evaluate, axis = inner.evaluate, axes[0] - rank
    return Term(inner.shape, lambda env: _softmax(evaluate(env), axis))


def _check_filled(checker: Checker, node: ast.Call, name: str) -> Term:
    """Check a call of ones or zeros, whose sizes are arguments or one tuple."""
    items = node.args
    if len(items) == 1 and isinstance(items[0], ast.Tuple):
        items = items[0].elts
    shape = tuple(_size(checker, item) for item in items)
    checker.bound(node, shape, work=math.prod(shape))
    fill = _numpy(name)
    return Term(shape, lambda _: fill(shape))


def _size(checker: Checker, node: ast.expr) -> int:
    size = checker.whole(node, "a size")
    if size < 1:
        raise checker.refuse(node, f"a size must be 1 or more, not {size}")
    return size


def _check_like(checker: Checker, node: ast.Call, name: str) -> Term:
    inner = checker.term(node.args[0])
    return checker.elementwise(node, _numpy(name), [inner])


def _check_eye(checker: Checker, node: ast.Call, name: str) -> Term:
    rows = _size(checker, node.args[0])
    columns = _size(checker, node.args[1]) if len(node.args) == 2 else rows
    checker.bound(node, (rows, columns), work=rows * columns)
    eye = _numpy("eye")
    return Term((rows, columns), lambda _: eye(rows, columns))


def _check_outer(checker: Checker, node: ast.Call, name: str) -> Term:
    left, right = (checker.term(item) for item in node.args)
    size = math.prod(left.shape), math.prod(right.shape)
    shape = checker.bound(node, size, work=ARITHMETIC_COST * math.prod(size))
    outer, a, b = _numpy("outer"), left.evaluate, right.evaluate
    return Term(shape, lambda env: outer(a(env), b(env)))


def _check_transpose(checker: Checker, node: ast.Call, name: str) -> Term:
    return checker.transpose(node, checker.term(node.args[0]))


def _check_diag(checker: Checker, node: ast.Call, name: str) -> Term:
    inner = checker.term(node.args[0])
    if len(inner.shape) not in (1, 2):
        raise checker.refuse(
            node, f"diag needs a vector or a matrix, not {format_shape(inner.shape)}"
        )
    size = min(inner.shape)
    shape = checker.bound(node, (size, size) if len(inner.shape) == 1 else (size,))
    diag, evaluate = _numpy("diag"), inner.evaluate
    return Term(shape, lambda env: diag(evaluate(env)))


def _check_reshape(checker: Checker, node: ast.Call, name: str) -> Term:
    inner = checker.term(node.args[0])
    items = node.args[1:]
    if len(items) == 1 and isinstance(items[0], ast.Tuple):
        items = items[0].elts
    shape = checker.bound(node, tuple(_size(checker, item) for item in items))
    if math.prod(shape) != math.prod(inner.shape):
        raise checker.refuse(
            node, f"{format_shape(inner.shape)} cannot be reshaped to {format_shape(shape)}"
        )
    reshape, evaluate = _numpy("reshape"), inner.evaluate
    return Term(shape, lambda env: reshape(evaluate(env), shape))


def _check_einsum(checker: Checker, node: ast.Call, name: str) -> Term:
    first = node.args[0]
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        raise checker.refuse(first, "einsum needs its subscripts in quotes, such as 'ij,jk->ik'")
    subscripts = first.value.replace(" ", "")
    terms = [checker.term(item) for item in node.args[1:]]
    left, arrow, right = subscripts.partition("->")
    operands = left.split(",")
    letters = left.replace(",", "")
    if not all(letter.isascii() and letter.isalpha() for letter in letters + right):
        raise checker.refuse(first, "einsum's subscripts are letters, ',' and '->'")
    if not arrow:
        right = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    if len(operands) != len(terms):
        raise checker.refuse(
            first, f"'{subscripts}' is for {len(operands)} arrays; {len(terms)} were given"
        )
    sizes = _einsum_sizes(checker, node, operands, terms)
    if len(set(right)) != len(right) or not set(right) <= set(sizes):
        raise checker.refuse(first, f"'{right}' must name each of its letters once, from the left")
    shape = checker.bound(
        node, tuple(sizes[letter] for letter in right), work=EINSUM_COST * math.prod(sizes.values())
    )
    einsum, parts = _numpy("einsum"), [term.evaluate for term in terms]
    whole = f"{left}->{right}"
    return Term(shape, lambda env: einsum(whole, *[part(env) for part in parts]))


def _einsum_sizes(
    checker: Checker, node: ast.Call, operands: Sequence[str], terms: Sequence[Term]
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for operand, term, item in zip(operands, terms, node.args[1:], strict=True):
        if len(operand) != len(term.shape):
            raise checker.refuse(item, f"'{operand}' does not fit {format_shape(term.shape)}")
        for letter, size in zip(operand, term.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise checker.refuse(
                    item, f"'{letter}' is {sizes[letter]} in one array and {size} in another"
                )
    return sizes


# Work and inner arrays of an exponential that is shifted by a maximum, and summed.
SHIFTED_COST, SHIFTED_COPIES = FUNCTION_COST + 4 * ARITHMETIC_COST, 3
# How many times slower a general einsum is than a matrix product, about.
EINSUM_COST = 8

_UNARY = [
    *("exp", "log", "log1p", "expm1", "sqrt", "square", "abs", "sign"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "arctan", "reciprocal"),
]
_BINARY = ["maximum", "minimum", "logaddexp"]

FUNCTIONS: dict[str, Function] = {
    **{name: Function(f"{name}(x)", 1, 1, _elementwise(_numpy(name))) for name in _UNARY},
    "sigmoid": Function("sigmoid(x)", 1, 1, _elementwise(_sigmoid)),
    **{name: Function(f"{name}(a, b)", 2, 2, _elementwise(_numpy(name))) for name in _BINARY},
    "where": Function("where(condition, a, b)", 3, 3, _elementwise(_numpy("where"))),
    "clip": Function("clip(x, low, high)", 3, 3, _elementwise(_numpy("clip"))),
    **{
        name: Function(
            f"{name}(x), {name}(x, axis) or {name}(x, axis, keepdims=True)",
            1,
            2,
            _reduced_by(name),
            ("axis", "keepdims"),
        )
        for name in ("sum", "mean", "max", "min")
    },
    "logsumexp": Function(
        "logsumexp(x, axis, keepdims=True)",
        1,
        2,
        _reduction(_logsumexp, SHIFTED_COST, SHIFTED_COPIES),
        ("axis", "keepdims"),
    ),
    "softmax": Function("softmax(x, axis)", 1, 2, _check_softmax, ("axis",)),
    "outer": Function("outer(a, b)", 2, 2, _check_outer),
    "einsum": Function("einsum('ij,jk->ik', a, b)", 2, 9, _check_einsum),
    "ones": Function("ones(rows, columns)", 1, MAX_AXES, _check_filled),
    "zeros": Function("zeros(rows, columns)", 1, MAX_AXES, _check_filled),
    "ones_like": Function("ones_like(x)", 1, 1, _check_like),
    "zeros_like": Function("zeros_like(x)", 1, 1, _check_like),
    "eye": Function("eye(n) or eye(rows, columns)", 1, 2, _check_eye),
    "diag": Function("diag(x)", 1, 1, _check_diag),
    "transpose": Function("transpose(x)", 1, 1, _check_transpose),
    "reshape": Function("reshape(x, rows, columns)", 2, 1 + MAX_AXES, _check_reshape),
}
