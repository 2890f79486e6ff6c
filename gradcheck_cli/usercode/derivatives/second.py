"""Second derivatives, measured by differences of the gradient or second ones of the forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.errors import CodeError
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS
from gradcheck_cli.problem import Problem
from gradcheck_cli.text import format_shape, join_words
from gradcheck_cli.usercode.calling.gradients import gradient_of
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.derivatives.claims import Claim, as_numbers
from gradcheck_cli.usercode.derivatives.jacobians import make_jacobian_problems, read_blocks
from gradcheck_cli.usercode.derivatives.tangents import (
    ROUNDINGS,
    copy_arrays,
    draw_tangents,
    make_identity_problem,
    make_tangent_problems,
    read_outputs,
)
from gradcheck_cli.usercode.domains import map_inputs, project

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

BY_GRADIENT = "{who} was measured by differencing the gradient, which was checked first and passed"
# Step of the inner differences, over the scale of an entry, and their order. Their error is h⁶/140
# times the seventh derivative, below rounding even for a forward that changes over a thirtieth of
# the scale. Their rounding, ε|f|/h, is measured as noise of the outer differences.
INNER_STEP, INNER_ORDER = 2.0**-10, 6
BY_FORWARD = "{who} was measured by second differences of the forward, since {why}"


def make_hessian_problems(claim: Claim, gradient: Problem | None, seed: int) -> list[Problem]:
    """The problems of a Hessian: its columns, and its symmetry."""
    of = _expect_gradient(claim, lambda arrays: _read_hessian(claim.derivative(arrays), of))
    symmetry = make_symmetry_problems(of)
    return [
        *_measure_by_gradient(of, gradient, lambda one: make_jacobian_problems(one, seed)),
        *symmetry,
    ]


def make_hvp_problems(claim: Claim, gradient: Problem | None, seed: int) -> list[Problem]:
    """The problems of a product H·v: along a vector for each input, and ⟨u, Hv⟩ = ⟨Hu, v⟩."""
    of = _expect_gradient(claim, lambda *at: project_rows(claim.derivative(*at), of))
    u, v = (draw_tangents(of, what, seed) for what in ("left vector", "right vector"))

    def product(left: Mapping[str, Array], right: Mapping[str, Array]) -> Array:
        products = read_outputs(of.derivative(of.inputs, copy_arrays(right)), of).ravel()
        return np.asarray(products * np.concatenate([array.ravel() for array in left.values()]))

    def mirrored() -> tuple[Array, Array]:
        terms = product(v, u)
        rounding = ROUNDINGS * float(np.finfo(terms.dtype).eps) * np.sum(np.abs(terms))
        return np.atleast_1d(np.sum(terms)), np.atleast_1d(rounding)

    symmetry = make_identity_problem(
        "⟨u, Hv⟩ = ⟨Hu, v⟩", lambda: np.atleast_1d(np.sum(product(u, v))), mirrored, of
    )
    fits = read_outputs(of.derivative(of.inputs, dict(v)), of).shape == of.shape
    return [
        *_measure_by_gradient(of, gradient, lambda one: make_tangent_problems(one, seed)),
        *([symmetry] if fits else []),
    ]


def make_symmetry_problems(claim: Claim) -> list[Problem]:
    """The problem of the identity H = Hᵀ; none if the Hessian is a number or not square."""
    size = sum(x.size for x in claim.inputs.values())

    def matrix() -> tuple[Array, float]:
        """H, projected to the domains of the inputs, and its largest entry before that."""
        read = read_blocks(claim.derivative(claim.inputs), claim)
        peak = max(float(np.max(np.abs(block), initial=0.0)) for block in read.values())
        blocks = project(claim.inputs, claim.geometries, read).values()
        columns = [block.reshape(size, -1) for block in blocks if np.size(block) % size == 0]
        return np.concatenate(columns, axis=1) if columns else np.zeros((0, 0)), peak

    def mirrored() -> tuple[Array, Array]:
        hessian, peak = matrix()
        return hessian.T, np.asarray(ROUNDINGS * np.finfo(hessian.dtype).eps * peak)

    if matrix()[0].shape != (size, size) or size == 1:
        return []
    return [make_identity_problem("H = Hᵀ", lambda: matrix()[0], mirrored, claim)]


def _read_hessian(returned: Any, claim: Claim) -> Any:
    """A Hessian by columns of inputs; if inputs are in domains, its rows are projected to these."""
    joined = join_rows(returned, claim)
    if not claim.geometries:
        return joined
    blocks = read_blocks(joined, claim)
    return {
        name: None if block is None else project_rows(block, claim)
        for name, block in blocks.items()
    }


def project_rows(returned: Any, claim: Claim) -> Any:
    """Project the first axes, those of the gradient, to the tangents of the inputs' domains."""
    if not claim.geometries:
        return returned
    values = read_outputs(returned, claim)
    if values.shape[: len(claim.shape)] != claim.shape:
        return values
    rows = values.reshape(prod(claim.shape), -1)
    parts = np.split(rows, np.cumsum([x.size for x in claim.inputs.values()])[:-1])
    by_name = {
        name: part.T.reshape(-1, *x.shape)
        for part, (name, x) in zip(parts, claim.inputs.items(), strict=True)
    }
    along = project(claim.inputs, claim.geometries, by_name).values()
    joined = np.concatenate([part.reshape(rows.shape[1], -1).T for part in along])
    return joined.reshape(values.shape)


