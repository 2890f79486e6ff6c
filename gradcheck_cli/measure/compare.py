"""Compare analytic with numeric ± uncertainty: pass, fail or inconclusive, with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck_cli.measure.comparison import Allowance, Comparison, Float, compare_entries, largest
from gradcheck_cli.measure.describe import (
    describe_breaks,
    describe_hidden,
    describe_kinks,
    describe_lost,
    describe_sample,
    describe_steps,
    describe_unresolved,
    describe_unsettled,
    describe_zero,
)
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.problem import Label
from gradcheck_cli.result import Entry, GradientResult, Verdict, Zero

# The uncertainty of the numeric side does most of a tolerance's work. rtol only has to allow for
# the rounding of the analytic side: thousands of eps of its own type.
DEFAULT_RTOL = {"float64": 1e-9, "float32": 1e-3, "float16": 5e-2, "bfloat16": 1e-1}
# A pass needs a resolution of rtol to this power, two thirds of its digits: with less, a pass would
# not say that the gradient is right to about rtol.
DIGITS_NEEDED = 2 / 3


def compare(
    name: str, label: Label, analytic: Any, numeric: NumericGradient, allowance: Allowance
) -> GradientResult:
    """Compare every entry of a gradient, and give the verdict.

    analytic: of the shape of the whole gradient.
    An entry is wrong where |a − m| > u + rtol·max(|a|, |m|) + atol. Where none is wrong, the
    gradient is inconclusive if there is nothing to compare, or if the resolution (the largest u
    over the largest entry) has less than two thirds of the digits of rtol.
    """
    found = compare_entries(analytic, numeric, allowance)
    resolution, bound = _over_size(found)
    verdict, reason = _decide(found, name, resolution)
    zero = found.zero if verdict == Verdict.PASS else None
    seen, middle = zero != Zero.UNSEEN, numeric.step.size // 2
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
        max_abs_error=largest(found.error[found.shown]),
        max_rel_error=largest(found.relative.reshape(-1)[found.worst]),
        max_over_allowed=largest(found.over_allowed[found.shown]),
        uncertainty=largest(numeric.uncertainty),
        resolution=resolution if seen else None,
        bound=bound if seen else None,
        zero=zero,
        # Not np.median, which imports numpy.ma.
        step=float(np.partition(numeric.step, middle, axis=None)[middle]),
        worst=_worst_entry(found),
        notes=_notes(found, name, verdict, bound),
        method=numeric.method,
    )


def _over_size(found: Comparison) -> tuple[float, float]:
    """The resolution and the bound: the largest u, and the largest |a − m| + u, over a size.

    The size is the largest entry of the gradient. For a gradient that is zero by invariance it is
    what each entry could be, and where rounding hides the whole gradient, the steepest slope near.
    """
    u = found.numeric.uncertainty
    if found.zero is None:
        return found.over_largest(u), found.over_largest(found.error + u)
    size: Float | float = found.numeric.steepest
    if found.zero == Zero.INVARIANT and found.numeric.possible is not None:
        size = found.numeric.possible[found.smooth]

    def over(values: Float) -> float:
        some = values[found.smooth]
        with np.errstate(all="ignore"):
            return largest(np.where(some == 0, 0.0, some / size))

    return over(u), over(found.error + u)


def _decide(found: Comparison, name: str, resolution: float) -> tuple[Verdict, str]:
    """The verdict of a gradient, and the reason if it is not pass."""
    a, m = found.analytic, found.numeric.value
    count = int(found.wrong.sum())
    if count:
        kind = "entries" if found.numeric.entries is None else "measured entries"
        unused = f": the forward does not depend on {name}" if found.numeric.unused else ""
        return Verdict.FAIL, (
            f"{count} of {a.size} {kind} {'is' if count == 1 else 'are'} wrong{unused}"
        )
    if not found.smooth.any():
        return Verdict.INCONCLUSIVE, (
            "every entry is at a kink, where a gradient is any value between two slopes; "
            "give other inputs"
        )
    unsettled = found.numeric.unsettled
    if unsettled is not None and np.any(unsettled & found.smooth):
        return Verdict.INCONCLUSIVE, describe_unsettled(found, unsettled & found.smooth)
    bad = int((~np.isfinite(m) & found.smooth).sum())
    if bad and found.numeric.step_height:
        return Verdict.INCONCLUSIVE, (
            f"there is no slope to measure in {bad} of {a.size} entries: "
            + describe_steps(found.numeric)
        )
    if bad:
        return Verdict.INCONCLUSIVE, (
            f"the difference quotient is not finite in {bad} of {a.size} entries: the forward "
            "overflows, jumps or is nothing but rounding at these inputs, or they lose the step"
        )
    if not a.any() and not m.any():
        return Verdict.PASS, ""
    if resolution > found.allowance.rtol**DIGITS_NEEDED:
        return Verdict.INCONCLUSIVE, describe_unresolved(found, resolution)
    if found.zero == Zero.UNSEEN and a[found.smooth].any():
        return Verdict.INCONCLUSIVE, describe_hidden(found)
    return Verdict.PASS, ""


def _worst_entry(found: Comparison) -> Entry:
    """The entry with the largest ratio of error to allowed error."""
    position = found.worst
    index = np.unravel_index(position, found.analytic.shape)
    # Adding 0 turns -0 into 0.
    analytic = float(found.analytic[index]) + 0.0
    numeric = float(found.numeric.value[index]) + 0.0
    with np.errstate(all="ignore"):
        ratio = float(np.float64(analytic) / numeric) + 0.0 if numeric else None
    return Entry(
        index=found.numeric.index(position),
        analytic=analytic,
        numeric=numeric,
        uncertainty=float(found.numeric.uncertainty[index]),
        ratio=ratio,
    )


def _notes(found: Comparison, name: str, verdict: Verdict, bound: float) -> tuple[str, ...]:
    """Notes on what the verdict leaves open: entries left out, and errors that cannot be seen."""
    passed = verdict == Verdict.PASS
    zero = found.zero if passed else None
    notes = [
        describe_sample(found.numeric),
        describe_zero(found, zero, name, bound),
        describe_lost(found, bound) if zero is None else "",
        describe_kinks(found),
        describe_breaks(found) if passed and found.numeric.break_height else "",
    ]
    return tuple(note for note in notes if note)
