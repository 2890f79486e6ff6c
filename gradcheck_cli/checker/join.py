"""Join the results of several problems into one, with the worst of their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from gradcheck_cli.result import CheckResult, Mutant, Verdict


def join_results(parts: Sequence[CheckResult]) -> CheckResult:
    """One result for several with the same tolerance: all gradients in order, the worst verdict."""
    if len(parts) == 1:
        return parts[0]
    return CheckResult(
        verdict=worst_verdict([part.verdict for part in parts]),
        gradients=tuple(gradient for part in parts for gradient in part.gradients),
        rtol=parts[0].rtol,
        atol=parts[0].atol,
        evaluations=sum(part.evaluations for part in parts),
        seconds=sum(part.seconds for part in parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        mutants=_mutants(parts),
        exercise=tuple(one for part in parts for one in part.exercise),
    )


def _mutants(parts: Sequence[CheckResult]) -> tuple[Mutant, ...] | None:
    """The mutants of all parts; None where they were not asked for."""
    if any(part.mutants is None for part in parts):
        return None
    return tuple(mutant for part in parts for mutant in part.mutants or ())


def worst_verdict(verdicts: list[Verdict]) -> Verdict:
    """The worst of some verdicts: fail is worse than inconclusive, which is worse than pass."""
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        if verdict in verdicts:
            return verdict
    return Verdict.PASS