def join_rows(returned: Any, claim: Claim) -> Any:
    """Join the rows of a Hessian in blocks, which are in nested dicts or tuples; by columns."""
    names = list(claim.inputs)
    rows = _parts(_by_pairs(returned), names)
    _refuse_own_blocks(rows, claim)
    if rows is None or any(_parts(row, names) is None for row in rows):
        return returned
    cells = [_parts(row, names) or [] for row in rows]
    sizes = [x.size for x in claim.inputs.values()]
    for row, parts in zip(names, cells, strict=True):
        for column, part in zip(names, parts, strict=True):
            if part is None or np.size(part) != claim.inputs[row].size * claim.inputs[column].size:
                what = "nothing" if part is None else format_shape(np.shape(part))
                raise CodeError(f"{claim.who} gives {what} for ∂²/∂{row}∂{column}")
    return {
        name: np.concatenate(
            [
                as_numbers(parts[column], claim.who).reshape(size, -1)
                for parts, size in zip(cells, sizes, strict=True)
            ]
        )
        for column, name in enumerate(names)
    }


def _by_pairs(returned: Any) -> Any:
    """A dict by pairs of inputs as nested dicts; anything else as it is."""
    if not isinstance(returned, Mapping) or not returned:
        return returned
    if not all(isinstance(key, tuple) and len(key) == 2 for key in returned):
        return returned
    rows: dict[Any, dict[Any, Any]] = {}
    for (row, column), block in returned.items():
        rows.setdefault(row, {})[column] = block
    return rows


def _refuse_own_blocks(rows: list[Any] | None, claim: Claim) -> None:
    """Raise CodeError where there are only the blocks of each input with itself, no mixed ones."""
    sizes = [x.size for x in claim.inputs.values()]
    if (
        rows is None
        or len(sizes) == 1
        or any(isinstance(row, tuple | list | Mapping) for row in rows)
    ):
        return
    if [np.size(row) for row in rows] == [size**2 for size in sizes]:
        total = sum(sizes)
        raise CodeError(
            f"{claim.who} gives a block for every input by itself; the mixed derivatives are "
            f"missing: expected nested tuples or dicts of blocks, or one matrix of {total}×{total}"
        )


def _parts(returned: Any, names: list[str]) -> list[Any] | None:
    """The parts of a dict by name, or of a tuple in order; None for anything else."""
    if isinstance(returned, Mapping):
        return [gradient_of(name, returned) for name in names]
    fits = isinstance(returned, tuple | list) and len(returned) == len(names)
    return list(returned) if fits and (len(names) > 1 or isinstance(returned, tuple)) else None


