"""Layers that are objects: where they keep their parameters, and the gradients of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from msgspec import Struct

from gradcheck_cli.errors import CodeError
from gradcheck_cli.text import format_shape, join_words
from gradcheck_cli.usercode.calling.gradients import gradient_names, names_gradient
from gradcheck_cli.usercode.calling.methods import METHODS

# Where an object keeps the output of a forward that returns nothing.
OUTPUTS = ("output", "outputs", "out", "y", "Y", "a", "A", "z", "Z", "activation", "result", "loss")
# What the gradient of the one array that a forward is handed is called, whatever that is called.
INPUT_GRADIENTS = ("dinputs", "dinput", "dX", "dx", "grad_input", "input_grad", "gradInput")
PARAMETER_HOLDERS = ("params", "parameters", "weights")
GRADIENT_HOLDERS = ("grads", "gradients", "grad", "dparams")
WRAPPED = ("data", "value")  # the array of a parameter that is an object itself
DEEPEST = 4  # objects, lists and dicts in each other that are searched for parameters
GRADIENT_LIKE = re.compile(r"^(d|grad|nabla|g)_?[A-Z]|^d[a-z]?\d?$|grad|nabla|^d_|delta")
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.?(?P<name>\w+)")


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


class Place(Struct, frozen=True):
    """Where an object keeps an array: steps of attributes, keys and indices; and as it is written.

    inner: the attribute of a parameter object that holds its array; empty for a plain array.
    """

    steps: tuple[Any, ...]
    inner: str = ""

    def get(self, owner: Any) -> Any:
        """What stands there; None without."""
        found = owner
        for step in self.steps:
            found = _get(found, step)
        return getattr(found, self.inner, None) if self.inner else found

    def set(self, owner: Any, value: Any) -> None:
        """Put a value there."""
        holder = owner
        for step in self.steps[:-1]:
            holder = _get(holder, step)
        if self.inner:
            setattr(_get(holder, self.steps[-1]), self.inner, value)
        elif isinstance(holder, dict | list):
            holder[self.steps[-1]] = value
        elif isinstance(holder, tuple):
            raise CodeError(f"{_write_path(self.steps)} is in a tuple; keep parameters in a list")
        else:
            setattr(holder, self.steps[-1], value)


def find_places(owner: Any, name: str) -> tuple[Place, ...]:
    """Where an object keeps the parameter of this name: an attribute, a key of its params, or a
    path such as layers[0].W; and wherever else it keeps the same array."""
    steps = _read_path(name)
    paths = [steps, *((holder, *steps) for holder in PARAMETER_HOLDERS)]
    found = [_with_inner(owner, path) for path in paths if _exists(owner, path)]
    arrays = [place.get(owner) for place in found]
    known = {id(array) for array in arrays if isinstance(array, np.ndarray)}
    others = [Place(path) for path, array in _walk(owner) if id(array) in known]
    return tuple(dict.fromkeys([*found, *others]))


def put(owner: Any, name: str, places: tuple[Place, ...], value: Any) -> None:
    """Set a parameter of an object, wherever it keeps it.

    Raises CodeError where the object's own array has another shape.
    """
    for place in places:
        array = place.get(owner)
        if isinstance(array, np.ndarray) and array.shape != np.shape(value):
            raise CodeError(
                f"{type(owner).__name__}.{name} is {format_shape(array.shape)}, but the input of "
                f"its name is {format_shape(np.shape(value))}; give it that shape"
            )
        place.set(owner, value)


def find_output(owner: Any) -> str:
    """The attribute in which an object keeps its output; empty without, and of no object."""
    if owner is None:  # of a function, which is called thousands of times
        return ""
    kept = (name for name in OUTPUTS if isinstance(getattr(owner, name, None), np.ndarray | float))
    return next(kept, "")


def find_input_gradient(owner: Any) -> Any:
    """The gradient that an object keeps for the one array that its forward is handed."""
    found = (getattr(owner, name, None) for name in INPUT_GRADIENTS)
    return next((one for one in found if one is not None), None)


def find_gradient(owner: Any, name: str) -> Any:
    """The gradient of a parameter, as an object keeps it after backward; None without.

    Looked for as dW, grad_W and the like: an attribute, or a key of grads; and as W.grad. That of
    params[0] is grads[0], that of biases[0] is dbiases[0]; that of layers[0].W is looked for in
    layers[0].
    """
    *before, last = _read_path(name)
    if isinstance(last, int) and before and isinstance(before[-1], str):
        inner = Place(tuple(before[:-1])).get(owner) if before[:-1] else owner
        common = GRADIENT_HOLDERS if before[-1] in PARAMETER_HOLDERS else ()
        lists = [_get(inner, holder) for holder in (*common, *gradient_names(before[-1]))]
        found = (_get(one, last) for one in lists if isinstance(one, list | tuple))
        gradient = next((one for one in found if one is not None), None)
        if gradient is not None or before[-1] in PARAMETER_HOLDERS:
            return gradient
    inner = Place(tuple(before)).get(owner) if before else owner
    return _gradient_in(inner, last)


def _gradient_in(owner: Any, name: Any) -> Any:
    """The gradient of a parameter of this very object, or element of this list or dict."""
    if not isinstance(name, str):
        return getattr(_get(owner, name), "grad", None)
    for holder in [owner, *(_get(owner, holder) for holder in GRADIENT_HOLDERS)]:
        names = [*gradient_names(name), *[name] * isinstance(holder, dict)]
        for key in names:
            if _get(holder, key) is not None:
                return _get(holder, key)
    named = _gradient_by_shape(owner, name)
    if named is not None:
        return named
    if name in GRADIENT_HOLDERS:
        return None
    for path in ((name,), *((holder, name) for holder in PARAMETER_HOLDERS)):
        gradient = getattr(Place(path).get(owner), "grad", None)
        if gradient is not None and not callable(gradient):
            return gradient
    return None


def _gradient_by_shape(owner: Any, name: str) -> Any:
    """An array of the shape of a parameter whose name is that of its gradient in another manner;
    or the one that is called `gradient` alone."""
    parameter = _get(owner, name)
    kept = dict(getattr(owner, "__dict__", {})) if isinstance(parameter, np.ndarray) else {}
    fitting = [
        key
        for key, array in kept.items()
        if isinstance(array, np.ndarray) and array.shape == parameter.shape and key != name
    ]
    found = [key for key in fitting if names_gradient(key, name)]
    alone = [key for key in fitting if key in GRADIENT_HOLDERS]
    return kept[(found or alone)[0]] if found or alone else None


def list_unchecked_parameters(owner: Any, inputs: Collection[str]) -> list[str]:
    """The parameters of an object, and of objects in it, that have a gradient and are no inputs."""
    found: dict[str, None] = {}
    checked = {id(place.get(owner)) for name in inputs for place in find_places(owner, name)}
    for path, array in _walk(owner):
        name = _write_path(_parameter_steps(path))
        known = id(array) in checked or name in inputs
        if name and not known and not set(path) & set(GRADIENT_HOLDERS):
            gradient = find_gradient(owner, name)
            number = isinstance(gradient, int | float) and array.ndim > 0  # dk, a size
            if gradient is not None and gradient is not array and not number:
                found[name] = None
    return list(found)


def list_arrays(owner: Any) -> dict[str, Any]:
    """The arrays in an object, by what they are called as its parameters."""
    return {_write_path(_parameter_steps(path)): array for path, array in _walk(owner)}


def _parameter_steps(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The steps to a parameter as it is called: params["W"] is W, and so is W.data."""
    steps = path[:-1] if path[-1] in WRAPPED and len(path) > 1 else path
    following = (*steps[1:], None)
    return tuple(
        step
        for step, after in zip(steps, following, strict=True)
        if not (step in PARAMETER_HOLDERS and isinstance(after, str))
    )


