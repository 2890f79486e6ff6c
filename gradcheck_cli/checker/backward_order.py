"""What right and wrong gradients of one backward say together, by the order they are there in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Code, GradientResult, Verdict
from gradcheck_cli.text import join_words

LEAST_WRONG = 2  # gradients: the line of a single one says as much


def locate(result: CheckResult, problem: Problem) -> CheckResult:
    """The result with the functions that wrote its wrong gradients, where that can be told."""
    origins: Mapping[str, str] = {}
    passed: Mapping[str, Mapping[int, str]] = {}
    if any(one.verdict == Verdict.FAIL and one.source for one in result.gradients):
        with suppress(Exception):  # of code that fails now: what was found before stands
            origins = problem.origins()
            passed = problem.passed()
    gradients = tuple(
        replace(one, source=origins[one.name])
        if one.verdict == Verdict.FAIL and origins.get(one.name)
        else one
        for one in result.gradients
    )
    told = describe_passed(gradients, passed) or describe_order(gradients, origins)
    return replace(result, gradients=gradients, notes=(*result.notes, *filter(None, [told])))


def describe_order(results: Sequence[GradientResult], origins: Mapping[str, str]) -> str:
    """Where an error enters that several gradients have, and those before them have not.

    origins: after which lines gradients are there, by name, in the order in which these were run.
    Empty where right and wrong ones are mixed, or a fault explains what is wrong.
    """
    by_name = {one.name: one for one in results}
    ordered = [by_name[name] for name in origins if name in by_name]
    wrong = [one for one in ordered if one.verdict == Verdict.FAIL]
    right = ordered[: len(ordered) - len(wrong)]
    explained = any(one.diagnosis and one.diagnosis.code != Code.NO_KNOWN_FAULT for one in wrong)
    all_failed = sum(one.verdict == Verdict.FAIL for one in results)
    if explained or len(wrong) < max(LEAST_WRONG, all_failed) or not right:
        return ""
    if any(one.verdict != Verdict.PASS for one in right):
        return ""
    last, first = origins[right[-1].name], origins[wrong[0].name]
    if last == first:
        return ""
    return (
        f"{_list(right)} {'is' if len(right) == 1 else 'are'} right, and there after {last}; "
        f"{_list(wrong)} are wrong, the first of them there after {first}: look between them, at "
        "what is computed for these alone"
    )


def describe_passed(
    results: Sequence[GradientResult], passed: Mapping[str, Mapping[int, str]]
) -> str:
    """Which backward of the user's all wrong gradients come through, and no right one.

    passed: the backward passes between the outputs and each input, each by a number of its own.
    Empty where there is none such.
    """
    wrong = [one for one in results if one.verdict == Verdict.FAIL]
    right = [one for one in results if one.verdict == Verdict.PASS]
    if not wrong or not right:
        return ""
    right_too = {number for one in right for number in passed.get(one.name, {})}
    common = set.intersection(*({*passed.get(one.name, {})} for one in wrong))
    places, shared = (
        dict.fromkeys(passed[wrong[0].name][number] for number in sorted(some))
        for some in (common - right_too, common & right_too)
    )
    if not places:
        return ""
    return (
        f"{_list(right)} {'is' if len(right) == 1 else 'are'} right; {_list(wrong)} "
        f"{'is' if len(wrong) == 1 else 'are'} wrong, and alone come through the backward of "
        f"{join_words([*places])}: look there{_describe_shared([*shared])}"
    )


def _describe_shared(places: Sequence[str]) -> str:
    """What else may be wrong: backward passes of several inputs, of which one is right."""
    if not places:
        return ""
    return (
        f"; {join_words(places)}, which right ones come through, too, may be wrong for another of "
        "its inputs"
    )


def _list(results: Sequence[GradientResult]) -> str:
    return join_words([one.gradient for one in results])
