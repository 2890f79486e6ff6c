"""A fault: a way to get a gradient wrong, put into right gradients and found in wrong ones."""

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
    choices: how many similar faults could have been tried in its place.
    grain: the distance of the values that an entry can have, if it is rounded; the smaller it is
    beside the entry, the more an agreement says.
    discrete: whether nearby parameters give the same gradient, so that an agreement may be chance.
    by: the factor, if the fault is nothing else. named: the factors in the text of the observation.
    upstream: the stage, and the wrong upstream gradient there, if that is the fault: it may explain
    other gradients of the same backward, too.
    part: the part that is left out or weighted, in words. It is the same part at other inputs,
    unless the fault is really a mask that depends on them.
    cause, next_step: replace those of the catalogue, unless empty.
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

    code, title: its names in reports. cause: how it usually happens; next_step: what to look at.
    example: one in a formula or in Python. remedy: the inputs with which a blind check sees it.
    inject: lists the faults of this kind in a right gradient.
    suspect: lists those that may be in a wrong gradient; None: those of `inject`.
    describe: a sentence on the pattern of the errors, for when no fault explains all entries.
    costly: whether it needs gradients at other inputs.
    inside: whether it may be at a stage inside the forward; one of the result only cannot.
    alone: whether it is never combined with a factor, since together they would explain too much.
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
