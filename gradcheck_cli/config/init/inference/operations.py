"""The shapes of results of array operations, and what these imply for the shapes of operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcheck_cli.config.init.inference.axes import Axis, lengthen, product, unify, unify_all
from gradcheck_cli.config.init.inference.values import (
    ARRAY,
    ITEMS,
    NUMBER,
    SIZE,
    Value,
    array,
    number,
)
from gradcheck_cli.config.init.names import is_bias, is_labels, is_samples, is_weight

Allocate = Callable[[Axis], int]


def multiply_matrices(left: Value, right: Value) -> Value:
    """left @ right: the last axis of left and the last but one of right are unified."""
    for side, other in ((left, right), (right, left)):
        side.as_array(1 if left is right else None)
        if side.axes is None:
            vector = side.guessed_rank == 1 and (other.rank or 2) > 1
            vector |= other.rank == 1 and side.name.islower() and is_labels(side.name)
            batch = 2 if is_weight(side.name) else max(2, other.rank or 0)
            side.as_array(1 if vector else batch)
    if not left.axes or not right.axes:
        return array(None)
    if len(left.axes) == len(right.axes):  # of a batch of matrices
        unify_all(left.axes[:-2], right.axes[:-2])
    unify(left.axes[-1], right.axes[-2 if len(right.axes) > 1 else 0])
    axes = (
        left.axes[:-1]
        + right.axes[:-2] * (len(left.axes) == 1)
        + right.axes[-1:] * (len(right.axes) > 1)
    )
    column = is_weight(left.name) and not is_weight(right.name)
    return array(axes, column=column)


def broadcast(left: Value, right: Value) -> Value:
    """left + right and the like: axes are unified from the last on, as NumPy broadcasts them.

    An operand of unknown kind is decided on first, see `_decide_kind`.
    """
    for value, other in ((left, right), (right, left)):
        if value.kind is None and other.kind == ARRAY and other.axes == []:
            return value  # an array without axes implies nothing for it
        if value.kind is None and other.kind == ARRAY:
            _decide_kind(value, other)
    if left.kind in (NUMBER, SIZE) or right.kind in (NUMBER, SIZE):
        return _with_number(left, right)
    if ARRAY in (left.kind, right.kind) and None in (left.kind, right.kind):
        return left if left.kind == ARRAY else right
    if left.kind != ARRAY or right.kind != ARRAY:
        return Value(parts=(left, right))
    if left.axes is None or right.axes is None:
        return left if right.axes is None else right
    if left.classes is not None or right.classes is not None:  # labels that are made one-hot
        return left if right.classes is not None else right
    if is_labels(left.name) or is_labels(right.name):  # of the same shape as the outputs
        unify_all(left.axes, right.axes)
    return array(_broadcast_axes(left.axes, right.axes), column=left.column or right.column)


def _decide_kind(value: Value, other: Value) -> None:
    """Decide what a value of unknown kind is that is an operand beside an array.

    It is a number if its name or its other uses suggest a setting. Else it is an array: a bias has
    the last axis of the other array, or a channel axis of images; anything else has all its axes.
    """
    if value.parts:
        for part in value.parts:
            if part.kind is None:
                _decide_kind(part, other)
        return
    met = value.meets_numbers and value.is_parameter and not value.is_data_like
    if value.is_number_like or met:
        value.kind = NUMBER
        return
    if not value.is_parameter or other.axes is None:
        return
    value.kind = ARRAY
    if (value.summed or is_bias(value.name)) and other.axes:
        axes = other.axes
        if len(axes) == 4:  # images: one number for each channel
            value.axes = [Axis(value=1), axes[1], Axis(value=1), Axis(value=1)]
        else:
            value.axes = [axes[0], Axis(value=1)] if other.column and len(axes) == 2 else [axes[-1]]
    else:
        first = other.axes[:1]
        stretched = [Axis()] if len(other.axes) > 1 and first[0].root.value == 1 else first
        value.axes = [*stretched, *other.axes[1:]]  # beside a single row, any number of rows
        if len(value.axes) == 1 and is_samples(value.name) and not other.is_parameter:
            value.axes.insert(0, Axis())  # beside a weight of an object, a batch of samples
        value.tie_last()


def _with_number(left: Value, right: Value) -> Value:
    if left.kind not in (NUMBER, SIZE):
        return left
    return right if right.kind not in (NUMBER, SIZE) else number()


def _broadcast_axes(left: Sequence[Axis], right: Sequence[Axis]) -> list[Axis]:
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    joined = list(longer)
    for back in range(1, len(shorter) + 1):
        one, other = longer[-back], shorter[-back]
        if one.root.value == 1:
            joined[-back] = other
        elif other.root.value != 1:
            unify(one, other)
    return joined


def reduce_axes(value: Value, axis: int | None, keep: bool) -> Value:
    """A sum or a mean over an axis; None: over all axes. keep: whether the axis stays, as 1."""
    if axis is None:
        return number()
    if value.axes is None and value.kind in (None, ARRAY):
        value.as_array(max(value.guessed_rank, axis + 1, 2))
    if value.axes is None or not -len(value.axes) <= axis < len(value.axes):
        return array(None)
    axes = list(value.axes)
    if keep:
        axes[axis] = Axis(value=1)
    else:
        del axes[axis]
    return array(axes, column=value.column and keep)


def reshape(value: Value, sizes: Sequence[Value], allocate: Allocate) -> Value:
    """An array in another shape. A slice of a vector of all parameters, or a parameter of unknown
    shape, is as long as that shape has entries."""
    known = [one.kind != NUMBER or (one.number or 0) >= 0 for one in sizes]
    axes = [one.as_size() if fits else Axis() for one, fits in zip(sizes, known, strict=True)]
    if value.is_parameter and value.kind is None and known == [False, True]:  # x.view(-1, 784)
        value.kind, value.axes = ARRAY, axes
    if value.axes is not None and len(value.axes) > 2 == len(axes):
        _flatten(value, axes, known, allocate)
    itself = value.axes is not None and len(value.axes) == len(axes) == 2 and not known[1]
    if itself and value.axes is not None and value.axes[0].root is axes[0].root:
        return value
    flat = value.is_parameter and value.kind in (None, ARRAY) and value.axes is None
    if value.cut_from is not None or (flat and all(known) and len(axes) > 1):
        longer = [axis for one, axis in zip(sizes, axes, strict=True) if one.number != 1]
        added = flat and len(longer) < len(axes)  # a.reshape(N, T, 1) of one of N, T
        value.kind, value.axes = ARRAY, longer if added else [product(axes, allocate)]
    value.as_array()
    return array(axes)


def _flatten(value: Value, flat: list[Axis], known: Sequence[bool], allocate: Allocate) -> None:
    """Find the axis that is left open where an array is reshaped to two axes, `flat`.

    known: whether each of the two is given. In (-1, K), K is the last axis or the product of all
    but the first; in (K, -1), the open axis is the product of the axes that remain.
    """
    axes = value.axes or []
    if known == [False, True] and axes[-1].root.open and not value.is_parameter:
        unify(axes[-1], flat[1])  # dout.transpose(0, 2, 3, 1).reshape(-1, FN)
    elif known == [False, True] and flat[1].root is not axes[-1].root:
        unify(product(axes[1:], allocate), flat[1])
        flat[0] = axes[0]
    elif known == [True, False]:
        first, every = flat[0], product(axes, allocate)
        if first.root is axes[0].root:
            flat[1] = product(axes[1:], allocate)
        else:  # as many columns as there are entries for
            flat[1] = Axis(
                calculate=lambda: every.size(allocate) // max(1, first.size(allocate)),
                needs=(*axes, first),
            )


def transpose(value: Value, order: Sequence[int] = ()) -> Value:
    """An array with its axes in another order, by default in reverse."""
    guessed = value.guessed_rank if value.guessed_rank > 1 else None
    value.as_array(len(order) if len(order) > 1 else guessed)
    if value.axes is None:
        return value
    axes = value.axes
    fits = sorted(order) == list(range(len(axes)))
    turned = array([axes[place] for place in order] if fits else axes[::-1])
    turned.name = value.name
    return turned


def concatenate(values: Sequence[Value], axis: int, allocate: Allocate) -> Value:
    """Arrays joined along an axis; their other axes are unified."""
    ranks = [value.rank for value in values if value.rank is not None]
    if not ranks and all(value.is_parameter for value in values):
        ranks = [2]
    for value in values if ranks else ():
        value.as_array(ranks[0])
    known = [value.axes for value in values if value.axes is not None]
    if len(known) < len(values) or not known or len({len(axes) for axes in known}) > 1:
        return array(None)
    if not -len(known[0]) <= axis < len(known[0]):
        return array(None)
    place = axis % len(known[0])
    for axes in known[1:]:
        for at, (one, other) in enumerate(zip(known[0], axes, strict=True)):
            if at != place:
                unify(one, other)
    along = [axes[place] for axes in known]
    fixed = sum(one.root.value or 0 for one in along)
    open_ones = [one for one in along if one.root.value is None]
    joined = list(known[0])
    if len(open_ones) == 1:
        joined[place] = lengthen(open_ones[0], fixed)
    else:
        joined[place] = Axis(
            calculate=lambda: sum(axis.size(allocate) for axis in along), needs=along, is_sum=True
        )
    return array(joined)


def contract(left: Value, right: Value, axes: Sequence[Sequence[int]]) -> Value:
    """A tensordot of two arrays over the axes at these places, a sequence for each array."""
    if left.axes is None or right.axes is None:
        return array(None)
    for one, other in zip(*axes, strict=True):
        if one < len(left.axes) and other < len(right.axes):
            unify(left.axes[one], right.axes[other])
    kept = [axis for place, axis in enumerate(left.axes) if place not in axes[0]]
    kept += [axis for place, axis in enumerate(right.axes) if place not in axes[1]]
    return array(kept)


def sum_products(subscripts: str, values: Sequence[Value]) -> Value:
    """An einsum: axes of the same letter are unified."""
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    parts = given.split(",")
    if not arrow or "." in subscripts or len(parts) != len(values):
        return array(None)
    letters: dict[str, Axis] = {}
    for part, value in zip(parts, values, strict=True):
        value.as_array(len(part))
        for letter, axis in zip(part, value.axes or (), strict=False):
            unify(letters.setdefault(letter, axis), axis)
    return array([letters.get(letter) or Axis() for letter in result])


def split(value: Value, count: int, axis: int) -> Value:
    """The `count` equal parts of an array along an axis, as items; node: the axis that they share
    in its place, or None where the array has no such axis."""
    value.as_array(max(2, axis + 1))
    axes = list(value.axes or ())
    if not -len(axes) <= axis < len(axes):
        return Value(ITEMS, fields={place: array(None) for place in range(count)})
    part = Axis()
    return Value(
        ITEMS,
        fields={
            place: array([*axes[: axis % len(axes)], part, *axes[axis % len(axes) + 1 :]])
            for place in range(count)
        },
        node=part,
    )
