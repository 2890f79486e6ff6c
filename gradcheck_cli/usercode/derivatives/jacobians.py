"""Check a Jacobian, and read it as a block for every input, in whatever shape it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcheck_cli.arrays import Drawn
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.text import count_of, format_shape
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.derivatives.claims import Claim, as_numbers, read_by_leaf
from gradcheck_cli.usercode.domains import confine

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

# Outputs × entries of the inputs. A check takes some two hundred bytes for each cell of a Jacobian;
# of a larger one, only the product with an upstream gradient is compared.
MOST_CELLS = 2**20


def make_jacobian_problems(claim: Claim, seed: int) -> list[Problem]:
    """The problem of a Jacobian: all of its entries or, for a large one, Jᵀδ with a random δ."""
    entries = sum(x.size for x in claim.inputs.values())
    large = prod(claim.shape) * entries > MOST_CELLS
    delta = Drawn().array("delta", claim.shape, seed) if large else None

    def backward(arrays: Arrays, cotangent: Any) -> dict[str, Any]:
        returned = claim.derivative(arrays)
        if cotangent is None:
            return read_blocks(returned, claim)
        return contract(returned, cotangent, claim)

    of = "∂L/∂" if large else f"∂{claim.symbol}/∂"
    note = (
        f"{claim.who} has {prod(claim.shape) * entries:,} entries: its product with one random "
        "upstream gradient was checked, to which every entry contributes"
    )
    problem = Problem(
        inputs=claim.inputs,
        forward=claim.forward,
        backward=backward,
        cotangent=delta,
        labels={
            name: Label(f"{of}{name}", source=claim.source, by=claim.who) for name in claim.inputs
        },
        notes=(note,) if large else (),
        late_notes=claim.late_notes,
        complex_inputs=claim.complex_inputs,
        complex_outputs=claim.complex_outputs,
    )
    return [confine(problem, claim.geometries)]


def read_blocks(returned: Any, claim: Claim) -> dict[str, Any]:
    """The blocks of a Jacobian by input, reshaped to outputs × input where their size allows it.

    returned: blocks by name or in the order of the inputs, or one matrix of all outputs × all
        entries of the inputs; for a single input also outputs × input.
    Raises CodeError where it is not clear which columns belong to which input.
    """
    names = list(claim.inputs)
    return {
        name: None if part is None else place_block(part, claim, name)
        for name, part in zip(names, split_columns(returned, claim), strict=True)
    }


def split_columns(returned: Any, claim: Claim) -> list[Any]:
    """The part of a returned Jacobian for each input, in the shape it was returned in."""
    names, sizes = list(claim.inputs), [x.size for x in claim.inputs.values()]
    if isinstance(returned, Mapping):
        return read_by_leaf(returned, claim, "a Jacobian for every input")
    if _has_value(returned, claim):
        returned = returned[-1]
    rows_listed = isinstance(returned, list) and all(isinstance(row, list) for row in returned)
    several = isinstance(returned, tuple) or (isinstance(returned, list) and len(names) > 1)
    if several and len(returned) == len(names) and not rows_listed:
        return list(returned)
    if len(names) == 1:
        return [returned]
    matrix = as_numbers(returned, claim.who)
    rows, total = prod(claim.shape), sum(sizes)
    if matrix.shape not in ((rows, total), (*claim.shape, total)):
        listed = " + ".join(map(str, sizes))
        raise CodeError(
            f"{claim.who} returned {format_shape(matrix.shape)} for "
            f"{count_of(len(names), 'input')} ({', '.join(names)}); expected a dict or a tuple "
            f"with a Jacobian for each, or one matrix of {rows}×{total}: a row for every output, "
            f"{listed} columns"
        )
    ends = np.cumsum(sizes)[:-1]
    return list(np.split(matrix.reshape(rows, total), ends, axis=1))


def _has_value(returned: Any, claim: Claim) -> bool:
    """Whether a tuple starts with the forward's value and ends with the derivative by the input."""
    if not isinstance(returned, tuple) or len(returned) < 2 or len(claim.inputs) != 1:
        return False
    (x,) = claim.inputs.values()
    firsts = {claim.shape, ()} if claim.gradients else {claim.shape}
    with suppress(ValueError, TypeError):
        whole = np.size(returned[-1]) == prod(claim.shape) * x.size > 1
        return np.shape(returned[0]) in firsts and whole
    return False


def place_block(part: Any, claim: Claim, name: str) -> Array:
    """A block in the shape outputs × input, if it has them with one or both flattened.

    A flattened input × outputs gets the axes of both, so that the mistake can be recognized.
    """
    block, x = as_numbers(part, claim.who), claim.inputs[name]
    rows = prod(claim.shape)
    flat = [(rows, x.size), (rows, *x.shape), (*claim.shape, x.size)]
    flat += [(x.size,)] * (rows == 1) + [(rows,)] * (x.size == 1)
    if block.shape == (x.size, rows) and block.shape not in flat:
        return block.reshape((*x.shape, *claim.shape))
    return block.reshape((*claim.shape, *x.shape)) if block.shape in flat else block


def contract(returned: Any, cotangent: Array, claim: Claim) -> dict[str, Any]:
    """Jᵀδ for every input; a sparse J is not made dense."""
    names, delta = list(claim.inputs), cotangent.ravel()
    sizes = [claim.inputs[name].size for name in names]
    if hasattr(returned, "toarray") and returned.shape == (delta.size, sum(sizes)):
        parts: Sequence[Any] = np.split(
            np.asarray(returned.T @ delta).ravel(), np.cumsum(sizes)[:-1]
        )
        pairs = zip(names, parts, strict=True)
        return {name: part.reshape(claim.inputs[name].shape) for name, part in pairs}
    blocks = read_blocks(returned, claim)
    return {
        name: block
        if block is None or block.shape != (*claim.shape, *claim.inputs[name].shape)
        else np.tensordot(cotangent, block, axes=cotangent.ndim)
        for name, block in blocks.items()
    }
