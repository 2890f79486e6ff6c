"""A right gradient as it was measured, and how it changes with what it is made of.

All of it is measured through the forward. A gradient is Jᵀδ, with the Jacobian J of a stage of the
forward and the upstream gradient δ there; people get δ wrong, or an input that J depends on.
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

# What is measured of a large gradient: so many outputs × entries of a Jacobian (2 MB), so many
# entries of a gradient: more than a fault needs as evidence, so that slices show, too.
MOST_CELLS, MOST_ENTRIES = 2**18, 400
JACOBIAN_SHARE = 0.25  # of the calls that are left: what a Jacobian may take
# What no upstream gradient explains of an error: over all of it, and over what it is unsure by.
UNEXPLAINED, UNSURE = 1e-3, 100.0
# Entries of a gradient at other inputs, each known to eight digits: evidence enough for a fault.
# Each costs four forwards.
MOST_ELSEWHERE = 16


class Measure(Protocol):
    """The numeric gradient of an input of the problem, by name; measured once."""

    def __call__(self, name: str) -> NumericGradient:
        """The numeric gradient of this input."""


def rows_are_samples(problem: Problem, outputs: tuple[int, ...]) -> bool:
    """Whether the first axis of these outputs is that of n, or of an input's first axis."""
    if len(outputs) < 2:
        return False
    n = problem.numbers.get("n")
    if n is not None:
        return n == outputs[0]
    return any(x.ndim > 1 and len(x) == outputs[0] for x in problem.inputs.values())


