"""The cost of a formula in memory and work, which is bounded before it is evaluated."""

from __future__ import annotations

import ast
import math

from gradcheck_cli.formula.terms import Shape
from gradcheck_cli.text import format_shape, shorten

MAX_ELEMENTS = 2**25  # of all intermediate arrays together: 256 MiB of float64
# Work is counted in multiplications of a matrix product; so many take half a second on one core.
MAX_WORK = 2**30
# Work for each entry: of arithmetic and reductions, which wait for memory, and of functions such as
# exp. Measured with arrays of 10^6 numbers.
ARITHMETIC_COST, FUNCTION_COST = 4, 32
MAX_AXES = 16  # numpy allows 64; nothing here needs more


class Cost:
    """The entries of all arrays, and the work, of a formula so far."""

    def __init__(self) -> None:
        self.elements = 0
        self.work = 0

    def add(self, work: int, elements: int) -> str:
        """Count an operation; returns why the formula takes too much, or empty if it does not."""
        self.elements += elements
        self.work += work
        if self.elements > MAX_ELEMENTS:
            return (
                f"the arrays of the formula have {self.elements:,} entries together; at most "
                f"{MAX_ELEMENTS:,} are allowed"
            )
        if self.work > MAX_WORK:
            return f"the formula takes the work of {self.work:.0e} multiplications; too many"
        return ""


def refuse_shape(shape: Shape, node: ast.expr) -> str:
    """Why an array of this shape is refused, or empty. node: the formula that makes the array."""
    if len(shape) > MAX_AXES:
        return f"an array of {len(shape)} axes; at most {MAX_AXES} are allowed"
    if math.prod(shape) > MAX_ELEMENTS or any(size > MAX_ELEMENTS for size in shape):
        return (
            f"'{shorten(ast.unparse(node))}' makes an array of {format_shape(shape)}; "
            f"at most {MAX_ELEMENTS:,} entries are allowed"
        )
    return ""
