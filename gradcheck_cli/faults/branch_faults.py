"""Faults of a value that is used in several places: a branch left out, counted twice, weighted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from gradcheck_cli.faults.factors import name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, largest
from gradcheck_cli.text import join_words

NOTHING = 1e-9  # of the largest entry: a branch through which less flows is none
TOGETHER = (1, 2)  # branches that are left out at once: a mean and a variance are two

Branch = tuple[str, Values]  # the name of an inner value, and what flows through it


def fit_branches(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient of one branch alone, and that without one or two, or with a factor of them."""
    branches = list(_list_branches(measured))
    for count in TOGETHER:
        groups = list(combinations(branches, count))
        for some in groups:
            through = _add(some)
            if through is None:
                continue
            rest = _subtract(measured, through)
            if np.all(np.abs(rest.value) <= rest.uncertainty):
                continue  # all of it flows through these
            names = join_words([f"through {name}" for name, _ in some])
            if count == 1:
                observation = f"it is the part of the gradient that flows {names} alone"
                yield Injected(through, observation, choices=float(len(groups)))
            yield from _weigh(measured, comparison, through, rest, names, len(groups))


def _list_branches(measured: MeasuredGradient) -> Iterator[Branch]:
    """The inner values through which something flows."""
    for stage in measured.inner:
        through = measured.flow_through(stage, stage.cotangent)
        whole = np.abs(measured.value.ravel()[through.at])
        if largest(np.abs(through.value)) > NOTHING * largest(whole):
            yield stage.name, through


def _add(some: Sequence[Branch]) -> Values | None:
    """What flows through several values together; None where other entries of each are known."""
    first, *others = [through for _, through in some]
    if not all(np.array_equal(first.at, other.at) for other in others):
        return None
    value = sum((other.value for other in others), first.value)
    uncertainty = sum((other.uncertainty for other in others), first.uncertainty)
    return Values(value, uncertainty, first.at)


def _subtract(measured: MeasuredGradient, through: Values) -> Values:
    """The gradient without what flows through some values."""
    return Values(
        measured.value.ravel()[through.at] - through.value,
        measured.uncertainty.ravel()[through.at] + through.uncertainty,
        through.at,
    )


def _weigh(
    measured: MeasuredGradient,
    comparison: Comparison,
    through: Values,
    rest: Values,
    names: str,
    tried: int,
) -> Iterator[Injected]:
    """The gradient with a factor of what flows through some values, which may be 0.

    names: of these values; tried: of how many that could have been chosen.
    """
    analytic = comparison.analytic.ravel()[through.at]
    allowed = comparison.allowed.ravel()[through.at] + rest.uncertainty
    by = name_factor(*fit_factor(analytic - rest.value, through.value, allowed), measured.numbers)
    none = abs(by.value) <= NOTHING or not np.isfinite(by.precision)
    weight = 0.0 if none else by.value
    yield Injected(
        Values(
            rest.value + weight * through.value, rest.uncertainty * (1 + abs(weight)), through.at
        ),
        f"it is the gradient without what flows {names}"
        if none
        else f"what flows {names} is {by.text} times what it should be",
        parameters=0 if none else by.parameters,
        choices=tried * (1.0 if none else by.choices),
    )
