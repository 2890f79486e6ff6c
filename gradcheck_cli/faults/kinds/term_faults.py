"""Faults of terms: a regulariser, a constant or a path around the layer, added or missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor, fit_weights
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import list_entries
from gradcheck_cli.measure.comparison import Comparison

LEAST_ENTRIES = 3  # in a gradient where a term is looked for; its weight takes one as evidence
LEAST_TERM = 1e-3  # over the largest entry: a regulariser adds more than that
WEIGHT_PRECISION = 1e-12  # relative, of weights of a gradient and a term, fitted together
TYPICAL_PENALTY = 0.01  # the weight of the regulariser in mutants


def add_penalty(measured: MeasuredGradient) -> Iterator[Injected]:
    """One percent of the input itself is added."""
    if measured.value.size == measured.gradient.of(measured.x).size:
        yield _add_term(
            measured, measured.x, f" · {measured.name}", Factor(TYPICAL_PENALTY, ()), extra=True
        )


def fit_term(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """A multiple of the input, of its sign or of the upstream gradient, or a constant, is added."""
    signs = np.sign(measured.x)
    penalties = [(measured.x, f" · {measured.name}")]
    if np.ptp(signs) > 0:  # else it is a constant
        penalties.append((signs, f" · sign({measured.name})"))
    terms = [*penalties, (np.ones(measured.x.shape), "")]
    terms += [
        (stage.cotangent, f" · {stage.symbol}")
        for stage in measured.declared[:1]
        if stage.cotangent.shape == measured.x.shape
    ]
    for array, term in terms:
        x = measured.gradient.of(np.asarray(array))
        if x.shape != measured.shape or x.size < LEAST_ENTRIES:
            return
        weight, precision = fit_factor(comparison.analytic - measured.value, x, comparison.allowed)
        if weight != 0.0:
            size = name_factor(abs(weight), precision, measured.numbers, constants_first=True)
            yield _add_term(measured, array, term, size, extra=weight > 0)
    # Only penalties may be partial: with δ as the term, every missing mask would fit.
    for array, term in penalties:
        yield from _fit_partial_term(measured, comparison, array, term)
    yield from _fit_factor_and_term(measured, comparison)


def _fit_partial_term(
    measured: MeasuredGradient, comparison: Comparison, array: NDArray[Any], term: str
) -> Iterator[Injected]:
    """The term is added in the wrong entries alone, as by a penalty on a part of a vector."""
    x, wrong = measured.gradient.of(np.asarray(array)), comparison.wrong
    if not LEAST_ENTRIES <= wrong.sum() < wrong.size:
        return
    gap = comparison.analytic - measured.value
    weight, precision = fit_factor(gap[wrong], x[wrong], comparison.allowed[wrong])
    if weight == 0.0:
        return
    size = name_factor(abs(weight), precision, measured.numbers, constants_first=True)
    added = np.where(wrong, np.sign(weight) * size.value * x, 0.0)
    which = list_entries(wrong)
    yield Injected(
        measured.whole_values(measured.value + added, measured.uncertainty),
        f"it is the numeric gradient {'plus' if weight > 0 else 'minus'} {size.text}{term} at "
        f"{which}, the rest is right",
        parameters=size.parameters,
        choices=size.choices,
        named=(size,),
        cause="a regulariser covers a part of the input, such as the biases, in the gradient and "
        "not in the loss, or the other way around",
    )


def _fit_factor_and_term(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient has a factor, and a multiple of the input is added, as if one lacks its 1/n."""
    x = measured.gradient.of(measured.x)
    if x.shape != measured.shape or x.size <= LEAST_ENTRIES:
        return
    parts = np.stack([measured.value.ravel(), np.asarray(x, dtype=np.float64).ravel()])
    weights = fit_weights(parts, comparison, np.arange(x.size), comparison.analytic)
    if weights is None or np.min(np.abs(weights)) == 0.0:
        return
    of_each = np.abs(weights) * [np.max(np.abs(measured.value)), np.max(np.abs(x))]
    if np.min(of_each) < LEAST_TERM * np.max(of_each):
        return  # too small for a regulariser, or almost no gradient is left
    of_gradient, of_input = (
        name_factor(float(weight), WEIGHT_PRECISION, measured.numbers) for weight in weights
    )
    value = of_gradient.value * measured.value + of_input.value * x
    yield Injected(
        measured.whole_values(value, abs(of_gradient.value) * measured.uncertainty),
        f"it is {of_gradient.text} times the numeric gradient and {of_input.text} · "
        f"{measured.name}",
        parameters=of_gradient.parameters + of_input.parameters,
        choices=of_gradient.choices * of_input.choices,
        named=(of_gradient, of_input),
        cause="a regulariser and the rest have different factors: one of them has a 1/n too many",
    )


def _add_term(
    measured: MeasuredGradient, array: NDArray[Any], term: str, size: Factor, *, extra: bool
) -> Injected:
    """The gradient with a multiple of an array added, or with it left out."""
    x = np.broadcast_to(measured.gradient.of(array), measured.shape).astype(np.float64)
    weight = size.value if extra else -size.value
    return Injected(
        measured.whole_values(measured.value + weight * x, measured.uncertainty),
        f"it is the numeric gradient {'plus' if extra else 'minus'} {size.text}{term}",
        same=f"{measured.name} is zero" if not x.any() else "",
        parameters=size.parameters,
        choices=size.choices,
        named=(size,),
        cause=_find_cause(term, extra),
        next_step="count the ways from the input to the outputs: the backward adds a term for each"
        if _is_upstream(term)
        else "",
    )


def _is_upstream(term: str) -> bool:
    """Whether a term is the upstream gradient."""
    return term.strip(" ·") in ("δ", "Δ", "the upstream gradient")


def _find_cause(term: str, extra: bool) -> str:
    """The usual cause of a term that is too much or missing."""
    if not term:
        return (
            "a constant is added to every entry: an epsilon, or a mean that is subtracted is "
            "missing or another"
        )
    if _is_upstream(term):
        return (
            "a path of the input around the layer, such as a skip connection, is missing or twice"
        )
    if extra:
        return "a regulariser is in the gradient that is not in the loss, or is there twice"
    return (
        "a regulariser of the loss is missing in the gradient, in whole or in part, or has the "
        "wrong sign"
    )
