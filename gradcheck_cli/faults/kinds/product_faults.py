"""Faults of the product aᵀ ∂L/∂z, the gradient of weights that multiply an array a.

In a loop it is summed over the steps. A wrong backward uses another array in the place of a, or the
gradient of another value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.faults.evidence import list_close_gradients
from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.hidden_stages import strip_time
from gradcheck_cli.faults.invertible_activations import ACTIVATIONS
from gradcheck_cli.faults.kinds.exchange_faults import LOOK_BETWEEN, NOT_PASSED_ON
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import Stage

Shape = tuple[int, ...]
Series = Sequence[Float]  # an array that a forward computes, once or at each step of a loop

SHIFTS = (-1, 0, 1)  # a loop uses the array of the step before, of this one, or of the one after
# Whether the samples are the columns of a, and of δ; else they are the rows.
LAYOUTS = ((False, False), (True, True), (False, True), (True, False))
# Over the largest entry: a product that differs by less is the right gradient, since ∂L/∂z is
# measured, too.
SAME = 1e-7
OTHER_ARRAY = (
    "weights have the gradient aᵀ ∂L/∂z, where a is what they multiply in the forward, and another "
    "array is taken for it"
)
# f′(z) as a function of y = f(z), for a z that has no name in the code.
SLOPES: dict[str, Callable[[Float], Float]] = {
    "": np.ones_like,
    **{f" below a {one.name}": one.slope_by_output for one in ACTIVATIONS},
    " below a relu": lambda y: (y > 0).astype(np.float64),
}


class Products(Struct, frozen=True):
    """The products of one ∂L/∂z with several arrays.

    stages: those of z, one for each step of a loop. of_what: `∂L/∂z`. names: of the arrays. values:
    products × entries. spread: how far a product may be off, over its largest entry.
    """

    stages: Sequence[Stage]
    of_what: str
    names: Sequence[str]
    values: Float
    spread: float


def fit_product(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The product of ∂L/∂z with a wrong array, or of an array with the ∂L/∂z of a wrong z."""
    if not measured.inner or not measured.whole or measured.value.ndim != 2:
        return
    every = list(_list_products(measured))
    rights = {
        name: one.of_what
        for one in reversed(every)  # the first names win
        for name, multiple in zip(one.names, _find_multiples(measured, one), strict=True)
        if multiple
    }
    for one in every:
        yield from _list_wrong_products(measured, comparison, one, rights)


def _find_multiples(measured: MeasuredGradient, one: Products) -> NDArray[np.bool_]:
    """Which products are the right gradient up to a factor, such as a 1/√d of the forward."""
    right, squares = measured.value.ravel(), np.sum(one.values**2, axis=1)
    factors = np.where(squares > 0, one.values @ right / squares, 0.0)
    rest = np.max(np.abs(right - factors[:, None] * one.values), axis=1)
    return np.asarray(rest <= SAME * np.max(np.abs(right)))


def _find_rights(measured: MeasuredGradient, one: Products) -> dict[str, Float]:
    """The arrays whose product is the right gradient or the part of it through z, with the rest."""
    rest = measured.value.ravel() - one.values
    whole = np.max(np.abs(rest), axis=1) <= SAME * np.max(np.abs(measured.value))
    part, stage = np.zeros_like(whole), one.stages[0]
    if len(one.stages) == 1 and measured.is_inner(stage):  # else nothing flows through it
        through = measured.flow_through(stage, stage.cotangent)
        off = np.max(np.abs(through.value - one.values[:, through.at]), axis=1)
        part = off <= SAME * np.max(np.abs(one.values), axis=1)
    return {
        name: around * (not all_of_it)
        for name, around, all_of_it, some in zip(one.names, rest, whole, part, strict=True)
        if all_of_it or some
    }


def _list_products(measured: MeasuredGradient) -> Iterator[Products]:
    """All products that have the shape of the gradient."""
    arrays = _list_arrays(measured)
    for stages in _list_times(measured):
        shapes = [stage.cotangent.shape for stage in stages]
        fitting = [
            (name, values, columns)
            for name, values in arrays.items()
            for columns in LAYOUTS
            if _fit([value.shape for value in values], shapes, columns, measured.shape)
        ]
        for below, slope in SLOPES.items() if fitting else ():
            gradients = [_pull_back(measured, stage, slope) for stage in stages]
            products = [
                (name, product.ravel())
                for name, values, columns in fitting
                for product in _multiply(values, gradients, columns, measured.shape)
            ]
            names, values = zip(*products, strict=True)
            spread = max(stage.precision for stage in stages)
            of_what = f"∂L/∂{_name_times(measured, stages)}{below}"
            yield Products(stages, of_what, names, np.stack(values), spread)


