"""The parts of a checked formula: shapes, products, terms and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

Shape = tuple[int, ...]
Scalar = int | float
Evaluate = Callable[[Mapping[str, Any]], Any]


class Product(Struct, frozen=True):
    """A matrix product in a formula: its text, and the shapes of its operands and its result."""

    text: str
    left: Shape
    right: Shape
    result: Shape


class Term(Struct, frozen=True):
    """A checked node: its shape, its evaluation, and its value if that is known before."""

    shape: Shape
    evaluate: Evaluate
    known: Scalar | None = None


class Function(Struct, frozen=True):
    """A function that formulas may call.

    usage: how it is written. least, most: its number of positional arguments. check: (the checker
    of the formula, the node of the call, the function's name) → its term.
    """

    usage: str
    least: int
    most: int
    check: Callable[..., Term]
    keywords: tuple[str, ...] = ()
