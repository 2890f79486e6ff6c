"""How a check is done, where its user has a say: the numeric side and the tolerance."""

from __future__ import annotations

from math import inf

from msgspec import Struct

ORDERS = (2, 4, 6)
AUTO, ENTRIES, DIRECTIONS = MODES = ("auto", "entries", "directions")
# What mode auto may come to: directions, and entries where they leave something to tell.
DIRECTIONS_FIRST = "directions first"
# More entries than these are not measured one by one unless that is asked for: every entry takes
# some two hundred bytes.
MOST_ENTRIES = 2**22
TIMEOUT = 60.0  # seconds for a call of the user's code; slower is too slow to be differenced


class Numeric(Struct, frozen=True):
    """How the numeric gradient is taken.

    order: of the central stencil, one of ORDERS; None: 2, which the ladder of steps extrapolates.
    step: a fixed step, in the units of the inputs; None: found for every entry.
    mode: one of MODES: every entry, random directions, or which of them the size of a gradient
        (with a budget: the time that its entries would take) allows; of a forward that takes one
        point at a time, directions first.
    jobs: processes that measure the entries of one gradient together.
    budget: seconds for the entries of a gradient, for mode auto; None: any time.
    locality: whether fewer than whole forwards may be evaluated, where a large problem falls into
        slices and probes bear that out.
    sample: how many entries of each gradient are measured, spread over it; None: all of them.
    widen: whether inputs in low precision are differenced in float64, where the forward follows
        their type: the backward gets them as they are.
    """

    order: int | None = None
    step: float | None = None
    sample: int | None = None
    locality: bool = True
    mode: str = AUTO
    budget: float | None = None
    jobs: int = 1
    widen: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError for what is no way to take it."""
        _expect(self.order in (None, *ORDERS), "order", self.order, "2, 4 or 6")
        _expect(self.mode in MODES, "mode", self.mode, f"one of {', '.join(MODES)}")
        for name in ("step", "sample", "budget", "jobs"):
            value = getattr(self, name)
            _expect(value is None or 0 < value < inf, name, value, "a number above 0")

    def entries(self, size: int) -> int:
        """How many entries of a gradient of this size are measured one by one, time aside."""
        if self.sample is not None:
            return min(size, self.sample)
        large = self.mode == AUTO and size > MOST_ENTRIES
        return 0 if large or self.mode == DIRECTIONS else size


class Tolerance(Struct, frozen=True):
    """How far analytic may be from numeric beyond the uncertainty.

    An entry is wrong where |a − m| > u + rtol·max(|a|, |m|) + atol. rtol > 0, None: 1e-9 in
    float64, 1e-3 in float32 and 5e-2 in float16; atol ≥ 0.
    repeat: how far a second answer of the backward at the same point may be from its first, over
        the largest entry, as where sums run in another order every time.
    """

    rtol: float | None = None
    atol: float = 0.0
    repeat: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for what would let anything pass, or nothing."""
        fits = self.rtol is None or 0 < self.rtol < 1
        _expect(fits, "rtol", self.rtol, "a number above 0, below 1")
        for name in ("atol", "repeat"):
            value = getattr(self, name)
            _expect(0 <= value < inf, name, value, "a number, 0 or more")


def _expect(fits: bool, name: str, value: object, what: str) -> None:
    """Raises ValueError where a value does not fit."""
    if not fits:
        raise ValueError(f"'{name}' must be {what}, got {value!r}")
