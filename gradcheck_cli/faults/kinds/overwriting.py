"""Faults of sums whose terms overwrite each other, as at overlapping windows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Float


def overwrite_terms(measured: MeasuredGradient) -> Iterator[Injected]:
    """Each entry is the term of the last or first output that depends on it, not the sum of all; or
    all entries are the terms of one place of the outputs.

    If some axes of the outputs are samples or channels, as in a convolution, all outputs of a place
    are one term.
    """
    for stage in measured.declared:
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        if delta.ndim == 0 or delta.size < 2:
            continue
        terms = Terms(measured.measure_jacobian(stage), delta)
        copies = not measured.problem.parts and terms.are_copies
        groups = list(_group_axes(delta.ndim))
        for summed in groups:
            of_what = "place of the output" if summed else "output"
            for pick, which in ((-1, "last"), (0, "first")):
                kinds = (
                    (
                        terms.keep_one(summed, pick, copies=copies),
                        f"each entry is the term of the {which} {of_what} that it has a part in",
                    ),
                    (
                        terms.keep_place(summed, pick) if summed else None,
                        f"every entry is the term of the {which} {of_what} alone",
                    ),
                )
                for values, observation in kinds:
                    if values is not None:
                        yield Injected(
                            values,
                            f"{observation}, in place of the sum of all",
                            same="" if measured.differs_from(values) else "no entry has two terms",
                            choices=4.0 * len(groups),
                            part=observation,
                        )


def _group_axes(dimensions: int) -> Iterator[tuple[int, ...]]:
    """The axes whose outputs may be one term: none, one or, with four axes, two."""
    yield ()
    if dimensions > 2:
        for count in (1, 2) if dimensions > 3 else (1,):
            yield from combinations(range(dimensions), count)


class Terms:
    """The term that each output adds to each entry of a gradient: its Jacobian times δ.

    value, spread (its uncertainty) and there (whether the output depends on the entry at all) are
    outputs × entries, with all axes of the outputs. are_copies: whether each output depends on at
    most one entry.
    """

    def __init__(self, jacobian: Values, delta: Float) -> None:
        self.at = jacobian.at
        known = np.where(np.isfinite(jacobian.uncertainty), jacobian.uncertainty, 0.0)
        self.value, spread, there = (
            array.reshape(*delta.shape, -1)
            for array in (jacobian.value, known, np.abs(jacobian.value) > 2 * known)
        )
        self.value = delta[..., None] * self.value
        self.spread, self.there = np.abs(delta)[..., None] * spread, there
        self.are_copies = bool(np.all(np.count_nonzero(jacobian.value, axis=1) <= 1))

    def keep_one(self, summed: tuple[int, ...], pick: int, *, copies: bool) -> Values | None:
        """The gradient with one term for each entry, the first or the last that is not zero.

        summed: axes whose outputs are one term. copies: whether outputs are copies of entries, all
        in one array. None if no entry has more than one term; also if all have as many and outputs
        are no copies, since that would mean that outputs are left out.
        """
        there = self.there.any(axis=summed) if summed else self.there
        there = there.reshape(-1, len(self.at))
        terms_of = there.sum(axis=0)
        same = len(set(terms_of[terms_of > 0].tolist())) == 1
        if not np.any(terms_of > 1) or (same and not copies):
            return None
        order = there[::-1] if pick == -1 else there
        first = np.argmax(order, axis=0)
        places = len(there) - 1 - first if pick == -1 else first
        return self._take(summed, (places, np.arange(len(self.at))), there.any(axis=0))

    def keep_place(self, summed: tuple[int, ...], pick: int) -> Values | None:
        """The gradient of the terms of the first or last place; None if there is only one place."""
        count = self.value[..., 0].size // int(np.prod([self.value.shape[k] for k in summed]))
        return self._take(summed, pick, True) if count > 1 else None

    def _take(self, summed: tuple[int, ...], which: Any, some: Any) -> Values:
        """The terms at some places, with zeros at entries that have none."""
        value, spread = (
            np.where(some, array.sum(axis=summed).reshape(-1, len(self.at))[which], 0.0)
            for array in (self.value, self.spread)
        )
        return Values(value, spread, self.at)
