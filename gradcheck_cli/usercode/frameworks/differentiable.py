"""The common interface of functions that frameworks differentiate.

The numeric side sees only arrays; the framework's reverse mode is what is checked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.signatures import Call, name_of, read_parameters
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks.stacks import Sizes
from gradcheck_cli.usercode.low_precision import BFLOAT16
from gradcheck_cli.usercode.trees import leaves

Tensors = Mapping[str, Any]


class Differentiable(ABC):
    """A function of a framework's tensors.

    name: its name in reports. function: what is called. takes: its parameters.
    weights: arrays with a gradient that it holds itself, by name: the parameters of a module.
    working_type: the name of the type of all floats; dtype: the NumPy type that holds them.
    floats: the type in which tensors are made: the working type, or float64 if the inputs are.
    sizes: the sizes of mapped calls; None if the framework cannot map a function over points.
    mapper: the name of the framework's function that does.
    """

    sizes: Sizes | None = None
    mapper = ""

    def __init__(self, target: Any, dtype: str) -> None:
        self.name = name_of(target)
        self.function = target
        self.takes = read_parameters(target)
        self.weights: Mapping[str, Array] = {}
        self.working_type = self.floats = dtype
        self.dtype = np.dtype("float32" if dtype == BFLOAT16 else dtype)

    def follow(self, arrays: Iterable[Array]) -> None:
        """Make tensors in float64 if one of these arrays is, else in the working type."""
        wide = any(array.dtype == np.float64 for array in arrays)
        self.floats = "float64" if wide else self.working_type

    def round(self, array: Array) -> Array:
        """An array of floats rounded to the working type, in the NumPy type that holds it."""
        return self.array(self.tensor(array)).astype(self.dtype, copy=False)

    @abstractmethod
    def tensor(self, array: Array) -> Any:
        """An array as a tensor of the framework; whole numbers and booleans keep their types."""

    @abstractmethod
    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the function with values by name, and with these weights in place of its own."""

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function directly, with tensors."""
        return self.function(*arguments, **keywords)

    @abstractmethod
    def list_outputs(self, returned: Any) -> list[Any]:
        """The tensors of floats in a returned value, in order."""

    @abstractmethod
    def array(self, tensor: Any) -> Array:
        """A tensor as an array."""

    @abstractmethod
    def pull_back(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Array]
    ) -> Mapping[str, Array | None]:
        """The gradients of Σ cotangent · output by reverse mode; None where there is none.

        function: tensors by name → a list of outputs.
        """

    @abstractmethod
    def gradients(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The same gradients as tensors that can be differentiated; the cotangents are tensors."""

    @abstractmethod
    def zeros_like(self, tensor: Any) -> Any:
        """A tensor of zeros of this shape and type."""

    def keeps_nothing(self) -> bool:
        """Whether no call of the function keeps a tensor that a later call could see."""
        return True

    def compile(self, function: Any, tensors: Tensors) -> Any | None:
        """Compile a function of tensors by name; None where that would save no time.

        Raises whatever the framework raises where it cannot compile the function.
        """
        return None

    def map_over(self, function: Any, name: str) -> Any:
        """Map a function of tensors by name over a leading axis of one of them.

        It is called only if there are `sizes`.
        """
        raise NotImplementedError

    def find_backward_passes(self, function: Any, tensors: Tensors) -> dict[str, dict[int, str]]:
        """The user's own backward passes that the gradient of each tensor goes through.

        Each is named under the number of its node in the graph; there are none without a graph.
        """
        return {}

    def is_cut_off(self, gradient: Any) -> bool:
        """Whether a gradient has visibly lost the graph of its computation."""
        return False

    def explain(self, error: BaseException) -> str:
        """Advice on what the function raised; empty where there is none."""
        return ""

    def prepare(self, call: Call, values: Mapping[str, Any]) -> None:  # noqa: B027
        """Make what a function only has after a call, such as the weights of lazy modules."""


def floats_in(value: Any) -> list[Array]:
    """The arrays of floats in a value."""
    return [array for _, array in leaves(value, "")]


def convert(function: Differentiable, value: Any) -> Any:
    """A value with the arrays in it converted to tensors."""
    if isinstance(value, np.ndarray):
        return function.tensor(value)
    if isinstance(value, dict):
        return {key: convert(function, part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [convert(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
