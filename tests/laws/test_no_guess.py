"""A fault is named on evidence only: wrong gradients of no known kind get no name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.faults import diagnosis, rights
from tests.support.layers import Float, layer, problem

NO_NAME = "GC100"


def wrong(right: Float, drawn: np.random.Generator) -> Iterator[tuple[str, Float]]:
    """Gradients that no fault of the catalogue gives; matrices of two rows and columns or more."""
    size, shape = float(np.sqrt(np.mean(right * right))) or 1.0, right.shape
    other = size * drawn.standard_normal(shape)
    yield "drawn anew", other
    yield "plus a drawn one", right + 0.3 * other
    yield "mixed", 0.3 * right + 0.7 * other
    yield "each entry times another number", right * drawn.uniform(0.3, 3.0, shape)
    yield "a power of each entry", np.sign(right) * np.abs(right) ** drawn.uniform(0.4, 0.8)
    yield "whole numbers", drawn.integers(-3, 4, shape).astype(float)
    yield "one decimal", np.round(other, 1)
    yield "of rank one", np.outer(drawn.standard_normal(shape[0]), drawn.standard_normal(shape[1]))
    yield "half of it drawn anew", np.where(drawn.random(shape) < 0.5, other, right)


@pytest.mark.parametrize("form", ["XW", "Wx", "xW"])
def test_random_wrong_gradients_get_no_name(form: str) -> None:
    """Up to three wrong entries are told one by one, which is what they are."""
    drawn = np.random.default_rng([7, len(form), ord(form[0])])
    for activation in ("none", "tanh"):
        of = problem(layer(form, n=4, N=5, M=3, activation=activation, reduction="mean"))
        for right in rights(of):
            if min(right.shape) < 2:
                continue
            for kind, analytic in wrong(right.value, drawn):
                found = diagnosis(right, analytic)
                assert found.code in (NO_NAME, "GC111"), (kind, found)


def test_a_single_entry_is_evidence_for_no_factor_that_has_no_name() -> None:
    of = problem(layer("XW", n=1, N=1, M=1))
    right = next(rights(of))
    assert diagnosis(right, 1.234 * right.value).code == NO_NAME
    assert diagnosis(right, 2 * right.value).code == "GC103"


def test_two_entries_do_not_tell_a_row_from_a_factor_of_its_own() -> None:
    of = problem(layer("xW", N=2, M=1))
    right = next(rights(of))
    analytic = right.value * np.array([[1.37, 0.0]])
    assert diagnosis(right, analytic).code == NO_NAME
