"""Analytic against numeric ± uncertainty → pass, fail or inconclusive, with the reason.

Types and shapes are compared before values, and without broadcasting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.errors import shown_shape
from gradcheck_cli.numeric.entries import NumericGradient
from gradcheck_cli.problem import Label
from gradcheck_cli.result import Entry, GradientResult, Verdict

Float = NDArray[np.float64]

# The uncertainty of the numeric side does the work of a tolerance; rtol is left for the rounding
# of the analytic side: thousands of ulps of its own type.
DEFAULT_RTOL = {"float64": 1e-9, "float32": 1e-3}


def refusal(analytic: Any, shape: tuple[int, ...], label: Label) -> str | None:
    """Why a gradient is wrong whatever its values are, or None.

    analytic: what the backward returned; shape: of the gradient it must be.
    """
    name = label.gradient
    if analytic is None:
        return f"the backward returned no {name}"
    array = np.asarray(analytic)
    if array.dtype.kind not in "fiub":
        return f"{name} must hold real numbers; the backward gives {array.dtype}"
    if array.shape != shape:
        subject = f"'{label.rule}'" if label.rule and label.equation is None else "the backward"
        return f"{name} must be {shown_shape(shape)}; {subject} gives {shown_shape(array.shape)}"
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = list(map(int, bad[0]))
        return f"{name} is {array[tuple(where)]} at {where} ({len(bad)} of {array.size} entries)"
    return None


def refused(name: str, label: Label, shape: tuple[int, ...], reason: str) -> GradientResult:
    """The result of a gradient that was refused before its values were compared."""
    return GradientResult(
        name=name,
        gradient=label.gradient,
        rule=label.rule,
        equation=label.equation,
        shape=shape,
        verdict=Verdict.FAIL,
        entries=int(np.prod(shape)),
        reason=reason,
    )


def compare(
    name: str, label: Label, analytic: Any, numeric: NumericGradient, rtol: float, atol: float
) -> GradientResult:
    """Judge every entry of a gradient; analytic has the numeric gradient's shape.

    An entry is wrong where |a − m| > u + rtol·max(|a|, |m|) + atol. The gradient is inconclusive
    where nothing is wrong, but its resolution (the largest u over the largest entry) exceeds rtol.
    """
    a = np.asarray(analytic, dtype=np.float64)
    m, u = numeric.value, numeric.uncertainty
    with np.errstate(all="ignore"):
        error = np.abs(a - m)
        size = np.maximum(np.abs(a), np.abs(m))
        wrong = error > u + rtol * size + atol
        floor = (u + atol) / rtol
        relative = np.where(error == 0, 0.0, error / (size + floor))
        bound = _relative_to_largest(error + u, m)
    resolution = _relative_to_largest(u, m)
    verdict, reason = _judged(a, m, wrong, resolution, rtol)
    flat = int(np.argmax(np.where(np.isnan(relative), -1.0, relative)))
    return GradientResult(
        name=name,
        gradient=label.gradient,
        rule=label.rule,
        equation=label.equation,
        shape=a.shape,
        verdict=verdict,
        reason=reason,
        entries=a.size,
        wrong=int(wrong.sum()),
        max_abs_error=_largest(error),
        max_rel_error=_largest(relative),
        uncertainty=_largest(u),
        resolution=resolution,
        bound=bound,
        step=float(np.median(numeric.step)),
        worst=_entry(np.unravel_index(flat, a.shape), a, m, u),
        notes=_notes(a, m),
    )


def _largest(values: Float) -> float:
    """The largest value; inf where one of them is not a number."""
    return float(np.max(np.where(np.isnan(values), np.inf, values)))


def _relative_to_largest(values: Float, m: Float) -> float:
    """The largest of `values` over the largest entry of m."""
    entry = float(np.max(np.abs(m), where=np.isfinite(m), initial=0.0))
    value = _largest(values)
    if value == 0.0:
        return 0.0
    return value / entry if entry > 0 else np.inf


def _judged(
    a: Float, m: Float, wrong: NDArray[np.bool_], resolution: float, rtol: float
) -> tuple[Verdict, str]:
    count = int(wrong.sum())
    if count:
        return Verdict.FAIL, f"{count} of {a.size} entries {'is' if count == 1 else 'are'} wrong"
    if not np.isfinite(m).all():
        bad = int((~np.isfinite(m)).sum())
        return Verdict.INCONCLUSIVE, (
            f"the difference quotient is not finite in {bad} of {a.size} entries: the forward "
            "overflows near these inputs, or the step is lost in their rounding"
        )
    if not a.any() and not m.any():
        return Verdict.PASS, ""
    if resolution > rtol:
        return Verdict.INCONCLUSIVE, (
            f"nothing wrong was seen, but the numeric gradient is only known to "
            f"{resolution:.1e} of its largest entry, and rtol {rtol:.0e} asks for more; "
            "change the inputs or numeric.step, or accept less by tolerance.rtol"
        )
    return Verdict.PASS, ""


def _entry(index: tuple[Any, ...], a: Float, m: Float, u: Float) -> Entry:
    numeric = float(m[index])
    with np.errstate(all="ignore"):
        ratio = float(np.float64(a[index]) / numeric) if numeric else None
    return Entry(
        index=tuple(int(axis) for axis in index),
        analytic=float(a[index]),
        numeric=numeric,
        uncertainty=float(u[index]),
        ratio=ratio,
    )


def _notes(a: Float, m: Float) -> tuple[str, ...]:
    if not a.any() and not m.any():
        return ("the gradient is zero on both sides: this check has no power",)
    return ()
