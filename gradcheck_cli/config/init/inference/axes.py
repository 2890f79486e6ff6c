"""Axes whose sizes are unknown at first; axes that are found to be equal are unified."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from math import prod

from msgspec import Struct

LARGEST = 256  # the largest size that is tried for an axis of an image


class Axis(Struct, eq=False):
    """An axis of an array, whose size is known, follows from other axes, or is open.

    value: its size, if known. name: what the code calls its size.
    base, offset: its size is that of `base` plus `offset`.
    calculate: computes its size from those of `needs`; is_sum: whether it is their sum.
    equal: pairs of axes of the same size that are both sums, with this axis a term of one of them.
    ends: compute where slices of it end; it is as long as the farthest if nothing else is known.
    same: the axis that it was unified with.
    small, even: whether its name is that of a filter, or of something that is cut into heads.
    """

    value: int | None = None
    name: str = ""
    calculate: Callable[[], int] | None = None
    base: Axis | None = None
    offset: int = 0
    needs: Sequence[Axis] = ()
    is_sum: bool = False
    equal: list[tuple[Axis, Axis]] = []
    ends: list[Callable[[], int]] = []
    same: Axis | None = None
    small: bool = False
    even: bool = False

    @property
    def root(self) -> Axis:
        """The axis that stands for all that this one is unified with."""
        return self if self.same is None else self.same.root

    @property
    def open(self) -> bool:
        """Whether its size is neither known nor computed from other axes."""
        return self.value is None and self.calculate is None and self.base is None

    def size(self, allocate: Callable[[Axis], int]) -> int:
        """The size of the axis; allocate: chooses the size of an axis that is open."""
        root = self.root
        if root.value is not None:
            return root.value
        if root.base is not None:
            return root.base.size(allocate) + root.offset
        if root.calculate is not None:
            calculate, root.calculate = root.calculate, lambda: 1  # if it needs the axis itself
            try:
                return calculate()
            finally:
                root.calculate = calculate
        ends, root.ends = root.ends, []  # an end may be computed from the axis itself
        far = max((end() for end in ends), default=0)
        if root.value is None:
            root.value = far or allocate(root)
        return root.value

    @property
    def open_needs(self) -> list[Axis]:
        """The open axes that its size depends on: itself, or those that it is computed from."""
        if self.open:
            return [self]
        inner = self.needs if self.base is None else (self.base,)
        return [one for axis in inner for one in axis.root.open_needs]


def unify(left: Axis, right: Axis) -> None:
    """Make two axes one, unless their sizes are known and differ.

    Where one of them has a known size and the other is computed, the open axes behind the other
    are solved for.
    """
    one, other = left.root, right.root
    if one is other:
        return
    if one.base is not None and other.base is not None and one.offset == other.offset:
        unify(one.base, other.base)
    if one.is_sum and other.is_sum:
        for term in (*one.open_needs, *other.open_needs):
            term.equal.append((one, other))
    for fixed, computed in ((one, other), (other, one)):
        if fixed.value is not None and computed.value is None and not computed.open:
            _solve(computed, fixed.value)
    kept, joined = (other, one) if one.open and not other.open else (one, other)
    if joined.open and joined not in kept.open_needs * (not kept.open):
        kept.name = kept.name or joined.name
        kept.small = kept.small or joined.small
        kept.even = kept.even or joined.even
        kept.ends += joined.ends
        kept.equal += joined.equal
        joined.same = kept


def _solve(computed: Axis, wanted: int) -> None:
    """Give the open axes behind a computed axis the size at which that axis has the wanted size.

    This finds the image that fits a network with a layer of fixed size: all open axes get the same
    size. If none does it, they stay open.
    """
    if computed.base is not None and computed.base.root.open:
        computed.base.root.value = max(1, wanted - computed.offset)
        return
    needs = list(dict.fromkeys(computed.open_needs))
    for size in range(1, LARGEST + 1) if needs else ():
        for axis in needs:
            axis.value = size
        with suppress(ValueError, ZeroDivisionError):
            if computed.size(lambda axis: 1) == wanted:
                return
    for axis in needs:
        axis.value = None


def settle_sums(axis: Axis) -> None:
    """Unify the two terms that are left when equal sums are reduced by their common terms."""
    for one, other in axis.root.equal:
        left, right = ([term.root for term in sides.needs] for sides in (one, other))
        common = [term for term in left if term in right]
        rests = [[term for term in terms if term not in common] for terms in (left, right)]
        if len(rests[0]) == len(rests[1]) == 1:
            unify(rests[0][0], rests[1][0])


def unify_all(left: Sequence[Axis], right: Sequence[Axis]) -> None:
    """Unify the axes of two arrays of the same shape; nothing, where their ranks differ."""
    if len(left) == len(right):
        for one, other in zip(left, right, strict=True):
            unify(one, other)


def lengthen(axis: Axis, offset: int) -> Axis:
    """An axis that is longer than another by `offset`."""
    return axis if not offset else Axis(base=axis.root, offset=offset)


def product(axes: Sequence[Axis], allocate: Callable[[Axis], int]) -> Axis:
    """An axis whose size is the product of the sizes of these axes."""
    return Axis(calculate=lambda: prod(axis.size(allocate) for axis in axes), needs=list(axes))
