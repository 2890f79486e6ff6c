"""Faults of a mean or variance that the backward computes anew, but not as the forward does.

Such a backward returns the gradient of a forward in which the statistic has the wrong value. So the
inner value is moved to that value, and the gradient is measured there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.other_inputs import (
    NUDGED,
    agree_with_claim,
    measure_gradient_at,
    take_slopes,
)
from gradcheck_cli.faults.values import remember
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import Stage

LARGEST_SHARE = 0.5  # of the entries of an input; a statistic of it has no more entries
# What a wrong backward has for a statistic v of n numbers.
OTHERS: dict[str, Callable[[Float, float], Float]] = {
    "n·{}, a sum for a mean,": lambda v, n: n * v,
    "{}/n, a mean for a sum,": lambda v, n: v / n,
    "{} by n − 1 for n": lambda v, n: v * n / max(n - 1, 1),
    "{} by n for n − 1": lambda v, n: v * (n - 1) / n,
    "1": lambda v, n: np.ones_like(v),
    "the square of {}": lambda v, n: v**2,
    "the root of {}": lambda v, n: np.sqrt(np.abs(v)),
}


def change_statistics(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient with a mean, a variance or a norm that is computed wrongly."""
    for stage in measured.hidden:
        size = np.size(stage.cotangent)
        if stage.move is None or not 0 < size <= LARGEST_SHARE * _largest_input(measured):
            continue
        value = measured.read(stage)
        for what, change in OTHERS.items():
            other = change(value, _largest_input(measured) / size)
            moved = _move(measured, stage, what, other - value)
            slopes = take_slopes(measured, moved, {})
            if slopes is None or not agree_with_claim(measured, moved, slopes):
                continue
            # If nearby values give the same gradient, the value acts only through masks, and the
            # agreement may be chance.
            near = other * (1 + NUDGED) - value
            nudged = _move(measured, stage, f"near {what}", near)
            beside = take_slopes(measured, nudged, {})
            if beside is None or not slopes.differs_from(beside):
                continue
            values = measure_gradient_at(measured, moved, {})
            if values is not None and measured.differs_from(values):
                name = stage.name.split(" (", 1)[0] if "(" not in stage.name[:1] else "it"
                yield Injected(
                    values,
                    f"it is the gradient with {what.format(name)} in the place of {stage.name}",
                    choices=float(len(OTHERS) * len(measured.hidden)),
                    # Other gradients of the same backward are tried with this stage, too.
                    upstream=(moved, np.asarray(moved.cotangent, dtype=np.float64)),
                    cause="the backward computes this anew, and in another way than the forward: a "
                    "sum for a mean, another count, or one of its terms or powers is missing",
                    next_step="compare this line with what the backward has in its place, or keep "
                    "the value that the forward computed",
                )


def _largest_input(measured: MeasuredGradient) -> float:
    """How many entries the largest input has; a statistic is taken of that."""
    return float(max(x.size for x in measured.problem.inputs.values()))


def _move(measured: MeasuredGradient, stage: Stage, what: str, by: Float) -> Stage:
    """The whole forward as a stage, with `by` added to the value of an inner stage."""
    problem, move = measured.problem, stage.move
    assert move is not None

    def make() -> Stage:
        def forward(inputs: Mapping[str, NDArray[np.floating]]) -> object:
            return move(inputs, by)

        return Stage(remember(forward), np.asarray(problem.cotangent, dtype=np.float64))

    return measured.once(("moved", id(stage), what), make)
