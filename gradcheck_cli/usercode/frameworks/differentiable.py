"""A function that a framework differentiates, seen as arrays: what all frameworks have in common.

The numeric side sees arrays alone; the framework's reverse mode is what is checked.
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

    name: what reports call it; takes: its parameters.
    weights: what it holds that has a gradient, by name: the parameters of a module.
    low: the type of all floats, by name; dtype: that in which NumPy holds them.
    floats: the type that tensors are made in: `low`, or float64 where inputs are.
    sizes: of the calls of `map_over`; None where the framework has no such thing; mapper: its name.
    """

    sizes: Sizes | None = None
    mapper = ""

    def __init__(self, target: Any, dtype: str) -> None:
        self.name = name_of(target)
        self.function = target
        self.takes = read_parameters(target)
        self.weights: Mapping[str, Array] = {}
        self.low = self.floats = dtype
        self.dtype = np.dtype("float32" if dtype == BFLOAT16 else dtype)

    def follow(self, arrays: Iterable[Array]) -> None:
        """Make tensors in float64 where a check in low precision hands over float64."""
        wide = any(array.dtype == np.float64 for array in arrays)
        self.floats = "float64" if wide else self.low

    def rounded(self, array: Array) -> Array:
        """An array of floats as the function is handed it, in the type that holds it."""
        return self.array(self.tensor(array)).astype(self.dtype, copy=False)

    @abstractmethod
    def tensor(self, array: Array) -> Any:
        """An array as a tensor of the framework; whole numbers and booleans stay what they are."""

    @abstractmethod
    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the function; returns whatever it returns."""

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function with tensors, as it is."""
        return self.function(*arguments, **keywords)

    @abstractmethod
    def outputs(self, returned: Any) -> list[Any]:
        """The tensors of floats in what the function returned, in order."""

    @abstractmethod
    def array(self, tensor: Any) -> Array:
        """A tensor as an array."""

    @abstractmethod
    def pull_back(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Array]
    ) -> Mapping[str, Array | None]:
        """Σ cotangent · ∂output/∂tensor by the framework's reverse mode; None where it gives none.

        function: maps tensors by name to a list of outputs.
        """

    @abstractmethod
    def gradients(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The same as tensors, which can be differentiated again; cotangents are tensors, too."""

    @abstractmethod
    def zeros_like(self, tensor: Any) -> Any:
        """A tensor of zeros of this shape and type."""

    def keeps_nothing(self) -> bool:
        """Whether nothing that `map_over` hands the function is seen by a later call."""
        return True

    def compiled(self, function: Any, tensors: Tensors) -> Any | None:
        """The function of tensors by name, compiled; None where that would gain nothing.

        Raises whatever the framework raises that cannot compile it.
        """
        return None

    def map_over(self, function: Any, name: str) -> Any:
        """The function of tensors by name, mapped over a leading axis of one of them.

        Only of a framework that has `sizes`.
        """
        raise NotImplementedError

    def find_backward_passes(self, function: Any, tensors: Tensors) -> dict[str, dict[int, str]]:
        """The backward passes of the user's own that each tensor's gradient comes through.

        By a number for each place in the graph; none where the framework keeps no graph.
        """
        return {}

    def is_cut_off(self, gradient: Any) -> bool:
        """Whether a gradient is seen to have lost what it was computed of."""
        return False

    def explain(self, error: BaseException) -> str:
        """What to do about an exception that is about the framework; empty where nothing is known.

        error: what the function raised.
        """
        return ""

    def prepare(self, call: Call, values: Mapping[str, Any]) -> None:  # noqa: B027
        """Make what a first call makes, such as weights of lazy modules; most make nothing."""


def floats_in(value: Any) -> list[Array]:
    """The arrays of floats in a value."""
    return [array for _, array in leaves(value, "")]


def convert(function: Differentiable, value: Any) -> Any:
    """A value with the arrays in it as tensors."""
    if isinstance(value, np.ndarray):
        return function.tensor(value)
    if isinstance(value, dict):
        return {key: convert(function, part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [convert(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
