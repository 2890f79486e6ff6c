"""What the values that a forward computes on its way take from each other, without its code.

Of each it is measured how it changes with those before it. What is left of that when all ways by
others are taken off is an edge: what the one takes from the other itself. ∂L/∂value goes back along
the edges, and a backward pass can be wrong at each of them.
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

Edge = tuple[int, int]  # from the place of an earlier value to that of a later one
# Of an edge, outputs of the later × outputs of the earlier, and ∂L/∂(the later) to what goes back.
Change = Callable[[Float, Float], Float]

NOTHING = 1e-7  # of the largest entry of a response: an edge that carries less is none
MOST_ENTRIES = 200  # of all values together, each moved by itself


class Graph(Struct, frozen=True, dict=True):
    """Inner values in the order in which they are computed, the outputs last, and their edges.

    values, gradients: flat, of each. names: at all times alike. edges: outputs of the later ×
    outputs of the earlier. direct: the part of ∂L/∂value that comes from no other value.
    inputs: what each takes from the input itself, outputs × entries at the positions `at`; around:
    what of the gradient comes from the outputs by no inner value. precision: how far ∂L/∂value may
    be off, over its largest entry. flows: ∂L/∂value of each by what is changed, for all inputs.
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

    def hand_back(
        self,
        said: str,
        changes: Mapping[Edge, Change] | None = None,
        directly: Mapping[int, float] | None = None,
        slopes: Mapping[int, Float] | None = None,
    ) -> Float:
        """The gradient where some edges hand back something else; said: what, in words.

        directly: factors of what values take from the input itself; slopes: of ∂L/∂value, entry by
        entry, on its way to what the value is computed from.
        """
        changes, slopes, factors = changes or {}, slopes or {}, directly or {}
        # What comes after all that is changed keeps its gradient.
        last = max([*slopes, *(earlier for earlier, _ in changes)], default=-1)
        gradients = self._right if last < 0 else self.flows.get(said)
        if gradients is None:
            gradients = self.flows[said] = self._flow_back(changes, slopes, last, self._right)
        parts = [factors.get(place, 1.0) * one for place, one in enumerate(gradients)]
        total: Float = self.around + np.concatenate(parts) @ self._stacked
        return total

    @cached_property
    def _right(self) -> list[Float]:
        """∂L/∂value of each, where nothing is changed."""
        count = len(self.values)
        return self._flow_back({}, {}, count - 1, [np.zeros(0)] * count)

    @cached_property
    def _stacked(self) -> Float:
        return np.concatenate(self.inputs)

    @cached_property
    def _later(self) -> list[list[int]]:
        """Of each value, the places of those that take from it."""
        every = range(len(self.values))
        return [[later for earlier, later in self.edges if earlier == place] for place in every]

    def _flow_back(
        self,
        changes: Mapping[Edge, Change],
        slopes: Mapping[int, Float],
        last: int,
        known: Sequence[Float],
    ) -> list[Float]:
        """∂L/∂value of each; last: the place of the last that is not known."""
        gradients = list(known)
        for place in reversed(range(last + 1)):
            gradient = self.direct[place].copy()
            for later in self._later[place]:
                if (place, later) not in changes:
                    gradient += self.edges[place, later].T @ gradients[later]
            for (earlier, later), change in changes.items():
                if earlier == place:
                    nothing = np.zeros((len(self.values[later]), len(self.values[place])))
                    taken = self.edges.get((place, later), nothing)
                    gradient += change(taken, gradients[later])
            gradients[place] = gradient * slopes.get(place, 1.0)
        return gradients

    def group_values(self) -> dict[str, list[int]]:
        """The places of the values of each name, at all times; without the outputs."""
        groups: dict[str, list[int]] = {}
        for place, name in enumerate(self.names[:-1]):
            groups.setdefault(name, []).append(place)
        return groups

    def group_steps(self) -> dict[str, list[int]]:
        """The same; where the outputs may be the last of a loop's values, with them, too."""
        groups, last = self.group_values(), len(self.names) - 1
        more = {
            f"{name} and the output": [*places, last]
            for name, places in groups.items()
            if len(self.values[places[-1]]) == len(self.values[last])
        }
        return {**groups, **more}

    def group_edges(self) -> dict[str, list[Edge]]:
        """The edges between values of the same two names, by what they are called."""
        groups: dict[str, list[Edge]] = {}
        for earlier, later in self.edges:
            one, other = self.names[earlier], self.names[later]
            before = "that of the step before" if one == other else one
            groups.setdefault(f"{other} to {before}", []).append((earlier, later))
        last = len(self.names) - 1
        for name, places in self.group_values().items():
            steps, end = groups.get(f"{name} to that of the step before", []), (places[-1], last)
            if steps and end in self.edges and len({len(self.values[at]) for at in end}) == 1:
                groups[f"{name} and the output to that of the step before"] = [*steps, end]
        return groups


