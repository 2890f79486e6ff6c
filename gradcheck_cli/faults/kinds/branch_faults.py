"""Faults of an input that is used in several places: a branch is left out or weighted wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from gradcheck_cli.faults.evidence import is_refuted_by_few_entries
from gradcheck_cli.faults.factors import name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_part
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, largest
from gradcheck_cli.text import join_words

NOTHING = 1e-9  # over the largest entry: if less flows through a value, it is no branch
TOGETHER = (1, 2)  # how many branches are left out at once; a mean and a variance are two

Branch = tuple[str, Values]  # the name of an inner value, and what flows through it


def fit_branches(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient of one branch alone, and that without one or two, or with a factor of them."""
    branches = list(_list_branches(measured))
    for count in TOGETHER:
        groups = list(combinations(branches, count))
        for some in groups:
            if len({through.at.tobytes() for _, through in some}) > 1:
                continue  # they are measured at different entries
            first, *others = [through for _, through in some]
            through = sum(others, first)
            rest = measured.right.take(through.at) - through
            if rest.is_zero:
                continue  # all of it flows through these
            names = join_words([f"through {name}" for name, _ in some])
            if count == 1:
                observation = f"it is the part of the gradient that flows {names} alone"
                yield Injected(through, observation, choices=float(len(groups)))
            if not is_refuted_by_few_entries(through, comparison, rest):
                yield _scale_branches(measured, comparison, through, rest, names, len(groups))


def _list_branches(measured: MeasuredGradient) -> Iterator[Branch]:
    """The inner values through which a part of the gradient flows, with that part."""
    for stage in measured.inner:
        through = measured.flow_through(stage, stage.cotangent)
        whole = measured.right.take(through.at)
        if largest(np.abs(through.value)) > NOTHING * largest(np.abs(whole.value)):
            yield stage.name, through


def _scale_branches(
    measured: MeasuredGradient,
    comparison: Comparison,
    through: Values,
    rest: Values,
    names: str,
    tried: int,
) -> Injected:
    """The gradient in which the part through some values has a fitted factor, which may be 0.

    names: the words for these values; tried: how many such choices there are.
    """
    by = name_factor(*fit_part(comparison, through, rest), measured.numbers)
    none = abs(by.value) <= NOTHING or not np.isfinite(by.precision)
    return Injected(
        rest if none else rest + through * by.value,
        f"it is the gradient without what flows {names}"
        if none
        else f"what flows {names} is {by.text} times what it should be",
        parameters=0 if none else by.parameters,
        choices=tried * (1.0 if none else by.choices),
    )
