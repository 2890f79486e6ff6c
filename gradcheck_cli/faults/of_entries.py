"""Faults of entries: a few that are wrong, all of them clipped, rounded, in float32 or noisy."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import Right
from gradcheck_cli.measure.compare import Comparison, largest
from gradcheck_cli.text import join_words

Float = NDArray[np.float64]

TYPICAL_ERROR = 0.01  # of one entry, and of noise
DECIMALS = range(9)
FLOAT32_ERRORS = (3e-9, 5e-7)  # relative, as a root mean square: what computing in float32 leaves
CONSTANT = 2.0  # between the smallest and the largest of errors that have one size
MIXED = 0.2  # the share of each sign among rounding errors; both have about a half
FEW = 3  # entries that are told one by one
# Errors are noise if all are this small relative to their entries, if there are enough of them to
# say so, and if the largest is no further from the median than those of a normal distribution are.
MOST_NOISE, LEAST_ENTRIES, LONGEST_TAIL = 0.05, 8, 8.0


def one_off(right: Right) -> Iterator[Injected]:
    """The largest entry off by one percent."""
    value = right.value.copy()
    position = int(np.argmax(np.abs(np.where(np.isfinite(value), value, 0.0))))
    value.ravel()[position] *= 1 + TYPICAL_ERROR
    index = list(right.gradient.index(position))
    yield Injected(right.whole_values(value, right.uncertainty), f"the entry {index} is off by 1%")


def few_wrong(right: Right, found: Comparison) -> str:
    """The wrong entries, where there are few of them among many right ones."""
    flat = np.flatnonzero(found.wrong)
    if not 0 < len(flat) <= FEW or 2 * len(flat) >= found.wrong.size:
        return ""
    told = []
    for position in flat:
        a, m = float(found.analytic.ravel()[position]), float(right.value.ravel()[position])
        precision = float(found.allowed.ravel()[position]) / (abs(m) or 1.0)
        by = factor(a / m if m else 0.0, precision, right.numbers)
        ratio = f" ({by.shown} times the numeric one)" if m and a and not by.fitted else ""
        ratio = " (zero)" if m and not a else ratio
        told.append(f"{list(right.gradient.index(int(position)))}{ratio}")
    return f"all entries are right but {join_words(told)}"


def clipped(right: Right) -> Iterator[Injected]:
    """Every entry cut off at half of the largest."""
    yield _clipped(right, float(np.max(np.abs(right.value), initial=0.0)) / 2, 0)


def clipped_at(right: Right, found: Comparison) -> Iterator[Injected]:
    """Every entry cut off at the largest analytic one."""
    limit = float(np.max(np.abs(found.analytic), initial=0.0))
    cut = found.analytic[np.abs(found.analytic) == limit]
    if len(cut) > 1 and (len(cut) < found.analytic.size or _mixed(cut)):
        yield _clipped(right, limit, 1)


def _clipped(right: Right, limit: float, parameters: int) -> Injected:
    return Injected(
        right.whole_values(np.clip(right.value, -limit, limit), right.uncertainty),
        f"its entries are cut off at ±{limit:.6g}",
        fitted=parameters,
    )


def rounded(right: Right) -> Iterator[Injected]:
    """Three decimals of the largest entry kept."""
    largest = float(np.max(np.abs(right.value), initial=0.0))
    if np.isfinite(largest) and largest > 0:
        yield _rounded(right, 2 - int(np.floor(log10(largest))))


def rounded_to(right: Right, found: Comparison) -> Iterator[Injected]:
    """As many decimals as all analytic entries have."""
    for decimals in DECIMALS:
        if np.array_equal(found.analytic, np.round(found.analytic, decimals)):
            yield _rounded(right, decimals)
            return


def _rounded(right: Right, decimals: int) -> Injected:
    low, high = (np.round(right.value + sign * right.uncertainty, decimals) for sign in (-1.0, 1.0))
    return Injected(
        right.whole_values(np.round(right.value, decimals), high - low + 1e-16 * np.abs(high)),
        f"its entries are rounded to {decimals} decimals",
        choices=10.0,
    )


def single_precision(right: Right) -> Iterator[Injected]:
    """Entries rounded to float32, in a check of float64."""
    if right.x.dtype == np.float64:
        with np.errstate(all="ignore"):
            value = right.value.astype(np.float32).astype(np.float64)
        yield Injected(
            right.whole_values(value, right.uncertainty), "its entries are rounded to float32"
        )


def in_single_precision(right: Right, found: Comparison) -> str:
    """What gives a float32 inside a float64 backward away."""
    if right.x.dtype != np.float64:
        return ""
    a = found.analytic
    with np.errstate(all="ignore"):
        single = a.astype(np.float32).astype(np.float64)
        # Numbers of few digits, such as 0.25, are float32 numbers by chance.
        whole = np.array_equal(a, a.astype(np.float16)) or bool(np.all(a == np.round(a)))
    if not whole and np.array_equal(a, single) and found.over_largest(found.error) < 1e-2:
        return "every entry is a float32 number"
    relative = _relative_errors(right, found)
    size = float(np.sqrt(np.mean(np.square(relative)))) if len(relative) else 0.0
    low, high = FLOAT32_ERRORS
    errors = found.error[found.wrong]
    if len(errors) and largest(errors) < CONSTANT * np.min(errors):
        return ""  # a constant, which changes its sign with the gradient
    if low < size < high and _mixed(relative) and found.wrong.sum() > a.size / 2:
        return "the errors are about a rounding in float32, up and down"
    return ""


def _mixed(errors: Float) -> bool:
    return bool(MIXED < np.mean(errors > 0) < 1 - MIXED)


def _relative_errors(right: Right, found: Comparison) -> Float:
    """Of all entries that are smooth and not zero."""
    some = found.smooth & (right.value != 0) & np.isfinite(right.value)
    return np.asarray((found.analytic[some] - right.value[some]) / right.value[some])


def noisy(right: Right) -> Iterator[Injected]:
    """Noise of one percent on every entry."""
    noise = np.random.default_rng(right.value.size).standard_normal(right.shape)
    yield Injected(
        right.whole_values(right.value * (1 + TYPICAL_ERROR * noise), right.uncertainty),
        "every entry has noise of 1%",
    )


def noise_seen(right: Right, found: Comparison) -> str:
    """The size of relative errors that look like normal noise."""
    relative = _relative_errors(right, found)
    if len(relative) < LEAST_ENTRIES or found.wrong.sum() < 0.9 * len(relative):
        return ""
    if largest(found.error) < CONSTANT * np.min(found.error[found.wrong]):
        return ""
    size = np.sort(np.abs(relative))
    median = float(size[len(size) // 2])
    if size[-1] > MOST_NOISE or size[-1] > LONGEST_TAIL * median or not _mixed(relative):
        return ""
    deviation = float(np.sqrt(np.mean(relative**2)))
    return f"every entry is off by about {deviation:.1e} of itself, up or down"
