"""Shapes of parameters, as the shapes of their gradients tell them."""

from __future__ import annotations

from collections.abc import Mapping

from gradcheck_cli.config.init.inference.axes import unify
from gradcheck_cli.config.init.inference.values import ARRAY, ITEMS, NUMBER, SIZE, Value
from gradcheck_cli.config.init.names import is_labels


def match_gradients(
    values: Mapping[str, Value], owner: Value | None, scope: Mapping[str, Value], returned: Value
) -> None:
    """Parameters whose gradient is a number are numbers, as of db = np.sum(dZ); of two shapes
    that differ in one axis, that axis is the same.

    values: the parameters; owner: the object that keeps others, or None.
    scope: what a function knows at its end; returned: what it returns.
    """
    arrays = {name: value for name, value in values.items() if value.kind == ARRAY}
    # W has a column an output; a sum over all of them would be right of a number alone.
    several = any(name[0] in "Ww" and _has_columns(one) for name, one in arrays.items())
    gradients = {name: scope.get(f"d{name}") for name in arrays}
    labelled = owner is not None and any(map(is_labels, arrays))  # of weights, not of (X, y)
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
    """Whether an array has two axes or more, none of which has one entry."""
    axes = value.axes or []
    return len(axes) > 1 and all(axis.root.value != 1 for axis in axes)


def names_of_other_shapes(arrays: Mapping[str, Value], returned: Value) -> list[str]:
    """The arrays of which no gradient is returned, where there are fewer gradients than arrays, and
    each has the shape of one array alone; else none."""
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
    """Whether an array has the axes of another, as far as they are known to be the same."""
    if not value.axes or not gradient.axes or len(value.axes) != len(gradient.axes):
        return False
    return all(one.root is other.root for one, other in zip(value.axes, gradient.axes, strict=True))


def _match_shapes(value: Value, gradient: Value) -> None:
    """Make one axis the same in which alone the shapes of an array and its gradient differ."""
    if not value.axes or not gradient.axes or len(value.axes) != len(gradient.axes):
        return
    pairs = zip(value.axes, gradient.axes, strict=True)
    differ = [(one, other) for one, other in pairs if one.root is not other.root]
    if len(differ) == 1:
        unify(*differ[0])


def _are_arrays(value: Value) -> bool:
    """Whether a list holds arrays alone."""
    return bool(value.fields) and all(one.kind == ARRAY for one in value.fields.values())
