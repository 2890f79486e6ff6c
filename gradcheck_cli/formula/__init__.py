"""Parse a formula such as "X.T @ delta / n" into a function, safely.

Every node is checked against a short list of allowed ones, and all shapes are computed before
anything is evaluated. There is no `eval`: a formula becomes a tree of plain functions.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from gradcheck_cli.errors import FormulaError, ForwardError
from gradcheck_cli.formula.checker import Checker
from gradcheck_cli.formula.functions import FUNCTIONS
from gradcheck_cli.formula.terms import Evaluate, Product, Shape

__all__ = ["FUNCTIONS", "Formula", "Product", "Shape", "parse"]

MAX_LENGTH = 4_000  # characters; a longer rule belongs in a Python file
MAX_KNOWN = 256  # parsed formulas that are kept, since many checks of a suite have the same ones
MAX_DEPTH = 100  # nested operations, far below Python's recursion limit
_LEAVES = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop)  # nodes with nothing below them
NESTED = f"the formula is nested too deeply, at most {MAX_DEPTH} operations; simplify it"


class Formula(Struct, frozen=True):
    """A checked formula: its text, the shape of its result, its products, and its evaluation.

    work: about the time of one evaluation, in multiplications of a matrix product.
    elements: how many numbers all arrays of an evaluation have together.

    It is called with arrays by name, which have the shapes it was checked with, or further leading
    axes where its operations allow them. It returns a numpy array or scalar.
    """

    text: str
    shape: Shape
    products: tuple[Product, ...]
    evaluate: Evaluate
    work: int
    elements: int

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Evaluate the formula without floating-point warnings, since the verdict covers those.

        Raises ForwardError where numpy refuses an operation that passed the checks.
        """
        import numpy as np

        try:
            with np.errstate(all="ignore"):
                return self.evaluate(values)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ForwardError(f"'{self.text}' cannot be evaluated: {error}") from error


def parse(text: str, names: Mapping[str, Shape | float]) -> Formula:
    """Parse and check a formula.

    names: what it may name: arrays by their shape, sizes by their value.
    Raises FormulaError for anything but arithmetic and FUNCTIONS of these names, for shapes that do
    not fit, and for results or work above the bounds of `cost`.
    """
    return _parse_once(text, tuple(names.items()))


@lru_cache(MAX_KNOWN)
def _parse_once(text: str, names: tuple[tuple[str, Shape | float], ...]) -> Formula:
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"the formula has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed"
        )
    if "ᵀ" in text:
        message = "write .T for ᵀ and @ for a product, as in X.T @ delta"
        raise FormulaError(message, text.index("ᵀ"))
    if "#" in text:
        raise FormulaError("a formula has no comments; '#' is not allowed", text.index("#"))
    # Line breaks become spaces, since Python would end the expression at one.
    source = text.strip().translate(dict.fromkeys(map(ord, "\r\n\x0b\x0c\x85\u2028\u2029"), " "))
    shift = len(text) - len(text.lstrip())
    if not source:
        raise FormulaError("the formula is empty; write one, such as 'X.T @ delta'")
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise FormulaError(_syntax_sentence(error), shift + _place(error, source)) from error
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise FormulaError(NESTED) from error
    _check_depth(tree)
    checker = Checker(source, shift, dict(names), FUNCTIONS)
    term = checker.term(tree)
    products = tuple(checker.products)
    work, elements = checker.cost.work, checker.cost.elements
    return Formula(text, term.shape, products, term.evaluate, work, elements)


def _syntax_sentence(error: SyntaxError) -> str:
    if "too many nested" in str(error.msg):
        return NESTED
    if "unterminated string" in str(error.msg):
        return "a quote opens and does not close; a transpose is written .T"
    return f"this is not a formula ({error.msg}); write arithmetic, such as 'X.T @ delta / n'"


def _place(error: SyntaxError, source: str) -> int:
    """The position in the formula where Python's parser stopped."""
    return max(0, min((error.offset or 1) - 1, len(source) - 1))


def _check_depth(tree: ast.AST) -> None:
    """Refuse trees that are too deep, going level by level without recursion."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, _LEAVES)
        ]
        if not level:
            return
    raise FormulaError(NESTED)
