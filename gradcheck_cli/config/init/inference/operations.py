"""What operations on arrays tell of shapes: products, sums with broadcasting, reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcheck_cli.config.init.inference.axes import Axis, more, product, unify, unify_all
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
    """left @ right: the last axis of one is the last but one of the other."""
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
    """left + right and the like: axes of one size, from the last; a bias has those it needs."""
    for value, other in ((left, right), (right, left)):
        if value.kind is None and other.kind == ARRAY and other.axes == []:
            return value  # which an array that is a number tells nothing of
        if value.kind is None and other.kind == ARRAY:
            _settle(value, other)
    if left.kind in (NUMBER, SIZE) or right.kind in (NUMBER, SIZE):
        return _with_number(left, right)
    if ARRAY in (left.kind, right.kind) and None in (left.kind, right.kind):
        return left if left.kind == ARRAY else right
    if left.kind != ARRAY or right.kind != ARRAY:
        return Value(parts=(left, right))
    if left.axes is None or right.axes is None:
        return left if right.axes is None else right
    if left.classes is not None or right.classes is not None:  # labels, where they are one-hot
        return left if right.classes is not None else right
    if is_labels(left.name) or is_labels(right.name):  # of one shape with what it is for
        unify_all(left.axes, right.axes)
    return array(_join(left.axes, right.axes), column=left.column or right.column)


def _settle(value: Value, other: Value) -> None:
    """Decide on what a value of no known kind is that meets an array."""
    if value.parts:
        for part in value.parts:
            if part.kind is None:
                _settle(part, other)
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
        if len(axes) == 4:  # of images: a number a channel
            value.axes = [Axis(value=1), axes[1], Axis(value=1), Axis(value=1)]
        else:
            value.axes = [axes[0], Axis(value=1)] if other.column and len(axes) == 2 else [axes[-1]]
    else:
        first = other.axes[:1]
        stretched = [Axis()] if len(other.axes) > 1 and first[0].root.value == 1 else first
        value.axes = [*stretched, *other.axes[1:]]  # against a row, rows
        if len(value.axes) == 1 and is_samples(value.name) and not other.is_parameter:
            value.axes.insert(0, Axis())  # against weights of an object, a batch
        value.tie_last()


def _with_number(left: Value, right: Value) -> Value:
    if left.kind not in (NUMBER, SIZE):
        return left
    return right if right.kind not in (NUMBER, SIZE) else number()


def _join(left: Sequence[Axis], right: Sequence[Axis]) -> list[Axis]:
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
    """A sum or a mean over an axis, or over all."""
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
    """An array in another shape; what was cut out of a vector has the entries of that shape."""
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
    """Into two axes: what is left open is the last one, all but the first, or the first one."""
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
        else:  # of columns: as many as are left
            flat[1] = Axis(
                calculate=lambda: every.size(allocate) // max(1, first.size(allocate)),
                needs=(*axes, first),
            )


def transpose(value: Value, order: Sequence[int] = ()) -> Value:
    """The axes in another order, by default the reverse."""
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
    """Arrays one after the other along an axis; their other axes are the same."""
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
        joined[place] = more(open_ones[0], fixed)
    else:
        joined[place] = Axis(
            calculate=lambda: sum(axis.size(allocate) for axis in along), needs=along, is_sum=True
        )
    return array(joined)


def contract(left: Value, right: Value, axes: Sequence[Sequence[int]]) -> Value:
    """A tensordot over these axes of both."""
    if left.axes is None or right.axes is None:
        return array(None)
    for one, other in zip(*axes, strict=True):
        if one < len(left.axes) and other < len(right.axes):
            unify(left.axes[one], right.axes[other])
    kept = [axis for place, axis in enumerate(left.axes) if place not in axes[0]]
    kept += [axis for place, axis in enumerate(right.axes) if place not in axes[1]]
    return array(kept)


def sum_products(subscripts: str, values: Sequence[Value]) -> Value:
    """An einsum: axes of one letter are the same."""
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
    """An array in so many equal parts."""
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