def _list_wrong_products(
    measured: MeasuredGradient, comparison: Comparison, one: Products, rights: Mapping[str, str]
) -> Iterator[Injected]:
    """The products that are close to the wrong gradient, with what stands there rightly.

    rights: for each array, the ∂L/∂z with which it gives the right gradient up to a factor.
    """
    around = _find_rights(measured, one)
    gradients = [np.zeros(measured.value.size), *around.values()][-1] + one.values
    for place in list_close_gradients(gradients, comparison, measured.transposed):
        name = one.names[place]
        if name in around:
            continue
        of_other = "" if around else rights.get(name, "")
        instead = f"that of {of_other}" if of_other else next(iter(around), "")
        instead = re.sub(r" \(\S+:\d+[^)]*\)", "", instead)
        spread = one.spread * np.max(np.abs(one.values[place]))
        yield Injected(
            measured.whole_values(gradients[place].reshape(measured.shape), spread),
            f"it is the product of {one.of_what} with {name}"
            f"{' in the place of ' * bool(instead)}{instead}",
            choices=float(len(one.names) * len(SLOPES)),
            cause=NOT_PASSED_ON if of_other else OTHER_ARRAY,
            next_step=LOOK_BETWEEN
            if of_other
            else f"look at the product that makes {measured.label.gradient}: it takes what the "
            "weights multiply",
        )


def _list_times(measured: MeasuredGradient) -> Iterator[list[Stage]]:
    """Each inner stage alone, and the stages of the same line in all turns of a loop together."""
    groups: dict[str, list[Stage]] = {}
    for stage in measured.hidden:
        yield [stage]
        groups.setdefault(strip_time(stage.name), []).append(stage)
    for stages in groups.values():
        if len(stages) > 1:
            yield stages
            if stages[-1].cotangent.shape == measured.outputs.cotangent.shape:
                yield [*stages, measured.outputs]  # a loop may return the last of its values


def _name_times(measured: MeasuredGradient, stages: Sequence[Stage]) -> str:
    """The name of values in reports; those of a loop are named without their turn."""
    if len(stages) == 1:
        return stages[0].name
    return strip_time(stages[0].name) + " and the output" * (stages[-1] is measured.outputs)


def _pull_back(measured: MeasuredGradient, stage: Stage, slope: Callable[[Float], Float]) -> Float:
    """∂L/∂z of a stage, or of the z below it."""
    return np.asarray(stage.cotangent, dtype=np.float64) * slope(measured.read(stage))


def _list_arrays(measured: MeasuredGradient) -> dict[str, Series]:
    """The inputs and inner values; those of a loop at all its steps, and shifted by one step."""
    found: dict[str, Series] = {
        name: [np.asarray(x, dtype=np.float64)] for name, x in measured.problem.inputs.items()
    }
    for stages in _list_times(measured):
        values = [measured.read(one) for one in stages]
        name = _name_times(measured, stages)
        for shift in SHIFTS if len(stages) > 1 else (0,):
            when = {-1: " of the step before", 0: "", 1: " of the step after"}[shift]
            found[name + when] = shift_in_time(values, shift)
    return found


def shift_in_time(values: list[Float], by: int) -> Series:
    """The values of the step before or after, with zeros at the end of the loop."""
    nothing = np.zeros_like(values[0])
    if by < 0:
        return [nothing, *values[:-1]]
    return [*values[1:], nothing] if by else values


def _multiply(
    values: Series, gradients: Series, columns: tuple[bool, bool], shape: Shape
) -> Iterator[Float]:
    """Σ aᵀ δ over the steps, and its transpose, if they have the shape of the weights.

    columns: see LAYOUTS.
    """
    pairs = zip(values, gradients, strict=True)
    terms = [_as_matrix(a, columns[0]).T @ _as_matrix(d, columns[1]) for a, d in pairs]
    product = np.sum(terms, axis=0)
    yield from (one for one in (product, product.T) if one.shape == shape)


def _fit(
    values: Sequence[Shape], gradients: Sequence[Shape], columns: tuple[bool, bool], shape: Shape
) -> bool:
    """Whether the products of arrays and gradients of these shapes have that of the weights."""
    return len(values) == len(gradients) and all(
        _fit_pair(*pair, columns, shape) for pair in zip(values, gradients, strict=True)
    )


def _fit_pair(a: Shape, delta: Shape, columns: tuple[bool, bool], shape: Shape) -> bool:
    """Whether the product of two such arrays, or its transpose, has the shape of the weights."""
    if not a or len(a) != len(delta) or (any(columns) and len(a) != 2):
        return False
    (rows, left), (others, right) = map(_shape_matrix, (a, delta), columns)
    return rows == others and shape in ((left, right), (right, left))


def _shape_matrix(shape: Shape, columns: bool) -> Shape:
    """The shape that `_as_matrix` gives an array."""
    return shape[::-1] if columns else (prod(shape[:-1]), shape[-1])


def _as_matrix(array: Float, columns: bool) -> Float:
    """An array as samples × features."""
    return array.T if columns else array.reshape(-1, array.shape[-1])
