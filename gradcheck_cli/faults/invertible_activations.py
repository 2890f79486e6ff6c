"""Activations that can be guessed from their outputs alone, since they are invertible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Float
from gradcheck_cli.problem import Stage

Change = Callable[[Float], Float]


class InvertibleActivation(Struct, frozen=True):
    """An activation y = f(z) whose z and f′(z) follow from y.

    contains: which outputs are possible; value: f; inverse: f⁻¹; slope_by_output: y → f′(z).
    """

    name: str
    contains: Callable[[Float], NDArray[np.bool_]]
    value: Change
    inverse: Change
    slope_by_output: Change


ACTIVATIONS = (
    InvertibleActivation(
        "sigmoid",
        lambda y: (y > 0) & (y < 1),
        lambda z: 1 / (1 + np.exp(-z)),
        lambda y: np.log(y / (1 - y)),
        lambda y: y * (1 - y),
    ),
    InvertibleActivation("tanh", lambda y: np.abs(y) < 1, np.tanh, np.arctanh, lambda y: 1 - y * y),
)


def list_inner_stages(stage: Stage, inputs: Any) -> Iterator[Stage]:
    """The stages z = f⁻¹(y) below the activations that a stage with outputs y may be."""
    with np.errstate(all="ignore"):
        y = np.asarray(stage.forward(inputs), dtype=np.float64)
        if y.shape != stage.cotangent.shape or y.size < 2:
            return
        for guess in ACTIVATIONS:
            if np.all(guess.contains(y)) and np.isfinite(guess.inverse(y)).all():
                yield Stage(
                    _invert_after(stage.forward, guess.inverse),
                    stage.cotangent * guess.slope_by_output(y),
                    stage.batched,
                    f"∂L/∂z below a {guess.name}",
                    stage.sample_axis,
                )


def _invert_after(forward: Callable[[Any], Any], inverse: Change) -> Callable[[Any], Any]:
    """The forward with f⁻¹ applied to its outputs."""

    def below(inputs: Any) -> Any:
        with np.errstate(all="ignore"):
            return inverse(np.asarray(forward(inputs), dtype=np.float64))

    return below
