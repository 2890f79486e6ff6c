"""One fault that explains all wrong gradients of a backward, where each has a name of its own.

A slip in one place spoils several gradients, and of each it may look like another: a carry that is
lost is an output that is cut off for one, and an input that is left out for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from gradcheck_cli.errors import GradcheckError
from gradcheck_cli.faults.diagnosis import describe_match
from gradcheck_cli.faults.matching import Match, vary
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.shared_explanations import Wrong
from gradcheck_cli.result import Diagnosis

LookInside = Callable[[Wrong], MeasuredGradient | None]


def explain_as_one(wrong: Mapping[str, Wrong], look_inside: LookInside) -> dict[str, Diagnosis]:
    """The diagnoses by one fault that surely explains all of these gradients; empty without one.

    look_inside: gives a gradient by the stages inside the forward.
    """
    matches = {name: one.finding.match for name, one in wrong.items()}
    told = {None if match is None else match.injected.observation for match in matches.values()}
    if len(told) < 2:
        return {}
    candidates = [match for match in matches.values() if match is not None and match.fit.sure]
    for match in sorted(candidates, key=lambda one: one.rank):
        found: dict[str, Match] = {}
        for name, one in wrong.items():
            same = _find_same(one, match, look_inside)
            if same is None:
                break
            found[name] = same
        else:
            return {name: describe_match(same) for name, same in found.items()}
    return {}


def _find_same(one: Wrong, match: Match, look_inside: LookInside) -> Match | None:
    """The same fault, in the same words, of another gradient; None where it does not explain it."""
    own = one.finding.match
    if own is not None and own.injected.observation == match.injected.observation:
        return own
    for measured in _list_views(one, look_inside):
        measured.claimed = one.comparison
        with suppress(GradcheckError):  # of code of the user where the diagnosis looks
            for injected in match.fault.list_suspects(measured, one.comparison):
                if match.injected.observation.startswith(injected.observation):
                    for found in vary(match.fault, injected, measured, one.comparison, 0):
                        same = found.injected.observation == match.injected.observation
                        if same and found.fit.sure:
                            return found
    return None


def _list_views(one: Wrong, look_inside: LookInside) -> Iterator[MeasuredGradient]:
    """A gradient from outside, then by the stages inside the forward."""
    yield one.measured
    inside = one.inside or look_inside(one)
    if inside is not None:
        yield inside
