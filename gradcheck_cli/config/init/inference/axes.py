"""Axes of arrays whose sizes are not known yet: what is found to be equal becomes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from math import prod

from msgspec import Struct

LARGEST = 256  # of the images that are tried


class Axis(Struct, eq=False):
    """The size of an axis: a number, a name, another axis and some more, a product, or open.

    calculate: gives its size from those of others, `needs`; is_sum: it is their sum. base, offset:
    it is that many more than another. equal: pairs of sums of the same size, one of which it is in.
    ends: how far slices of it go, where nothing else tells its size.
    small, even: what its names tell, such as those of filters and of what is cut into heads.
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
        """The axis that stands for all that are equal to this one."""
        return self if self.same is None else self.same.root

    @property
    def open(self) -> bool:
        """Whether nothing is known of its size."""
        return self.value is None and self.calculate is None and self.base is None

    def size(self, allocate: Callable[[Axis], int]) -> int:
        """The size of the axis, where `allocate` gives those that are open theirs."""
        root = self.root
        if root.value is not None:
            return root.value
        if root.base is not None:
            return root.base.size(allocate) + root.offset
        if root.calculate is not None:
            calculate, root.calculate = root.calculate, lambda: 1  # where it needs the axis itself
            try:
                return calculate()
            finally:
                root.calculate = calculate
        ends, root.ends = root.ends, []  # where an end is reckoned from the axis itself
        far = max((end() for end in ends), default=0)
        if root.value is None:
            root.value = far or allocate(root)
        return root.value

    @property
    def open_needs(self) -> list[Axis]:
        """The open axes that its size is calculated from."""
        if self.open:
            return [self]
        inner = self.needs if self.base is None else (self.base,)
        return [one for axis in inner for one in axis.root.open_needs]


def unify(left: Axis, right: Axis) -> None:
    """Make two axes one; what contradicts stays as it is."""
    one, other = left.root, right.root
    if one is other:
        return
    if one.base is not None and other.base is not None and one.offset == other.offset:
        unify(one.base, other.base)
    if one.is_sum and other.is_sum:
        for term in (*one.open_needs, *other.open_needs):
            term.equal.append((one, other))
    for fixed, reckoned in ((one, other), (other, one)):
        if fixed.value is not None and reckoned.value is None and not reckoned.open:
            _solve(reckoned, fixed.value)
    kept, joined = (other, one) if one.open and not other.open else (one, other)
    if joined.open and joined not in kept.open_needs * (not kept.open):
        kept.name = kept.name or joined.name
        kept.small = kept.small or joined.small
        kept.even = kept.even or joined.even
        kept.ends += joined.ends
        kept.equal += joined.equal
        joined.same = kept


def _solve(reckoned: Axis, wanted: int) -> None:
    """Find the size of the open axes, all of one size, at which one that is reckoned is this; the
    image that a network with a layer of fixed size is for. Without one they stay open."""
    if reckoned.base is not None and reckoned.base.root.open:
        reckoned.base.root.value = max(1, wanted - reckoned.offset)
        return
    needs = list(dict.fromkeys(reckoned.open_needs))
    for size in range(1, LARGEST + 1) if needs else ():
        for axis in needs:
            axis.value = size
        with suppress(ValueError, ZeroDivisionError):
            if reckoned.size(lambda axis: 1) == wanted:
                return
    for axis in needs:
        axis.value = None


def settle_sums(axis: Axis) -> None:
    """Make one of the terms that are left of two equal sums without those that both have."""
    for one, other in axis.root.equal:
        left, right = ([term.root for term in sides.needs] for sides in (one, other))
        common = [term for term in left if term in right]
        rests = [[term for term in terms if term not in common] for terms in (left, right)]
        if len(rests[0]) == len(rests[1]) == 1:
            unify(rests[0][0], rests[1][0])


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
    return Axis(calculate=lambda: prod(axis.size(allocate) for axis in axes), needs=list(axes))