class MeasuredGradient:
    """The right gradient of one input of a problem, as it was measured.

    measure: gives the numeric gradient of an input; effort: counts what else is measured.
    guess: whether the outputs may be taken for those of an activation; inner: the stages that are
    looked at in place of those that the forward is known to have; watched: these, and those that do
    not depend on the input; outside: the same gradient without these, what was measured of which is
    known. claimed: the wrong gradient that is looked at, so that what does not fit it is given up
    early.
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
        watched: Sequence[Stage] = (),
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
        self.watched = watched or inner
        self._inside = {id(stage) for stage in inner}
        self.claimed: Comparison | None = None
        self._known: dict[Any, Any] = {} if outside is None else outside._known

    def once(self, key: Any, measure: Callable[[], Made]) -> Made:
        """What `measure` gives, measured when it is first asked for by this key."""
        if key not in self._known:
            self._known[key] = measure()
        made: Made = self._known[key]
        return made

    def share(self, key: Any, find: Callable[[], Made]) -> Made:
        """What `find` gives, found once for all gradients that are looked at with this effort."""
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
        """Whether it is a matrix that has a transpose of the same shape, and is not one entry."""
        return self.whole and self.value.ndim == 2 and self.shape[0] == self.shape[1] > 1

    @cached_property
    def transposed(self) -> NDArray[np.intp]:
        """The flat places of the entries of its transpose; none where that has another shape."""
        size = self.value.size if self.is_square else 0
        return np.arange(size).reshape(self.shape if size else (0,)).T.ravel()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the gradient; of the measured entries, if that is not all of it."""
        return self.value.shape

    @property
    def x(self) -> NDArray[Any]:
        """The input it is the gradient of."""
        return np.asarray(self.problem.inputs[self.name])

    @cached_property
    def numbers(self) -> dict[str, float]:
        """What a factor may be called by."""
        with np.errstate(all="ignore"):
            norms = {
                f"‖{self.name}‖₁": float(np.sum(np.abs(self.x))),
                f"‖{self.name}‖": float(np.sqrt(np.sum(np.square(self.x)))),
                f"‖{self.label.gradient}‖": float(np.sqrt(np.sum(np.square(self.value)))),
            }
        # Of two entries, any number is a norm times their ratio.
        return list_numbers(self.problem, norms if self.whole and self.value.size > 2 else {})

    @cached_property
    def samples(self) -> str:
        """The name of the number of samples, n; empty where nothing tells it."""
        if "n" in self.numbers:
            return "n"
        stage = next(iter(self.declared), None)
        if stage is None or stage.sample_axis is None:
            return ""
        size = float(stage.cotangent.shape[stage.sample_axis])
        return next((name for name, number in self.numbers.items() if number == size), "")

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages of the forward, the outermost first, and those that it may have.

        What is below an inner stage is an inner stage itself.
        """
        if not self.guess or self.inner or self.problem.stages is not no_stages:
            return self.declared
        inputs = self.problem.inputs
        return [*self.declared, *(g for s in self.declared for g in list_inner_stages(s, inputs))]

    @cached_property
    def declared(self) -> list[Stage]:
        """The stages that the forward is known to have; a Jacobian has no upstream gradient."""
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
        """What a stage gives at the inputs, read once."""
        return self.once(("value", id(stage)), lambda: self._read(stage))

    def _read(self, stage: Stage) -> Float:
        with np.errstate(all="ignore"):
            return np.asarray(stage.forward(self.problem.inputs), dtype=np.float64)

    @property
    def arrays(self) -> dict[str, Float]:
        """The inputs and inner values, by what reports call them."""
        inputs = self.problem.inputs.items()
        found = {name: np.asarray(x, dtype=np.float64) for name, x in inputs}
        return found | {stage.name: self.read(stage) for stage in self.watched}

    @cached_property
    def others(self) -> dict[str, NDArray[Any]]:
        """The other inputs, on which the Jacobian may depend."""
        return {name: x for name, x in self.problem.inputs.items() if name != self.name}

    def choose_columns(self, stage: Stage) -> NDArray[np.intp]:
        """The positions of the entries of a Jacobian, as many as calls are left for."""
        most: float = min(MOST_ENTRIES, MOST_CELLS // max(1, stage.cotangent.size))
        if not stage.batched:
            room = JACOBIAN_SHARE * self.effort.left / CALLS_AN_ENTRY
            most = min(most, max(MOST_ELSEWHERE, room))
        return spread_evenly(self.value.size, most)

    @cached_property
    def few(self) -> NDArray[np.intp]:
        """The positions of the entries that are measured at other inputs."""
        return spread_evenly(self.value.size, MOST_ELSEWHERE)

    @cached_property
    def right(self) -> Values:
        """The right gradient at all entries that were measured."""
        return self.whole_values(self.value, self.uncertainty)

    def whole_values(self, value: Float, uncertainty: Float | float = 0.0) -> Values:
        """A gradient of all measured entries."""
        every = np.broadcast_to(uncertainty, value.shape).ravel()
        return Values(value.ravel(), every, np.arange(value.size))

    def differs_from(self, values: Values) -> bool:
        """Whether a gradient differs from this one by more than the uncertainties."""
        return self.right.differs_from(values)

    def measure_jacobian(self, stage: Stage) -> Values:
        """∂outputs/∂input of a stage: value and uncertainty are outputs × entries, outputs flat."""
        together = self.inner if self.is_inner(stage) else [stage]
        key = "Jacobians", id(together[0])
        return self.once(key, lambda: self._measure_jacobians(together))[id(stage)]

    def _measure_jacobians(self, stages: Sequence[Stage]) -> dict[int, Values]:
        """The Jacobians of stages that are read in one call of the forward, by id."""
        delta = np.ravel(stages[0].cotangent)
        if stages[0].forward is self.problem.forward and delta.size == 1 and delta.any():
            value, uncertainty = (one[None] for one in (self.right.value, self.right.uncertainty))
            by = float(delta[0])  # the gradient is that of the only output, times this
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
        """The gradient with another upstream gradient at a stage.

        What flows around an inner stage, as the gradient of a regulariser does, stays as it is.
        """
        through = self.flow_through(stage, cotangent)
        return through + self.flow_around(stage) if self.is_inner(stage) else through

    def is_open(self, stage: Stage) -> bool:
        """Whether the wrong gradient, or its transpose, may be that for another upstream gradient
        at a stage, but for a factor: else all faults that change that are refuted at once."""
        return self.claimed is None or self.once(("open", id(stage)), lambda: self._is_open(stage))

    def _is_open(self, stage: Stage) -> bool:
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
        """What of the gradient flows around an inner stage; of other stages nothing does."""
        return self.once(("around", id(stage)), lambda: self._find_around(stage))

    def _find_around(self, stage: Stage) -> Values:
        own = self.flow_through(stage, stage.cotangent)
        rest = self.right.take(own.at) - own
        return rest * 0.0 if rest.is_zero else rest

    def count(self, stage: Stage) -> Callable[[Any], Any]:
        """The forward of a stage, with every call counted; of an inner one it is where it is read,
        as all of them are in one call."""
        return stage.forward if self.is_inner(stage) else self.effort.count(stage.forward)

    def is_inner(self, stage: Stage) -> bool:
        """Whether a stage is one of those inside the forward that change with the input."""
        return id(stage) in self._inside

    def add_around(self, stage: Stage, values: Values) -> Values:
        """Entries of what flows through an inner stage, with what flows around it."""
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
        """A gradient without what flows around an inner stage."""
        rest = gradient.ravel().copy()
        if self.is_inner(stage):
            around = self.flow_around(stage)
            rest[around.at] -= around.value
        return rest

    def flow_through(self, stage: Stage, cotangent: Any) -> Values:
        """What flows through a stage: Jᵀδ′ of an upstream gradient there."""
        flat = np.asarray(cotangent, dtype=np.float64).ravel()
        return self.measure_jacobian(stage).contract(flat, stage.precision)

    def measure_at(
        self, stage: Stage, cotangent: Any, inputs: Mapping[str, Any], at: NDArray[np.intp]
    ) -> Values:
        """The entries at these positions of the gradient of a stage at some inputs.

        Without a cotangent of the Jacobian.
        """
        problem = replace(
            self.problem,
            inputs=dict(inputs),
            forward=self.count(stage),
            cotangent=cotangent,
            batched=stage.batched,
        )
        entries = at if self.whole else self.gradient.entries[at]  # type: ignore[index]
        value, uncertainty = measure_roughly(problem, self.name, entries)
        off = 0.0 if cotangent is None else stage.precision
        return Values(value, uncertainty + off * largest(np.abs(value)), at)
