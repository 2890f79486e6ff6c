"""Terms that overwrite, factors of rows and columns, and a difference that is small everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import check, from_functions
from gradcheck_cli.result import Diagnosis

Array = Any  # functions of users have no types

draw = np.random.default_rng(3).normal
WORDS = np.array([0, 3, 1, 3, 3, 0])
K = 3


def diagnose(forward: Any, backward: Any, **inputs: Array) -> Diagnosis:
    (gradient,) = check(from_functions(forward, backward, inputs)).gradients
    assert gradient.verdict == "fail"
    assert gradient.diagnosis is not None
    return gradient.diagnosis


def rows(table: Array) -> Array:
    return table[WORDS] ** 2


def rows_overwritten(delta: Array, table: Array) -> Array:
    found = np.zeros_like(table)
    found[WORDS] = 2 * delta * table[WORDS]
    return found


def windows(stride: int) -> Any:
    def forward(x: Array) -> Array:
        starts = range(0, len(x) - K + 1, stride)
        return np.array([[c * x[at : at + K].sum() for at in starts] for c in (1.0, 2.0, -3.0)])

    return forward


def windows_overwritten(stride: int) -> Any:
    def backward(delta: Array, x: Array) -> Array:
        found = np.zeros_like(x)
        for place in range(delta.shape[1]):
            found[place * stride : place * stride + K] = (
                np.array([1.0, 2.0, -3.0]) @ delta[:, place]
            )
        return found

    return backward


def images(x: Array) -> Array:
    return np.stack([[[c * x[i : i + 2, j : j + 2].sum() for j in range(4)] for i in range(4)]
                     for c in (1.0, -2.0)])  # fmt: skip


def images_overwritten(delta: Array, x: Array) -> Array:
    found = np.zeros_like(x)
    for i in range(4):
        for j in range(4):
            found[i : i + 2, j : j + 2] = delta[0, i, j] - 2 * delta[1, i, j]
    return found


def test_a_repeated_index_that_overwrites_is_named() -> None:
    diagnosis = diagnose(rows, rows_overwritten, table=draw(size=(5, 4)))
    assert diagnosis.code == "GC139"
    assert diagnosis.observation.startswith("each entry is the term of the last output")


def test_overlapping_windows_that_overwrite_are_named() -> None:
    diagnosis = diagnose(images, images_overwritten, x=draw(size=(5, 5)))
    assert diagnosis.code == "GC139"
    assert "last place of the output" in diagnosis.observation


@pytest.mark.parametrize("stride", [3])
def test_windows_that_do_not_overlap_are_right_so(stride: int) -> None:
    problem = from_functions(windows(stride), windows_overwritten(stride), {"x": draw(size=9)})
    assert check(problem).verdict == "pass"


def test_weights_along_the_wrong_axis_are_factors_of_rows_and_columns() -> None:
    weights = np.array([0.5, 2.0, 1.0, 3.0])

    def forward(z: Array) -> Array:
        return weights[:, None] * np.sin(z)

    def backward(delta: Array, z: Array) -> Array:
        return delta * weights * np.cos(z)

    diagnosis = diagnose(forward, backward, z=draw(size=(4, 4)))
    assert diagnosis.code == "GC130"
    assert diagnosis.cause.endswith("along the wrong axis")


def test_an_epsilon_in_the_forward_alone_is_a_small_difference() -> None:
    def forward(x: Array) -> Array:
        return x / np.sqrt(np.sum(x**2) + 1e-5)

    def backward(delta: Array, x: Array) -> Array:
        norm = np.sqrt(np.sum(x**2))
        return delta / norm - x * (delta @ x) / norm**3

    diagnosis = diagnose(forward, backward, x=draw(size=8))
    assert diagnosis.code == "GC140"
    assert "epsilon" in diagnosis.cause


def test_a_bias_has_the_factors_of_the_rows_of_its_weights() -> None:
    x, target = draw(size=(3, 1)), draw(size=(4, 1))

    def forward(w: Array, b: Array) -> float:
        return float(0.5 * np.sum((np.tanh(w @ x + b) - target) ** 2))

    def backward(w: Array, b: Array) -> tuple[Array, Array]:
        y = np.tanh(w @ x + b)
        d = (y - target) * (1 - y**2) ** 2  # once too often
        return d @ x.T, d

    def unrelated(w: Array, b: Array) -> tuple[Array, Array]:
        dw, db = backward(w, b)
        return dw, db**3

    inputs = {"w": draw(size=(4, 3)), "b": draw(size=(4, 1))}
    of_w, of_b = check(from_functions(forward, backward, inputs)).gradients
    assert of_w.diagnosis is not None
    assert of_b.diagnosis is not None
    assert (of_w.diagnosis.code, of_b.diagnosis.code) == ("GC130", "GC130")
    assert of_b.diagnosis.observation == "its entries have the factors that the rows of ∂L/∂w have"
    _, other = check(from_functions(forward, unrelated, inputs)).gradients
    assert other.diagnosis is not None
    assert other.diagnosis.code == "GC100"


def test_one_of_several_copies_for_their_sum() -> None:
    def forward(x: Array) -> Array:
        return x.repeat(2, 0).repeat(2, 1)

    diagnosis = diagnose(forward, lambda delta, x: delta[::2, ::2], x=draw(size=(3, 3)))
    assert diagnosis.code == "GC139"
    assert "stride" in diagnosis.cause
