"""Axes of arrays whose sizes are not known yet: what is found to be equal becomes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod


class Axis:
    """The size of an axis: a number, a name, another axis and some more, a product, or open.

    calculate: gives its size from those of others; base, offset: it is that many more than another.
    small, even: what its names tell, such as those of filters and of what is cut into heads.
    """

    def __init__(
        self,
        value: int | None = None,
        name: str = "",
        calculate: Callable[[], int] | None = None,
        base: Axis | None = None,
        offset: int = 0,
    ) -> None:
        self.value = value
        self.name = name
        self.calculate = calculate
        self.base = base
        self.offset = offset
        self.same: Axis | None = None
        self.small = self.even = False

    @property
    def root(self) -> Axis:
        """The axis that stands for all that are equal to this one."""
        return self if self.same is None else self.same.root

    @property
    def open(self) -> bool:
        """Whether nothing is known of its size."""
        return self.value is None and self.calculate is None and self.base is None

    def size(self, allocate: Callable[[Axis], int]) -> int:
        """Its size, where `allocate` gives those that are open theirs."""
        root = self.root
        if root.value is not None:
            return root.value
        if root.base is not None:
            return root.base.size(allocate) + root.offset
        if root.calculate is not None:
            return root.calculate()
        root.value = allocate(root)
        return root.value


def unify(left: Axis, right: Axis) -> None:
    """Make two axes one; what contradicts stays as it is."""
    one, other = left.root, right.root
    if one is other:
        return
    if one.base is not None and other.base is not None and one.offset == other.offset:
        unify(one.base, other.base)
    kept, joined = (other, one) if one.open and not other.open else (one, other)
    if joined.open:
        kept.name = kept.name or joined.name
        kept.small = kept.small or joined.small
        kept.even = kept.even or joined.even
        joined.same = kept


def unify_all(left: Sequence[Axis], right: Sequence[Axis]) -> None:
    """Make the axes of two arrays of one shape the same."""
    if len(left) == len(right):
        for one, other in zip(left, right, strict=True):
            unify(one, other)


def more(axis: Axis, offset: int) -> Axis:
    """An axis that is longer than another."""
    return axis if not offset else Axis(base=axis.root, offset=offset)


def product(axes: Sequence[Axis], allocate: Callable[[Axis], int]) -> Axis:
    """An axis as long as an array of these axes has entries."""
    return Axis(calculate=lambda: prod(axis.size(allocate) for axis in axes))
