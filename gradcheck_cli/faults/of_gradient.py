"""Faults of the gradient itself: a factor, a transpose, rows that are zero, shifted or others'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.errors import listed
from gradcheck_cli.faults.factors import Factor, factor, fitted
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.place import Region, confined, told_slices
from gradcheck_cli.faults.right import Right, Values
from gradcheck_cli.verdict import Comparison, agrees

Float = NDArray[np.float64]

MOST_SLICES = 128  # of an axis whose slices are looked for among each other
TYPICAL_ERROR = 0.01  # of one entry, and of noise
DECIMALS = range(9)
FLOAT32_ERRORS = (3e-9, 5e-7)  # relative, as a root mean square: what computing in float32 leaves
MIXED = 0.2  # the share of each sign among rounding errors; both have about a half
FEW = 3  # entries that are told one by one
# Errors are noise if all are this small relative to their entries, if there are enough of them to
# say so, and if the largest is no further from the median than those of a normal distribution are.
MOST_NOISE, LEAST_ENTRIES, LONGEST_TAIL = 0.05, 8, 8.0


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
        cause=_cause(by),
        next_step=_next_step(by),
    )


def _cause(by: Factor) -> str:
    name = by.names[0] if by.names else ""
    if name == "−1":
        return "a sign is lost, often that of a difference: (t − y) for (y − t)"
    if name == "2":
        return "the derivative of a square without its ½, or a term that is counted twice"
    if name == "1/2":
        return "a ½ of the loss is taken twice, or one of two equal terms is left out"
    if name.startswith("1/"):
        return (
            "an average where a sum belongs; or, where the loss is a mean, a second 1/n: the "
            "upstream gradient has one already"
        )
    if name:
        return "a sum where an average belongs: the 1/n of a mean is missing"
    return ""


def _next_step(by: Factor) -> str:
    if not by.names:
        return ""
    name = by.names[0]
    if name == "−1":
        return "look for the sign in the rule, and in what is handed to it"
    other = name.removeprefix("1/") if name.startswith("1/") else f"1/{name}"
    return f"look for a factor {name} too many in the rule, or for a missing {other}"


def zeros(right: Right) -> Iterator[Injected]:
    """Nothing but zeros."""
    yield Injected(right.whole_values(np.zeros(right.shape)), "every entry is zero")


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


def parts_zeroed(right: Right) -> Iterator[Injected]:
    """A row, a column and a block left at zero."""
    if not right.whole or right.value.size < 2:
        return
    shape = right.shape
    for axis in (0, len(shape) - 1)[: min(2, len(shape))]:
        if shape[axis] > 1:
            yield _part(right, Region(((axis, (0,)),)), Factor(0.0, ()))
    if len(shape) > 1 and min(shape[-2:]) > 2:
        halves = tuple(
            (axis, tuple(range(shape[axis] // 2))) for axis in (len(shape) - 2, len(shape) - 1)
        )
        yield _part(right, Region(halves), Factor(0.0, ()))


def parts_scaled(right: Right, found: Comparison) -> Iterator[Injected]:
    """A factor, or zeros, in a part of the gradient; in all wrong entries, wherever they are."""
    region = confined(found.wrong) if right.whole else None
    if region is not None:
        yield _part(right, region, _between(right, found, region.mask(right.shape)))
    count = int(found.wrong.sum())
    if 1 < count < found.wrong.size:
        by = _between(right, found, found.wrong)
        told = f"the {count} wrong entries are all {_times(by)}, the rest is right"
        yield Injected(_scaled_there(right, found.wrong, by), told, None, "", by.fitted, by.choices)


def _between(right: Right, found: Comparison, inside: NDArray[np.bool_]) -> Factor:
    """The factor between the two gradients in a part of them."""
    value, precision = fitted(found.analytic[inside], right.value[inside], found.allowed[inside])
    return Factor(0.0, ()) if value == 0.0 else factor(value, precision, right.numbers)


def _times(by: Factor) -> str:
    return "zero" if by.value == 0.0 else f"{by.shown} times the numeric gradient"


def _scaled_there(right: Right, inside: NDArray[np.bool_], by: Factor) -> Values:
    return right.whole_values(
        np.where(inside, by.value * right.value, right.value),
        np.where(inside, abs(by.value) * right.uncertainty, right.uncertainty),
    )


def _part(right: Right, region: Region, by: Factor) -> Injected:
    inside, where = region.mask(right.shape), region.told(right.shape)
    verb = "are" if region.many else "is"
    zero = by.value == 0.0 and not right.value[inside].any()
    return Injected(
        _scaled_there(right, inside, by),
        f"{where} {'are' if region.many else 'is'} {_times(by)}, the rest is right",
        same=f"{where} of the gradient {'are' if region.many else 'is'} zero anyway"
        if zero
        else "",
        fitted=by.fitted,
        choices=by.choices * region.choices,
    )


def moved(right: Right) -> Iterator[Injected]:
    """Slices shifted by one, and the first one where the second belongs."""
    if not right.whole:
        return
    for axis, size in enumerate(right.shape):
        if size > 1:
            yield _taken(right, axis, np.roll(np.arange(size), 1))
    if right.shape and right.shape[0] > 1:
        stale = np.arange(right.shape[0])
        stale[1] = 0
        yield _taken(right, 0, stale)


def taken_elsewhere(right: Right, found: Comparison) -> Iterator[Injected]:
    """Slices of the numeric gradient, along an axis, in another order or more than once."""
    if not right.whole:
        return
    for axis, size in enumerate(right.shape):
        if 1 < size <= MOST_SLICES:
            sources = _sources(found, right, axis)
            if sources is not None and not np.array_equal(sources, np.arange(size)):
                yield _taken(right, axis, sources)


def _sources(found: Comparison, right: Right, axis: int) -> NDArray[np.intp] | None:
    """Which slice of the numeric gradient every slice of the analytic one is; its own if it can."""
    analytic, value, allowed = (
        np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        for array in (found.analytic, right.value, found.allowed + right.uncertainty)
    )
    sources = np.empty(len(value), dtype=np.intp)
    for index in range(len(value)):
        gap = np.abs(analytic[index] - value)
        fits = np.flatnonzero(np.all(gap <= np.maximum(allowed[index], allowed), axis=1))
        if not len(fits):
            return None
        sources[index] = index if index in fits else fits[0]
    return sources


def _taken(right: Right, axis: int, sources: NDArray[np.intp]) -> Injected:
    value, size = np.take(right.value, sources, axis), len(sources)
    words = told_slices(axis, right.shape)
    every = np.arange(size)
    shift = next((k for k in range(1, size) if np.array_equal(np.roll(every, k), sources)), 0)
    if shift:
        by = shift if shift <= size // 2 else shift - size
        told = f"its {words} are shifted by {by}".replace("-", "−")
    elif np.array_equal(sources, range(size - 1, -1, -1)):
        told = f"its {words} are reversed"
    elif len(set(sources.tolist())) == size:
        off = [k for k in range(size) if sources[k] != k]
        told = f"its {words} are in another order: {_mapping(off, sources)}"
    else:
        off = [k for k in range(size) if sources[k] != k]
        told = f"its {words} are those of others: {_mapping(off, sources)}"
    return Injected(
        right.whole_values(value, np.take(right.uncertainty, sources, axis)),
        told,
        same=f"these {words} of the gradient are equal"
        if np.array_equal(value, right.value)
        else "",
        choices=size if shift else 10.0 ** (sum(sources != range(size)) * log10(size)),
    )


def _mapping(off: Sequence[int], sources: NDArray[np.intp]) -> str:
    shown = [f"{index} is {sources[index]}" for index in off[:6]]
    return listed(shown) + (f" and {len(off) - 6} more" if len(off) > 6 else "")


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
        ratio = f" ({by.shown} times the numeric one)" if m and not by.fitted else ""
        told.append(f"{list(right.gradient.index(int(position)))}{ratio}")
    return f"all entries are right but {listed(told)}"


def clipped(right: Right) -> Iterator[Injected]:
    """Every entry cut off at half of the largest."""
    yield _clipped(right, float(np.max(np.abs(right.value), initial=0.0)) / 2, 0)


def clipped_at(right: Right, found: Comparison) -> Iterator[Injected]:
    """Every entry cut off at the largest analytic one."""
    limit = float(np.max(np.abs(found.analytic), initial=0.0))
    cut = np.abs(found.analytic) == limit
    if cut.sum() > 1 and not cut.all():
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
    size = np.sort(np.abs(relative))
    median = float(size[len(size) // 2])
    if size[-1] > MOST_NOISE or size[-1] > LONGEST_TAIL * median or not _mixed(relative):
        return ""
    deviation = float(np.sqrt(np.mean(relative**2)))
    return f"every entry is off by about {deviation:.1e} of itself, up or down"
