"""Faults of complex gradients: a conjugate is missing in one of the places where it belongs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values


def conjugate(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient, δ or both are conjugated, as in rules for real numbers."""
    problem = measured.problem
    if measured.name not in problem.complex_inputs or not measured.whole:
        return
    if problem.cotangent is None and problem.complex_outputs:
        yield _conjugate_jacobian(measured)
        return
    right = measured.whole_values(measured.value, measured.uncertainty)
    yield Injected(_conjugate(right), "it is the complex conjugate of the numeric gradient")
    if not problem.complex_outputs or problem.cotangent is None or not measured.declared:
        return
    delta = np.asarray(problem.cotangent) * np.array([1.0, -1.0])
    other = measured.contract(measured.declared[0], delta)
    yield Injected(
        _conjugate(other),
        "it is the gradient with the other factor in the place of its conjugate",
        choices=2,
    )
    yield Injected(
        other, "it is the gradient with the conjugate of the upstream gradient", choices=2
    )


def _conjugate_jacobian(measured: MeasuredGradient) -> Injected:
    """The conjugate of the Jacobian of a holomorphic function, (…, part, …, part)."""
    axis = measured.value.ndim - measured.x.ndim - 1
    sign = np.array([1.0, -1.0])
    signs = sign.reshape(2, *(1,) * measured.x.ndim) * sign
    assert measured.value.shape[axis] == 2
    return Injected(
        measured.whole_values(signs * measured.value, measured.uncertainty),
        "it is the complex conjugate of the numeric Jacobian",
    )


def _conjugate(values: Values) -> Values:
    """The complex conjugate; imaginary parts are at odd positions."""
    return replace(values, value=np.where(values.at % 2, -values.value, values.value))
