"""Central stencils as data: offsets and weights, by order.

f'(x) ≈ Σ_k weight_k · (f(x + k h) − f(x − k h)) / (2 k h) over the offsets k = 1 … order/2: a
weighted mean of plain central quotients, so that each can be divided by the step really taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod

from msgspec import Struct


class Stencil(Struct, frozen=True):
    """A central stencil: its truncation error is O(h^order); weights belong to the offsets."""

    order: int
    offsets: tuple[int, ...]
    weights: tuple[Fraction, ...]


def central(order: int) -> Stencil:
    """The central stencil of an even order.

    The weights solve the moment equations Σ w_k = 1 and Σ w_k k^(2m) = 0 for m = 1 … order/2 − 1.
    That is extrapolation to h² = 0 from the points k², so they follow from Lagrange's formula.
    """
    offsets = tuple(range(1, order // 2 + 1))
    weights = tuple(
        prod((Fraction(j * j, j * j - k * k) for j in offsets if j != k), start=Fraction(1))
        for k in offsets
    )
    return Stencil(order, offsets, weights)


def table(orders: Iterable[int]) -> dict[int, Stencil]:
    """The stencils of these orders, by order."""
    return {order: central(order) for order in orders}


STENCILS = table((2, 4, 6))
