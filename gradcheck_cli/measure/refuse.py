"""Reasons to refuse a gradient before its values are compared: its type, its shape, a nan."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcheck_cli.problem import Label
from gradcheck_cli.result import Code, GradientResult, Refusal, Verdict
from gradcheck_cli.text import format_shape


def find_refusal(analytic: Any, shape: tuple[int, ...], label: Label) -> Refusal | None:
    """Why a gradient is wrong whatever its values are, or None.

    analytic: what the backward returned; shape: the one that the gradient must have.
    """
    name = label.gradient
    if analytic is None:
        return Refusal(Code.NOT_RETURNED, f"{label.by} returned no {name}")
    array = np.asarray(analytic)
    kind = array.dtype.kind
    if kind not in "fciub" or (kind == "c" and np.any(array.imag)):
        sentence = f"{name} must hold real numbers; {label.by} gives {array.dtype}"
        return Refusal(Code.NOT_REAL, sentence)
    if array.shape != shape:
        subject = f"'{label.rule}'" if label.rule and label.equation is None else label.by
        given = format_shape(array.shape)
        return Refusal(
            Code.OTHER_SHAPE, f"{name} must be {format_shape(shape)}; {subject} gives {given}"
        )
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = list(map(int, bad[0]))
        sentence = (
            f"{name} is {array[tuple(where)]} at {where} ({len(bad)} of {array.size} entries)"
        )
        return Refusal(Code.NOT_FINITE, sentence)
    return None


def find_integer_gradient(analytic: Any, label: Label) -> Refusal | None:
    """The refusal of a wrong gradient of whole numbers, whose type cuts off fractions; or None."""
    if analytic.dtype.kind not in "iub":
        return None
    sentence = (
        f"{label.gradient} must hold real numbers; {label.by} gives {analytic.dtype}, which cuts "
        "off their fractions"
    )
    return Refusal(Code.NOT_REAL, sentence)


def result_without_values(
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
