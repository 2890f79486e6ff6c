"""JAX: functions of arrays, plain, jitted or with rules of their own (custom_vjp, custom_jvp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.signatures import Call
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks.differentiable import Differentiable, Tensors
from gradcheck_cli.usercode.frameworks.stacks import Sizes
from gradcheck_cli.usercode.low_precision import widen_bfloat16

LOOPS, JITTED = ("scan", "while", "cond"), ("jit", "pjit")  # operations, by jax's names


def recognizes(target: Any) -> bool:
    """Whether this is a function that jax has wrapped."""
    return type(target).__module__.partition(".")[0] in ("jax", "jaxlib")


def is_applied(target: Any) -> bool:
    """Whether a class is applied as it is, and never made."""
    return False


def is_tensor(value: Any) -> bool:
    """Whether a value is an array of jax; a key for random numbers is none."""
    return isinstance(value, jax.Array) and not jax.dtypes.issubdtype(
        value.dtype, jax.dtypes.prng_key
    )


def to_array(tensor: Any) -> Array:
    """A jax array as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    return np.asarray(widen_bfloat16(np.asarray(tensor)))


def from_array(array: Array) -> Any:
    """A NumPy array as a jax array of its type, if jax has that enabled."""
    return jax.numpy.asarray(array)


def run_eagerly() -> AbstractContextManager[None]:
    """A block in which nothing is compiled: functions run line by line on arrays with values."""
    eager: AbstractContextManager[None] = jax.disable_jit()
    return eager


def seed(number: int) -> None:
    """Do nothing: jax draws random numbers only with a key."""


def make_differentiable(target: Any, dtype: str, seed: int, device: str | None) -> Differentiable:
    """Make a `Differentiable` of a function."""
    return JaxFunction(target, dtype)


class JaxFunction(Differentiable):
    """A function of jax arrays, evaluated in the dtype of the check."""

    # Compiling a mapped call takes as long as a thousand calls of a small net.
    sizes = Sizes(many=64, few=0, worth=1000)
    mapper = "jax.vmap"

    def tensor(self, array: Array) -> Any:
        """An array as a jax array; floats get the dtype of the check, or float64."""
        array = widen_bfloat16(array)
        kind = getattr(jax.numpy, self.floats) if array.dtype.kind == "f" else None
        with jax.enable_x64(True):
            return jax.numpy.asarray(array, dtype=kind)

    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the function with double precision enabled."""
        with jax.enable_x64(True):
            return call(self.function, values)

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function as it is, with double precision enabled."""
        with jax.enable_x64(True):
            return self.function(*arguments, **keywords)

    def list_outputs(self, returned: Any) -> list[Any]:
        """The arrays of floats in a pytree."""
        found = [leaf for leaf in jax.tree.leaves(returned) if hasattr(leaf, "dtype")]
        floats = [leaf for leaf in found if jax.numpy.issubdtype(leaf.dtype, np.floating)]
        for leaf in floats:
            if self.working_type == "float64" and leaf.dtype == np.float32:
                raise CodeError(
                    f"{self.name} computes in float32 from float64 inputs: it was jitted or its "
                    "constants were made without jax_enable_x64; set the flag before they are "
                    "made, or set dtype: float32"
                )
        return floats

    def array(self, tensor: Any) -> Array:
        """A jax array as a NumPy array."""
        return to_array(tensor)

    def pull_back(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Array]
    ) -> Mapping[str, Array | None]:
        """The gradients of Σ cotangent · output, by jax.vjp."""
        found = self.gradients(function, tensors, [self.tensor(np.asarray(c)) for c in cotangents])
        return {name: to_array(gradient) for name, gradient in found.items()}

    def gradients(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The gradients of Σ cotangent · output as jax arrays, which can be differentiated."""
        with jax.enable_x64(True):
            outputs, pull = jax.vjp(function, dict(tensors))
            pairs = zip(cotangents, outputs, strict=True)
            (found,) = pull([cotangent.astype(output.dtype) for cotangent, output in pairs])
        return dict(found)

    def zeros_like(self, tensor: Any) -> Any:
        """An array of zeros."""
        return jax.numpy.zeros_like(tensor)

    def compile(self, function: Any, tensors: Tensors) -> Any | None:
        """Compile the function by jax.jit, if it has a loop that jax would compile in each call."""
        with jax.enable_x64(True):
            if not any(map(_compiles, jax.make_jaxpr(function)(dict(tensors)).eqns)):
                return None
        jitted = jax.jit(function)

        def call(tensors: Tensors) -> Any:
            with jax.enable_x64(True):
                return jitted(dict(tensors))

        return call

    def map_over(self, function: Any, name: str) -> Any:
        """The function mapped over points by jax.vmap, and compiled."""

        def of_one(tensor: Any, others: Tensors) -> Any:
            return function({**others, name: tensor})

        mapped = jax.jit(jax.vmap(of_one, in_axes=(0, None)))

        def call(tensors: Tensors) -> Any:
            others = {other: tensor for other, tensor in tensors.items() if other != name}
            with jax.enable_x64(True):
                return mapped(tensors[name], others)

        return call


def _compiles(equation: Any) -> bool:
    """Whether an operation is compiled again in every call; a jitted function is not."""
    if equation.primitive.name in LOOPS:
        return True
    inner = [] if equation.primitive.name in JITTED else jax.core.jaxprs_in_params(equation.params)
    return any(_compiles(one) for part in inner for one in part.eqns)
