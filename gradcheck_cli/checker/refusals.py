"""Results of gradients that are refused before their values count, with their diagnosis."""

from __future__ import annotations

from msgspec.structs import replace

from gradcheck_cli.result import GradientResult, Refusal, Verdict


def mark_in_place(result: GradientResult, fault: Refusal, *, allowed: bool) -> GradientResult:
    """The result of a gradient whose backward changes an argument in place.

    That is a failure; it is only a note if it is allowed, or if the values are wrong anyway.
    """
    if allowed or result.verdict == Verdict.FAIL:
        sentence = fault.sentence.partition(";")[0] + ", which is allowed" * allowed
        return replace(result, notes=(*result.notes, sentence))
    failed = replace(result, verdict=Verdict.FAIL, reason=fault.sentence, worst=None)
    return explain_refusal(failed, fault)


def explain_refusal(result: GradientResult, refusal: Refusal) -> GradientResult:
    """The result of a refused gradient with the diagnosis that the catalogue has for it."""
    from gradcheck_cli.faults.catalogue import describe_fault

    return replace(result, diagnosis=describe_fault(refusal.code))
