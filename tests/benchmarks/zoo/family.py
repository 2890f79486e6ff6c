"""A family of problems: a function, how its inputs are drawn, and its exact gradient.

The exact gradient is a closed form, or the complex step: f(x + ih) = f(x) + ih·f'(x) + O(h²) loses
no digits, so that h can be tiny. Source: W. Squire and G. Trapp, "Using complex variables to
estimate derivatives of real functions", SIAM Review 40 (1998).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli import Problem

Random = np.random.Generator
Array = NDArray[Any]
Draw = Callable[[Random], Array]
Function = Callable[..., Any]
# Of an entry's own scale: its square is lost beside 1, and itself is far from underflow.
COMPLEX_STEP = 2.0**-200


@dataclass(frozen=True)
class Family:
    """Problems of one kind.

    inputs: how each is drawn: a shape, for normal numbers, or a function of a random generator; or
        a function that draws all. A name that begins with an underscore is a constant.
    function: of all of them, by position, written such that it takes complex numbers.
    forward: what is differenced, where that is not `function` itself but computes it inexactly.
    exact: the derivative of an elementwise function of one input; None: the complex step.
    unknowable: whether no digits are left to judge by, so that inconclusive is the right answer.
    """

    name: str
    group: str
    inputs: Mapping[str, tuple[int, ...] | Draw] | Callable[[Random], dict[str, Array]]
    function: Function
    forward: Function | None = None
    exact: Function | None = None
    dtype: str = "float64"
    unknowable: bool = False

    def random(self, seed: int) -> Random:
        """The random numbers of this family and a seed."""
        return np.random.default_rng([zlib.crc32(self.name.encode()), seed])

    def draw(self, random: Random) -> dict[str, Array]:
        """The inputs and the constants."""
        if callable(self.inputs):
            return self.inputs(random)
        return {
            name: how(random) if callable(how) else random.normal(size=how)
            for name, how in self.inputs.items()
        }

    def make(self, seed: int) -> Problem:
        """A problem whose backward is right."""
        random = self.random(seed)
        drawn = self.draw(random)
        names = [name for name in drawn if not name.startswith("_")]
        inputs = {name: np.asarray(drawn[name]).astype(self.dtype) for name in names}
        constants = {name: value for name, value in drawn.items() if name not in inputs}
        forward = self.forward or self.function

        def call(function: Function, values: Mapping[str, Any]) -> Any:
            every = {**constants, **values}
            return function(*(every[name] for name in drawn))

        outputs = np.asarray(call(forward, inputs))
        cotangent = random.normal(size=outputs.shape)

        def backward(values: Mapping[str, Array], delta: Array) -> dict[str, Array]:
            wide = {name: value.astype(np.float64) for name, value in values.items()}
            if self.exact is not None:
                (name,) = names
                found = {name: delta * call(self.exact, wide)}
            else:
                found = complex_step(lambda at: call(self.function, at), wide, delta)
            return {name: found[name].astype(self.dtype) for name in names}

        def evaluate(values: Mapping[str, Any]) -> Array:
            return np.asarray(call(forward, values))

        batched = takes_points(evaluate, inputs)
        return Problem(inputs, evaluate, backward, cotangent, batched=batched)


def takes_points(forward: Function, inputs: Mapping[str, Array]) -> bool:
    """Whether a forward maps several points of an input, along a leading axis, as one by one."""
    for name, x in inputs.items():
        points = np.stack([x * (1 + 2.0**-at) for at in (3, 4, 5)]).astype(x.dtype)
        alone = [forward({**inputs, name: point}) for point in points]
        try:
            together = forward({**inputs, name: points})
        except (ValueError, IndexError, np.linalg.LinAlgError):
            return False
        if not np.array_equal(together, np.stack(alone)):
            return False
    return True


def complex_step(
    function: Callable[[Mapping[str, Any]], Any], inputs: Mapping[str, Array], delta: Array
) -> dict[str, Array]:
    """The gradient of Σ delta · function(inputs) for every input."""
    found = {}
    for name, x in inputs.items():
        typical = float(np.sqrt(np.mean((x / max(np.max(np.abs(x)), 1e-300)) ** 2)))
        scale = np.where(x != 0, np.abs(x), typical * np.max(np.abs(x)) or 1.0)
        gradient = np.zeros(x.shape)
        for position in range(x.size):
            point = x.astype(complex)
            step = COMPLEX_STEP * scale.flat[position]
            point.flat[position] += 1j * step
            outputs = np.asarray(function({**inputs, name: point}))
            gradient.flat[position] = np.sum(delta * (outputs.imag / step))
        found[name] = gradient
    return found
