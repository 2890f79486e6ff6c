"""The graph of a forward's inner values, found by measurements and not from its code.

The total derivative of each inner value by each earlier one is measured. Without the paths through
values in between, what remains is an edge: the partial derivative of one value by the other. The
chain rule carries ∂L/∂value back along the edges, and a backward can be wrong at each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradcheck_cli.faults.hidden_stages import strip_time
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.measure.comparison import Float, largest
from gradcheck_cli.problem import Stage

Edge = tuple[int, int]  # the places of an earlier and of a later value
# Maps the Jacobian J of an edge, later × earlier, and ∂L/∂later to what a wrong backward hands back
# in the place of Jᵀ ∂L/∂later.
Change = Callable[[Float, Float], Float]

NOTHING = 1e-7  # over the largest entry of the total derivative: a smaller edge is rounding
MOST_ENTRIES = 200  # in all values together; each is moved by itself


class Graph(Struct, frozen=True, dict=True):
    """Inner values in the order in which they are computed, the outputs last, and their edges.

    names: the same in all turns of a loop. values: flat. edges: Jacobians, later × earlier.
    direct: the part of ∂L/∂value that flows through no later value. inputs: the partial derivative
    of each value by the input, value × entries of the gradient at the positions `at`. around: the
    part of the gradient that flows through none of these values. precision: how far ∂L/∂value may
    be off, over its largest entry. flows: ∂L/∂value of all values for each fault that was tried,
    by its words; gradients of all inputs share them.
    """

    names: Sequence[str]
    values: Sequence[Float]
    edges: Mapping[Edge, Float]
    direct: Sequence[Float]
    inputs: Sequence[Float]
    around: Float
    at: NDArray[np.intp]
    precision: float
    flows: dict[str, list[Float]]

    def backpropagate(
        self,
        fault: str,
        changes: Mapping[Edge, Change] | None = None,
        input_factors: Mapping[int, float] | None = None,
        slopes: Mapping[int, Float] | None = None,
    ) -> Float:
        """The gradient of the input if some values or edges are treated wrongly.

        fault: what is wrong, in words: the key of `flows`, for changes and slopes. changes: what
        edges hand back instead. slopes: factors of the entries of ∂L/∂value, before it goes back
        further. input_factors: factors of a value's partial derivative by the input.
        """
        changes, slopes, factors = changes or {}, slopes or {}, input_factors or {}
        # Values after the last change keep their gradients.
        last = max([*slopes, *(earlier for earlier, _ in changes)], default=-1)
        gradients = self._right if last < 0 else self.flows.get(fault)
        if gradients is None:
            gradients = self.flows[fault] = self._flow_back(changes, slopes, last, self._right)
        parts = [factors.get(place, 1.0) * one for place, one in enumerate(gradients)]
        total: Float = self.around + np.concatenate(parts) @ self._stacked
        return total

    @cached_property
    def _right(self) -> list[Float]:
        """The right ∂L/∂value of each value."""
        count = len(self.values)
        return self._flow_back({}, {}, count - 1, [np.zeros(0)] * count)

    @cached_property
    def _stacked(self) -> Float:
        return np.concatenate(self.inputs)

    @cached_property
    def _later(self) -> list[list[int]]:
        """For each value, the places of the later ones that have an edge from it."""
        every = range(len(self.values))
        return [[later for earlier, later in self.edges if earlier == place] for place in every]

    def _flow_back(
        self,
        changes: Mapping[Edge, Change],
        slopes: Mapping[int, Float],
        last: int,
        known: Sequence[Float],
    ) -> list[Float]:
        """∂L/∂value of each value by the chain rule; those after place `last` are known."""
        gradients = list(known)
        for place in reversed(range(last + 1)):
            gradient = self.direct[place].copy()
            for later in self._later[place]:
                if (place, later) not in changes:
                    gradient += self.edges[place, later].T @ gradients[later]
            for (earlier, later), change in changes.items():
                if earlier == place:
                    nothing = np.zeros((len(self.values[later]), len(self.values[place])))
                    edge = self.edges.get((place, later), nothing)
                    gradient += change(edge, gradients[later])
            gradients[place] = gradient * slopes.get(place, 1.0)
        return gradients

    def group_values(self) -> dict[str, list[int]]:
        """The places of the values of each name, in all turns of a loop; without the outputs."""
        groups: dict[str, list[int]] = {}
        for place, name in enumerate(self.names[:-1]):
            groups.setdefault(name, []).append(place)
        return groups

    def group_values_and_outputs(self) -> dict[str, list[int]]:
        """The same groups, and each with the outputs, if they may be the last step of its loop."""
        groups, last = self.group_values(), len(self.names) - 1
        more = {
            f"{name} and the output": [*places, last]
            for name, places in groups.items()
            if len(self.values[places[-1]]) == len(self.values[last])
        }
        return {**groups, **more}

    def group_edges(self) -> dict[str, list[Edge]]:
        """The edges between values of the same two names, by the words for them."""
        groups: dict[str, list[Edge]] = {}
        for earlier, later in self.edges:
            source, target = self.names[earlier], self.names[later]
            before = "that of the step before" if source == target else source
            groups.setdefault(f"{target} to {before}", []).append((earlier, later))
        last = len(self.names) - 1
        for name, places in self.group_values().items():
            steps, end = groups.get(f"{name} to that of the step before", []), (places[-1], last)
            if steps and end in self.edges and len({len(self.values[at]) for at in end}) == 1:
                groups[f"{name} and the output to that of the step before"] = [*steps, end]
        return groups


def find_graph(measured: MeasuredGradient) -> Graph | None:
    """The graph of the inner values, measured once; None if there are none or too many."""
    return measured.once("graph", lambda: _measure_graph(measured)) if measured.inner else None


def _measure_graph(measured: MeasuredGradient) -> Graph | None:
    """Measure the graph of inner values; None if they have too many entries, or none is known."""
    problem = measured.problem
    inner = [stage for stage in measured.hidden if stage.respond is not None]
    if problem.cotangent is None or sum(np.size(one.cotangent) for one in inner) > MOST_ENTRIES:
        return None
    outputs = measured.outputs
    key = ("graph", *map(id, inner))
    stages, edges, flows = measured.share(key, lambda: _link_values(inner, outputs))
    if not any(map(measured.is_inner, stages)):
        return None
    stages = [*stages, outputs]
    jacobians, at = _measure_by_input(measured, stages)
    total = [np.ravel(np.asarray(stage.cotangent, dtype=np.float64)) for stage in stages]
    direct, inputs = list(total), [jacobian.copy() for jacobian in jacobians]
    for (earlier, later), edge in edges.items():
        direct[earlier] = direct[earlier] - edge.T @ total[later]
        if jacobians[later].any():
            inputs[later] -= edge @ jacobians[earlier]
    through = np.sum([own @ partial for own, partial in zip(total, inputs, strict=True)], axis=0)
    return Graph(
        [strip_time(stage.name) for stage in stages[:-1]] + ["the output"],
        [np.ravel(measured.read(one)) for one in stages],
        edges,
        direct,
        inputs,
        measured.value.ravel()[at] - through,
        at,
        max(stage.precision for stage in stages),
        flows,
    )


def _measure_by_input(
    measured: MeasuredGradient, stages: Sequence[Stage]
) -> tuple[list[Float], NDArray[np.intp]]:
    """The total derivatives of values, the outputs last, by the input, and at which entries.

    Those of values that do not depend on the input are zero. That of a single output is left zero,
    since all that it takes from the input directly is in `around`.
    """
    known = {id(one): measured.measure_jacobian(one) for one in stages if measured.is_inner(one)}
    at = next(iter(known.values())).at
    jacobians = [
        known[id(one)].value if id(one) in known else np.zeros((np.size(one.cotangent), len(at)))
        for one in stages
    ]
    outputs = stages[-1]
    if outputs.cotangent.size > 1:
        whole = measured.measure_jacobian(outputs)
        if not np.isin(at, whole.at).all():
            whole = measured.measure_at(outputs, None, measured.problem.inputs, at)
        jacobians[-1] = whole.value[:, np.isin(whole.at, at)]
    return jacobians, at


def _link_values(
    inner: Sequence[Stage], outputs: Stage
) -> tuple[list[Stage], dict[Edge, Float], dict[str, list[Float]]]:
    """The inner values with known total derivatives, the edges between them and to the outputs, and
    an empty `flows`."""
    stages = [stage for stage in inner if _is_known(stage, [*inner, outputs])]
    return stages, _find_edges([*stages, outputs]), {}


def _is_known(stage: Stage, stages: Sequence[Stage]) -> bool:
    """Whether the total derivatives of all later values by this one are known."""
    after = stages[stages.index(stage) + 1 :]
    return all(np.isfinite(_respond(stage, later)).all() for later in after)


def _respond(earlier: Stage, later: Stage) -> Float:
    """The total derivative of a later value by an earlier one, later × earlier."""
    assert earlier.respond is not None
    return np.asarray(earlier.respond(later))


def _find_edges(stages: Sequence[Stage]) -> dict[Edge, Float]:
    """The partial derivative of each value by each earlier one, where it is not zero.

    It is the total derivative without the paths through values in between.
    """
    edges: dict[Edge, Float] = {}
    for later in range(len(stages)):
        for earlier in reversed(range(later)):
            total = _respond(stages[earlier], stages[later])
            edge = total.copy()
            for between in range(earlier + 1, later):
                if (between, later) in edges:
                    edge -= edges[between, later] @ _respond(stages[earlier], stages[between])
            if largest(np.abs(edge)) > NOTHING * largest(np.abs(total)):
                edges[earlier, later] = edge
    return edges
