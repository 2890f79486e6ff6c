"""Faults of products entry by entry: only a Jacobian's diagonal, * for @, θ for log θ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Comparison, Float
from gradcheck_cli.problem import no_stages


def keep_diagonal(measured: MeasuredGradient) -> Iterator[Injected]:
    """Only the diagonal of a square Jacobian is used."""
    for stage in measured.declared if measured.problem.stages is no_stages else ():
        if stage.cotangent.shape != measured.x.shape or measured.x.size < 2 or not measured.whole:
            continue
        jacobian = measured.measure_jacobian(stage)
        if len(jacobian.at) == measured.x.size:
            delta = np.asarray(stage.cotangent, dtype=np.float64)
            value, uncertainty = (
                np.diag(part).reshape(measured.shape)
                for part in (jacobian.value, jacobian.uncertainty)
            )
            yield Injected(
                measured.whole_values(delta * value, np.abs(delta) * uncertainty),
                "it is the gradient as if output k depended on input k alone",
                same="output k depends on input k alone",
            )


def multiply_elementwise(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient is the product, entry by entry, of an input and the upstream gradient."""
    for stage in measured.stages:
        delta = np.asarray(stage.cotangent, dtype=np.float64)
        for name, x in measured.other_inputs.items():
            if measured.whole and x.shape == delta.shape == measured.shape and x.ndim > 1:
                observation = f"it is {name} * {stage.symbol}, entry by entry"
                yield Injected(measured.whole_values(x * delta), observation)


def multiply_by_exponential(measured: MeasuredGradient) -> Iterator[Injected]:
    """The gradient lacks or has a factor exp(x), as if by a change between θ and log θ."""
    x = np.asarray(measured.gradient.of(measured.x), dtype=np.float64)
    if x.shape == measured.shape and x.size > 1:
        yield from _multiply(measured, np.exp(x), f"exp({measured.name})")


def change_parameter(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The gradient lacks or has one of the factors of a change between θ and log θ."""
    yield from multiply_by_exponential(measured)
    x = np.asarray(measured.gradient.of(measured.x), dtype=np.float64)
    if x.shape == measured.shape and x.size > 1:
        yield from _multiply(measured, np.exp(-x), f"exp(−{measured.name})")
        yield from _multiply(measured, x, measured.name)
        yield from _multiply(measured, 1 / x, f"1/{measured.name}")


def _multiply(measured: MeasuredGradient, by: Float, name: str) -> Iterator[Injected]:
    """The gradient times an array of its shape, entry by entry, if that is finite."""
    if np.isfinite(by).all():
        yield Injected(
            measured.right * by.ravel(),
            f"it is the numeric gradient times {name}, entry by entry",
            same=f"{name} is 1 everywhere" if np.all(by == 1) else "",
        )
