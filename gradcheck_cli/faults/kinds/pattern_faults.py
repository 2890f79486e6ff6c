"""Faults of the pattern of zeros, such as a wrong mask, and of identities that do not hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from math import comb, log10

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import list_entries
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.text import count_of, join_words

LEAST_ADDED = 2  # entries that should be zero, if none is zero that should not be
LEAST_RIGHT = 2  # right entries that are not zero; with fewer, a wrong mask is not clear
MOST_LISTED = 3  # positions that are listed one by one
FAR_POINTS = 4  # tried to see a flat forward change farther off; one is nearly always enough
LARGEST_EXPONENT = 300  # of 10, so that the number of possible patterns is a float


def drop_nonzero(measured: MeasuredGradient) -> Iterator[Injected]:
    """The first nonzero of a Jacobian that has zeros, too, is dropped."""
    if measured.problem.cotangent is not None:
        return
    nonzero = np.flatnonzero(_nonzero(measured).ravel())
    if 1 < len(nonzero) < measured.value.size:
        yield _without(measured, nonzero[:1])


def fit_pattern(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The Jacobian in which nonzeros are missing: those that are wrong and zero."""
    if measured.problem.cotangent is not None:
        return
    wrong = comparison.wrong & (comparison.analytic == 0)
    if not wrong.any() or _fills_slice(comparison.analytic, measured.value):
        return
    yield _without(measured, np.flatnonzero(wrong))


def describe_pattern(measured: MeasuredGradient, comparison: Comparison) -> str:
    """Which nonzeros of a Jacobian are missing or too many; empty if something else is wrong."""
    if measured.problem.cotangent is not None:
        return ""
    wrong, nonzero = comparison.wrong, _nonzero(measured)
    missing = wrong & (comparison.analytic == 0) & nonzero
    added = wrong & (comparison.analytic != 0) & ~nonzero
    if not wrong.any() or np.any(wrong & ~missing & ~added):
        return ""
    parts = [_describe(measured, missing, "missing"), _describe(measured, added, "too many")]
    return "its pattern is another: " + join_words([part for part in parts if part])


def exchange_zeros(measured: MeasuredGradient) -> Iterator[Injected]:
    """The first nonzero entry becomes zero, and the first zero becomes nonzero."""
    zero, nonzero = np.flatnonzero(measured.value == 0), np.flatnonzero(_nonzero(measured).ravel())
    if measured.problem.cotangent is not None and len(zero) and len(nonzero) > 1:
        value = measured.value.copy()
        value.ravel()[[nonzero[0], zero[0]]] = 0.0, value.ravel()[nonzero[-1]]
        yield Injected(
            measured.whole_values(value, measured.uncertainty),
            "an entry is zero that should not be, and one is not that should",
        )


def describe_mask(measured: MeasuredGradient, comparison: Comparison) -> str:
    """Which entries should be zero, and which should not, if that is all that is wrong.

    Empty otherwise, or if too few entries show that it is a mask.
    """
    wrong = comparison.wrong
    missing = wrong & (comparison.analytic == 0) & _nonzero(measured)
    added = wrong & (comparison.analytic != 0) & ~_nonzero(measured)
    enough = added.sum() >= (1 if missing.any() else LEAST_ADDED)
    if measured.problem.cotangent is None or not enough or np.any(wrong & ~missing & ~added):
        return ""
    if np.sum(~wrong & _nonzero(measured)) < LEAST_RIGHT:
        return ""
    parts = [f"{list_entries(added)} should be zero"]
    if missing.any():
        parts.append(f"{list_entries(missing)} should not be zero")
    return f"{join_words(parts)}, the rest is right"


def describe_flat(measured: MeasuredGradient) -> str:
    """A sentence if the forward is constant around the input, but not farther off; else empty."""
    if not measured.whole or np.any(np.abs(measured.value) > measured.uncertainty):
        return ""
    problem, rng = measured.problem, np.random.default_rng(0)
    scale = float(np.max(np.abs(measured.x), initial=0.0)) or 1.0
    here = problem.forward(dict(problem.inputs))
    for _ in range(FAR_POINTS):
        with suppress(Exception):  # the user's code may fail there
            far = measured.x + scale * rng.standard_normal(measured.x.shape)
            if not np.array_equal(problem.forward({**problem.inputs, measured.name: far}), here):
                return (
                    f"it is not zero, and the forward does not change where {measured.name} is "
                    "moved a little; it does where it is moved by its own size"
                )
    return ""


