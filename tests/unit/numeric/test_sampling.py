"""A sample of entries: spread over the tensor, honest about what it could miss."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.checker.check import check
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.sampling import chance_of_missing, sample_entries
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

sizes = st.integers(1, 400).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size)))


@given(sizes)
def test_every_part_has_one_entry_in_the_sample(drawn: tuple[int, int]) -> None:
    size, count = drawn
    entries = sample_entries(size, count)
    assert len(entries) == count
    edges = np.arange(count + 1) * size // count
    assert np.all((edges[:-1] <= entries) & (entries < edges[1:]))


@pytest.mark.parametrize(("size", "count"), [(7, 3), (8, 4), (9, 2), (6, 6)])
@pytest.mark.parametrize("wrong", [1, 2, 3])
def test_no_place_of_wrong_entries_is_missed_more_often(size: int, count: int, wrong: int) -> None:
    edges = np.arange(count + 1) * size // count
    for places in combinations(range(size), wrong):
        hits = np.histogram(places, edges)[0]
        missed = float(np.prod(1 - hits / np.diff(edges)))
        assert missed <= chance_of_missing(wrong, size, count) + 1e-12


def cubes(factor: np.ndarray) -> Problem:
    x = np.random.default_rng(0).normal(size=(20, 10))
    return Problem(
        inputs={"x": x},
        forward=lambda inputs: np.sum(inputs["x"] ** 3, axis=(-1, -2)),
        backward=lambda inputs, delta: {"x": 3 * factor * inputs["x"] ** 2 * delta},
        cotangent=np.ones(()),
        batched=True,
    )


def test_a_sampled_entry_is_what_it_is_among_all() -> None:
    problem = cubes(np.ones((20, 10)))
    some, every = (measure_gradient(problem, "x", Numeric(sample=n)) for n in (13, None))
    assert some.entries is not None
    np.testing.assert_allclose(some.value, every.value.ravel()[some.entries], rtol=1e-12)
    assert some.index(4) == tuple(np.unravel_index(some.entries[4], (20, 10)))


def test_the_result_says_how_much_was_measured() -> None:
    (gradient,) = check(cubes(np.ones((20, 10))), numeric=Numeric(sample=20)).gradients
    assert (gradient.entries, gradient.measured, gradient.verdict) == (200, 20, "pass")
    assert gradient.notes == (
        "20 of 200 entries were measured, spread over it; the chance to miss wrong ones is at "
        "most: 1 of them 0.9, 10 of them 0.35, 100 of them 2.7e-05",
    )


def test_a_wrong_entry_is_named_by_its_index_in_the_whole() -> None:
    factor = np.ones((20, 10))
    factor[15:] = 2
    (gradient,) = check(cubes(factor), numeric=Numeric(sample=20)).gradients
    assert gradient.reason == "5 of 20 measured entries are wrong"
    assert gradient.worst is not None
    assert gradient.worst.index[0] >= 15
    assert gradient.worst.ratio == pytest.approx(2)


def test_a_sample_of_more_than_all_is_all() -> None:
    (gradient,) = check(cubes(np.ones((20, 10))), numeric=Numeric(sample=1000)).gradients
    assert (gradient.measured, gradient.notes) == (200, ())
