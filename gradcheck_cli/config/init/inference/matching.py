"""Infer shapes of parameters from the shapes of their gradients."""

from __future__ import annotations

from collections.abc import Mapping

from gradcheck_cli.config.init.inference.axes import unify
from gradcheck_cli.config.init.inference.values import ARRAY, ITEMS, NUMBER, SIZE, Value
from gradcheck_cli.config.init.names import is_labels


def match_gradients(
    values: Mapping[str, Value], owner: Value | None, scope: Mapping[str, Value], returned: Value
) -> None:
    """Give parameters the shapes of their gradients.

    A parameter whose gradient is a number, as in db = np.sum(dZ), is a number. Where the shapes
    of a parameter and its gradient differ in a single axis, the two axes are unified.

    values: the parameters; owner: the object that keeps other parameters, or None.
    scope: the variables of the backward at its end; returned: what it returns.
    """
    arrays = {name: value for name, value in values.items() if value.kind == ARRAY}
    # Where W has a column for each output, a bias has an entry for each: its gradient, summed over
    # all of them, is wrong, and the bias stays an array.
    several = any(name[0] in "Ww" and _has_columns(one) for name, one in arrays.items())
    gradients = {name: scope.get(f"d{name}") for name in arrays}
    # A method that takes (X, y) returns the gradients of the weights of its object, not of these.
    labelled = owner is not None and any(map(is_labels, arrays))
    if returned.kind == ITEMS and len(returned.fields) == len(arrays) and not labelled:
        gradients = dict(zip(arrays, returned.fields.values(), strict=True))
    for name, value in arrays.items():
        gradient = gradients[name]
        if gradient is not None and gradient.kind in (NUMBER, SIZE):
            value.axes = value.axes if several else []
        elif gradient is not None:
            _match_shapes(value, gradient)
    kept = [] if owner is None else list(owner.fields.values())
    lists = [one for one in kept if one.kind == ITEMS and _are_arrays(one)]
    pairs = zip(lists, returned.fields.values() if returned.kind == ITEMS else (), strict=False)
    for weights, gradients_of_them in pairs:  # return nabla_b, nabla_w
        both = zip(weights.fields.values(), gradients_of_them.fields.values(), strict=False)
        for value, gradient in both:
            _match_shapes(value, gradient)


def _has_columns(value: Value) -> bool:
    """Whether an array has two axes or more, none of size 1."""
    axes = value.axes or []
    return len(axes) > 1 and all(axis.root.value != 1 for axis in axes)


def list_unmatched_by_shape(arrays: Mapping[str, Value], returned: Value) -> list[str]:
    """The arrays whose gradients are not returned, found by shape.

    None where there are as many gradients as arrays, or the shape of a gradient is not that of a
    single array.
    """
    gradients = list(returned.fields.values()) if returned.kind == ITEMS else [returned]
    if not 0 < len(gradients) < len(arrays):
        return []
    left = dict(arrays)
    for gradient in gradients:
        fitting = [name for name, value in left.items() if _has_shape(value, gradient)]
        if len(fitting) != 1:
            return []
        del left[fitting[0]]
    return list(left)


def _has_shape(value: Value, gradient: Value) -> bool:
    """Whether the axes of an array are unified with those of its gradient."""
    if not value.axes or not gradient.axes or len(value.axes) != len(gradient.axes):
        return False
    return all(one.root is other.root for one, other in zip(value.axes, gradient.axes, strict=True))


def _match_shapes(value: Value, gradient: Value) -> None:
    """Unify the single axis in which the shapes of an array and its gradient differ."""
    if not value.axes or not gradient.axes or len(value.axes) != len(gradient.axes):
        return
    pairs = zip(value.axes, gradient.axes, strict=True)
    differ = [(one, other) for one, other in pairs if one.root is not other.root]
    if len(differ) == 1:
        unify(*differ[0])


def _are_arrays(value: Value) -> bool:
    """Whether a list holds arrays only."""
    return bool(value.fields) and all(one.kind == ARRAY for one in value.fields.values())
