"""The right gradient of one input, as measured, and how it changes with what it is computed from.

A gradient is Jᵀδ with the Jacobian J of a stage of the forward and the upstream gradient δ there.
Wrong backwards have another δ, or a J at other inputs; both are measured through the forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.factors import list_numbers
from gradcheck_cli.faults.invertible_activations import list_inner_stages
from gradcheck_cli.faults.values import CALLS_AN_ENTRY, Effort, Values, spread_evenly
from gradcheck_cli.measure.comparison import Comparison, Float, largest
from gradcheck_cli.measure.measure import measure_roughly
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.problem import Problem, Stage, no_stages

Made = TypeVar("Made")

# MOST_CELLS: outputs × entries of a measured Jacobian, 2 MB. MOST_ENTRIES: its entries, and those
# of a gradient with other sizes; a fault needs fewer as evidence, but with these slices show, too.
MOST_CELLS, MOST_ENTRIES = 2**18, 400
JACOBIAN_SHARE = 0.25  # of the forwards that are left, how many one Jacobian may take
# The norm of the part of an error that no upstream gradient explains, over the norm of the error
# and over that of its uncertainty: if it is larger than both, upstream faults are ruled out.
UNEXPLAINED, UNSURE = 1e-3, 100.0
# Entries that are measured of a gradient at other inputs, by four forwards each. Each is known to
# eight digits, so that they are evidence enough for a fault.
MOST_ELSEWHERE = 16


class Measure(Protocol):
    """A function from the name of an input to its numeric gradient, which it measures once."""

    def __call__(self, name: str) -> NumericGradient:
        """The numeric gradient of this input."""


def rows_are_samples(problem: Problem, outputs: tuple[int, ...]) -> bool:
    """Whether outputs of this shape have as many rows as there are samples, or rows of an input."""
    if len(outputs) < 2:
        return False
    n = problem.numbers.get("n")
    if n is not None:
        return n == outputs[0]
    return any(x.ndim > 1 and len(x) == outputs[0] for x in problem.inputs.values())


class MeasuredGradient:
    """The right gradient of one input of a problem, as it was measured.

    measure: the numeric gradient of an input; effort: counts the forwards that are called besides.
    guess: whether activations may be guessed from the outputs alone.
    inner: stages inside the forward that depend on the input; if given, faults are put in there.
    hidden: all stages inside the forward, also those that do not depend on this input.
    outside: the same gradient without inner stages; what was measured for it is used again.
    claimed: the wrong gradient in a diagnosis, so that faults that cannot fit it are refuted early.
    """

    def __init__(
        self,
        problem: Problem,
        name: str,
        measure: Measure,
        effort: Effort | None = None,
        *,
        guess: bool = False,
        inner: Sequence[Stage] = (),
        hidden: Sequence[Stage] = (),
        outside: MeasuredGradient | None = None,
    ) -> None:
        self.problem = problem
        self.name = name
        self.measure = measure
        self.gradient = measure(name)
        self.value = self.gradient.value
        self.uncertainty = self.gradient.uncertainty + self.gradient.rounding
        self.label = problem.label(name)
        self.effort = effort or Effort()
        self.guess = guess
        self.inner = inner
        self.hidden = hidden or inner
        self._inside = {id(stage) for stage in inner}
        self.claimed: Comparison | None = None
        self._known: dict[Any, Any] = {} if outside is None else outside._known

    def once(self, key: Any, measure: Callable[[], Made]) -> Made:
        """The result of `measure`, which is called only at the first use of this key."""
        if key not in self._known:
            self._known[key] = measure()
        made: Made = self._known[key]
        return made

    def share(self, key: Any, find: Callable[[], Made]) -> Made:
        """The result of `find`, which is called once for all gradients with the same effort."""
        kept = self.effort.kept
        if key not in kept:
            kept[key] = find()
        made: Made = kept[key]
        return made

    @property
    def whole(self) -> bool:
        """Whether all entries were measured, so that the gradient has rows and columns."""
        return self.gradient.entries is None

    @property
    def is_square(self) -> bool:
        """Whether it is a square matrix of more than one entry."""
        return self.whole and self.value.ndim == 2 and self.shape[0] == self.shape[1] > 1

    @cached_property
    def transposed(self) -> NDArray[np.intp]:
        """The flat order of the entries of its transpose; empty if that has another shape."""
        size = self.value.size if self.is_square else 0
        return np.arange(size).reshape(self.shape if size else (0,)).T.ravel()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the gradient, or of its measured entries if these are not all."""
        return self.value.shape

    @property
    def x(self) -> NDArray[Any]:
        """The input it is the gradient of."""
        return np.asarray(self.problem.inputs[self.name])

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The sizes, constants and norms that a factor may be named by."""
        with np.errstate(all="ignore"):
            norms = {
                f"‖{self.name}‖₁": float(np.sum(np.abs(self.x))),
                f"‖{self.name}‖": float(np.sqrt(np.sum(np.square(self.x)))),
                f"‖{self.label.gradient}‖": float(np.sqrt(np.sum(np.square(self.value)))),
            }
        # With one or two entries, a norm fits many factors by chance.
        return list_numbers(self.problem, norms if self.whole and self.value.size > 2 else {})

    @cached_property
    def samples(self) -> str:
        """The name of the number of samples, such as `n`; empty if it is not known."""
        if "n" in self.numbers:
            return "n"
        stage = next(iter(self.declared), None)
        if stage is None or stage.sample_axis is None:
            return ""
        size = float(stage.cotangent.shape[stage.sample_axis])
        return next((name for name, number in self.numbers.items() if number == size), "")

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages where a fault may be: those that are declared, the outermost first, and, where
        activations are guessed, those below a guessed one. With inner stages, these alone.
        """
        if not self.guess or self.inner or self.problem.stages is not no_stages:
            return self.declared
        inputs = self.problem.inputs
        return [*self.declared, *(g for s in self.declared for g in list_inner_stages(s, inputs))]

    @cached_property
    def declared(self) -> list[Stage]:
        """The stages that the problem lists, else the outputs; with inner stages, these alone.

        There are none for a Jacobian, which has no upstream gradient.
        """
        problem = self.problem
        if problem.cotangent is None or self.inner:
            return list(self.inner)
        return list(problem.stages(problem.inputs)) or [self.outputs]

    @property
    def outputs(self) -> Stage:
        """The outputs as a stage, with the upstream gradient that the problem has."""
        return self.once("outputs", self._make_outputs)

    def _make_outputs(self) -> Stage:
        problem, delta = self.problem, np.asarray(self.problem.cotangent)
        axis = 0 if rows_are_samples(problem, delta.shape) else None
        return Stage(problem.forward, delta, problem.batched, sample_axis=axis)

    def read(self, stage: Stage) -> Float:
        """The value of a stage at the inputs, read once."""
        return self.once(("value", id(stage)), lambda: self._read(stage))

    def _read(self, stage: Stage) -> Float:
        with np.errstate(all="ignore"):
            return np.asarray(stage.forward(self.problem.inputs), dtype=np.float64)

    @property
    def arrays(self) -> dict[str, Float]:
        """The inputs and the values of hidden stages by their names in reports."""
        inputs = self.problem.inputs.items()
        found = {name: np.asarray(x, dtype=np.float64) for name, x in inputs}
        return found | {stage.name: self.read(stage) for stage in self.hidden}

    @cached_property
    def other_inputs(self) -> dict[str, NDArray[Any]]:
        """The inputs other than this one; the Jacobian may depend on them."""
        return {name: x for name, x in self.problem.inputs.items() if name != self.name}

    def choose_columns(self, stage: Stage) -> NDArray[np.intp]:
        """The positions of the entries by which a Jacobian is measured, within the budget."""
        most: float = min(MOST_ENTRIES, MOST_CELLS // max(1, stage.cotangent.size))
        if not stage.batched:
            room = JACOBIAN_SHARE * self.effort.left / CALLS_AN_ENTRY
            most = min(most, max(MOST_ELSEWHERE, room))
        return spread_evenly(self.value.size, most)

    @cached_property
    def entries_elsewhere(self) -> NDArray[np.intp]:
        """The positions of the entries that are measured of a gradient at other inputs."""
        return spread_evenly(self.value.size, MOST_ELSEWHERE)

    @cached_property
    def right(self) -> Values:
        """The right gradient at all entries that were measured."""
        return self.whole_values(self.value, self.uncertainty)

    def whole_values(self, value: Float, uncertainty: Float | float = 0.0) -> Values:
        """Make a gradient of all measured entries from an array."""
        every = np.broadcast_to(uncertainty, value.shape).ravel()
        return Values(value.ravel(), every, np.arange(value.size))

    def differs_from(self, values: Values) -> bool:
        """Whether a gradient differs from this one by more than the uncertainties."""
        return self.right.differs_from(values)

    def measure_jacobian(self, stage: Stage) -> Values:
        """∂outputs/∂input of a stage; value and uncertainty are outputs × entries, both flat."""
        together = self.inner if self.is_inner(stage) else [stage]
        key = "Jacobians", id(together[0])
        return self.once(key, lambda: self._measure_jacobians(together))[id(stage)]

    def _measure_jacobians(self, stages: Sequence[Stage]) -> dict[int, Values]:
        """The Jacobians of stages by id; one call of the forward reads all of them."""
        delta = np.ravel(stages[0].cotangent)
        if stages[0].forward is self.problem.forward and delta.size == 1 and delta.any():
            value, uncertainty = (one[None] for one in (self.right.value, self.right.uncertainty))
            by = float(delta[0])  # the gradient is the Jacobian of the only output times this
            jacobian = Values(value / by, uncertainty / abs(by), self.right.at)
            return {id(stages[0]): jacobian}
        if len(stages) == 1:
            joint = stages[0]
        else:
            joint = Stage(
                lambda inputs: np.concatenate([np.ravel(one.forward(inputs)) for one in stages]),
                np.concatenate([np.ravel(one.cotangent) for one in stages]),
            )
        found = self.measure_at(joint, None, self.problem.inputs, self.choose_columns(joint))
        ends = np.cumsum([np.size(one.cotangent) for one in stages])[:-1]
        parts = zip(np.split(found.value, ends), np.split(found.uncertainty, ends), strict=True)
        return {
            id(one): Values(value, uncertainty, found.at)
            for one, (value, uncertainty) in zip(stages, parts, strict=True)
        }

    def contract(self, stage: Stage, cotangent: Any) -> Values:
        """The gradient if the upstream gradient at a stage were this cotangent.

        The part that flows around an inner stage, such as that of a regulariser, stays as it is.
        """
        through = self.flow_through(stage, cotangent)
        return through + self.flow_around(stage) if self.is_inner(stage) else through

    def may_have_other_upstream(self, stage: Stage) -> bool:
        """Whether some other upstream gradient at a stage explains the wrong gradient, up to a
        factor or a transpose. If not, all faults of that upstream gradient are refuted at once."""
        if self.claimed is None:
            return True
        return self.once(("upstream", id(stage)), lambda: self._may_have_other_upstream(stage))

    def _may_have_other_upstream(self, stage: Stage) -> bool:
        """Whether the error is, nearly, in the space that the rows of the Jacobian span."""
        assert self.claimed is not None
        own = self.flow_through(stage, stage.cotangent)
        at, rows = own.at, self.measure_jacobian(stage).value
        if self.is_inner(stage):
            rows = np.concatenate([rows, [self.flow_around(stage).value]])
        allowed = self.claimed.allowed.ravel()[at] + own.uncertainty
        if len(rows) >= len(at) or not np.isfinite(allowed).all() or self.gradient.kink.any():
            return True
        analytic = self.claimed.analytic.ravel()
        gaps = [(analytic - self.value.ravel())[at]]
        if len(at) == len(self.transposed):
            gaps.append(analytic[self.transposed])
        basis, unsure = np.linalg.qr(rows.T)[0], UNSURE * np.linalg.norm(allowed)
        return any(
            not np.linalg.norm(gap - basis @ (basis.T @ gap))
            > max(unsure, UNEXPLAINED * np.linalg.norm(gap))
            for gap in gaps
        )

    def flow_around(self, stage: Stage) -> Values:
        """The part of the gradient that does not flow through a stage; zero for other than inner
        stages."""
        return self.once(("around", id(stage)), lambda: self._find_around(stage))

    def _find_around(self, stage: Stage) -> Values:
        own = self.flow_through(stage, stage.cotangent)
        rest = self.right.take(own.at) - own
        return rest * 0.0 if rest.is_zero else rest

    def count_calls(self, stage: Stage) -> Callable[[Any], Any]:
        """The forward of a stage with its calls counted.

        For inner stages they are counted where these are read, since one call reads all of them.
        """
        return stage.forward if self.is_inner(stage) else self.effort.count(stage.forward)

    def is_inner(self, stage: Stage) -> bool:
        """Whether a stage is one of the inner stages."""
        return id(stage) in self._inside

    def add_around(self, stage: Stage, values: Values) -> Values:
        """Add the part that flows around a stage to entries of the part that flows through it."""
        if not self.is_inner(stage):
            return values
        around = self.flow_around(stage)
        both, here, there = np.intersect1d(values.at, around.at, return_indices=True)
        return Values(
            values.value[here] + around.value[there],
            values.uncertainty[here] + around.uncertainty[there],
            both,
        )

    def subtract_around(self, stage: Stage, gradient: Float) -> Float:
        """A gradient without the part that flows around a stage."""
        rest = gradient.ravel().copy()
        if self.is_inner(stage):
            around = self.flow_around(stage)
            rest[around.at] -= around.value
        return rest

    def flow_through(self, stage: Stage, cotangent: Any) -> Values:
        """Jᵀδ′, the part of a gradient that flows through a stage, for an upstream gradient δ′."""
        flat = np.asarray(cotangent, dtype=np.float64).ravel()
        return self.measure_jacobian(stage).contract(flat, stage.precision)

    def measure_at(
        self, stage: Stage, cotangent: Any, inputs: Mapping[str, Any], at: NDArray[np.intp]
    ) -> Values:
        """Measure entries of the gradient of a stage at some inputs.

        cotangent: the upstream gradient; None: the Jacobian is measured. at: the positions of the
        entries.
        """
        problem = replace(
            self.problem,
            inputs=dict(inputs),
            forward=self.count_calls(stage),
            cotangent=cotangent,
            batched=stage.batched,
        )
        entries = at if self.whole else self.gradient.entries[at]  # type: ignore[index]
        value, uncertainty = measure_roughly(problem, self.name, entries)
        off = 0.0 if cotangent is None else stage.precision
        return Values(value, uncertainty + off * largest(np.abs(value)), at)
