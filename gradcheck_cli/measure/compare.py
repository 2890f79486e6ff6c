"""Analytic against numeric ± uncertainty → pass, fail or inconclusive, with the reason.

Types and shapes are compared before values, and without broadcasting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.numeric.sampling import chance_of_missing
from gradcheck_cli.problem import Label
from gradcheck_cli.result import Code, Entry, GradientResult, Refusal, Verdict
from gradcheck_cli.text import format_shape

Float = NDArray[np.float64]

# The uncertainty of the numeric side does the work of a tolerance; rtol is left for the rounding
# of the analytic side: thousands of ulps of its own type.
DEFAULT_RTOL = {"float64": 1e-9, "float32": 1e-3}
NOISY = 0.1  # the share of noise in an uncertainty from which noise is what is told of it
# A pass needs two thirds of the digits that rtol asks for; with fewer, rtol would mean nothing.
DIGITS_NEEDED = 2 / 3
SHOWN_WRONG = (1, 10, 100, 1000)  # wrong entries whose chance to be missed is told


def refused(analytic: Any, shape: tuple[int, ...], label: Label) -> Refusal | None:
    """Why a gradient is wrong whatever its values are, or None.

    analytic: what the backward returned; shape: of the gradient it must be.
    """
    name = label.gradient
    if analytic is None:
        return Refusal(Code.NOT_RETURNED, f"the backward returned no {name}")
    array = np.asarray(analytic)
    kind = array.dtype.kind
    if kind not in "fc" or (kind == "c" and np.any(array.imag)):
        cut = ", which cuts them off" if kind in "iub" else ""
        told = f"{name} must hold real numbers; the backward gives {array.dtype}{cut}"
        return Refusal(Code.NOT_REAL, told)
    if array.shape != shape:
        subject = f"'{label.rule}'" if label.rule and label.equation is None else "the backward"
        given = format_shape(array.shape)
        return Refusal(
            Code.OTHER_SHAPE, f"{name} must be {format_shape(shape)}; {subject} gives {given}"
        )
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = list(map(int, bad[0]))
        told = f"{name} is {array[tuple(where)]} at {where} ({len(bad)} of {array.size} entries)"
        return Refusal(Code.NOT_FINITE, told)
    return None


def unmeasured(
    name: str,
    label: Label,
    shape: tuple[int, ...],
    reason: str,
    verdict: Verdict = Verdict.FAIL,
) -> GradientResult:
    """The result of a gradient that was refused before its values were compared."""
    return GradientResult(
        name=name,
        gradient=label.gradient,
        rule=label.rule,
        equation=label.equation,
        source=label.source,
        shape=shape,
        verdict=verdict,
        entries=int(np.prod(shape)),
        reason=reason,
    )


class Comparison(Struct, frozen=True):
    """Both sides of a gradient, entry by entry, and what follows for every entry.

    At a kink every value between the slopes is a subgradient: there the analytic value is
    compared with the nearest of them, and the entry says nothing about the resolution.
    """

    analytic: Float
    numeric: NumericGradient
    error: Float
    allowed: Float
    relative: Float
    wrong: NDArray[np.bool_]
    rtol: float
    atol: float

    @property
    def smooth(self) -> NDArray[np.bool_]:
        """Where there is no kink."""
        return ~self.numeric.kink

    @property
    def zero(self) -> bool:
        """Whether neither gradient differs from zero by more than the uncertainty."""
        size = np.maximum(np.abs(self.analytic), np.abs(self.numeric.value))
        return bool(np.all((size <= self.numeric.uncertainty) | self.numeric.kink))

    @property
    def largest_entry(self) -> float:
        """Of the numeric gradient, where it is smooth.

        A gradient that is zero has none; the steepest slope around stands for it.
        """
        if self.zero:
            return self.numeric.steepest
        finite = np.isfinite(self.numeric.value) & self.smooth
        return float(np.max(np.abs(self.numeric.value), where=finite, initial=0.0))

    def over_largest(self, values: Float) -> float:
        """The largest of `values` at smooth entries, over the largest entry."""
        return self.over(self.largest_entry, values)

    def over(self, entry: float, values: Float) -> float:
        """The same, where the largest entry is known."""
        value = largest(values[self.smooth])
        if value == 0.0 or not (self.analytic.any() or self.numeric.value.any()):
            return 0.0
        return value / entry if entry > 0 else np.inf


def allowed_error(a: Float, m: Float, u: Float, rtol: float, atol: float) -> Float:
    """How far an analytic entry a may be from m ± u: u + rtol·max(|a|, |m|) + atol."""
    return np.asarray(u + rtol * np.maximum(np.abs(a), np.abs(m)) + atol)


def compared(analytic: Any, numeric: NumericGradient, rtol: float, atol: float) -> Comparison:
    """Both sides, entry by entry; analytic has the shape of the whole gradient."""
    array = numeric.of(np.asarray(analytic))
    a = np.asarray(array.real if array.dtype.kind == "c" else array, dtype=np.float64)
    nearest = np.where(numeric.kink, np.clip(a, numeric.low, numeric.high), numeric.value)
    u = np.where(numeric.kink, 0.0, numeric.uncertainty)
    with np.errstate(all="ignore"):
        error = np.abs(a - nearest)
        size = np.maximum(np.abs(a), np.abs(nearest))
        allowed = allowed_error(a, nearest, u, rtol, atol)
        wrong = error > allowed
        floor = (u + atol) / rtol
        relative = np.where(error == 0, 0.0, error / (size + floor))
    return Comparison(a, numeric, error, allowed, relative, wrong, rtol, atol)


def compare(
    name: str, label: Label, analytic: Any, numeric: NumericGradient, rtol: float, atol: float
) -> GradientResult:
    """Judge every entry of a gradient; analytic has the numeric gradient's shape.

    An entry is wrong where |a − m| > u + rtol·max(|a|, |m|) + atol. The gradient is inconclusive
    where nothing is wrong, but there is nothing to compare, or the resolution (the largest u over
    the largest entry) has less than two thirds of the digits of rtol.
    """
    found = compared(analytic, numeric, rtol, atol)
    entry = found.largest_entry
    resolution = found.over(entry, numeric.uncertainty)
    verdict, reason = _judged(found, resolution)
    # np.argmax takes the first nan for the largest, which is what should be shown.
    flat = int(np.argmax(found.relative))
    return GradientResult(
        name=name,
        gradient=label.gradient,
        rule=label.rule,
        equation=label.equation,
        source=label.source,
        shape=np.shape(analytic),
        verdict=verdict,
        reason=reason,
        entries=np.size(analytic),
        measured=found.analytic.size,
        wrong=int(found.wrong.sum()),
        kinks=int(numeric.kink.sum()),
        max_abs_error=largest(found.error),
        max_rel_error=largest(found.relative),
        uncertainty=largest(numeric.uncertainty),
        resolution=resolution,
        bound=found.over(entry, found.error + numeric.uncertainty),
        # Not np.median, which imports numpy.ma.
        step=float(np.sort(numeric.step, axis=None)[numeric.step.size // 2]),
        worst=_entry(flat, found),
        notes=_notes(found, verdict),
        method=numeric.method,
    )


def agrees(analytic: Any, numeric: NumericGradient, rtol: float, atol: float) -> bool:
    """Whether no entry is wrong."""
    return not compared(analytic, numeric, rtol, atol).wrong.any()


def largest(values: Float) -> float:
    """The largest value; inf where one of them is not a number, 0 of none."""
    return float(np.max(np.where(np.isnan(values), np.inf, values), initial=0.0))


def _judged(found: Comparison, resolution: float) -> tuple[Verdict, str]:
    a, m = found.analytic, found.numeric.value
    count = int(found.wrong.sum())
    if count:
        kind = "entries" if found.numeric.entries is None else "measured entries"
        sentence = f"{count} of {a.size} {kind} {'is' if count == 1 else 'are'} wrong"
        return Verdict.FAIL, sentence
    if not found.smooth.any():
        return Verdict.INCONCLUSIVE, (
            "every entry is at a kink, where a gradient is any value between two slopes; "
            "give other inputs"
        )
    bad = int((~np.isfinite(m) & found.smooth).sum())
    if bad:
        return Verdict.INCONCLUSIVE, (
            f"the difference quotient is not finite in {bad} of {a.size} entries: the forward "
            "overflows near these inputs, or the step is lost in their rounding"
        )
    if not a.any() and not m.any():
        return Verdict.PASS, ""
    if resolution > found.rtol**DIGITS_NEEDED:
        return Verdict.INCONCLUSIVE, _unresolved(found, resolution)
    return Verdict.PASS, ""


def _unresolved(found: Comparison, resolution: float) -> str:
    """Why the numeric gradient is not known better, at its least certain entry."""
    u = np.where(found.smooth, found.numeric.uncertainty, -1.0)
    position = int(np.argmax(u))
    where, index = list(found.numeric.index(position)), np.unravel_index(position, u.shape)
    value, uncertainty = float(found.numeric.value[index]), float(u[index])
    noise = float(found.numeric.noise[index])
    seen = (
        f"nothing wrong was seen, but the numeric gradient is only known to {resolution:.1e} of "
        f"its largest entry, too little for rtol {found.rtol:.0e}: "
    )
    if noise >= NOISY * uncertainty:
        step = float(found.numeric.step[index])
        return seen + (
            f"the forward is noisy, which over the step {step:.1e} makes {noise:.1e} at {where}; "
            "give inputs where less cancels, or accept it by tolerance.rtol"
        )
    return seen + (
        f"the difference quotient does not settle: at {where} it is {value:.6g} ± "
        f"{uncertainty:.1e}, of which noise explains {noise:.1e}; is the forward smooth there? "
        "try another numeric.step or other inputs"
    )


def _sampled(numeric: NumericGradient) -> str:
    """How much of a gradient was measured, and what that could miss."""
    size, count = int(np.prod(numeric.shape)), numeric.value.shape[-1]
    chances = ", ".join(
        f"{wrong:,} of them {chance_of_missing(wrong, size, count):.2g}"
        for wrong in SHOWN_WRONG
        if wrong < size
    )
    return (
        f"{count:,} of {size:,} entries were measured, spread over it; the chance to miss wrong "
        f"ones is at most: {chances}"
    )


def _entry(position: int, found: Comparison) -> Entry:
    index = np.unravel_index(position, found.analytic.shape)
    analytic, numeric = float(found.analytic[index]), float(found.numeric.value[index])
    with np.errstate(all="ignore"):
        ratio = float(np.float64(analytic) / numeric) if numeric else None
    return Entry(
        index=found.numeric.index(position),
        analytic=analytic,
        numeric=numeric,
        uncertainty=float(found.numeric.uncertainty[index]),
        ratio=ratio,
    )


def _notes(found: Comparison, verdict: Verdict) -> tuple[str, ...]:
    numeric = found.numeric
    notes = [] if numeric.entries is None else [_sampled(numeric)]
    if found.zero and verdict == Verdict.PASS:
        notes.append("the gradient is zero on both sides: this check has no power")
    kinks = np.flatnonzero(numeric.kink)
    if len(kinks):
        index = np.unravel_index(kinks[0], numeric.kink.shape)
        notes.append(
            f"{len(kinks)} of {numeric.kink.size} entries are at a kink and left out, such as "
            f"{list(numeric.index(kinks[0]))}, where the slopes are {numeric.low[index]:.6g} and "
            f"{numeric.high[index]:.6g} and the analytic value is {found.analytic[index]:.6g}"
        )
    return tuple(notes)
