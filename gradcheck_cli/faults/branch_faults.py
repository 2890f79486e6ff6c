"""Faults of a value that is used in several places: a branch left out, counted twice, weighted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, largest
from gradcheck_cli.problem import Stage

NOTHING = 1e-9  # of the largest entry: a branch through which less flows is none


def fit_branches(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient with a factor of what flows through an inner value, with that alone, and without
    what flows through two."""
    for stage in measured.inner:
        through = measured.flow_through(stage, stage.cotangent)
        whole = measured.value.ravel()[through.at]
        rest = whole - through.value
        least = NOTHING * largest(np.abs(whole))
        if largest(np.abs(rest)) <= least or largest(np.abs(through.value)) <= least:
            continue  # all of it flows through this value, or none
        spread = through.uncertainty + measured.uncertainty.ravel()[through.at]
        where = stage.name
        yield Injected(
            through,
            f"it is the part of the gradient that flows through {where} alone",
            choices=float(len(measured.inner)),
        )
        analytic = comparison.analytic.ravel()[through.at]
        allowed = comparison.allowed.ravel()[through.at] + spread
        by = name_factor(*fit_factor(analytic - rest, through.value, allowed), measured.numbers)
        yield _weigh(stage, by, Values(rest, spread, through.at), through)
    yield from _weigh_two(measured, comparison)


def _weigh_two(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient without what flows through two inner values, as a mean and a variance that are
    taken for constants, or with a factor of both, as where they are divided by another count."""
    whole = np.abs(measured.value).ravel()
    branches = [
        (stage.name, through)
        for stage in measured.inner
        for through in [measured.flow_through(stage, stage.cotangent)]
        if largest(np.abs(through.value)) > NOTHING * largest(whole[through.at])
    ]
    pairs = list(combinations(branches, 2))
    for (name, one), (other_name, other) in pairs:
        if not np.array_equal(one.at, other.at):
            continue
        both = one.value + other.value
        spread = one.uncertainty + other.uncertainty + measured.uncertainty.ravel()[one.at]
        rest = measured.value.ravel()[one.at] - both
        if not np.any(np.abs(rest) > spread):
            continue
        analytic = comparison.analytic.ravel()[one.at]
        allowed = comparison.allowed.ravel()[one.at] + spread
        by = name_factor(*fit_factor(analytic - rest, both, allowed), measured.numbers)
        none = abs(by.value) <= NOTHING or not np.isfinite(by.precision)
        if by.names or none:
            yield Injected(
                Values(rest + (0.0 if none else by.value) * both, 2 * spread, one.at),
                f"it is the gradient without what flows through {name} and through {other_name}"
                if none
                else f"what flows through {name} and through {other_name} is {by.text} times what "
                "it should be",
                parameters=0 if none else 1,
                choices=len(pairs) * by.choices,
            )


def _weigh(stage: Stage, by: Factor, rest: Values, through: Values) -> Injected:
    """The gradient with a factor of what flows through one value."""
    none = abs(by.value) <= NOTHING or not np.isfinite(by.precision)
    weight = 0.0 if none else by.value
    where = stage.name
    said = f"what flows through {where} is {by.text} times what it should be"
    return Injected(
        Values(
            rest.value + weight * through.value,
            rest.uncertainty * (1 + abs(weight)),
            through.at,
        ),
        f"it is the gradient without what flows through {where}" if none else said,
        parameters=0 if none else by.parameters,
        choices=1.0 if none else by.choices,
    )
