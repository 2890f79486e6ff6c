"""What is known of a right gradient: its values, and how they would change with what it is made of.

All of it is measured through the forward. A gradient is Jᵀδ, with the Jacobian J of a stage of the
forward and the upstream gradient δ there; people get δ wrong, or an input that J depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.faults.inner_activations import guessed_stages
from gradcheck_cli.measure.measure import of_entries
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem, Stage, no_stages

Float = NDArray[np.float64]

# Of a large gradient some entries are enough to tell what became of it: of a Jacobian so many
# cells are measured, of any gradient so many entries.
MOST_CELLS, MOST_ENTRIES = 2**18, 400
MOST_NAMED = 1e50  # of a number that a factor is called by; its powers must not overflow
MOST_ELSEWHERE = 40  # entries of a gradient at other inputs, which is measured for nothing else


class Measured(Protocol):
    """The numeric gradient of an input of the problem, by name; measured once."""

    def __call__(self, name: str) -> NumericGradient:
        """The numeric gradient of this input."""


class Effort(Struct):
    """Counts the calls of the forward that go into what is known besides the gradients."""

    calls: int = 0

    def counted(self, forward: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The forward, each call of which counts."""

        def call(inputs: Any) -> Any:
            self.calls += 1
            return forward(inputs)

        return call


class Values(Struct, frozen=True):
    """Entries of a gradient: value ± uncertainty at flat positions `at` of the measured ones."""

    value: Float
    uncertainty: Float
    at: NDArray[np.intp]

    def contracted(self, cotangent: Float) -> Values:
        """Of a Jacobian, whose value is outputs × entries: its gradient for a flat cotangent."""
        return Values(cotangent @ self.value, spread(cotangent, self.uncertainty), self.at)

    def differs(self, other: Values) -> bool:
        """Whether they are two gradients, at the entries of both, at all that is known of them."""
        here, there = np.isin(self.at, other.at), np.isin(other.at, self.at)
        gap = np.abs(self.value[here] - other.value[there])
        return bool(np.any(gap > 2 * (self.uncertainty[here] + other.uncertainty[there])))


def spread(weights: Float, uncertainty: Float) -> Float:
    """Σ |w|·u, in which an infinite u counts only where w is not zero."""
    lost = np.isinf(uncertainty)
    known = np.abs(weights) @ np.where(lost, 0.0, uncertainty)
    return np.where((weights != 0) @ lost, np.inf, known)


def defined(forward: Callable[[Any], Any], inputs: Mapping[str, Any]) -> bool:
    """Whether the user's forward takes inputs that the user did not give."""
    with suppress(Exception):
        return bool(np.isfinite(np.asarray(forward(dict(inputs)))).all())
    return False


