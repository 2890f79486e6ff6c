"""What a backward returns, told apart: the gradient of every input by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradcheck_cli.errors import CodeError

# How a gradient is called after its input: as the key of a mapping, and as an attribute.
GRADIENT_NAMES = ("d{}", "grad_{}", "{}_grad", "d_{}")


def gradient_names(name: str) -> Iterator[str]:
    """What the gradient of an input may be called: dW, grad_W, W_grad, d_W."""
    return (pattern.format(name) for pattern in GRADIENT_NAMES)


def gradient_of(name: str, gradients: Mapping[Any, Any]) -> Any:
    """The gradient of an input in a mapping by name or by "d" + name; None without."""
    found = (gradients[key] for key in (*gradient_names(name), name) if key in gradients)
    return next(found, None)


def by_name(returned: Any, names: Sequence[str], order: Sequence[str], who: str) -> dict[str, Any]:
    """What a backward returned, as gradients by the names of the inputs.

    returned: a mapping by name or by "d" + name, a tuple, or one array; names: of the inputs;
    order: of the parameters that may have a gradient in a tuple, constants among them.
    Raises CodeError where the gradients cannot be told apart.
    """
    if isinstance(returned, Mapping):
        return _from_mapping(returned, names, who)
    numbers = isinstance(returned, list) and not any(hasattr(item, "shape") for item in returned)
    if not isinstance(returned, tuple | list) or (numbers and len(names) == 1):
        if len(names) == 1:
            return {names[0]: returned}
        raise CodeError(
            f"{who} returned one value for {len(names)} inputs ({', '.join(names)}); expected a "
            "tuple in their order, or a dict by name"
        )
    inputs = [name for name in order if name in names]
    for expected in (inputs, order):
        if len(returned) == len(expected):
            found = dict(zip(expected, returned, strict=True))
            return {name: found[name] for name in names}
    raise CodeError(
        f"{who} returned {len(returned)} gradients for {len(names)} "
        f"input{'s' * (len(names) != 1)} ({', '.join(inputs)}); an input without a gradient "
        "belongs under constants"
    )


def _from_mapping(returned: Mapping[Any, Any], names: Sequence[str], who: str) -> dict[str, Any]:
    found = {name: gradient_of(name, returned) for name in names}
    if names and all(gradient is None for gradient in found.values()):
        shown = ", ".join(repr(key) for key in list(returned)[:9]) or "nothing"
        raise CodeError(
            f"{who} returned a dict with {shown}; expected the inputs' names, such as "
            f"'{names[0]}' or 'd{names[0]}'"
        )
    return found
