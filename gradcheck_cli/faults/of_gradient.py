"""Faults of the whole gradient: a factor, a transpose, zeros, an index, another's place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import Factor, factor, fitted, inverse
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import Right
from gradcheck_cli.measure.compare import Comparison, agrees

Float = NDArray[np.float64]

MOST_AXES = 4  # of which all orders are tried


def factors(right: Right) -> Iterator[Injected]:
    """The usual factors: the sign, 2, 1/2 and, with samples, n and 1/n."""
    for value, name in ((-1.0, "−1"), (2.0, "2"), (0.5, "1/2")):
        yield scaled(right, Factor(value, (name,)))
    if right.samples:
        n, name = right.numbers[right.samples], right.samples
        yield scaled(right, Factor(n, (name,)))
        yield scaled(right, Factor(1 / n, (f"1/{name}",)))


def factors_between(right: Right, found: Comparison) -> Iterator[Injected]:
    """The factor between the two gradients."""
    value, precision = fitted(found.analytic, right.value, found.allowed)
    if value != 0.0:
        yield scaled(right, factor(value, precision, right.numbers))


def scaled(right: Right, by: Factor) -> Injected:
    """The gradient times a factor."""
    n, c = right.samples, by.value
    return Injected(
        right.whole_values(c * right.value, abs(c) * right.uncertainty),
        f"it is {by.shown} times the numeric gradient",
        same=f"{n} = 1, so {n} and 1/{n} are 1" if c == 1.0 else "",
        fitted=by.fitted,
        choices=by.choices,
        by=by,
        cause=_cause(by, n),
        next_step=_next_step(by),
    )


def _cause(by: Factor, samples: str) -> str:
    """The usual cause, which for the number of samples is another than for other sizes."""
    name = by.names[0] if by.names else ""
    if name == "−1":
        return "a sign is lost, often that of a difference: (t − y) for (y − t)"
    if name == "2":
        return "the derivative of a square without its ½, or a term that is counted twice"
    if name == "1/2":
        return "a ½ of the loss is taken twice, or one of two equal terms is left out"
    if samples and f"1/{samples}" in by.names:
        return (
            "an average where a sum belongs; or, where the loss is a mean, a second 1/n: the "
            "upstream gradient has one already"
        )
    if samples and samples in by.names:
        return "a sum where an average belongs: the 1/n of a mean is missing"
    if name:
        return "a scale of the forward is missing in the backward, or there twice, or another one"
    return ""


def _next_step(by: Factor) -> str:
    if not by.names:
        return ""
    name = by.names[0]
    if name == "−1":
        return "look for the sign in the rule, and in what is handed to it"
    return f"look for a factor {name} too many in the rule, or for a missing {inverse(name)}"


def zeros(right: Right) -> Iterator[Injected]:
    """Nothing but zeros."""
    yield Injected(right.whole_values(np.zeros(right.shape)), "every entry is zero")


def summed(right: Right) -> Iterator[Injected]:
    """Every entry the sum or the mean of all, as of a scalar that is broadcast."""
    value, uncertainty = right.value, float(np.sum(right.uncertainty))
    if right.whole and value.size > 1:
        for what, by in (("sum", 1.0), ("mean", 1.0 / value.size)):
            yield Injected(
                right.whole_values(np.full(value.shape, by * value.sum()), by * uncertainty),
                f"every entry is the {what} of all entries of the numeric gradient",
            )


def swapped(right: Right) -> Iterator[Injected]:
    """The gradients of other inputs."""
    for name, x in right.others.items():
        if x.shape == right.x.shape and right.whole:
            other = right.measured(name)
            if other.value.shape == right.shape:
                gradient = right.problem.label(name).gradient
                yield Injected(
                    right.whole_values(other.value, other.uncertainty),
                    f"it is {gradient}",
                    same=f"{gradient} is the same"
                    if np.array_equal(other.value, right.value)
                    else "",
                )


def transposed(right: Right) -> Iterator[Injected]:
    """The transpose of a square matrix."""
    value = right.value
    if right.whole and value.ndim == 2 and value.shape[0] == value.shape[1] > 1:
        yield Injected(
            right.whole_values(value.T, right.uncertainty.T),
            "it is the transpose of the numeric gradient",
            same="the gradient is symmetric" if agrees(value.T, right.gradient, 1e-9, 0.0) else "",
        )


def axes_moved(right: Right, found: Comparison) -> Iterator[Injected]:
    """The transpose, and any order of the axes that leaves the shape."""
    yield from transposed(right)
    if right.whole and 2 < right.value.ndim <= MOST_AXES:
        for axes in permutations(range(right.value.ndim)):
            value = right.value.transpose(axes)
            if value.shape == right.shape and list(axes) != sorted(axes):
                yield Injected(
                    right.whole_values(value, right.uncertainty.transpose(axes)),
                    f"it is the numeric gradient with its axes in the order {list(axes)}",
                    choices=24.0,
                )


def index_swapped(right: Right) -> Iterator[Injected]:
    """One index in the place of the other: m_ii or m_jj for m_ij, (35) as it is printed."""
    value = right.value
    if not (right.whole and value.ndim == 2 and value.shape[0] == value.shape[1] > 1):
        return
    diagonal, uncertainty = np.diag(value), np.diag(right.uncertainty)
    for axis, index in ((0, "i"), (1, "j")):
        shaped = (-1, 1) if axis == 0 else (1, -1)
        spread = np.broadcast_to(diagonal.reshape(shaped), value.shape)
        bounds = np.broadcast_to(uncertainty.reshape(shaped), value.shape)
        yield Injected(
            right.whole_values(spread, bounds),
            f"its entry [i, j] is the numeric gradient at [{index}, {index}]",
        )
