"""HIPS autograd: functions written with autograd.numpy, and primitives with defvjp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import autograd
import autograd.numpy
import numpy as np
from autograd.tracer import isbox

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.signatures import Call
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks.differentiable import Differentiable, Tensors
from gradcheck_cli.usercode.low_precision import BFLOAT16


def recognizes(target: Any) -> bool:
    """Whether this is a primitive: a function that autograd has wrapped."""
    return hasattr(target, "fun") and "autograd" in getattr(target, "__globals__", {}).get(
        "__name__", ""
    )


def is_applied(target: Any) -> bool:
    """Whether a class is applied as it is, and never made."""
    return False


def is_tensor(value: Any) -> bool:
    """Whether a value is a box, autograd's wrapper of an array; its arrays are NumPy's."""
    return bool(isbox(value))


def to_array(tensor: Any) -> Array:
    """The array of a box."""
    return np.asarray(autograd.tracer.getval(tensor))


def seed(number: int) -> None:
    """Do nothing: random numbers come from NumPy, whose state is set before every call."""


def make_differentiable(target: Any, dtype: str, seed: int, device: str | None) -> Differentiable:
    """Make a `Differentiable` of a function. Raises CodeError for a type that autograd lacks."""
    if dtype == BFLOAT16:
        raise CodeError("autograd has no bfloat16; it has float16, float32 and float64")
    return AutogradFunction(target, dtype)


class AutogradFunction(Differentiable):
    """A function of NumPy arrays that autograd can trace."""

    def tensor(self, array: Array) -> Any:
        """The array itself; floats get the dtype of the check."""
        return array.astype(self.floats) if array.dtype.kind == "f" else np.array(array)

    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the function."""
        return call(self.function, values)

    def list_outputs(self, returned: Any) -> list[Any]:
        """The arrays of floats in a value, a tuple or a dict."""
        if isinstance(returned, dict):
            returned = list(returned.values())
        if not isinstance(returned, tuple | list):
            returned = [returned]
        return [one for one in returned if np.asarray(to_array(one)).dtype.kind == "f"]

    def array(self, tensor: Any) -> Array:
        """The array of a box."""
        return to_array(tensor)

    def pull_back(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Array]
    ) -> Mapping[str, Array | None]:
        """The gradients of Σ cotangent · output, by autograd."""
        return self.gradients(function, tensors, cotangents)

    def gradients(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The gradients of Σ cotangent · output as boxes, which can be differentiated."""
        names = list(tensors)

        def loss(arrays: Sequence[Any]) -> Any:
            outputs = function(dict(zip(names, arrays, strict=True)))
            parts = zip(outputs, cotangents, strict=True)
            return sum(autograd.numpy.sum(cotangent * output) for output, cotangent in parts)

        found = autograd.grad(loss)([tensors[name] for name in names])
        return dict(zip(names, found, strict=True))

    def zeros_like(self, tensor: Any) -> Any:
        """An array of zeros."""
        return autograd.numpy.zeros_like(tensor)
