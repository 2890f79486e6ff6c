"""Check every node of a formula: find its shape and its evaluation, or refuse the formula.

This takes neither numpy nor memory for arrays: shapes and costs are computed from names alone.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradcheck_cli.errors import FormulaError
from gradcheck_cli.formula.cost import ARITHMETIC_COST, FUNCTION_COST, Cost, refuse_shape
from gradcheck_cli.formula.habits import advise_function, advise_method, advise_name
from gradcheck_cli.formula.terms import Function, Product, Scalar, Shape, Term
from gradcheck_cli.text import format_shape, shorten

MAX_NUMBER = 2**63  # whole numbers stay machine-sized, so that 9**9**9 is refused at once


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _as_number(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A comparison that gives 1.0 or 0.0, so that arithmetic can follow."""
    return lambda left, right: compare(left, right) * 1.0


class Checker:
    """Turns every node of a formula into a `Term`, or refuses the formula.

    source: the text that is parsed; shift: its position in the text of the user.
    names: arrays by shape, sizes by value. products, cost: those of the nodes so far.
    """

    def __init__(
        self,
        source: str,
        shift: int,
        names: Mapping[str, Shape | float],
        functions: Mapping[str, Function],
    ) -> None:
        self.source = source
        self.shift = shift
        self.names = names
        self.functions = functions
        self.products: list[Product] = []
        self.cost = Cost()

    def refuse(self, node: ast.AST, message: str) -> FormulaError:
        """The error for a node, with its position in the formula."""
        offset, length = 0, 1
        if isinstance(node, ast.expr):
            # ast counts bytes of UTF-8, but messages count characters.
            before = self.source.encode()[: node.col_offset]
            upto = self.source.encode()[: node.end_col_offset]
            offset = len(before.decode(errors="ignore"))
            length = len(upto.decode(errors="ignore")) - offset
        return FormulaError(message, offset + self.shift, length)

    def term(self, node: ast.expr) -> Term:
        """Check a node and everything below it."""
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex()):
                raise self.refuse(node, f"{ast.unparse(node)} is not a real number")
            case ast.Constant(value=int() | float() as value):
                return self._number(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute(value=inner, attr="T"):
                return self.transpose(node, self.term(inner))
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=attribute):
                raise self.refuse(node, f"write {attribute} without numpy's name before it")
            case ast.Attribute(attr=attribute):
                raise self.refuse(node, f"'.{attribute}' is not allowed; the only attribute is .T")
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
                return self._sign(node, sign, self.term(inner))
            case ast.BinOp(left=left, op=ast.MatMult(), right=right):
                return self._matmul(node, self.term(left), self.term(right))
            case ast.BinOp(left=left, op=symbol, right=right) if type(symbol) in _ARITHMETIC:
                return self._arithmetic(
                    node, _ARITHMETIC[type(symbol)], self.term(left), self.term(right)
                )
            case ast.Compare(left=left, ops=[compare], comparators=[right]) if (
                type(compare) in _COMPARISONS
            ):
                pair = self.term(left), self.term(right)
                return self.elementwise(node, _as_number(_COMPARISONS[type(compare)]), pair)
            case ast.Call(func=ast.Name(id=name)):
                return self._call(node, name)
            case ast.Call(func=ast.Attribute(value=inner, attr=method)):
                raise self.refuse(node, advise_method(inner, method, self.functions))
            case ast.BinOp(op=ast.BitXor()):
                raise self.refuse(node, "^ is not allowed; a power is **, a transpose is .T")
        raise self.refuse(
            node,
            f"'{shorten(ast.unparse(node))}' is not allowed in a formula; it knows names, "
            "numbers, + - * / ** @, comparisons, .T and functions",
        )

    def _number(self, node: ast.expr, value: Scalar) -> Term:
        if isinstance(value, float) and not math.isfinite(value):
            raise self.refuse(node, "the number is too large for float64")
        if abs(value) > MAX_NUMBER and isinstance(value, int):
            raise self.refuse(node, "the whole number is too large; at most 2**63 is allowed")
        # Evaluated as a float: numpy's whole numbers overflow and have no negative powers.
        return Term((), lambda _: float(value), value)

    def _name(self, node: ast.expr, name: str) -> Term:
        if name not in self.names:
            raise self.refuse(node, advise_name(name, self.names, self.functions))
        value = self.names[name]
        if isinstance(value, int | float):
            return self._number(node, value)
        return Term(value, operator.itemgetter(name))

    def transpose(self, node: ast.expr, inner: Term) -> Term:
        """The transpose of a matrix; a vector or a number stays as it is."""
        if len(inner.shape) > 2:
            raise self.refuse(
                node, f".T is for matrices; {format_shape(inner.shape)} has {len(inner.shape)} axes"
            )
        evaluate = inner.evaluate
        return Term(
            inner.shape[::-1], lambda env: evaluate(env).T if inner.shape else evaluate(env)
        )

    def _sign(self, node: ast.expr, sign: ast.unaryop, inner: Term) -> Term:
        if isinstance(sign, ast.UAdd):
            return inner
        if inner.known is not None:
            return self._number(node, -inner.known)
        return self.elementwise(node, operator.neg, [inner])

    def _arithmetic(
        self, node: ast.BinOp, function: Callable[[Any, Any], Any], left: Term, right: Term
    ) -> Term:
        if left.known is not None and right.known is not None:
            return self._number(node, self._fold(node, function, left.known, right.known))
        if function is operator.truediv and right.known == 0:
            raise self.refuse(node, f"'{shorten(ast.unparse(node))}' divides by zero")
        cost = FUNCTION_COST if function is operator.pow else ARITHMETIC_COST
        return self.elementwise(node, function, (left, right), cost)

    def _fold(
        self, node: ast.BinOp, function: Callable[[Any, Any], Any], left: Scalar, right: Scalar
    ) -> Scalar:
        """Compute with known numbers, after checking that the result is not too large."""
        shown = shorten(ast.unparse(node))
        if function is operator.pow and abs(left) > 1:
            bits = math.log2(abs(left)) * abs(right)
            limit = 63.0 if isinstance(left, int) and isinstance(right, int) else 1023.0
            if bits > limit and right > 0:
                raise self.refuse(node, f"'{shown}' is too large a number")
        try:
            value = function(left, right)
        except ZeroDivisionError:
            raise self.refuse(node, f"'{shown}' divides by zero") from None
        except OverflowError:
            raise self.refuse(node, f"'{shown}' is too large a number") from None
        if isinstance(value, complex):
            raise self.refuse(node, f"'{shown}' is not a real number")
        return value  # type: ignore[no-any-return]

    def _matmul(self, node: ast.BinOp, left: Term, right: Term) -> Term:
        a, b = left.shape, right.shape
        shown = shorten(ast.unparse(node))
        if not a or not b:
            raise self.refuse(
                node, f"'{shown}': @ needs two arrays; write * to multiply by a number"
            )
        if len(a) > 2 or len(b) > 2:
            raise self.refuse(node, f"'{shown}': @ is for vectors and matrices; use einsum")
        if a[-1] != (b[-2] if len(b) == 2 else b[0]):
            inner = a[-1], b[-2] if len(b) == 2 else b[0]
            raise self.refuse(
                node,
                f"'{shown}': {format_shape(a)} times {format_shape(b)}, "
                f"but {inner[0]} is not {inner[1]}",
            )
        result = a[:-1] + (b[-1:] if len(b) == 2 else ())
        self.bound(node, result, work=math.prod(result) * a[-1])
        self.products.append(Product(ast.unparse(node), a, b, result))
        evaluate_left, evaluate_right = left.evaluate, right.evaluate
        return Term(result, lambda env: evaluate_left(env) @ evaluate_right(env))

    def elementwise(
        self,
        node: ast.expr,
        function: Callable[..., Any],
        terms: Sequence[Term],
        cost: int = ARITHMETIC_COST,
    ) -> Term:
        """An elementwise operation with numpy's broadcasting. cost: of each entry."""
        shape = self._broadcast(node, [term.shape for term in terms])
        self.spend(node, math.prod(shape) * cost)
        if len(terms) == 1:
            (only,) = (term.evaluate for term in terms)
            return Term(shape, lambda env: function(only(env)))
        if len(terms) == 2:
            first, second = (term.evaluate for term in terms)
            return Term(shape, lambda env: function(first(env), second(env)))
        parts = [term.evaluate for term in terms]
        return Term(shape, lambda env: function(*[part(env) for part in parts]))

    def _broadcast(self, node: ast.expr, shapes: Sequence[Shape]) -> Shape:
        result: list[int] = []
        for axis in range(1, max((len(shape) for shape in shapes), default=0) + 1):
            sizes = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
            if len(sizes) > 1:
                met = " with ".join(format_shape(shape) for shape in shapes if shape)
                product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
                hint = "; * is entry by entry, the matrix product is @" if product else ""
                message = f"'{shorten(ast.unparse(node))}': {met} does not fit{hint}"
                raise self.refuse(node, message)
            result.append(sizes.pop() if sizes else 1)
        return self.bound(node, tuple(reversed(result)))

    def bound(self, node: ast.expr, shape: Shape, work: int = 0) -> Shape:
        """Count a result of this shape and its work; refuses what is too large."""
        reason = refuse_shape(shape, node)
        if reason:
            raise self.refuse(node, reason)
        self.spend(node, work, math.prod(shape))
        return shape

    def spend(self, node: ast.expr, work: int, elements: int = 0) -> None:
        """Count work and entries of arrays; refuses what is too much together."""
        reason = self.cost.add(work, elements)
        if reason:
            raise self.refuse(node, reason)

    def _call(self, node: ast.Call, name: str) -> Term:
        if name not in self.functions:
            raise self.refuse(node, advise_function(name, self.names, self.functions))
        function = self.functions[name]
        if not function.least <= len(node.args) <= function.most or any(
            isinstance(argument, ast.Starred) for argument in node.args
        ):
            raise self.refuse(node, f"wrong number of arguments; write {function.usage}")
        named = [keyword.arg for keyword in node.keywords]
        if len(set(named)) != len(named) or (len(node.args) > 1 and "axis" in named):
            raise self.refuse(node, f"an argument is given twice; write {function.usage}")
        for keyword in node.keywords:
            if keyword.arg not in function.keywords:
                unknown = f"'{keyword.arg}'" if keyword.arg else "'**'"
                raise self.refuse(keyword.value, f"{name} has no {unknown}; write {function.usage}")
        return function.check(self, node, name)

    def whole(self, node: ast.expr, what: str) -> int:
        """A whole number that is known before evaluation, such as a size or an axis."""
        term = self.term(node)
        if isinstance(term.known, float) and term.known.is_integer():
            return int(term.known)
        if not isinstance(term.known, int):
            raise self.refuse(node, f"{what} must be a whole number, such as 2 or n")
        return term.known

    def axes(self, node: ast.expr, rank: int) -> tuple[int, ...]:
        """An axis or a tuple of axes, counted from the front."""
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        axes: list[int] = []
        for item in nodes:
            axis = self.whole(item, "an axis")
            if not -rank <= axis < rank:
                raise self.refuse(
                    item, f"axis {axis} does not exist: the array's number of axes is {rank}"
                )
            axes.append(axis % rank)
        if len(set(axes)) != len(axes):
            raise self.refuse(node, "the same axis is named twice")
        return tuple(axes)
