"""Find the gradients that an object keeps after its backward, and arrays that may be gradients."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.gradients import (
    GRADIENT_HOLDERS,
    GRADIENT_LIKE,
    PARAMETER_HOLDERS,
    list_gradient_names,
    names_gradient,
)
from gradcheck_cli.usercode.calling.objects import (
    Place,
    drop_holders,
    find_places,
    list_arrays,
    list_parts,
    look_up,
    memory_of,
    read_path,
    walk_arrays,
    write_path,
)

# Names of the gradient of the only array that a forward gets, whatever its own name is.
INPUT_GRADIENTS = ("dinputs", "dinput", "dX", "dx", "grad_input", "input_grad", "gradInput")


def find_input_gradient(owner: Any) -> Any:
    """The gradient that an object keeps for the only array that its forward gets."""
    found = (getattr(owner, name, None) for name in INPUT_GRADIENTS)
    return next((one for one in found if one is not None), None)


def find_gradient(owner: Any, name: str) -> Any:
    """The gradient that an object keeps for a parameter; None if it keeps none.

    That of W may be W.grad, or dW, grad_W and so on as an attribute or a key of grads; that of
    params[0] is grads[0], and that of biases[0] is dbiases[0]. That of layers[0].W is searched for
    in layers[0], and that of p["W"] also in the object that has p, as g["dW"].
    """
    *before, last = read_path(name)
    if isinstance(last, int) and before and isinstance(before[-1], str):
        gradient = _find_in_lists(Place(tuple(before[:-1])).get(owner), before[-1], last)
        if gradient is not None or before[-1] in PARAMETER_HOLDERS:
            return gradient
    found = _find_beside(Place(tuple(before)).get(owner), last)
    return _find_beside(Place(tuple(before[:-1])).get(owner), last) if found is None else found


def _find_in_lists(owner: Any, name: str, index: int) -> Any:
    """The gradient of an element of the list `name`, in a list of gradients beside it."""
    common = GRADIENT_HOLDERS if name in PARAMETER_HOLDERS else ()
    lists = [look_up(owner, holder) for holder in (*common, *list_gradient_names(name))]
    found = (look_up(one, index) for one in lists if isinstance(one, list | tuple))
    return next((one for one in found if one is not None), None)


def _find_beside(owner: Any, name: Any) -> Any:
    """The gradient of a parameter of this object, not of objects in it, or of a list's element."""
    if not isinstance(name, str):
        return look_up(look_up(owner, name), "grad")
    ways = (_find_by_name, _find_by_shape, _find_attribute)
    found = (find(owner, name) for find in ways)
    return next((gradient for gradient in found if gradient is not None), None)


def _find_by_name(owner: Any, name: str) -> Any:
    """The gradient that an object, or a dict in it, has under a usual name.

    A dict that is called like gradients may have it under the parameter's own name.
    """
    kept = {key: part for key, part in list_parts(owner) if isinstance(part, dict)}
    holders = ((key, look_up(owner, key)) for key in GRADIENT_HOLDERS)
    common = {key: holder for key, holder in holders if holder is not None}
    for key, holder in {"": owner, **common, **kept}.items():
        alike = isinstance(holder, dict) and GRADIENT_LIKE.search(str(key))
        names = (*list_gradient_names(name), *[name] * bool(alike))
        found = (look_up(holder, one) for one in names)
        gradient = next((one for one in found if one is not None), None)
        if gradient is not None:
            return gradient
    return None


def _find_by_shape(owner: Any, name: str) -> Any:
    """An array of the parameter's shape that has a rarer name of its gradient, or just `grad`."""
    parameter = look_up(owner, name)
    kept = dict(getattr(owner, "__dict__", {})) if isinstance(parameter, np.ndarray) else {}
    fitting = [
        key
        for key, array in kept.items()
        if isinstance(array, np.ndarray) and array.shape == parameter.shape and key != name
    ]
    found = [key for key in fitting if names_gradient(key, name)]
    alone = [key for key in fitting if key in GRADIENT_HOLDERS]
    return kept[(found or alone)[0]] if found or alone else None


def _find_attribute(owner: Any, name: str) -> Any:
    """The attribute `grad` of a parameter, which may be in the params of the object."""
    if name in GRADIENT_HOLDERS:
        return None
    for path in ((name,), *((holder, name) for holder in PARAMETER_HOLDERS)):
        gradient = look_up(Place(path).get(owner), "grad")
        if gradient is not None and not callable(gradient):
            return gradient
    return None


def list_unchecked_parameters(
    owner: Any, inputs: Collection[str], initial: Collection[str]
) -> list[str]:
    """The parameters of an object, and of objects in it, that have a gradient and are no inputs.

    initial: the arrays it had before its forward; what the forward adds to a dict is no parameter.
    """
    found: dict[str, None] = {}
    checked = _memory_of_inputs(owner, inputs)
    numbers = (((key,), part) for key, part in list_parts(owner) if isinstance(part, float))
    for path, array in [*walk_arrays(owner), *numbers]:
        name = write_path(drop_holders(path))
        kept = name not in initial and isinstance(Place(path[:-1]).get(owner), dict)
        known = memory_of(array) in checked or name in inputs or kept
        if name and not known and not set(path) & set(GRADIENT_HOLDERS):
            gradient = find_gradient(owner, name)
            number = isinstance(gradient, int | float) and np.ndim(array) > 0  # a size such as dk
            same = memory_of(gradient) == memory_of(array)
            if gradient is not None and not same and not number:
                found[name] = None
    return list(found)


def match_changed_arrays(
    owner: Any, inputs: Collection[str], initial: Mapping[str, Any], changed: Mapping[str, Any]
) -> dict[str, str]:
    """Match changed arrays to parameters of the same shape that are no inputs, whatever the names.

    initial: the arrays of the object before its forward, where parameters are searched for.
    changed: those that the backward added or changed, without the gradients that were read.
    """
    checked = _memory_of_inputs(owner, inputs)
    now = list_arrays(owner)
    free = {
        name: array.shape
        for name, array in initial.items()
        if name not in inputs and name not in changed and memory_of(now.get(name)) not in checked
    }
    found = {}
    for name, array in changed.items():
        fits = [one for one, shape in free.items() if shape == array.shape and array.ndim]
        if fits and array.dtype.kind in "fc":
            found[name] = fits[0]
            del free[fits[0]]
    return found


def _memory_of_inputs(owner: Any, inputs: Collection[str]) -> set[int]:
    return {memory_of(place.get(owner)) for name in inputs for place in find_places(owner, name)}


def gradient_attributes(owner: Any, called: str) -> list[str]:
    """Attributes of an object, and of objects in it, and methods that are called like gradients.

    called: the name of the backward, which is left out.
    """
    attributes = [
        write_path(path)
        for path, _ in walk_arrays(owner)
        if any(isinstance(step, str) and GRADIENT_LIKE.search(step) for step in path)
    ]
    methods = [
        f"{name}(), which is not called"
        for name, method in vars(type(owner)).items()
        if "grad" in name and name != called and callable(method)
    ]
    return [*attributes, *methods]
