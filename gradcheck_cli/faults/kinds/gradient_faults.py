"""Faults of the whole gradient: a factor, a transpose, zeros, an index, another's gradient."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from gradcheck_cli.faults.factors import Factor, invert_name, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.fitting import fit_factor
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Allowance, Comparison, Float, agrees

MOST_AXES = 4  # all orders of so many axes are tried
# A small error, over the largest entry, and the share of entries that must be wrong.
SMALL, MOSTLY = 1e-3, 0.5
LEAST_SIDE = 3  # of a matrix, so that its triangles are more than one entry


def scale_by_usual_factors(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient has a usual factor: −1, 2, 1/2 and, with samples, n and 1/n."""
    for value, name in ((-1.0, "−1"), (2.0, "2"), (0.5, "1/2")):
        yield scale(measured, Factor(value, (name,)))
    if measured.samples:
        n, name = measured.numbers[measured.samples], measured.samples
        yield scale(measured, Factor(n, (name,)))
        yield scale(measured, Factor(1 / n, (f"1/{name}",)))


def fit_scale(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient has a factor that is fitted."""
    value, precision = fit_factor(comparison.analytic, measured.value, comparison.allowed)
    if value != 0.0:
        yield scale(measured, name_factor(value, precision, measured.numbers))


def scale(measured: MeasuredGradient, by: Factor) -> Injected:
    """The gradient times a factor."""
    n, c = measured.samples, by.value
    return Injected(
        measured.right * c,
        f"it is {by.text} times the numeric gradient",
        same=f"{n} = 1, so {n} and 1/{n} are 1" if c == 1.0 else "",
        parameters=by.parameters,
        choices=by.choices,
        by=by,
        named=(by,),
        cause=_find_cause(by, n),
        next_step=_find_next_step(by),
    )


def _find_cause(by: Factor, samples: str) -> str:
    """The usual cause of a factor, by its name."""
    name = by.names[0] if by.names else ""
    if name == "−1":
        return "a sign is lost, often that of a difference: (t − y) for (y − t)"
    if name == "2":
        missing = f", or a missing {invert_name(by.also[0])}" if by.also else ""
        return f"the derivative of a square without its ½, or a term that is counted twice{missing}"
    if name == "1/2":
        return "a ½ of the loss is taken twice, or one of two equal terms is left out"
    if samples and by.is_called(f"1/{samples}"):
        return (
            "an average where a sum belongs; or, where the loss is a mean, a second 1/n: the "
            "upstream gradient has one already"
        )
    if samples and by.is_called(samples):
        return "a sum where an average belongs: the 1/n of a mean is missing"
    if name:
        return "a scale of the forward is missing in the backward, or there twice, or another one"
    return ""


def _find_next_step(by: Factor) -> str:
    """What to look at, by the name of a factor; empty without one."""
    if not by.names:
        return ""
    name = by.names[0]
    if name == "−1":
        return "look for the sign in the rule, and in what is handed to it"
    return f"look for a factor {name} too many in the rule, or for a missing {invert_name(name)}"


def describe_small_difference(measured: MeasuredGradient, comparison: Comparison) -> str:
    """A sentence if most entries are wrong, but only by a little; else empty."""
    if comparison.wrong.mean() < MOSTLY or comparison.wrong.sum() < LEAST_SIDE:
        return ""
    with np.errstate(all="ignore"):
        share = np.abs(comparison.analytic - measured.value)[comparison.wrong]
        share = share / np.max(np.abs(measured.value))
    largest = float(np.max(share, initial=0.0))
    if not 0 < largest < SMALL:
        return ""
    return f"no entry is off by more than {largest:.1e} of the largest"


def zero_all(measured: MeasuredGradient) -> Iterator[Injected]:
    """All entries are zero."""
    yield Injected(measured.whole_values(np.zeros(measured.shape)), "every entry is zero")


def sum_entries(measured: MeasuredGradient) -> Iterator[Injected]:
    """Every entry is the sum or the mean of all entries, as if a scalar is broadcast."""
    value, uncertainty = measured.value, float(np.sum(measured.uncertainty))
    if measured.whole and value.size > 1:
        for what, by in (("sum", 1.0), ("mean", 1.0 / value.size)):
            yield Injected(
                measured.whole_values(np.full(value.shape, by * value.sum()), by * uncertainty),
                f"every entry is the {what} of all entries of the numeric gradient",
            )


def sum_another(measured: MeasuredGradient) -> Iterator[Injected]:
    """It is the gradient of another input, summed over an axis."""
    for name, x in measured.other_inputs.items() if measured.whole else ():
        for axis, size in enumerate(x.shape):
            kept = [
                keep for keep in (True, False) if _sum_shape(x.shape, axis, keep) == measured.shape
            ]
            other = measured.measure(name) if kept and size > 1 else None
            if other is not None and other.value.shape == x.shape:
                value, uncertainty = (
                    array.sum(axis, keepdims=kept[0]) for array in (other.value, other.uncertainty)
                )
                yield Injected(
                    measured.whole_values(value, uncertainty),
                    f"it is {measured.problem.label(name).gradient}, summed over axis {axis}",
                    cause="it is multiplied by the wrong array: a bias is multiplied by 1, and not "
                    "by the input of its layer, as weights are",
                    next_step="write down what this input is multiplied by in the forward",
                )


def _sum_shape(shape: tuple[int, ...], axis: int, keep: bool) -> tuple[int, ...]:
    return shape[:axis] + (1,) * keep + shape[axis + 1 :]


def swap_gradients(measured: MeasuredGradient) -> Iterator[Injected]:
    """It is the gradient of another input."""
    for name, x in measured.other_inputs.items():
        if x.shape == measured.x.shape and measured.whole:
            other = measured.measure(name)
            if other.value.shape == measured.shape:
                gradient = measured.problem.label(name).gradient
                yield Injected(
                    measured.whole_values(other.value, other.uncertainty),
                    f"it is {gradient}",
                    same=f"{gradient} is the same"
                    if np.array_equal(other.value, measured.value)
                    else "",
                )


def transpose(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient, a square matrix, is transposed."""
    value = measured.value
    if measured.is_square:
        yield Injected(
            measured.whole_values(value.T, measured.uncertainty.T),
            "it is the transpose of the numeric gradient",
            same="the gradient is symmetric"
            if agrees(value.T, measured.gradient, Allowance(1e-9))
            else "",
        )


def permute_axes(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The axes are in another order that leaves the shape as it is."""
    yield from transpose(measured)
    if measured.whole and 2 < measured.value.ndim <= MOST_AXES:
        for axes in permutations(range(measured.value.ndim)):
            value = measured.value.transpose(axes)
            if value.shape == measured.shape and list(axes) != sorted(axes):
                yield Injected(
                    measured.whole_values(value, measured.uncertainty.transpose(axes)),
                    f"it is the numeric gradient with its axes in the order {list(axes)}",
                    choices=24.0,
                )


def swap_index(measured: MeasuredGradient) -> Iterator[Injected]:
    """One index is used for the other: m_ii or m_jj for m_ij, the misprint of (35)."""
    value = measured.value
    if not measured.is_square:
        return
    diagonal, uncertainty = np.diag(value), np.diag(measured.uncertainty)
    for axis, index in ((0, "i"), (1, "j")):
        shaped = (-1, 1) if axis == 0 else (1, -1)
        spread = np.broadcast_to(diagonal.reshape(shaped), value.shape)
        bounds = np.broadcast_to(uncertainty.reshape(shaped), value.shape)
        yield Injected(
            measured.whole_values(spread, bounds),
            f"its entry [i, j] is the numeric gradient at [{index}, {index}]",
        )


def keep_triangle(measured: MeasuredGradient) -> Iterator[Injected]:
    """Only one triangle of a square matrix is left, or its diagonal is counted twice."""
    candidates = list(_list_triangles(measured))
    yield from candidates[:1] + candidates[2:3]


def fit_triangle(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The mistakes for a symmetric matrix of which one triangle is stored or summed."""
    yield from _list_triangles(measured)


def _list_triangles(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradients in which triangles or the diagonal of a square matrix are counted wrongly."""
    value, shape = measured.value, measured.shape
    if not measured.is_square or len(value) < LEAST_SIDE:
        return
    eye, below, ones = np.eye(len(value)), np.tri(len(value), k=-1), np.ones(shape)
    above, nothing = below.T, np.zeros(shape)
    # The observation, and the weights of the entries of G and of Gᵀ in the wrong gradient.
    kinds: list[tuple[str, Float, Float]] = [
        ("its entries above the diagonal are zero", eye + below, nothing),
        ("its entries below the diagonal are zero", eye + above, nothing),
        ("its diagonal is twice the numeric gradient's", ones + eye, nothing),
        ("its diagonal is half the numeric gradient's", ones - eye / 2, nothing),
        ("its entries off the diagonal are twice the numeric gradient's", 2 - eye, nothing),
        (
            "its entries off the diagonal are half the numeric gradient's, as where one triangle "
            "of a symmetric gradient is returned",
            (ones + eye) / 2,
            nothing,
        ),
        ("it is G + Gᵀ for the numeric gradient G", ones, ones),
        ("it is G + Gᵀ − diag(G) for the numeric gradient G", ones, ones - eye),
        ("it is (G + Gᵀ)/2 for the numeric gradient G", ones / 2, ones / 2),
        ("it is the lower triangle of G + Gᵀ for the numeric gradient G", eye + below, below),
        ("it is the upper triangle of G + Gᵀ for the numeric gradient G", eye + above, above),
    ]
    for observation, of_entry, of_opposite in kinds:
        yield Injected(
            measured.whole_values(
                of_entry * value + of_opposite * value.T,
                of_entry * measured.uncertainty + of_opposite * measured.uncertainty.T,
            ),
            observation,
            choices=float(len(kinds)),
        )
