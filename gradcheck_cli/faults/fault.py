"""A fault: a way to get a right gradient wrong, which can be put into one and found in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.faults.measured_gradient import Right, Values
from gradcheck_cli.measure.compare import Comparison
from gradcheck_cli.result import Code


class Injected(Struct, frozen=True):
    """A right gradient with a fault in it.

    values: what it is then; told: the fault in words, with its parameters.
    claimed: what the backward would return, where it is not of the gradient's shape.
    same: what the fault leaves as it is in this check, if it does.
    fitted: parameters that can take any value; choices: how many other ones could have been tried.
    by: the factor, of a fault that is one.
    cause, next_step: instead of the fault's own, where its parameters tell more.
    """

    values: Values
    told: str
    claimed: Any = None
    same: str = ""
    fitted: int = 0
    choices: float = 1.0
    by: Factor | None = None
    cause: str = ""
    next_step: str = ""


class Fault(Struct, frozen=True):
    """A row of the catalogue.

    code, title: what reports call it. cause: the usual way it happens; next_step: what to look at.
    example: of it, in a formula or in Python. remedy: what makes a check see it that does not.
    typical: the faults of this kind that are put into a right gradient.
    suspected: those that may be in a wrong gradient; None: the typical ones.
    costly: whether gradients are measured at other inputs for it; alone: whether it is told
        without a factor besides, which would explain too much.
    described: what is told of a wrong gradient of which no fault gives every entry.
    """

    code: Code
    title: str
    cause: str
    next_step: str
    example: str
    remedy: str = ""
    typical: Callable[[Right], Iterable[Injected]] | None = None
    suspected: Callable[[Right, Comparison], Iterable[Injected]] | None = None
    described: Callable[[Right, Comparison], str] | None = None
    costly: bool = False
    alone: bool = False

    def suspects(self, right: Right, found: Comparison) -> Iterable[Injected]:
        """The faults of this kind that may be in a wrong gradient."""
        if self.suspected is not None:
            return self.suspected(right, found)
        return self.typical(right) if self.typical is not None else ()