def gradient_attributes(owner: Any) -> list[str]:
    """The attributes of an object, and of objects in it, that are called like gradients."""
    return [
        _write_path(path)
        for path, _ in _walk(owner)
        if any(isinstance(step, str) and GRADIENT_LIKE.search(step) for step in path)
    ]


def _walk(value: Any, path: tuple[Any, ...] = (), seen: tuple[int, ...] = ()) -> Iterator[Any]:
    """The arrays in an object, in the objects, lists and dicts in it, each with the steps to it."""
    if isinstance(value, np.ndarray):
        if path:
            yield path, value
        return
    if id(value) in seen or len(path) > DEEPEST or isinstance(value, type):
        return
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        parts = list(vars(value).items()) if hasattr(value, "__dict__") else []
    for step, part in parts:
        yield from _walk(part, (*path, step), (*seen, id(value)))


def _read_path(name: str) -> tuple[Any, ...]:
    """layers[0].W → layers, 0, W."""
    found = _STEP.finditer(name)
    return tuple(int(step["index"]) if step["index"] else step["name"] for step in found)


def _write_path(steps: tuple[Any, ...]) -> str:
    """layers, 0, W → layers[0].W."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _exists(owner: Any, steps: tuple[Any, ...]) -> bool:
    """Whether an object has this: an attribute may be None, until the first forward."""
    holder = Place(steps[:-1]).get(owner) if steps[:-1] else owner
    last = steps[-1]
    if isinstance(holder, dict):
        return last in holder
    if isinstance(holder, list | tuple):
        return isinstance(last, int) and last < len(holder)
    return isinstance(last, str) and hasattr(holder, last)


def _with_inner(owner: Any, steps: tuple[Any, ...]) -> Place:
    """The place of an array; of a parameter object, that of the array in it."""
    found = Place(steps).get(owner)
    if isinstance(found, np.ndarray):
        return Place(steps)
    inner = (name for name in WRAPPED if isinstance(getattr(found, name, None), np.ndarray))
    return Place(steps, next(inner, ""))


def _get(holder: Any, step: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    if isinstance(step, int):
        inside = isinstance(holder, list | tuple) and step < len(holder)
        return holder[step] if inside else None
    return getattr(holder, step, None)
