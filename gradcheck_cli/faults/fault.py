"""A fault: a way to get a right gradient wrong, which can be put into one and found in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from gradcheck_cli.faults.factors import Factor
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import Stage
from gradcheck_cli.result import Code


class Injected(Struct, frozen=True):
    """A gradient with a fault in it, and how the fault is described.

    values: the faulty gradient; observation: the fault in words, with its parameters.
    same: why the fault changes nothing in this check, if it does not; empty if it does.
    parameters: how many of its parameters were fitted to the analytic gradient.
    choices: how many other faults of its kind could have been tried.
    grain: how far apart the values are that an entry can have, as of rounded ones: an agreement is
    no better evidence than that is small beside the entry.
    discrete: whether the gradient takes few values where its parameters are near these, so that an
    agreement may be chance.
    by: the factor, of a fault that is nothing but a factor; named: the factors that the observation
    has the text of.
    upstream: the stage and the upstream gradient there that it is the gradient for: other gradients
    of the same backward may be for it, too.
    part: what is left out or weighted, which is the same at other inputs, but where another mask
    does it.
    cause, next_step: instead of the fault's own, where the parameters say more.
    """

    values: Values
    observation: str
    same: str = ""
    parameters: int = 0
    choices: float = 1.0
    grain: float = 0.0
    discrete: bool = False
    by: Factor | None = None
    named: tuple[Factor, ...] = ()
    upstream: tuple[Stage, Float] | None = None
    part: str = ""
    cause: str = ""
    next_step: str = ""


class Fault(Struct, frozen=True):
    """A row of the catalogue.

    code, title: what reports call it. cause: how it usually happens; next_step: what to look at.
    example: of it, in a formula or in Python. remedy: what a blind check needs to see it.
    inject: the faults of this kind that are put into a right gradient.
    suspect: those that may be in a wrong gradient; None: the same.
    describe: what is said of a wrong gradient where no fault gives every entry.
    costly: whether gradients are measured at other inputs for it.
    inside: whether it may be at a stage inside the forward; one of the result alone is not looked
    for there again.
    alone: whether it is never combined with a factor, with which it would explain too much.
    """

    code: Code
    title: str
    cause: str
    next_step: str
    example: str
    remedy: str = ""
    inject: Callable[[MeasuredGradient], Iterable[Injected]] | None = None
    suspect: Callable[[MeasuredGradient, Comparison], Iterable[Injected]] | None = None
    describe: Callable[[MeasuredGradient, Comparison], str] | None = None
    costly: bool = False
    inside: bool = True
    alone: bool = False

    def list_suspects(
        self, measured: MeasuredGradient, comparison: Comparison
    ) -> Iterable[Injected]:
        """The faults of this kind that may be in a wrong gradient."""
        if self.suspect is not None:
            return self.suspect(measured, comparison)
        return self.inject(measured) if self.inject is not None else ()
