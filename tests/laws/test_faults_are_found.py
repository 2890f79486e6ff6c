"""The catalogue is used in both directions: what is put into a gradient is found in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import from_functions
from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.faults.mutation import mutate
from gradcheck_cli.measure.comparison import Allowance
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import MutantStatus
from tests.support.faults import diagnosis, rights
from tests.support.layers import layer, problem


def relu_layer() -> Problem:
    """A layer of the user's own, in one piece, with an array of every kind of role."""
    drawn = np.random.default_rng(3)

    def forward(x: Any, w: Any, b: Any) -> Any:
        return np.maximum(x @ w + b, 0)

    def backward(delta: Any, x: Any, w: Any, b: Any) -> Any:
        inner = delta * (x @ w + b > 0)
        return inner @ w.T, x.T @ inner, inner.sum(0)

    inputs = {"x": drawn.normal(size=(6, 4)), "w": drawn.normal(size=(4, 3)), "b": np.full(3, 0.1)}
    return from_functions(forward, backward, inputs)


def complex_product() -> Problem:
    """A product of complex matrices, with real and imaginary parts along a last axis."""
    drawn = np.random.default_rng(4)
    x, w = (drawn.normal(size=shape) + 1j * drawn.normal(size=shape) for shape in ((3, 4), (4, 2)))
    return from_functions(
        lambda x, w: x @ w,
        lambda delta, x, w: (delta @ w.conj().T, x.conj().T @ delta),
        {"x": x, "w": w},
    )


PROBLEMS = {
    "a batch": problem(layer("XW", N=4)),
    "a column": problem(layer("Wx")),
    "a row, another loss": problem(layer("xW", loss="logistic")),
    "square": problem(layer("XW", n=4, N=4, M=4, reduction="mean")),
    "tanh and a bias": problem(layer("XW", n=5, N=4, activation="tanh", bias=True)),
    "relu": problem(layer("XW", n=6, activation="relu")),
    "Jacobians": layer("XW", n=3, N=2, M=2, jacobian=True).problems()[1],
    "functions": relu_layer(),
    "complex numbers": complex_product(),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_fault_that_is_put_in_is_found(name: str) -> None:
    """By its own name, or by another whose fault gives the very same gradient."""
    for right in rights(PROBLEMS[name]):
        for fault in FAULTS.values():
            for injected in fault.inject(right) if fault.inject else ():
                values = injected.values
                unsure = values.uncertainty + right.uncertainty.ravel()[values.at]
                gap = np.abs(values.value - right.value.ravel()[values.at])
                size = np.maximum(np.abs(values.value), np.abs(right.value.ravel()[values.at]))
                if len(values.at) != right.value.size or np.all(gap <= unsure + 2e-9 * size):
                    continue  # not all of it was measured, or it is the right gradient
                found = diagnosis(right, values.value.reshape(right.shape))
                same = found.code == fault.code or found.fits is not None
                few = found.code == "GC111" and (gap > unsure + 1e-9 * size).sum() <= 3
                assert same or few, (right.name, fault.code, injected.observation, found)


def mutated(of: Problem) -> list[tuple[str, str, MutantStatus, str]]:
    def measure(other: Problem, name: str) -> Any:
        return measure_gradient(other, name, Numeric())

    found, _ = mutate(of, measure, Allowance(1e-9))
    return [(one.code, one.gradient, one.status, one.reason) for one in found]


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_check_at_drawn_inputs_catches_every_fault_that_changes_anything(name: str) -> None:
    survived = [one for one in mutated(PROBLEMS[name]) if one[2] == MutantStatus.SURVIVED]
    assert not survived


def test_every_fault_applies_somewhere() -> None:
    """No row of the catalogue is dead."""
    applied = {
        fault.code
        for of in (*PROBLEMS.values(), elementwise(), swappable(), masked())
        for right in rights(of)
        for fault in FAULTS.values()
        if fault.inject is not None and list(fault.inject(right))
    }
    assert applied == {fault.code for fault in FAULTS.values() if fault.inject is not None}


def elementwise() -> Problem:
    return from_functions(
        lambda x: np.exp(x) / np.exp(x).sum(),
        lambda delta, x: delta * 0 + x * 0,
        {"x": np.linspace(-1, 1, 5)},
    )


def swappable() -> Problem:
    inputs = {"x": np.array([1.0, 2.0, -0.5]), "y": np.array([0.3, -1.0, 0.7])}
    return from_functions(lambda x, y: x * y, lambda delta, x, y: (delta * y, delta * x), inputs)


def masked() -> Problem:
    return from_functions(
        lambda x: np.maximum(x, 0),
        lambda delta, x: delta * (x > 0),
        {"x": np.array([1.0, -2.0, 0.5, 3.0])},
    )


def test_what_is_known_is_measured_once() -> None:
    (measured, *_) = rights(PROBLEMS["a batch"])
    (stage,) = measured.stages
    measured.contract(stage, np.ones(stage.cotangent.shape))
    calls = measured.effort.calls
    measured.contract(stage, np.zeros(stage.cotangent.shape))
    assert measured.effort.calls == calls > 0
