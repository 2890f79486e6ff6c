"""Faults in which slices of a gradient have different factors, as by a repeated index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.kinds.part_faults import fit_part_factor
from gradcheck_cli.faults.kinds.slice_faults import MOST_SLICES
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.regions import Region, describe_indices
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.text import join_words

MOST_FACTORS = 4  # different factors that are listed
NEAR_ONE = 1e-3  # a factor that differs from 1 by less comes from an epsilon
LEAST_SIDE = 3  # of a matrix in which factors of rows and of columns can be told apart
NO_SPREAD = 1e-6  # factors with a smaller spread than this share of the whole are equal


def scale_slices(measured: MeasuredGradient) -> Iterator[Injected]:
    """Rows are 1, ½ or ⅓ of what they should be, as if a repeated index overwrites."""
    size = measured.shape[0] if measured.whole and measured.shape else 0
    if 2 < size < measured.value.size:
        counts = (1, 2, 3)
        factors = [name_factor(1 / counts[row % 3], 0.0, {}) for row in range(size)]
        yield _scale_slices(measured, 0, [None, *factors[1:]])


def fit_slice_factors(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Wrong slices along an axis have factors, which are not all the same."""
    yield from _multiply_by_arrays(measured)
    for axis, size in enumerate(measured.shape if measured.whole else ()):
        if not 1 < size <= MOST_SLICES or measured.value.size == size:
            continue
        factors: list[Factor | None] = []
        for index in range(size):
            inside = Region(((axis, (index,)),)).mask(measured.shape)
            wrong = bool(comparison.wrong[inside].any())
            factors.append(fit_part_factor(measured, comparison, inside) if wrong else None)
        if len({factor.text for factor in factors if factor is not None}) > 1:
            yield _scale_slices(measured, axis, factors)
    yield from _fit_rows_and_columns(measured, comparison)


def _multiply_by_arrays(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient is multiplied or divided by an array with a number for each row or column."""
    arrays = dict(_list_arrays(measured)) if measured.whole else {}
    for name, a in arrays.items():
        if not (1 < a.size < measured.value.size and _fits(a.shape, measured.shape)):
            continue
        for by, what in ((a, name), (1 / a, f"1/{name}")) if np.all(a) else ((a, name),):
            yield Injected(
                measured.whole_values(by * measured.value, np.abs(by) * measured.uncertainty),
                f"it is the numeric gradient times {what}, each of its slices by a number",
                choices=2.0 * len(arrays),
            )


def _list_arrays(measured: MeasuredGradient) -> Iterator[tuple[str, Float]]:
    """Inputs, the norms of their rows and columns, and inner values."""
    for name, x in measured.arrays.items():
        yield name, x
        for axis in (0, 1) if name in measured.problem.inputs and x.ndim == 2 else ():
            of = "column" if axis == 0 else "row"
            yield f"‖{name}‖ of each {of}", np.linalg.norm(x, axis=axis, keepdims=True)


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of the first shape broadcasts to the second."""
    with suppress(ValueError):
        return np.broadcast_shapes(shape, whole) == whole
    return False


def _fit_rows_and_columns(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Each row and each column has a factor, as by weights along the wrong axis."""
    shape = measured.shape
    if not measured.whole or len(shape) != 2 or min(shape) < LEAST_SIDE or max(shape) > MOST_SLICES:
        return
    with np.errstate(all="ignore"):
        ratio = comparison.analytic / measured.value
        pivot = np.unravel_index(np.argmax(np.abs(measured.value)), shape)
        rows, columns = ratio[:, pivot[1]], ratio[pivot[0], :] / ratio[pivot]
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return
    if np.ptp(rows) <= NO_SPREAD * np.ptp(ratio) or np.ptp(columns) <= NO_SPREAD * np.ptp(ratio):
        return  # only rows, or only columns, have factors
    with np.errstate(all="ignore"):
        strengths = np.linalg.svd(np.nan_to_num(measured.value), compute_uv=False)
    if strengths[1] <= NO_SPREAD * strengths[0]:
        return  # from an outer product, factors lead to every other outer product
    by = np.outer(rows, columns)
    yield Injected(
        measured.right * np.broadcast_to(by, measured.shape).ravel(),
        "each row and each column has a factor of its own",
        parameters=sum(shape) - 1,
        part="a factor of each row and column",
        cause="a weight of each sample or class is multiplied in along the wrong axis",
        next_step="look at the axis along which weights are broadcast",
    )


def _scale_slices(
    measured: MeasuredGradient, axis: int, factors: Sequence[Factor | None]
) -> Injected:
    """Slices along an axis are multiplied by their factors; None: 1."""
    shape = [1] * len(measured.shape)
    shape[axis] = len(factors)
    by = np.array([1.0 if factor is None else factor.value for factor in factors]).reshape(shape)
    wrong = [factor for factor in factors if factor is not None and factor.value != 1.0]
    return Injected(
        measured.right * np.broadcast_to(by, measured.shape).ravel(),
        _list_factors(measured.shape, axis, factors),
        parameters=sum(factor.parameters for factor in wrong),
        choices=float(np.prod([factor.choices for factor in wrong])),
        cause=_find_slice_cause(wrong),
    )


def _list_factors(shape: tuple[int, ...], axis: int, factors: Sequence[Factor | None]) -> str:
    """`rows 0 and 3 are 1/2, row 1 is 1/3 times the numeric gradient, the rest is right`."""
    groups: dict[str, list[int]] = {}
    for index, factor in enumerate(factors):
        if factor is not None and factor.value != 1.0:
            name = factor.names[0] if factor.names else factor.text
            groups.setdefault("zero" if factor.value == 0.0 else name, []).append(index)
    parts = [
        f"{describe_indices(axis, tuple(indices), shape)} "
        f"{'is' if len(indices) == 1 else 'are'} {name}"
        for name, indices in groups.items()
    ]
    more = [f"{len(parts) - MOST_FACTORS} more"] if len(parts) > MOST_FACTORS else []
    rest = ", the rest is right" if sum(map(len, groups.values())) < len(factors) else ""
    return f"{join_words([*parts[:MOST_FACTORS], *more])} times the numeric gradient{rest}"


def _find_slice_cause(factors: Sequence[Factor]) -> str:
    """The usual cause of these factors: an epsilon if they are near 1, repeats if they are 1/k."""
    if all(abs(factor.value - 1.0) < NEAR_ONE for factor in factors):
        return (
            "a small constant, such as an epsilon, stands in one of forward and backward alone, "
            "in a norm or a sum of each"
        )
    with np.errstate(all="ignore"):
        counts = 1.0 / np.array([factor.value for factor in factors])
    if np.all(np.isfinite(counts) & (counts > 1.5) & (np.abs(counts - np.round(counts)) < 1e-6)):
        return (
            "an index that is repeated is written once: dW[index] += … adds the last of its "
            "terms alone, np.add.at adds all of them"
        )
    return ""
