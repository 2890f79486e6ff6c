"""What a user can set: how the numeric gradient is measured, and the tolerance."""

from __future__ import annotations

from math import inf

from msgspec import Struct

ORDERS = (2, 4, 6)
AUTO, ENTRIES, DIRECTIONS = MODES = ("auto", "entries", "directions")
# Mode auto may choose this: random directions, then entries if they do not settle the verdict.
DIRECTIONS_FIRST = "directions first"
# Mode auto measures no more entries than this one by one: every entry takes some 200 bytes.
MOST_ENTRIES = 2**22
TIMEOUT = 60.0  # s that a call of the user's code may take; slower code cannot be differenced


class Numeric(Struct, frozen=True):
    """How the numeric gradient is measured.

    order: of the central stencil, one of ORDERS; None: 2, extrapolated over a ladder of steps.
    step: a fixed step, in the units of the inputs; None: chosen for every entry.
    sample: how many entries of each gradient are measured, spread over it; None: all of them.
    locality: whether large problems may be measured by slices, which evaluate only a part of the
        forward, where probes confirm that this gives the same.
    mode: one of MODES. entries: every entry by itself; directions: random directions; auto: entries
        if the size of the gradient (or the budget) allows it, and directions first for a forward
        that takes one point at a time.
    budget: seconds that measuring may take in mode auto; None: any time.
    jobs: how many processes measure the entries of one gradient together.
    widen: whether the forward is evaluated in float64 for inputs in low precision, if it accepts
        that; the backward gets the inputs in their own type.
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
        """Raises ValueError for a value that makes no sense."""
        _expect(self.order in (None, *ORDERS), "order", self.order, "2, 4 or 6")
        _expect(self.mode in MODES, "mode", self.mode, f"one of {', '.join(MODES)}")
        for name in ("step", "sample", "budget", "jobs"):
            value = getattr(self, name)
            _expect(value is None or 0 < value < inf, name, value, "a number above 0")

    def entries(self, size: int) -> int:
        """How many entries of a gradient of this size are measured one by one, whatever that
        takes; 0 where random directions are used."""
        if self.sample is not None:
            return min(size, self.sample)
        large = self.mode == AUTO and size > MOST_ENTRIES
        return 0 if large or self.mode == DIRECTIONS else size


class Tolerance(Struct, frozen=True):
    """How far analytic may be from numeric beyond the uncertainty.

    An entry is wrong where |a − m| > u + rtol·max(|a|, |m|) + atol.
    rtol: between 0 and 1; None: 1e-9 in float64, 1e-3 in float32, 5e-2 in float16 and 1e-1 in
        bfloat16.
    atol: 0 or more.
    repeat: how far the backward may differ from itself when it is called again with the same
        arguments, over the largest entry, as where sums run in another order every time.
    """

    rtol: float | None = None
    atol: float = 0.0
    repeat: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for a tolerance with which everything would pass, or nothing."""
        fits = self.rtol is None or 0 < self.rtol < 1
        _expect(fits, "rtol", self.rtol, "a number above 0, below 1")
        for name in ("atol", "repeat"):
            value = getattr(self, name)
            _expect(0 <= value < inf, name, value, "a number, 0 or more")


def _expect(fits: bool, name: str, value: object, what: str) -> None:
    """Raises ValueError if a value does not fit; what: what it must be."""
    if not fits:
        raise ValueError(f"'{name}' must be {what}, got {value!r}")
