"""Derivatives along tangents, J·v or H·v: checked input by input, and against the transpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcheck_cli.arrays import Drawn
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.text import format_shape
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.derivatives.claims import Claim, as_numbers, read_by_leaf
from gradcheck_cli.usercode.domains import describe, map_inputs, project

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

# How many eps an inner product of two computed vectors may be off by, over the sum of its terms'
# absolute values.
ROUNDINGS = 64
# Over the largest output: two evaluations differ by less, even in low precision.
SAME = 0.1


def make_tangent_problems(claim: Claim, seed: int) -> list[Problem]:
    """The problem of a derivative along tangents, with a random tangent of each input by itself.

    The function that is differenced is y(t) = f(x + (t − 1)v) at t = 1, with one number t for each
    input.
    """
    tangents = draw_tangents(claim, "tangent", seed)
    forward = map_inputs(claim.forward, claim.inputs, claim.geometries)

    def displace(t: Arrays) -> dict[str, Array]:
        return {
            name: x + (t[name] - 1).astype(x.dtype) * tangents[name]
            for name, x in claim.inputs.items()
        }

    def backward(t: Arrays, cotangent: Any) -> dict[str, Any]:
        point = displace(t)
        zeros = {name: np.zeros_like(v) for name, v in tangents.items()}
        return {
            name: read_outputs(claim.derivative(point, {**zeros, name: v.copy()}), claim)
            for name, v in tangents.items()
        }

    return [
        Problem(
            inputs={name: np.ones((), x.dtype) for name, x in claim.inputs.items()},
            forward=lambda t: forward(displace(t)),
            backward=backward,
            labels={
                name: Label(f"∂{claim.symbol}/∂{name}·v", source=claim.source, by=claim.who)
                for name in claim.inputs
            },
            notes=tuple(describe(claim.geometries)),
            late_notes=claim.late_notes,
        )
    ]


def make_transpose_problems(claim: Claim, backward: Problem, seed: int) -> list[Problem]:
    """The problem of the identity ⟨δ, Jv⟩ = ⟨Jᵀδ, v⟩; none if J·v and the backward do not fit.

    It needs no differences: both sides are computed, and only rounding makes them differ.
    """
    delta = backward.cotangent
    if delta is None or delta.shape != claim.shape or set(backward.inputs) != set(claim.inputs):
        return []
    tangents = draw_tangents(claim, "direction", seed)

    def product() -> Any:
        along = read_outputs(claim.derivative(claim.inputs, copy_arrays(tangents)), claim)
        return along if along.shape != claim.shape else inner_product({"y": along}, {"y": delta})[0]

    def transposed() -> tuple[Array, Array]:
        gradients = backward.backward(copy_arrays(claim.inputs), delta.copy())
        return inner_product(gradients, tangents)

    return [make_identity_problem("⟨δ, Jv⟩ = ⟨Jᵀδ, v⟩", product, transposed, claim)]


def make_identity_problem(
    symbol: str,
    left: Callable[[], Any],
    right: Callable[[], tuple[Array, Array]],
    claim: Claim,
) -> Problem:
    """The problem of two sides that must be equal.

    right: returns its value, and how far that may be off by rounding.
    """
    return Problem(
        inputs={"identity": np.ones(())},
        forward=lambda _: right()[0],
        backward=lambda _, __: {"identity": left()},
        labels={"identity": Label(symbol, source=claim.source, by=claim.who)},
        identity=right,
    )


def draw_tangents(claim: Claim, what: str, seed: int) -> dict[str, Array]:
    """A random tangent for every input, of the size of the input, in its domain."""
    drawn = {
        name: scale_of(x) * Drawn().array(f"{what} of {name}", x.shape, seed).astype(x.dtype)
        for name, x in claim.inputs.items()
    }
    return dict(project(claim.inputs, claim.geometries, drawn))


def read_outputs(returned: Any, claim: Claim) -> Array:
    """The tangent of the outputs, in their shape even where it was returned flat.

    returned: the tangent, or the outputs and the tangent; if the outputs are gradients, a tuple in
        the order of the inputs or a dict by name.
    """
    if claim.gradients and isinstance(returned, Mapping | tuple | list):
        returned = join_gradients(returned, claim)
    elif isinstance(returned, tuple) and len(returned) == 2:
        returned = _second_of(returned, claim)
    elif isinstance(returned, Mapping) and len(returned) == 1:
        (returned,) = returned.values()
    array = as_numbers(returned, claim.who)
    flat = array.shape == (prod(claim.shape),) or array.shape == () == claim.shape
    return array.reshape(claim.shape) if flat else array


def _second_of(returned: tuple[Any, Any], claim: Claim) -> Any:
    """The tangent of (outputs, tangent). Raises CodeError if the first are not the outputs."""
    outputs = np.asarray(claim.forward(claim.inputs))
    first = as_numbers(returned[0], claim.who)
    size = float(np.max(np.abs(outputs), initial=0.0))
    if first.size != outputs.size or np.any(np.abs(first.ravel() - outputs.ravel()) > SAME * size):
        raise CodeError(
            f"{claim.who} returned two arrays, of which the first is not the outputs; expected the "
            "tangent of the outputs, with the sum of what every input adds, or (outputs, tangent)"
        )
    return returned[1]


def join_gradients(returned: Any, claim: Claim) -> Any:
    """Join the arrays that were returned for the inputs to a flat one, in the inputs' order."""
    names = list(claim.inputs)
    if isinstance(returned, Mapping):
        parts = read_by_leaf(returned, claim, "a vector for every input")
    elif len(returned) == len(names) and (len(names) > 1 or isinstance(returned, tuple)):
        parts = list(returned)
    else:
        return returned
    for name, part in zip(names, parts, strict=True):
        if part is None or np.size(part) != claim.inputs[name].size:
            what = "nothing" if part is None else format_shape(np.shape(part))
            shape = format_shape(claim.inputs[name].shape)
            raise CodeError(f"{claim.who} must return {shape} for {name}; it gives {what}")
    joined = np.concatenate([as_numbers(part, claim.who).ravel() for part in parts])
    return joined if len(names) > 1 else joined.reshape(claim.shape)


def inner_product(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[Array, Array]:
    """The inner product of arrays by name, and how far it may be off by rounding."""
    products = [np.asarray(left[name]) * right[name] for name in right]
    value = np.atleast_1d(sum(np.sum(one) for one in products))
    size = sum(float(np.sum(np.abs(one))) for one in products)
    return value, np.asarray(ROUNDINGS * np.finfo(value.dtype).eps * size)


def scale_of(x: Array) -> float:
    """The root mean square of an array; 1 for zeros."""
    peak = float(np.max(np.abs(x), initial=0.0))
    return peak * float(np.sqrt(np.mean((x / peak) ** 2))) if peak else 1.0


def copy_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """A copy of every array."""
    return {name: array.copy() for name, array in arrays.items()}
