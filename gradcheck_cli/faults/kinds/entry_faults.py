"""Faults of entries: a few are wrong, or all are clipped, rounded, in float32 or noisy."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

import numpy as np

from gradcheck_cli.faults.factors import name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Comparison, Float, largest
from gradcheck_cli.text import join_words

TYPICAL_ERROR = 0.01  # relative, of mutants with one wrong entry or with noise
DECIMALS = range(9)  # to which entries may be rounded; a check does not resolve more
# The root mean square of relative errors that float32 leaves: from a tenth of a rounding (2⁻²⁵,
# where one of several terms is rounded) to some ten roundings.
FLOAT32_ERRORS = (3e-9, 5e-7)
CONSTANT_RATIO = 2.0  # errors whose largest is less than this times the smallest are a constant
LEAST_OF_EACH_SIGN = 0.2  # the least share of each sign among random errors; about half is usual
MOST_LISTED = 3  # wrong entries that are listed one by one
# Errors are noise if each is at most this share of its entry, if there are this many of them, and
# if the largest is at most so many medians (of a normal distribution it is 6 among 10,000).
LARGEST_NOISE, LEAST_NOISY, LONGEST_TAIL = 0.05, 8, 8.0


def perturb_entry(measured: MeasuredGradient) -> Iterator[Injected]:
    """The largest entry is off by one percent."""
    value = measured.value.copy()
    position = int(np.argmax(np.abs(np.where(np.isfinite(value), value, 0.0))))
    value.ravel()[position] *= 1 + TYPICAL_ERROR
    index = list(measured.gradient.index(position))
    yield Injected(
        measured.whole_values(value, measured.uncertainty), f"the entry {index} is off by 1%"
    )


def describe_few_entries(measured: MeasuredGradient, comparison: Comparison) -> str:
    """List the wrong entries, if they are few among many right ones; else empty."""
    flat = np.flatnonzero(comparison.wrong)
    if not 0 < len(flat) <= MOST_LISTED or 2 * len(flat) >= comparison.wrong.size:
        return ""
    observation = []
    for position in flat:
        a, m = float(comparison.analytic.ravel()[position]), float(measured.value.ravel()[position])
        precision = float(comparison.allowed.ravel()[position]) / (abs(m) or 1.0)
        by = name_factor(a / m if m else 0.0, precision, measured.numbers)
        ratio = f" ({by.text} times the numeric one)" if m and a and not by.parameters else ""
        ratio = " (zero)" if m and not a else ratio
        observation.append(f"{list(measured.gradient.index(int(position)))}{ratio}")
    return f"all entries are right but {join_words(observation)}"


def clip(measured: MeasuredGradient) -> Iterator[Injected]:
    """Entries are cut off at half of the largest."""
    yield _clip_at(measured, float(np.max(np.abs(measured.value), initial=0.0)) / 2, 0)


def fit_clip(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Entries are cut off at the largest analytic one."""
    limit = float(np.max(np.abs(comparison.analytic), initial=0.0))
    cut = comparison.analytic[np.abs(comparison.analytic) == limit]
    if len(cut) > 1 and (len(cut) < comparison.analytic.size or _has_both_signs(cut)):
        yield _clip_at(measured, limit, 1)


def _clip_at(measured: MeasuredGradient, limit: float, parameters: int) -> Injected:
    """The gradient with its entries cut off at ±limit."""
    return Injected(
        measured.whole_values(np.clip(measured.value, -limit, limit), measured.uncertainty),
        f"its entries are cut off at ±{limit:.6g}",
        parameters=parameters,
    )


def round_entries(measured: MeasuredGradient) -> Iterator[Injected]:
    """Entries are rounded to three digits of the largest."""
    largest = float(np.max(np.abs(measured.value), initial=0.0))
    if np.isfinite(largest) and largest > 0:
        yield _round_to(measured, 2 - int(np.floor(log10(largest))))


