"""Layers that are objects: where they keep their parameters, and the gradients of them."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_shape, join_words
from gradcheck_cli.usercode.gradients import gradient_names

# What people call a forward and its backward, in the order in which they are looked for.
METHODS = (
    ("forward", "backward"),
    ("__call__", "backward"),
    ("forward_pass", "backward_pass"),
    ("fprop", "bprop"),
    ("forward", "backprop"),
    ("forward_propagation", "backward_propagation"),
    ("forward_prop", "backward_prop"),
    ("forward_propagate", "backward_propagate"),
    ("feedforward", "backprop"),
    ("fwd", "bwd"),
)
PARAMETER_HOLDERS = ("params", "parameters", "weights")
GRADIENT_HOLDERS = ("grads", "gradients", "grad", "dparams")
WRAPPED = ("data", "value")  # the array of a parameter that is an object itself


def methods(owner: Any) -> tuple[str, str]:
    """The names of an object's forward and backward; the first of METHODS that it has both of.

    Raises CodeError where it has none.
    """
    for pair in METHODS:
        if all(callable(getattr(owner, name, None)) for name in pair):
            return pair
    has = {name: callable(getattr(owner, name, None)) for pair in METHODS for name in pair}
    lacking = "backward" if any(has[forward] for forward, _ in METHODS) else "forward"
    kind, own = type(owner).__name__, [name for name in dir(owner) if not name.startswith("_")]
    names = [name for name in own if callable(getattr(owner, name))]
    listed = f"; it has {join_words(names)}" if names else ""
    raise CodeError(
        f"{kind} has no method '{lacking}'{listed}; methods of other names are named by forward: "
        f"FILE:{kind}.NAME and backward: FILE:{kind}.NAME"
    )


def holds(owner: Any, name: str) -> bool:
    """Whether an object has a parameter of this name: an attribute, or a key of its params."""
    return bool(_places(owner, name))


def put(owner: Any, name: str, value: Any) -> None:
    """Set a parameter of an object, wherever it keeps it.

    Raises CodeError where the object's own array has another shape.
    """
    for holder, key in _places(owner, name):
        current = _get(holder, key)
        inner = _wrapped(current)
        array = current if inner is None else getattr(current, inner)
        if isinstance(array, np.ndarray) and array.shape != np.shape(value):
            raise CodeError(
                f"{type(owner).__name__}.{name} is {format_shape(array.shape)}, but the input of "
                f"its name is {format_shape(np.shape(value))}; give it that shape"
            )
        if inner is not None:
            setattr(current, inner, value)
        elif isinstance(holder, dict):
            holder[key] = value
        else:
            setattr(holder, key, value)


def held_gradient(owner: Any, name: str) -> Any:
    """The gradient of a parameter, as an object keeps it after backward; None without.

    Looked for as dW, grad_W and the like: an attribute, or a key of grads; and as W.grad.
    """
    holders = [owner, *(getattr(owner, holder, None) for holder in GRADIENT_HOLDERS)]
    for holder in holders:
        names = [*gradient_names(name), *[name] * isinstance(holder, dict)]
        for key in names:
            if _get(holder, key) is not None:
                return _get(holder, key)
    for holder, key in _places(owner, name):
        gradient = getattr(_get(holder, key), "grad", None)
        if gradient is not None:
            return gradient
    return None


def also_held(owner: Any, inputs: Container[str]) -> list[str]:
    """The parameters of an object that have a gradient, and are not among the inputs."""
    names = [*vars(owner)] if hasattr(owner, "__dict__") else []
    for holder in PARAMETER_HOLDERS:
        held = getattr(owner, holder, None)
        names += held if isinstance(held, dict) else []
    return [
        name
        for name in dict.fromkeys(names)
        if isinstance(name, str)
        and name not in inputs
        and name not in GRADIENT_HOLDERS
        and held_gradient(owner, name) is not None
    ]


def _places(owner: Any, name: str) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = [(owner, name)] if hasattr(owner, name) else []
    for holder in PARAMETER_HOLDERS:
        held = getattr(owner, holder, None)
        if isinstance(held, dict) and name in held:
            found.append((held, name))
    return found


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _wrapped(parameter: Any) -> str | None:
    """The attribute that holds the array of a parameter object; None for a plain array."""
    if isinstance(parameter, np.ndarray):
        return None
    found = (name for name in WRAPPED if isinstance(getattr(parameter, name, None), np.ndarray))
    return next(found, None)
