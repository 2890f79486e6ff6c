"""Domains of inputs: what is drawn is in them, what moves stays in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradcheck_cli.arrays.domains import GEOMETRIES, Geometry, find_fault, geometry_of
from gradcheck_cli.problem import CONSTRAINTS, Domain

Array = NDArray[np.float64]

DOMAINS = {
    **{word: Domain(word) for word in CONSTRAINTS},
    "at-least": Domain(low=-0.5),
    "at-most": Domain(high=2.0),
    "between": Domain(low=-1.0, high=3.0),
}
STEP = 1e-4


def draw(geometry: Geometry, seed: int, shape: tuple[int, ...] = (4, 4)) -> tuple[Array, Array]:
    """A point of the domain and a tangent there."""
    random = np.random.default_rng(seed)
    x = geometry.draw(random.normal(size=shape))
    return x, geometry.tangent(x, random.normal(size=shape))


def moved(geometry: Geometry, x: Array, v: Array) -> Array:
    ((_, point),) = geometry.move(x, v)
    return point


def test_every_constraint_has_a_geometry() -> None:
    assert tuple(GEOMETRIES) == CONSTRAINTS


@pytest.mark.parametrize("name", DOMAINS)
@given(st.integers(0, 1000), st.sampled_from([1e-12, 1e-3, 1.0, 1e6, 1e100]))
def test_what_is_drawn_is_inside_and_stays_there(name: str, seed: int, far: float) -> None:
    geometry = geometry_of(DOMAINS[name])
    x, v = draw(geometry, seed)
    assert not find_fault(geometry, x)
    assert np.array_equal(moved(geometry, x, 0 * v), x)
    if name not in ("symmetric", "lower-triangular") or far < 1e6:
        assert not find_fault(geometry, moved(geometry, x, far * v))


@pytest.mark.parametrize("name", DOMAINS)
@given(st.integers(0, 1000))
def test_a_tangent_leads_where_it_points(name: str, seed: int) -> None:
    geometry = geometry_of(DOMAINS[name])
    x, v = draw(geometry, seed)
    room = geometry.room(x)
    v = v * min(1.0, float(np.min(room) / np.max(np.abs(v))))
    right, left = (moved(geometry, x, step * v) for step in (STEP, -STEP))
    assert np.allclose((right - left) / (2 * STEP), v, rtol=1e-6, atol=1e-7)
    bend = np.max(np.abs(right - 2 * x + left)) / STEP**2
    assert (bend < 1e-6) == geometry.straight(x)


@pytest.mark.parametrize("name", DOMAINS)
@given(st.integers(0, 1000))
def test_a_projection_is_one_and_does_not_depend_on_its_side(name: str, seed: int) -> None:
    geometry = geometry_of(DOMAINS[name])
    x, v = draw(geometry, seed)
    g = np.random.default_rng(seed + 1).normal(size=x.shape)
    along = geometry.tangent(x, g)
    assert np.allclose(geometry.tangent(x, along), along)
    assert np.sum(along * v) == pytest.approx(np.sum(g * v))
    stack = np.stack([g, 2 * g])
    assert np.allclose(geometry.tangent(x, stack), np.stack([along, 2 * along]))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 3)])
def test_orthogonal_matrices_may_be_tall_or_wide(shape: tuple[int, ...]) -> None:
    geometry = geometry_of(Domain("orthogonal"))
    x, v = draw(geometry, 0, shape)
    assert not find_fault(geometry, moved(geometry, x, v))


@pytest.mark.parametrize("name", ["positive-definite", "simplex", "positive", "between"])
def test_the_room_of_an_entry_is_as_far_as_its_steps_are_hardly_shortened(name: str) -> None:
    geometry = geometry_of(DOMAINS[name])
    x, _ = draw(geometry, 0)
    room = geometry.room(x)
    for entry in np.ndindex(x.shape):
        direction = np.zeros(x.shape)
        direction[entry] = room[entry]
        v = geometry.tangent(x, direction)
        step = moved(geometry, x, v) - x
        assert np.sum(step * v) / np.sum(v * v) == pytest.approx(1 / np.sqrt(5), rel=1e-6)


@pytest.mark.parametrize(
    ("word", "x", "fault"),
    [
        ("symmetric", [[1.0, 2.0], [3.0, 1.0]], "it is 2 at [0, 1], 3 at [1, 0]"),
        ("symmetric", [1.0, 2.0], "it is (2,), and no square matrix"),
        ("positive-definite", [[1.0, 2.0], [2.0, 1.0]], "its least eigenvalue is -1"),
        ("lower-triangular", [[1.0, 2.0], [0.0, 1.0]], "it is 2 at [0, 1], above its diagonal"),
        ("orthogonal", [[1.0, 1.0], [0.0, 1.0]], "the products of its columns differ from 0 and 1"),
        ("simplex", [[0.5, 0.5], [0.5, 0.6]], "it sums to 1.1 along its last axis, not to 1"),
        ("simplex", [1.5, -0.5], "it is -0.5 at [1]"),
        ("positive", [1.0, 0.0], "it is 0 at [1]"),
    ],
)
def test_what_is_outside_is_said_with_its_place(word: str, x: list[float], fault: str) -> None:
    assert find_fault(geometry_of(Domain(word)), np.array(x)).startswith(fault)


def test_bounds_belong_to_the_domain() -> None:
    geometry = geometry_of(Domain(low=0.0, high=1.0))
    assert not find_fault(geometry, np.array([0.0, 0.5, 1.0]))
    assert find_fault(geometry, np.array([0.0, 1.5])) == "it is 1.5 at [1], above 1"
    assert find_fault(geometry, np.array([-0.5])) == "it is -0.5 at [0], below 0"


@given(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0]))
def test_beyond_a_bound_a_function_is_its_mirror_image(v: float, at: float) -> None:
    geometry = geometry_of(Domain(low=0.0, high=1.0))
    x = np.array([at])
    points = geometry.move(x, np.array([v]))
    mirrored = geometry.move(x, np.array([-v]))
    assert all(not find_fault(geometry, point) for _, point in points)
    value, other = (sum(weight * point**2 for weight, point in some) for some in (points, mirrored))
    assert value + other == pytest.approx(2 * at)
