"""Faults of one array used for another of the same shape: logits for probabilities, z for y."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from gradcheck_cli.faults.evidence import is_refuted_by_few_entries
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_part
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.layers.mistaken_slopes import LATER
from gradcheck_cli.measure.comparison import Comparison, Float

NOT_PASSED_ON = (
    "what lies between the two, a factor or a derivative, is not multiplied by on the way back"
)
LOOK_BETWEEN = "look at the lines between the two, and at what each multiplies by"
MOST_ARRAYS = 6  # of the same shape; all pairs of them are tried


def pass_on(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient of a later value is used for that of an inner value of the same shape."""
    for stage in filter(measured.may_have_other_upstream, measured.inner):
        for key, gradient in stage.mistaken.items():
            if key.startswith(LATER):
                later = key.removeprefix(LATER)
                yield Injected(
                    measured.contract(stage, np.asarray(gradient, dtype=np.float64)),
                    f"it is the gradient with {later} in the place of {stage.symbol}",
                    choices=float(len(stage.mistaken)),
                    cause=NOT_PASSED_ON,
                    next_step=LOOK_BETWEEN,
                )


def fit_exchange(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """An inner value, an input or the outputs are used for another array of the same shape.

    If an upstream gradient is a difference, such as p − t of a softmax with its loss, then z for p
    adds a multiple of z − p to it. If it is a product with p, it is multiplied by z/p.
    """
    arrays = {**measured.arrays, "the output": measured.read(measured.outputs)}
    for delta, symbol, pull_back, add in _list_places(measured):
        of_shape = {name: one for name, one in arrays.items() if one.shape == delta.shape}
        names = list(of_shape)[:MOST_ARRAYS]
        terms = {name: add(of_shape[name]) for name in names}
        for one, other in permutations(names, 2):
            observation = (
                f"it is the gradient with {one} in the place of {other}, or the other way around, "
                f"in {symbol}"
            )
            choices = float(len(names) ** 2)
            if one < other:  # the other order only changes the sign
                difference = terms[one] - terms[other]
                yield from _add_multiple(measured, comparison, difference, observation, choices)
            with np.errstate(all="ignore"):
                product = delta * of_shape[one] / of_shape[other]
            if np.isfinite(product).all():
                # It counts one parameter, so that factors of rows or columns are preferred.
                yield Injected(pull_back(product), observation, parameters=1, choices=choices)


def _add_multiple(
    measured: MeasuredGradient,
    comparison: Comparison,
    term: Values,
    observation: str,
    choices: float,
) -> Iterator[Injected]:
    """The gradient plus a multiple of a term, which comes from the difference of two arrays."""
    right = measured.right.take(term.at)
    if not is_refuted_by_few_entries(term, comparison, right):
        weight, _ = fit_part(comparison, term, right)
        yield Injected(right + term * weight, observation, parameters=1, choices=choices)


def _list_places(
    measured: MeasuredGradient,
) -> Iterator[tuple[Float, str, Callable[[Any], Values], Callable[[Any], Values]]]:
    """The gradients in which an array may be exchanged: that of the input, and of inner values.

    Yields the gradient, its name, a function from another gradient there to that of the input, and
    one from a term that is added there to the term that this adds to the input's.
    """
    whole = measured.whole_values
    if measured.whole:
        yield measured.value, measured.label.gradient, whole, whole
    for stage in filter(measured.may_have_other_upstream, measured.inner):
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        yield (
            delta,
            stage.symbol,
            partial(measured.contract, stage),
            partial(measured.flow_through, stage),
        )
