"""Find where in the user's code wrong gradients are computed, and the lines that look wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.faults.faulty_lines import find_faulty_lines
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import CheckResult, Code, GradientResult, Verdict
from gradcheck_cli.text import join_words


def locate(result: CheckResult, problem: Problem) -> CheckResult:
    """The result with the place in the code of every wrong gradient, and the lines to look at."""
    by_verdict = {
        verdict: {one.name for one in result.gradients if one.verdict == verdict}
        for verdict in (Verdict.PASS, Verdict.FAIL)
    }
    right, wrong = by_verdict.values()
    origins: Mapping[str, str] = {}
    passes: Mapping[str, Mapping[int, str]] = {}
    faulty: Mapping[str, str] = {}
    if any(one.source for one in result.gradients if one.name in wrong):
        # Code that raises now, after the check, does not change the result.
        with suppress(Exception), np.errstate(all="ignore"):
            origins = problem.origins()
            passes = problem.backward_passes()
            off = [one.name for one in result.gradients if one.name in wrong and _is_off(one)]
            faulty = find_faulty_lines(problem, right, {of: origins.get(of, "") for of in off})
    gradients = tuple(
        replace(one, source=origins.get(one.name, one.source), faulty=faulty.get(one.name, ""))
        if one.name in wrong
        else one
        for one in result.gradients
    )
    note = describe_suspects(gradients, passes)
    return replace(result, gradients=gradients, notes=(*result.notes, *filter(None, [note])))


def _is_off(result: GradientResult) -> bool:
    """Whether a gradient failed for its values, and not for what its backward does to arguments."""
    return result.diagnosis is None or result.diagnosis.code != Code.CHANGES_ARGUMENTS


def describe_suspects(
    results: Sequence[GradientResult], passes: Mapping[str, Mapping[int, str]]
) -> str:
    """The backward passes of the user that all wrong gradients go through, and no right one does.

    passes: see `Problem.backward_passes`. Empty where there is no such pass.
    """
    wrong = [one for one in results if one.verdict == Verdict.FAIL]
    right = [one for one in results if one.verdict == Verdict.PASS]
    if not wrong or not right:
        return ""
    right_too = {number for one in right for number in passes.get(one.name, {})}
    common = set.intersection(*({*passes.get(one.name, {})} for one in wrong))
    places, shared = (
        dict.fromkeys(passes[wrong[0].name][number] for number in sorted(some))
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
    """What else may be wrong: passes that right gradients go through, too."""
    if not places:
        return ""
    return (
        f"; {join_words(places)}, which right ones come through, too, may be wrong for another of "
        "its inputs"
    )


def _list(results: Sequence[GradientResult]) -> str:
    return join_words([one.gradient for one in results])