def flatten_by_columns(measured: MeasuredGradient) -> Iterator[Injected]:
    """The outputs or inputs of a Jacobian were flattened by columns, but are read by rows."""
    if measured.problem.cotangent is not None or not measured.whole:
        return
    axes = measured.x.ndim
    outputs, inputs = measured.shape[: measured.value.ndim - axes], measured.x.shape
    many = [sum(length > 1 for length in shape) > 1 for shape in (outputs, inputs)]
    for sides in ((0,), (1,), (0, 1)):
        if all(many[side] for side in sides):
            orders = [
                _by_columns(shape) if side in sides else np.arange(int(np.prod(shape)))
                for side, shape in enumerate((outputs, inputs))
            ]
            value, uncertainty = (
                part.reshape(len(orders[0]), -1)[np.ix_(*orders)].reshape(measured.shape)
                for part in (measured.value, measured.uncertainty)
            )
            what = ("its outputs are", "the input is", "its outputs and the input are")[
                2 if len(sides) == 2 else sides[0]
            ]
            yield Injected(
                measured.whole_values(value, uncertainty),
                f"{what} flattened by columns, as by order='F' or vec",
                choices=3.0,
            )


def _by_columns(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """For each place in the order by columns, the flat position by rows."""
    return np.arange(int(np.prod(shape))).reshape(shape).ravel(order="F")


def describe_contradiction(measured: MeasuredGradient, comparison: Comparison) -> str:
    """How the two sides of an identity differ most, and where."""
    position = int(np.argmax(comparison.error))
    index = list(measured.gradient.index(position))
    at = f" at {index}" if comparison.error.size > 1 else ""
    left, right = comparison.analytic.flat[position], measured.value.flat[position]
    return f"the two sides are {left:.6g} and {right:.6g}{at}: they differ by more than rounding"


def _nonzero(measured: MeasuredGradient) -> NDArray[np.bool_]:
    """Where the numeric Jacobian is not zero."""
    return np.asarray(np.abs(measured.value) > measured.uncertainty)


def _without(measured: MeasuredGradient, at: NDArray[np.intp]) -> Injected:
    """The Jacobian with these nonzeros set to zero."""
    value = measured.value.copy()
    value.ravel()[at] = 0.0
    dropped = np.zeros(value.shape, dtype=bool)
    dropped.ravel()[at] = True
    patterns = comb(int(_nonzero(measured).sum()) or 1, len(at)) or 1
    return Injected(
        measured.whole_values(value, measured.uncertainty),
        _describe(measured, dropped, "missing"),
        choices=10.0 ** min(log10(patterns), LARGEST_EXPONENT),
    )


def _fills_slice(analytic: Float, numeric: Float) -> bool:
    """Whether a slice with several nonzeros is all zero; then that is the better diagnosis."""
    for axis in range(analytic.ndim):
        others = tuple(other for other in range(analytic.ndim) if other != axis)
        several = np.sum(numeric != 0, axis=others) > 1
        if np.any(~np.any(analytic, axis=others) & several):
            return True
    return False


def _describe(measured: MeasuredGradient, where: NDArray[np.bool_], what: str) -> str:
    """`2 nonzeros are missing, at [0, 1] and [2, 2]`."""
    positions = np.flatnonzero(where)
    if not len(positions):
        return ""
    listed = [str(list(measured.gradient.index(int(one)))) for one in positions[:MOST_LISTED]]
    if len(positions) > MOST_LISTED:
        listed.append(f"{len(positions) - MOST_LISTED} more")
    are = "is" if len(positions) == 1 else "are"
    return f"{count_of(len(positions), 'nonzero')} {are} {what}, at {join_words(listed)}"