def _expect_gradient(claim: Claim, derivative: Callable[..., Any]) -> Claim:
    """The claim as one about the derivative of the gradient.

    Raises CodeError where the forward gives more than a number.
    """
    if prod(claim.shape) != 1:
        raise CodeError(
            f"{claim.who} is a second derivative, so the forward must give a single number; it "
            f"gives {format_shape(claim.shape)}"
        )
    sizes = [x.size for x in claim.inputs.values()]
    (x, *others) = claim.inputs.values()
    shape = (sum(sizes),) if others else x.shape
    return replace(claim, derivative=derivative, shape=shape, symbol="∇L", gradients=True)


def _measure_by_gradient(
    claim: Claim, gradient: Problem | None, make: Callable[[Claim], list[Problem]]
) -> list[Problem]:
    """The problems of a claim, measured by differences of the gradient.

    Where there is no gradient or it does not pass, second differences of the forward are taken.
    Raises CodeError where these would leave a domain and there is no gradient.
    """
    bent = [name for name, one in claim.geometries.items() if not one.straight(claim.inputs[name])]

    def by(forward: Callable[[Arrays], Any], note: str, **words: str) -> list[Problem]:
        rows = replace(claim, forward=lambda arrays: project_rows(forward(arrays), claim))
        text = note.format(who=claim.who, **words)
        return [replace(one, notes=(*one.notes, text)) for one in make(rows)]

    def by_forward(why: str) -> list[Problem]:
        if bent:
            raise CodeError(
                f"{claim.who} needs a gradient, which is differenced: second differences of the "
                f"forward would leave the domain of {join_words(bent)}"
            )
        return by(difference_forward(claim), BY_FORWARD, why=why)

    if gradient is None or not set(claim.inputs) <= set(gradient.inputs):
        return by_forward("no gradient is given")
    problems = by(flatten_gradient(claim, gradient), BY_GRADIENT)
    if bent:
        return problems
    return [
        replace(problem, fallback=other)
        for problem, other in zip(problems, by_forward("the gradient did not pass"), strict=True)
    ]


def flatten_gradient(claim: Claim, gradient: Problem) -> Callable[[Arrays], Array]:
    """The user's gradient as a function of the inputs, of the claim's shape.

    The function raises CodeError where the gradient has another number of entries.
    """
    one = None if gradient.cotangent is None else np.ones_like(gradient.cotangent)

    def evaluate(arrays: Arrays) -> Array:
        found = gradient.backward({**gradient.inputs, **arrays}, one)
        parts = [as_numbers(found[name], claim.who).ravel() for name in claim.inputs]
        whole = np.concatenate(parts)
        if whole.size != prod(claim.shape):
            raise CodeError(f"the gradient must have {prod(claim.shape)} entries, not {whole.size}")
        return whole.reshape(claim.shape)

    return evaluate


def difference_forward(claim: Claim) -> Callable[[Arrays], Array]:
    """The gradient as a function of the inputs: differences of the forward with a fixed step."""
    stencil = STENCILS[INNER_ORDER]
    steps = {name: INNER_STEP * entry_scale(x) for name, x in claim.inputs.items()}
    forward = map_inputs(claim.forward, claim.inputs, claim.geometries)

    def at(arrays: Arrays, name: str, entry: int, by: float) -> tuple[float, float]:
        x = np.array(arrays[name])  # its copy() would be a number if it has no axes
        x.reshape(-1)[entry] += by
        return float(x.flat[entry]), float(np.sum(forward({**arrays, name: x})))

    def slope(arrays: Arrays, name: str, entry: int) -> float:
        found = 0.0
        for offset, weight in zip(stencil.offsets, stencil.weights, strict=True):
            step = float(offset) * float(steps[name].flat[entry])
            (right, above), (left, below) = (at(arrays, name, entry, by) for by in (step, -step))
            if right == left:  # so large an x that the step is below its last digit
                return nan
            found += float(weight) * (above - below) / (right - left)
        return found

    def evaluate(arrays: Arrays) -> Array:
        slopes = [
            slope(arrays, name, entry)
            for name, x in claim.inputs.items()
            for entry in range(x.size)
        ]
        return np.asarray(slopes).reshape(claim.shape)

    return evaluate
