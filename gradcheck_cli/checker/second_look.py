"""Measure single entries of a gradient that looks wrong along random directions.

A right gradient can look wrong along a direction in three cases. It is zero by invariance, and the
backward returns its roundings. The forward jumps between smooth pieces, as a solver does. Or large
numbers cancel, and the forward is constant over small steps, so that its slope is not measured.
If the entries show one of these, the result is inconclusive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.measure.breaks import widen_by_breaks
from gradcheck_cli.measure.comparison import Allowance, agrees
from gradcheck_cli.measure.measure import measure_entries_of
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import GradientResult, Verdict

MOST_LOOKED_AT = 16  # entries; each takes a dozen forwards, and their noise takes a few dozen once


def look_again(
    problem: Problem,
    failed: GradientResult,
    claimed: Any,
    entries: NDArray[np.intp],
    numeric: Numeric,
    allowance: Allowance,
) -> tuple[GradientResult, int]:
    """The failure, or an inconclusive result if its entries are right; and the forwards taken.

    entries: the flat indices of entries that look wrong.
    """
    some = np.unique(entries)[:MOST_LOOKED_AT].astype(np.intp)
    if not len(some):
        return failed, 0
    found = measure_entries_of(problem, failed.name, numeric, some)
    reason = ""
    if np.all(found.invariant) and agrees(claimed, found, allowance):
        reason = (
            f"{failed.name} moves the outputs by no more than rounding, as far as {len(some)} "
            "of its entries show: what random directions see of its gradient is rounding; "
            "mode: entries tells whether it is zero"
        )
    else:
        found = widen_by_breaks(problem, failed.name, claimed, found, allowance)
        if found.break_height and agrees(claimed, found, allowance):
            reason = (
                "what random directions see is no more than jumps of the forward by about "
                f"{found.break_height:.0e} explain: an iteration or a solver that stops at a "
                "tolerance; let it go on until nothing changes"
            )
        elif agrees(claimed, found, allowance):
            reason = (
                "along random directions it looks wrong, but entries that look so are not, where "
                f"each is moved by itself ({len(some)} of them were); mode: entries judges all"
            )
    if not reason:
        return failed, found.evaluations
    open_ = replace(failed, verdict=Verdict.INCONCLUSIVE, reason=reason, wrong=0, diagnosis=None)
    return open_, found.evaluations
