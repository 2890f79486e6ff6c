"""The gradients of one check: each is refused, or measured, compared and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.checker.join import worst_verdict
from gradcheck_cli.measure.breaks import widen_by_breaks
from gradcheck_cli.measure.budget import LEAST_ENTRIES, Budget
from gradcheck_cli.measure.casts import find_cast
from gradcheck_cli.measure.compare import DEFAULT_RTOL, compare
from gradcheck_cli.measure.edges import doubt_edges
from gradcheck_cli.measure.measure import differences, mode_of, of_entries
from gradcheck_cli.measure.precision import (
    claim_in_float64,
    describe_rounding,
    low_type,
    round_gradient,
)
from gradcheck_cli.measure.purity import Claim, Conduct, call_backward, observe_forward
from gradcheck_cli.measure.refuse import find_refusal, result_without_values
from gradcheck_cli.numeric.gradient import NumericGradient, Progress
from gradcheck_cli.numeric.jumps import MOST_EVALUATIONS
from gradcheck_cli.numeric.sampling import sample_entries
from gradcheck_cli.options import AUTO, DIRECTIONS_FIRST, ENTRIES, Numeric, Tolerance
from gradcheck_cli.problem import Problem
from gradcheck_cli.result import (
    CheckResult,
    GradientResult,
    Refusal,
    Verdict,
)

# Of a gradient that directions show to be wrong or do not settle: all of them are measured, for a
# diagnosis that knows its rows and columns. Of a larger one that is wrong as many as that needs.
MOST_SETTLED_BY_ENTRIES, MOST_DIAGNOSED = 1000, 400
AT_RANDOM = (
    "the forward draws at random, and the backward with it: pass what is drawn as a constant, or "
    "set the seed in the forward"
)


class Checker:
    """What the gradients of one check share: numeric gradients, measured once, and the tolerance.

    rtol, atol, repeat: see Tolerance. evaluations: calls of the forward so far. power: whether
    faults are to be put into right gradients, which takes their entries. located: of every gradient
    that random directions have settled first, the flat indices of entries that look wrong.
    """

    def __init__(
        self,
        problem: Problem,
        numeric: Numeric,
        tolerance: Tolerance,
        progress: Progress | None,
        power: bool,
    ) -> None:
        self.problem = problem
        self.numeric = numeric
        self.asked = (numeric, tolerance, progress, power)
        self.progress = progress
        self.rtol = tolerance.rtol if tolerance.rtol is not None else default_rtol(problem)
        self.atol = tolerance.atol
        self.repeat = tolerance.repeat
        self.measured: dict[str, NumericGradient] = {}
        self.evaluations = 0
        self.power = power
        self.located: dict[str, NDArray[np.intp]] = {}

    @cached_property
    def budget(self) -> Budget:
        """The forwards that are left; timed when it is first asked for, after the first forward."""
        return Budget(self.problem, self.numeric)

    @cached_property
    def lost(self) -> str:
        """The line of the forward that makes low precision of float64, as a clause, if one does."""
        inputs = {name: x.copy() for name, x in self.problem.inputs.items()}
        wide = {str(x.dtype) for x in inputs.values()} == {"float64"}
        found = self.problem.identity is None and wide and not self.problem.lost
        return find_cast(self.problem.forward, inputs) if found else self.problem.lost

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input, measured when it is first asked for.

        Of a large one that directions have settled, what a diagnosis needs of it.
        """
        if name not in self.measured:
            if self.problem.identity is not None:
                found = differences(self.problem, name, self.numeric)
            else:
                entries = self._choose_entries(name)
                found = of_entries(self.problem, name, self.numeric, entries, self.progress)
                found = doubt_edges(self.problem, name, found)
                found = round_gradient(found, self.problem.precision)
            self.measured[name] = found
            self._count(found.evaluations)
        return self.measured[name]

    def _choose_entries(self, name: str) -> NDArray[np.intp] | None:
        """The flat indices of the entries to be measured; None: all of them."""
        size, located = self.problem.inputs[name].size, self.located.get(name)
        most = min(size, self.numeric.sample or size)
        if located is not None and size > MOST_SETTLED_BY_ENTRIES:
            most = min(most, MOST_DIAGNOSED)
        most = self.budget.fit_entries(most)
        if most >= size:
            return None
        entries = sample_entries(size, most)
        return entries if located is None else np.union1d(entries, located).astype(np.intp)

    def _tell(self) -> None:
        """The check goes on, though no entry was measured."""
        if self.progress is not None:
            self.progress(0)

    def _count(self, forwards: int) -> None:
        """Count forwards that were taken."""
        self.evaluations += forwards
        self.budget.spend(forwards)

    def take_over(self, measured: Mapping[str, NumericGradient], evaluations: int) -> None:
        """Use numeric gradients of the same forward that took another checker these evaluations."""
        for name, gradient in measured.items():
            self.measured[name] = round_gradient(gradient, self.problem.precision)
        self.evaluations = evaluations

    def run(self, keep: Callable[[CheckResult], None] | None) -> CheckResult:
        """The result of all gradients, with diagnoses of what is wrong.

        keep: is handed the result without these before.
        """
        started = time.perf_counter()
        forward, claim = observe_forward(self.problem), call_backward(self.problem, self.repeat)
        gradients = [self.compare(name, forward, claim) for name in self.problem.inputs]
        result = self.summarize(gradients, forward, claim)
        if self.power or result.verdict == Verdict.FAIL:
            if keep is not None:
                keep(replace(result, seconds=time.perf_counter() - started))
            result = self.locate(self.diagnose(result, claim, self.power))
        return result

    def compare(self, name: str, forward: Conduct, claim: Claim) -> GradientResult:
        """The result of one gradient: refused as it is, or compared with what is measured."""
        problem, claimed = self.problem, claim.gradients.get(name)
        outputs = () if problem.cotangent is not None else forward.outputs.shape
        label, shape = problem.label(name), (*outputs, *problem.inputs[name].shape)
        refusal = forward.fault or claim.fault or find_refusal(claimed, shape, label)
        if claim.differs and forward.note:
            return result_without_values(name, label, shape, AT_RANDOM, Verdict.INCONCLUSIVE)
        if refusal:
            return explain_refusal(
                result_without_values(name, label, shape, refusal.sentence), refusal
            )
        result = self._judge(name, claimed)
        if result.verdict == Verdict.FAIL and problem.narrow is not None:
            result = self._allow_rounding(result, claimed, problem.narrow)
        if result.verdict == Verdict.INCONCLUSIVE and self.lost:
            reason = f"{result.reason}; the forward makes low precision of float64{self.lost}"
            result = replace(result, reason=reason)
        self.budget.finish_gradient()
        if claim.in_place is None or claim.place != name:
            return result
        return mark_in_place(result, claim.in_place, allowed=problem.in_place)

    def _judge(self, name: str, claimed: Any) -> GradientResult:
        """The result of a gradient by random directions, by its entries, or by one then the other.

        Directions that are taken first leave to entries what they do not settle, and what is wrong
        with a gradient that is small enough; of a larger one they find where it is wrong.
        """
        size = claimed.size
        mode = ENTRIES if name in self.measured else mode_of(self.problem, name, self.numeric)
        room = self.budget.has_room(self.numeric.entries(size))
        if mode == DIRECTIONS_FIRST and self.power:
            mode = ENTRIES
        elif mode == ENTRIES and self.numeric.mode == AUTO and not room:
            mode = DIRECTIONS_FIRST
        if mode != ENTRIES:
            from gradcheck_cli.checker.certify import Certifier

            certifier = Certifier(
                self.problem, name, claimed, self.rtol, self.atol, self.budget, self._tell
            )
            entries = room and (size <= MOST_SETTLED_BY_ENTRIES or not certifier.differs)
            by_entries = mode == DIRECTIONS_FIRST and not certifier.passes and entries
            result = None if by_entries else certifier.certify()
            self._count(certifier.directions.evaluations)
            if result is not None:
                located = certifier.flatten(certifier.located)
                if mode == DIRECTIONS_FIRST:
                    self.located[name] = located
                again = certifier.doubtful and result.verdict == Verdict.FAIL
                return self._look_again(result, claimed, located) if again else result
        label = self.problem.label(name)
        result = compare(name, label, claimed, self.measure(name), self.rtol, self.atol)
        return result if result.verdict != Verdict.FAIL else self._allow_breaks(result, claimed)

    def _allow_rounding(
        self, failed: GradientResult, claimed: Any, narrow: Problem
    ) -> GradientResult:
        """The result by the forward in the backward's own type, where only rounding is wrong.

        A saturated unit leaves digits in float64 that a backward in another type cannot have. Two
        things show that: in float64 the backward is right, and in its own type nothing is seen.
        """
        name, wide = failed.name, claim_in_float64(self.problem, narrow, failed.name)
        if wide is None or self._judge(name, wide).verdict == Verdict.FAIL:
            return failed
        own = Checker(narrow, *self.asked)
        own.budget = self.budget
        result = own._judge(name, claimed)
        self.evaluations += own.evaluations
        if result.verdict == Verdict.FAIL:
            return failed
        self.measured |= own.measured
        return replace(result, notes=(*result.notes, describe_rounding(failed, narrow)))

    def _look_again(
        self, result: GradientResult, claimed: Any, located: NDArray[np.intp]
    ) -> GradientResult:
        """The failure that directions saw, or what entries that look wrong say of it."""
        if not self.budget.has_room(LEAST_ENTRIES):
            return result
        from gradcheck_cli.checker.second_look import look_again

        found, forwards = look_again(
            self.problem, result, claimed, located, self.numeric, self.rtol, self.atol
        )
        self._count(forwards)
        return found

    def _allow_breaks(self, failed: GradientResult, claimed: Any) -> GradientResult:
        """The result where jumps between smooth pieces of the forward are uncertainty.

        It stays as it is where these do not explain all that is wrong, or the budget has no room.
        """
        name, numeric = failed.name, self.measured[failed.name]
        if self.budget.share < MOST_EVALUATIONS:
            return failed
        widened = widen_by_breaks(self.problem, name, claimed, numeric, self.rtol, self.atol)
        self._count(widened.evaluations - numeric.evaluations)
        label = self.problem.label(name)
        result = compare(name, label, claimed, widened, self.rtol, self.atol)
        if result.verdict == Verdict.FAIL:
            return failed
        self.measured[name] = widened
        return result

    def summarize(
        self, gradients: Sequence[GradientResult], forward: Conduct, claim: Claim
    ) -> CheckResult:
        """The results of all gradients as that of the check."""
        notes = [*self.problem.notes, *find_blind_spots(self.problem), forward.note, claim.note]
        return CheckResult(
            verdict=worst_verdict([gradient.verdict for gradient in gradients]),
            gradients=tuple(gradients),
            rtol=self.rtol,
            atol=self.atol,
            evaluations=self.evaluations,
            seconds=0.0,
            notes=(*filter(None, notes), *self.problem.observed()),
        )

    def locate(self, result: CheckResult) -> CheckResult:
        """The result with the functions that wrote its wrong gradients, where that can be told."""
        origins: Mapping[str, str] = {}
        if any(one.verdict == Verdict.FAIL and one.source for one in result.gradients):
            with suppress(Exception):  # of code that fails now: what was found before stands
                origins = self.problem.origins()
        gradients = [
            replace(one, source=origins[one.name])
            if one.verdict == Verdict.FAIL and origins.get(one.name)
            else one
            for one in result.gradients
        ]
        return replace(result, gradients=tuple(gradients))

    def diagnose(self, result: CheckResult, claim: Claim, power: bool) -> CheckResult:
        """The result with what is wrong with its gradients and, with power, what it could catch."""
        # The catalogue is imported where there is something to say.
        from gradcheck_cli.checker.diagnose import Diagnoser

        known = {one.name for one in result.gradients if one.directions}
        if self.budget.has_room(MOST_DIAGNOSED):
            known -= set(self.located)
        diagnoser = Diagnoser(self.problem, self.measure, self.numeric, self.rtol, self.atol, known)
        gradients = diagnoser.diagnose(list(result.gradients), claim.gradients, self.evaluations)
        return replace(
            result,
            gradients=tuple(gradients),
            mutants=diagnoser.mutate() if power else None,
            notes=(*result.notes, *diagnoser.notes),
        )


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


def find_blind_spots(problem: Problem) -> list[str]:
    """What makes a check blind: it passes, and would for many a wrong rule."""
    notes = []
    if problem.cotangent is not None and not np.any(problem.cotangent):
        notes.append("the upstream gradient is zero: every gradient is zero, whatever the rule")
    for name, x in problem.inputs.items():
        if x.size > 1 and np.all(x == x.flat[0]):
            notes.append(f"all entries of {name} are equal: permuted or summed entries go unseen")
        elif name not in problem.domains and _is_symmetric(x):
            notes.append(f"{name} is symmetric: a missing or extra transpose goes unseen")
    return notes


def _is_symmetric(x: NDArray[Any]) -> bool:
    return x.ndim == 2 and x.shape[0] == x.shape[1] > 1 and np.array_equal(x, x.T)


def default_rtol(problem: Problem) -> float:
    """The rtol of the coarsest type among the inputs."""
    return DEFAULT_RTOL[low_type(problem) or "float64"]
