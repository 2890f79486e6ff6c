"""What a checked formula is made of: shapes, products, terms and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

Shape = tuple[int, ...]
Scalar = int | float
Evaluate = Callable[[Mapping[str, Any]], Any]


class Product(Struct, frozen=True):
    """One matrix product of a formula and the shapes that met in it."""

    text: str
    left: Shape
    right: Shape
    result: Shape


class Term(Struct, frozen=True):
    """A checked node: its shape, its value where that is known beforehand, its evaluation."""

    shape: Shape
    evaluate: Evaluate
    known: Scalar | None = None


class Function(Struct, frozen=True):
    """A function of the formula language: its arguments and how a call of it is checked.

    check: takes the checker of the formula, the call and the name.
    """

    usage: str
    least: int
    most: int
    check: Callable[..., Term]
    keywords: tuple[str, ...] = ()
