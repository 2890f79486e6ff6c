"""Faults of sums that overwrite: where windows overlap, or an index is repeated, one term stays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.problem import Stage

Float = NDArray[np.float64]


def overwrite_terms(measured: MeasuredGradient) -> Iterator[Injected]:
    """Each entry the term of the last output, or of the first, that it has a part in.

    Where an axis of the outputs counts channels, as of a convolution, the outputs of a place are
    one term.
    """
    for stage in measured.declared:
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        if delta.ndim == 0 or delta.size < 2:
            continue
        jacobian = measured.measure_jacobian(stage)
        copies = not measured.problem.parts and bool(
            np.all(np.count_nonzero(jacobian.value, axis=1) <= 1)
        )
        for places, of_what in _group_outputs(stage):
            for pick, which in ((-1, "last"), (0, "first")):
                values = _keep_one_term(jacobian, delta, places, pick, copies=copies)
                if values is not None:
                    yield Injected(
                        values,
                        f"each entry is the term of the {which} {of_what} that it has a part in, "
                        "in place of the sum of all",
                        same="" if measured.differs_from(values) else "no entry has two terms",
                        choices=4.0,
                    )


def _group_outputs(stage: Stage) -> Iterator[tuple[NDArray[np.intp], str]]:
    """Of every output, flat, the number of the term that it belongs to; and what a term is of."""
    shape = np.shape(stage.cotangent)
    size = int(np.prod(shape))
    yield np.arange(size), "output"
    if len(shape) > 2:
        inner = size // shape[0]
        yield np.tile(np.arange(inner), shape[0]), "place of the output"
        yield np.repeat(np.arange(size // shape[-1]), shape[-1]), "place of the output"


def _keep_one_term(
    jacobian: Values, delta: Float, places: NDArray[np.intp], pick: int, *, copies: bool
) -> Values | None:
    """The gradient of one term an entry, the first or the last that is not zero.

    copies: whether every output depends on one entry alone, and belongs to one array of outputs.
    None where no entry has more than one term, and where all have as many and outputs are no
    copies: outputs are left out, then.
    """
    count = int(places.max()) + 1
    terms = np.zeros((count, jacobian.value.shape[1]))
    spread = np.zeros_like(terms)
    known = np.where(np.isfinite(jacobian.uncertainty), jacobian.uncertainty, 0.0)
    weights = delta.reshape(-1, 1)
    np.add.at(terms, places, weights * jacobian.value)
    np.add.at(spread, places, np.abs(weights) * known)
    there = np.zeros(terms.shape, dtype=bool)
    np.logical_or.at(there, places, np.abs(jacobian.value) > 2 * known)
    terms_of = there.sum(axis=0)
    same = len(set(terms_of[terms_of > 0].tolist())) == 1
    if not np.any(terms_of > 1) or (same and not copies):
        return None
    order = there[::-1] if pick == -1 else there
    first = np.argmax(order, axis=0)
    at = count - 1 - first if pick == -1 else first
    columns = np.arange(terms.shape[1])
    some = there.any(axis=0)
    return Values(
        np.where(some, terms[at, columns], 0.0),
        np.where(some, spread[at, columns], 0.0),
        jacobian.at,
    )
