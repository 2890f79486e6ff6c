"""Gradients that are refused whatever their values are, with what the catalogue says of that."""

from __future__ import annotations

from msgspec.structs import replace

from gradcheck_cli.result import GradientResult, Refusal, Verdict


def mark_in_place(result: GradientResult, fault: Refusal, *, allowed: bool) -> GradientResult:
    """A gradient beside which it is said that the backward changes an argument.

    Where that is allowed, or values are wrong besides, it is a note; else it is the failure.
    """
    if allowed or result.verdict == Verdict.FAIL:
        sentence = fault.sentence.partition(";")[0] + ", which is allowed" * allowed
        return replace(result, notes=(*result.notes, sentence))
    failed = replace(result, verdict=Verdict.FAIL, reason=fault.sentence, worst=None)
    return explain_refusal(failed, fault)


def explain_refusal(result: GradientResult, refusal: Refusal) -> GradientResult:
    """A gradient that was refused, with what the catalogue says of that."""
    from gradcheck_cli.faults.catalogue import describe_fault

    return replace(result, diagnosis=describe_fault(refusal.code))
