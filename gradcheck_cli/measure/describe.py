"""Sentences on what a comparison of a gradient could not see, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.measure.comparison import Comparison, largest
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.sampling import chance_of_missing
from gradcheck_cli.result import Zero

NO_POWER = "the gradient is zero on both sides: this check has no power"
LITTLE_POWER = "the gradient is zero but for entries at a kink: this check has little power"
NOISY = 0.1  # noise is named as the cause where it makes this share of an uncertainty
NEAR = 1e-3  # of an entry's scale: a smaller step was forced by something near, not by rounding
MISSED = (1, 10, 100, 1000)  # numbers of wrong entries whose chance to be missed is printed


def describe_unresolved(found: Comparison, resolution: float) -> str:
    """Why the numeric gradient is too uncertain, seen at its least certain entry."""
    u = np.where(found.smooth, found.numeric.uncertainty, -1.0)
    position = int(np.argmax(u))
    where, index = list(found.numeric.index(position)), np.unravel_index(position, u.shape)
    value, uncertainty = float(found.numeric.value[index]), float(u[index])
    noise = float(found.numeric.noise[index])
    noisy = noise >= NOISY * uncertainty
    of = "what it could be" if found.zero == Zero.INVARIANT else "its largest entry"
    seen = (
        f"nothing wrong was seen, but the numeric gradient is only known to {resolution:.1e} of "
        f"{of}, too little for rtol {found.allowance.rtol:.0e}: "
    )
    if found.numeric.break_height:
        return describe_breaks(found)
    step = float(found.numeric.step[index])
    scale = 0.0 if found.numeric.scale is None else found.numeric.scale
    near = np.broadcast_to(step < NEAR * scale, u.shape)[index] and step > 0
    if near and noisy and not found.numeric.step_height:
        return seen + (
            f"something near by, such as a corner, leaves only steps of {step:.1e} at {where}, "
            f"over which rounding makes {noise:.1e}; give inputs that are further from it"
        )
    if found.numeric.cancelled and noisy:
        return seen + (
            f"the forward is a difference of numbers of about {found.numeric.cancelled:.1g}, whose "
            f"rounding hides it: over the step {step:.1e} by {noise:.1e} at {where}; give inputs "
            "where less cancels, write it such that nothing does (log1p, expm1), or accept it by "
            "tolerance.rtol"
        )
    if found.numeric.step_height:
        return seen + describe_steps(found.numeric)
    if noisy:
        return seen + (
            f"the forward is noisy, which over the step {step:.1e} makes {noise:.1e} at {where}; "
            "give inputs where less cancels, or accept it by tolerance.rtol"
        )
    return seen + (
        f"the difference quotient does not settle: at {where} it is {value:.6g} ± "
        f"{uncertainty:.1e}, of which noise explains {noise:.1e}; is the forward smooth there? "
        "try another numeric.step or other inputs"
    )


def describe_hidden(found: Comparison) -> str:
    """Rounding hides every entry of a gradient that the analytic side says is not zero."""
    return (
        "rounding hides the whole gradient: its analytic entries are at most "
        f"{largest(np.abs(found.analytic[found.smooth])):.1e}, and the numeric ones are 0 ± "
        f"{largest(found.numeric.uncertainty[found.smooth]):.1e}; are units saturated, or is this "
        "a minimum? give other inputs"
    )


def describe_unsettled(found: Comparison, unsettled: NDArray[np.bool_]) -> str:
    """Which entries have quotients that do not converge, so that nothing is known about them."""
    positions = np.flatnonzero(unsettled)
    return (
        f"the difference quotient does not settle in {len(positions)} of {unsettled.size} entries, "
        f"such as {list(found.numeric.index(int(positions[0])))}: as the step shrinks it goes on "
        "to change by more than noise explains; is the forward smooth there? give other inputs"
    )


def describe_steps(numeric: NumericGradient) -> str:
    """The forward is piecewise constant, and what to do about it."""
    return (
        f"the forward moves in steps of about {numeric.step_height:.0e}, between which it is "
        "constant: rounding, sign or argmax, or an iteration that stops early; check it without, "
        "or accept it by tolerance.rtol"
    )


def describe_breaks(found: Comparison) -> str:
    """The forward jumps between smooth pieces, and that explains the difference."""
    return (
        f"analytic and numeric differ by {found.over_largest(found.error):.0e} of the largest "
        f"entry, which is no more than jumps of the forward by about "
        f"{found.numeric.break_height:.0e} explain: an iteration or a solver that stops at a "
        "tolerance; let it go on until nothing changes, or accept the difference by tolerance.rtol"
    )


def describe_sample(numeric: NumericGradient) -> str:
    """How many entries were measured, and what that could miss; empty if all were."""
    if numeric.entries is None:
        return ""
    size, count = int(np.prod(numeric.shape)), numeric.value.shape[-1]
    chances = ", ".join(
        f"{wrong:,} of them {chance_of_missing(wrong, size, count):.2g}"
        for wrong in MISSED
        if wrong < size
    )
    return (
        f"{count:,} of {size:,} entries were measured, spread over it; the chance to miss wrong "
        f"ones is at most: {chances}"
    )


def describe_zero(found: Comparison, zero: Zero | None, name: str, bound: float) -> str:
    """Why a gradient is zero on both sides; empty if it is not."""
    if zero is None:
        return ""
    if found.numeric.kink.any():
        return LITTLE_POWER
    if found.numeric.unused:
        return f"the forward does not depend on {name}: its gradient is zero"
    if zero == Zero.INVARIANT:
        return (
            f"the gradient is zero, to {bound:.0e} of what it could be: moving {name} moves the "
            "outputs by no more than their rounding"
        )
    return NO_POWER


def describe_lost(found: Comparison, bound: float) -> str:
    """Which analytic entries are too small to be distinguished from zero; empty if none are."""
    a, numeric = np.abs(found.analytic), found.numeric
    lost = (a > 0) & (np.maximum(a, np.abs(numeric.value)) <= numeric.uncertainty)
    lost &= found.smooth & ~numeric.invariant
    positions = np.flatnonzero(lost)
    if not len(positions):
        return ""
    index = np.unravel_index(positions[0], a.shape)
    return (
        f"noise hides {len(positions)} of {a.size} entries, such as "
        f"{list(numeric.index(int(positions[0])))}, where the analytic value is "
        f"{found.analytic[index]:.6g} and the numeric one 0 ± {numeric.uncertainty[index]:.1e}: "
        f"of these only that they are below {bound:.0e} of the largest entry was seen"
    )


def describe_kinks(found: Comparison) -> str:
    """Which entries are at a kink; empty if none are."""
    numeric = found.numeric
    kinks = np.flatnonzero(numeric.kink)
    if not len(kinks):
        return ""
    index = np.unravel_index(kinks[0], numeric.kink.shape)
    values = np.array([numeric.low[index], numeric.high[index], found.analytic[index]])
    # A slope that is zero to the digits that are shown is written as 0.
    values = np.where(np.abs(values) < 1e-6 * np.max(np.abs(values)), 0.0, values)
    low, high, analytic = (f"{value:.6g}" for value in values)
    return (
        f"{len(kinks)} of {numeric.kink.size} entries are at a kink and left out, such as "
        f"{list(numeric.index(int(kinks[0])))}, where the slopes are {low} and {high} and the "
        f"analytic value is {analytic}"
    )
