"""Turn a problem with complex inputs or outputs into one of their real and imaginary parts.

The loss is real: L = Re Σ conj(δ)·y, with δ = ∂L/∂Re y + i ∂L/∂Im y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.problem import Problem
from gradcheck_cli.text import join_words

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array, Arrays

Complex = NDArray[np.complexfloating[Any, Any]]

# A convention as a function of ∂L/∂Re z + i ∂L/∂Im z, for gradients and upstream gradients alike.
TORCH, JAX = "torch", "jax"
CONVENTIONS: Mapping[str, Callable[[Any], Any]] = {TORCH: np.asarray, JAX: np.conj}
MEANINGS = {TORCH: "∂L/∂Re z + i ∂L/∂Im z", JAX: "∂L/∂Re z − i ∂L/∂Im z"}


def as_real(problem: Problem, convention: str = TORCH) -> Problem:
    """The problem with the parts of complex numbers along a last axis of two.

    convention: `torch`, that of PyTorch and TensorFlow, where a gradient points uphill; or `jax`,
        that of JAX and autograd, its conjugate. It holds for the upstream gradient, too.
    A problem of real numbers is returned as it is.
    """
    names = frozenset(name for name, x in problem.inputs.items() if np.iscomplexobj(x))
    cotangent = problem.cotangent
    outputs = cotangent is not None and np.iscomplexobj(cotangent)
    if not names and not outputs:
        return problem
    turn = CONVENTIONS[convention]

    def joined(arrays: Arrays) -> dict[str, Any]:
        return {name: to_complex(x) if name in names else x for name, x in arrays.items()}

    def forward(arrays: Arrays) -> Any:
        made = problem.forward(joined(arrays))
        return to_parts(made) if outputs else made

    def backward(arrays: Arrays, delta: Any) -> Mapping[str, Any]:
        upstream = turn(to_complex(delta)) if outputs else delta
        claimed = problem.backward(joined(arrays), upstream)
        return {
            name: to_parts(turn(gradient)) if name in names and gradient is not None else gradient
            for name, gradient in claimed.items()
        }

    what = [*sorted(names), *["the outputs"] * outputs]
    note = (
        f"{join_words(what)} {'is' if len(what) == 1 and names else 'are'} complex: real and "
        f"imaginary parts are along the last axis, and gradients are those of {convention}, "
        f"{MEANINGS[convention]}"
    )
    return replace(
        problem,
        inputs={name: to_parts(x) if name in names else x for name, x in problem.inputs.items()},
        forward=forward,
        backward=backward,
        cotangent=None if cotangent is None else to_parts(cotangent) if outputs else cotangent,
        notes=(*problem.notes, note),
        complex_inputs=names,
        complex_outputs=outputs,
    )


def to_parts(z: Any) -> Array:
    """Real and imaginary parts along a last axis."""
    array = np.asarray(z)
    return np.stack([array.real, array.imag], axis=-1)


def to_complex(parts: Any) -> Complex:
    """Complex numbers from their parts along the last axis."""
    return np.asarray(parts[..., 0] + 1j * parts[..., 1])