def fit_decimals(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Entries are rounded to the decimals that all analytic ones have."""
    for decimals in DECIMALS:
        if np.array_equal(comparison.analytic, np.round(comparison.analytic, decimals)):
            yield _round_to(measured, decimals)
            return


def _round_to(measured: MeasuredGradient, decimals: int) -> Injected:
    """The gradient with its entries rounded to some decimals."""
    low, high = (
        np.round(measured.value + sign * measured.uncertainty, decimals) for sign in (-1.0, 1.0)
    )
    return Injected(
        measured.whole_values(
            np.round(measured.value, decimals), high - low + 1e-16 * np.abs(high)
        ),
        f"its entries are rounded to {decimals} decimals",
        choices=10.0,
        grain=10.0**-decimals,
    )


def round_to_float32(measured: MeasuredGradient) -> Iterator[Injected]:
    """Entries are rounded to float32 in a check of float64."""
    if measured.x.dtype == np.float64:
        with np.errstate(all="ignore"):
            value = measured.value.astype(np.float32).astype(np.float64)
        yield Injected(
            measured.whole_values(value, measured.uncertainty), "its entries are rounded to float32"
        )


def describe_float32(measured: MeasuredGradient, comparison: Comparison) -> str:
    """A sentence if errors or values show float32 in a backward of float64; else empty."""
    if measured.x.dtype != np.float64:
        return ""
    a = comparison.analytic
    with np.errstate(all="ignore"):
        single = a.astype(np.float32).astype(np.float64)
        # Numbers of few digits, such as 0.25, are float32 numbers by chance.
        whole = np.array_equal(a, a.astype(np.float16)) or bool(np.all(a == np.round(a)))
    if not whole and np.array_equal(a, single) and comparison.over_largest(comparison.error) < 1e-2:
        return "every entry is a float32 number"
    relative = _list_relative_errors(measured, comparison)
    size = float(np.sqrt(np.mean(np.square(relative)))) if len(relative) else 0.0
    low, high = FLOAT32_ERRORS
    errors = comparison.error[comparison.wrong]
    if len(errors) and largest(errors) < CONSTANT_RATIO * np.min(errors):
        return ""  # a constant, which changes its sign with the gradient
    if low < size < high and _has_both_signs(relative) and comparison.wrong.sum() > a.size / 2:
        return "the errors are about a rounding in float32, up and down"
    return ""


def _has_both_signs(errors: Float) -> bool:
    return bool(LEAST_OF_EACH_SIGN < np.mean(errors > 0) < 1 - LEAST_OF_EACH_SIGN)


def _list_relative_errors(measured: MeasuredGradient, comparison: Comparison) -> Float:
    """The relative errors of all entries that are not zero and at no kink."""
    some = comparison.smooth & (measured.value != 0) & np.isfinite(measured.value)
    return np.asarray((comparison.analytic[some] - measured.value[some]) / measured.value[some])


def add_noise(measured: MeasuredGradient) -> Iterator[Injected]:
    """Every entry has noise of one percent."""
    noise = np.random.default_rng(measured.value.size).standard_normal(measured.shape)
    yield Injected(
        measured.whole_values(measured.value * (1 + TYPICAL_ERROR * noise), measured.uncertainty),
        "every entry has noise of 1%",
    )


def describe_noise(measured: MeasuredGradient, comparison: Comparison) -> str:
    """A sentence if the relative errors look like normal noise; else empty."""
    relative = _list_relative_errors(measured, comparison)
    if len(relative) < LEAST_NOISY or comparison.wrong.sum() < 0.9 * len(relative):
        return ""
    if largest(comparison.error) < CONSTANT_RATIO * np.min(comparison.error[comparison.wrong]):
        return ""
    size = np.sort(np.abs(relative))
    median = float(size[len(size) // 2])
    if (
        size[-1] > LARGEST_NOISE
        or size[-1] > LONGEST_TAIL * median
        or not _has_both_signs(relative)
    ):
        return ""
    deviation = float(np.sqrt(np.mean(relative**2)))
    return f"every entry is off by about {deviation:.1e} of itself, up or down"
