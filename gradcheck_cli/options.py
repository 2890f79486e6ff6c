"""How a check is done, where its user has a say: the numeric side and the tolerance."""

from __future__ import annotations

from msgspec import Struct

ORDERS = (2, 4, 6)


class Numeric(Struct, frozen=True):
    """How the numeric gradient is taken.

    order: of the central stencil, one of ORDERS; None: 2, which the ladder of steps extrapolates.
    step: a fixed step, in the units of the inputs; None: found for every entry.
    locality: whether fewer than whole forwards may be evaluated, where a large problem falls into
        slices and probes bear that out.
    sample: how many entries of each gradient are measured, spread over it; None: all of them.
    """

    order: int | None = None
    step: float | None = None
    sample: int | None = None
    locality: bool = True


class Tolerance(Struct, frozen=True):
    """How far analytic may be from numeric beyond the uncertainty.

    An entry is wrong where |a − m| > u + rtol·max(|a|, |m|) + atol. rtol > 0, None: 1e-9 in
    float64 and 1e-3 in float32; atol ≥ 0.
    """

    rtol: float | None = None
    atol: float = 0.0
