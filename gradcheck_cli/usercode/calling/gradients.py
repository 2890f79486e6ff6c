"""Tell which of the values that a backward returns is the gradient of which input."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from gradcheck_cli.errors import CodeError

# The usual names of the gradient of an input, as a key or an attribute, likeliest first.
GRADIENT_NAMES = ("d{}", "grad_{}", "{}_grad", "d_{}", "grad{}", "dLd{}", "nabla_{}", "g{}")
# Names of an object's dict or list of parameters; of the one of their gradients; and of the array
# in a parameter that is itself an object or a dict.
PARAMETER_HOLDERS = ("params", "parameters", "weights")
GRADIENT_HOLDERS = ("grads", "gradients", "grad", "dparams")
WRAPPED = ("data", "value", "val")
GRADIENT_LIKE = re.compile(r"^(d|grad|nabla|g)_?[A-Z]|^[dg][a-z]?\d?$|grad|nabla|^d_|delta")


def list_gradient_names(name: str) -> Iterator[str]:
    """The usual names of the gradient of an input: dW, grad_W, W_grad, d_W, dLdW, gW."""
    return (pattern.format(name) for pattern in GRADIENT_NAMES)


# Rarer names of a gradient are the input's name with one of these: delta_weights, W_grad, dE_dW.
_BEFORE = r"^(d(l|loss|e|error|j|c|cost)_?d_?|(delta|nabla|grads?|gradients?|partial|d|g)_?)"
_BEHIND = r"_?(delta|grads?|gradients?|errors?|deriv|derivatives?)$"
# Short forms of inputs' names: the gradient of `weights` may be `dw`.
_SHORT = {"weight": "w", "weights": "w", "bias": "b", "biases": "b"}


def names_gradient(text: str, name: str) -> bool:
    """Whether `text` is a name of the gradient of the input `name`, a usual one or a rarer one.

    `delta_weights`, `w_grad` and `dE_dW` are names for weights, `_dWq` is one for _Wq.
    """
    if text in list_gradient_names(name):
        return True
    folded, of = text.casefold().strip("_"), name.casefold().strip("_")
    rests = {re.sub(pattern, "", folded) for pattern in (_BEFORE, _BEHIND)} - {folded}
    return not rests.isdisjoint({of, of.removesuffix("s"), _SHORT.get(of, of)})


def gradient_of(name: str, gradients: Mapping[Any, Any]) -> Any:
    """The gradient of an input in a mapping, by its name, "d" + name and the like; None if none."""
    known = [key for key in (*list_gradient_names(name), name) if key in gradients]
    others = (key for key in gradients if isinstance(key, str) and names_gradient(key, name))
    return next((gradients[key] for key in (*known, *others)), None)


def _in_order(
    returned: Sequence[Any], inputs: Sequence[str], order: Sequence[str], nested: Container[str]
) -> Iterator[dict[str, Any]]:
    """The possible readings of a tuple of gradients, by input, the likeliest first."""
    lists = [_holds_arrays(item) and not isinstance(item, Mapping) for item in returned]
    opened = [  # dX, [dW, db] → dX, dW, db
        part
        for item, is_list in zip(returned, lists, strict=True)
        for part in (item if is_list else [item])
    ]
    given = [item for item in opened if item is not None]  # dx, None, dU
    for values in (returned, opened, given):
        for expected in (inputs, order):
            if len(values) == len(expected):
                found = dict(zip(expected, values, strict=True))
                if not any(_holds_arrays(found[name]) for name in inputs if name not in nested):
                    yield found
    named = [item for item in returned if isinstance(item, Mapping)]  # dX, {"dW": dW, "db": db}
    if named:
        by_key = {name: gradient_of(name, named[0]) for name in inputs}
        left = [name for name in inputs if by_key[name] is None]
        in_order = [item for item in returned if not isinstance(item, Mapping)]
        if len(in_order) == len(left):
            yield by_key | dict(zip(left, in_order, strict=True))
    for expected in (inputs, order):  # a list of rows may be one gradient
        if len(returned) == len(expected):
            yield dict(zip(expected, returned, strict=True))


def shape_of(item: Any) -> tuple[int, ...] | None:
    """The shape of an array, a number or nested lists; None for lists that make no array."""
    import numpy as np  # `init` reads names here, and needs no arrays

    try:
        return tuple(np.shape(item))
    except ValueError:
        return None


def name_lists(returned: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Lists of gradients by the paths of the arrays with the same shapes; None if they do not fit.

    `return nabla_b, nabla_w` gives the gradients of "biases[0]", …, and of "weights[0]", …
    shapes: of the arrays that an object keeps, by their paths.
    """
    lists: dict[str, list[str]] = {}
    for name in shapes:
        lists.setdefault(name.rpartition("[")[0], []).append(name)
    whole = isinstance(returned, tuple | list) and len(returned) == len(lists)
    if not whole or "" in lists or not all(isinstance(item, list) for item in returned):
        return None
    for order in permutations(lists.values()):
        pairs = list(zip(order, returned, strict=True))
        if all(
            [shape_of(gradient) for gradient in item] == [shapes[name] for name in names]
            for names, item in pairs
        ):
            return {
                name: one for names, item in pairs for name, one in zip(names, item, strict=True)
            }
    return None


def _holds_arrays(item: Any) -> bool:
    """Whether this is a tuple, list or mapping of arrays, not an array or a list of numbers."""
    if isinstance(item, Mapping):
        return True
    return isinstance(item, tuple | list) and any(getattr(part, "ndim", 0) for part in item)


def name_gradients(
    returned: Any,
    names: Sequence[str],
    order: Sequence[str],
    who: str,
    nested: Container[str] = (),
) -> dict[str, Any]:
    """The gradients that a backward returned, by the names of the inputs.

    returned: a mapping by name or by "d" + name, a tuple, or one array.
    names: of the inputs. order: names in the order of a returned tuple, constants among them.
    nested: the inputs that are dicts or sequences of arrays; so are their gradients.
    Raises CodeError where it is not clear which gradient belongs to which input.
    """
    if isinstance(returned, Mapping):
        return _from_mapping(returned, names, who)
    numbers = isinstance(returned, list) and not _holds_arrays(returned)
    rows = len(names) > 1 and getattr(returned, "shape", ())[:1] == (len(names),)
    if rows:  # an array with a row for each input
        returned = list(returned)
    if not isinstance(returned, tuple | list) or (numbers and len(names) == 1):
        if len(names) == 1:
            return {names[0]: returned}
        raise CodeError(
            f"{who} returned one value for {len(names)} inputs ({', '.join(names)}); expected a "
            "tuple in their order, or a dict by name"
        )
    inputs = [name for name in order if name in names]
    for found in _in_order(returned, inputs, order, nested):
        return {name: found.get(name) for name in names}
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


def unmatched_keys(gradients: Mapping[Any, Any], names: Iterable[str]) -> list[str]:
    """The keys of a mapping, as text, that are no names of gradients of these inputs."""
    every = list(names)
    return [
        repr(key)
        for key, gradient in gradients.items()
        if isinstance(key, str) and gradient is not None
        if key not in every and not any(names_gradient(key, name) for name in every)
    ]