class Right:
    """The right gradient of one input of a problem, as it was measured.

    guessing: whether its outputs may be taken for those of an activation.
    """

    def __init__(
        self,
        problem: Problem,
        name: str,
        measured: Measured,
        effort: Effort | None = None,
        *,
        guessing: bool = False,
    ) -> None:
        self.problem = problem
        self.name = name
        self.measured = measured
        self.gradient = measured(name)
        self.value = self.gradient.value
        self.uncertainty = self.gradient.uncertainty
        self.label = problem.label(name)
        self.effort = effort or Effort()
        self.guessing = guessing
        self._jacobians: dict[int, Values] = {}

    @property
    def whole(self) -> bool:
        """Whether all entries were measured, so that the gradient has rows and columns."""
        return self.gradient.entries is None

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
        """What a factor may be called by: sizes and constants, or the lengths of axes."""
        named = {
            name: float(number)
            for name, number in self.problem.numbers.items()
            if MOST_NAMED >= abs(number) >= 1 / MOST_NAMED
        }
        known = set(named.values())
        for name, array in self.problem.inputs.items():
            for axis, size in enumerate(array.shape):
                if float(size) not in known:
                    known.add(float(size))
                    named[f"{name}.shape[{axis}]"] = float(size)
        if self.whole and self.value.size > 2:  # any number is a norm times a ratio of two others
            with np.errstate(all="ignore"):
                norms = {
                    f"‖{self.name}‖₁": float(np.sum(np.abs(self.x))),
                    f"‖{self.name}‖": float(np.sqrt(np.sum(np.square(self.x)))),
                    f"‖{self.label.gradient}‖": float(np.sqrt(np.sum(np.square(self.value)))),
                }
            named |= {
                name: norm for name, norm in norms.items() if MOST_NAMED >= norm >= 1 / MOST_NAMED
            }
        return named

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
        """The stages of the forward, the outermost first, and those that it may have."""
        if not self.guessing or self.problem.stages is not no_stages:
            return self.declared
        inputs = self.problem.inputs
        return [*self.declared, *(g for s in self.declared for g in guessed_stages(s, inputs))]

    @cached_property
    def declared(self) -> list[Stage]:
        """The stages that the forward is known to have; a Jacobian has no upstream gradient."""
        problem = self.problem
        if problem.cotangent is None:
            return []
        stages = list(problem.stages(problem.inputs))
        if stages:
            return stages
        axis = 0 if self._rows_are_samples(np.shape(problem.cotangent)) else None
        return [Stage(problem.forward, problem.cotangent, problem.batched, sample_axis=axis)]

    def _rows_are_samples(self, outputs: tuple[int, ...]) -> bool:
        """Whether the first axis of the outputs is that of n, or of an input's first axis."""
        if len(outputs) < 2:
            return False
        n = self.problem.numbers.get("n")
        if n is not None:
            return n == outputs[0]
        return any(x.ndim > 1 and len(x) == outputs[0] for x in self.problem.inputs.values())

    @cached_property
    def others(self) -> dict[str, NDArray[Any]]:
        """The other inputs, on which the Jacobian may depend."""
        return {name: x for name, x in self.problem.inputs.items() if name != self.name}

    def positions(self, cells: int) -> NDArray[np.intp]:
        """Some of the measured entries, spread over them, for so many cells an entry."""
        size = self.value.size
        most = max(1, min(size, MOST_ENTRIES, MOST_CELLS // max(1, cells)))
        return np.unique(np.linspace(0, size - 1, most).astype(np.intp))

    @cached_property
    def few(self) -> NDArray[np.intp]:
        """The positions that are measured where inputs are others."""
        at = self.positions(1)
        return at[np.unique(np.linspace(0, len(at) - 1, MOST_ELSEWHERE).astype(np.intp))]

    def whole_values(self, value: Float, uncertainty: Float | float = 0.0) -> Values:
        """A gradient of all measured entries."""
        spread = np.broadcast_to(uncertainty, value.shape).ravel()
        return Values(value.ravel(), spread, np.arange(value.size))

    def differs(self, values: Values) -> bool:
        """Whether a gradient is another than this one."""
        return self.whole_values(self.value, self.uncertainty).differs(values)

    def jacobian(self, stage: Stage) -> Values:
        """∂outputs/∂input of a stage: value and uncertainty are outputs × entries, outputs flat."""
        key = id(stage)
        if key not in self._jacobians:
            at = self.positions(stage.cotangent.size)
            self._jacobians[key] = self._measure(stage, None, self.problem.inputs, at)
        return self._jacobians[key]

    def contracted(self, stage: Stage, cotangent: Any) -> Values:
        """The gradient with another upstream gradient: Jᵀδ′."""
        return self.jacobian(stage).contracted(np.asarray(cotangent, dtype=np.float64).ravel())

    def jacobian_at(self, stage: Stage, changed: Mapping[str, Any]) -> Values | None:
        """The Jacobian where some inputs are others; None where the forward does not take them."""
        inputs = {**self.problem.inputs, **changed}
        at = self.positions(stage.cotangent.size)
        return self._foreign(stage, None, inputs, at)

    def elsewhere(self, stage: Stage, changed: Mapping[str, Any]) -> Values | None:
        """The gradient with the same upstream gradient, where some inputs are others.

        None where the forward does not take them.
        """
        inputs = {**self.problem.inputs, **changed}
        return self._foreign(stage, stage.cotangent, inputs, self.few)

    def _foreign(self, *arguments: Any) -> Values | None:
        """A measurement at inputs that the user did not give, if the forward takes them."""
        stage, _, inputs, _ = arguments
        if defined(stage.forward, inputs):
            with suppress(Exception):  # whatever the user's forward raises near them
                return self._measure(*arguments)
        return None

    def _measure(
        self, stage: Stage, cotangent: Any, inputs: Mapping[str, Any], at: NDArray[np.intp]
    ) -> Values:
        problem = replace(
            self.problem,
            inputs=dict(inputs),
            forward=self.effort.counted(stage.forward),
            cotangent=cotangent,
            batched=stage.batched,
        )
        entries = at if self.whole else self.gradient.entries[at]  # type: ignore[index]
        with np.errstate(all="ignore"):
            found = of_entries(problem, self.name, Numeric(), entries)
        shape = (-1, len(at)) if cotangent is None else (len(at),)
        # An output that does not settle says nothing; it must not spoil all sums over outputs.
        known = np.isfinite(found.value) & np.isfinite(found.uncertainty)
        value = np.where(known, found.value, 0.0).reshape(shape)
        uncertainty = np.where(known, found.uncertainty, np.inf).reshape(shape)
        return Values(value, uncertainty, at)