def find_graph(measured: MeasuredGradient) -> Graph | None:
    """The graph of inner values, measured once; None where it is not known."""
    return measured.once("graph", lambda: _measure_graph(measured)) if measured.inner else None


def _measure_graph(measured: MeasuredGradient) -> Graph | None:
    problem = measured.problem
    inner = [stage for stage in measured.watched if stage.respond is not None]
    if problem.cotangent is None or sum(np.size(one.cotangent) for one in inner) > MOST_ENTRIES:
        return None
    outputs = measured.outputs
    stages, edges, flows = measured.share(("graph", *map(id, inner)), lambda: _link(inner, outputs))
    known = {
        place: measured.measure_jacobian(stage)
        for place, stage in enumerate(stages)
        if measured.is_inner(stage)
    }
    if not known:
        return None
    stages = [*stages, outputs]
    total = [np.ravel(np.asarray(stage.cotangent, dtype=np.float64)) for stage in stages]
    direct = list(total)
    at = next(iter(known.values())).at
    jacobians = [
        known[place].value if place in known else np.zeros((len(own), len(at)))
        for place, own in enumerate(total)
    ]
    if outputs.cotangent.size > 1:  # of a single number it is the gradient
        whole = measured.measure_jacobian(outputs)
        if not np.isin(at, whole.at).all():
            whole = measured.measure_at(outputs, None, measured.problem.inputs, at)
        jacobians[-1] = whole.value[:, np.isin(whole.at, at)]
    inputs = [jacobian.copy() for jacobian in jacobians]
    for (earlier, later), edge in edges.items():
        direct[earlier] = direct[earlier] - edge.T @ total[later]
        if jacobians[later].any():
            inputs[later] -= edge @ jacobians[earlier]
    through = np.sum([own @ taken for own, taken in zip(total, inputs, strict=True)], axis=0)
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


def _link(
    inner: Sequence[Stage], outputs: Stage
) -> tuple[list[Stage], dict[Edge, Float], dict[str, list[Float]]]:
    """The inner values whose responses are known, the edges between them and to the outputs, and
    what goes back along these, which is found later."""
    stages = [stage for stage in inner if _is_known(stage, [*inner, outputs])]
    return stages, _take_off_ways([*stages, outputs]), {}


def _is_known(stage: Stage, stages: Sequence[Stage]) -> bool:
    """Whether the responses of all later values are known."""
    after = stages[stages.index(stage) + 1 :]
    return all(np.isfinite(_respond(stage, later)).all() for later in after)


def _respond(earlier: Stage, later: Stage) -> Float:
    assert earlier.respond is not None
    return np.asarray(earlier.respond(later))


def _take_off_ways(stages: Sequence[Stage]) -> dict[Edge, Float]:
    """What each value takes from each before it: its response, less that by way of others."""
    edges: dict[Edge, Float] = {}
    for later in range(len(stages)):
        for earlier in reversed(range(later)):
            response = _respond(stages[earlier], stages[later])
            edge = response.copy()
            for between in range(earlier + 1, later):
                if (between, later) in edges:
                    edge -= edges[between, later] @ _respond(stages[earlier], stages[between])
            if largest(np.abs(edge)) > NOTHING * largest(np.abs(response)):
                edges[earlier, later] = edge
    return edges
