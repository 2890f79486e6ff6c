"""Faults of the step from ∂L/∂value back to an earlier inner value, such as in a loop.

These are faults of edges of the graph in `inner_graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gradcheck_cli.faults.fault import Injected
from gradcheck_cli.faults.inner_graph import NOTHING, Change, Edge, Graph, find_graph
from gradcheck_cli.faults.invertible_activations import ACTIVATIONS
from gradcheck_cli.faults.kinds.product_faults import SHIFTS, SLOPES, shift_in_time
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.faults.values import Values
from gradcheck_cli.measure.comparison import Comparison, Float, largest
from gradcheck_cli.text import join_words

Suspect = Callable[[MeasuredGradient, Comparison], Iterator[Injected]]

# How far a gradient of measured Jacobians may be off, over its largest entry: PRECISION, or SHARE
# times the relative uncertainty of ∂L/∂value if that is more.
PRECISION, SHARE = 1e-9, 10.0
FACTORS = {0.0: "without", -1.0: "with −1 times", 2.0: "with twice"}  # of ∂L/∂value on an edge
BACK = "in what goes back from"  # the start of the place in observations
WAYS = 10.0  # about how many faults are tried at each edge: choices, as evidence counts them


def drop_edges(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """What goes back along edges is left out, doubled, or has the other sign."""
    graph = find_graph(measured)
    if graph is None:
        return
    places = graph.group_values()
    for factor, how in FACTORS.items():
        for what, edges in graph.group_edges().items():
            observation = f"{how} what goes back from {what}"
            changed = graph.backpropagate(observation, dict.fromkeys(edges, _times(factor)))
            yield _inject(graph, changed, observation)
        for name, where in places.items():
            observation = f"{how} what {name} takes from {measured.name} itself"
            changed = graph.backpropagate(observation, input_factors=dict.fromkeys(where, factor))
            yield _inject(graph, changed, observation)
        last, whole = len(graph.names) - 1, graph.backpropagate("")
        changed = (
            graph.backpropagate("", input_factors={last: factor}) + (factor - 1) * graph.around
        )
        if largest(np.abs(changed - whole)) > NOTHING * largest(np.abs(whole)):
            names = join_words([*places], "or")
            observation = f"{how} what comes to {measured.name} not by way of {names}"
            yield _inject(graph, changed, observation)


def transpose_edges(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """A square matrix, such as recurrent weights, is used where its transpose belongs."""
    for graph, what, edges, below, slopes in _list_sloped_edges(measured):
        if all(len(set(graph.edges[edge].shape)) == 1 for edge in edges):
            changes = {edge: _transposed(slope) for edge, slope in zip(edges, slopes, strict=True)}
            observation = f"with a matrix in the place of its transpose {BACK} {what}{below}"
            yield _inject(graph, graph.backpropagate(observation, changes), observation)


def skip_slopes(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """The derivative of an activation is left out on the way back along edges."""
    for graph, what, edges, below, slopes in _list_sloped_edges(measured):
        if below:
            changes = {edge: _without(slope) for edge, slope in zip(edges, slopes, strict=True)}
            observation = f"without f′(z){below} {BACK} {what}"
            yield _inject(graph, graph.backpropagate(observation, changes), observation)


def mistake_slopes(formula: str, mistake: Callable[[Float, Float], Float]) -> Suspect:
    """Make a suspect: f′(z) is wrong below all values of a name, if they may be an activation's.

    mistake: maps y and f′ to what is used for f′.
    """

    def suspect(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
        graph = find_graph(measured)
        if graph is None:
            return
        for name, places in graph.group_values_and_outputs().items():
            known = {place: graph.values[place] for place in places}
            for guess in ACTIVATIONS:
                if all(np.all(guess.contains(y)) for y in known.values()):
                    right = {place: guess.slope_by_output(y) for place, y in known.items()}
                    slopes = {at: mistake(y, right[at]) / right[at] for at, y in known.items()}
                    observation = f"with {formula} for f′ below {name}, if that is a {guess.name}"
                    yield _inject(
                        graph, graph.backpropagate(observation, slopes=slopes), observation
                    )

    return suspect


def exchange_factors(measured: MeasuredGradient, comparison: Comparison) -> Iterator[Injected]:
    """Where a value multiplies another entry by entry, the backward multiplies by another array."""
    graph = find_graph(measured)
    if graph is None:
        return
    series = _list_series(graph)
    for what, edges in graph.group_edges().items():
        pairs = _list_all_times(graph, edges)
        for name, values in series.items():
            if len(values) == len(pairs) and all(
                len(value) == len(graph.values[later]) == len(graph.values[earlier])
                for value, (earlier, later) in zip(values, pairs, strict=True)
            ):
                changes = {edge: _multiply(a) for edge, a in zip(pairs, values, strict=True)}
                observation = f"with {name} as the factor of what goes back from {what}"
                if not _is_same(graph, pairs, values):
                    yield _inject(
                        graph,
                        graph.backpropagate(observation, changes),
                        observation,
                        float(len(series)),
                    )


def _list_series(graph: Graph) -> dict[str, Sequence[Float]]:
    """The values of each name at all times, and those shifted by a step of the loop."""
    found: dict[str, Sequence[Float]] = {}
    for name, places in graph.group_values().items():
        values = [graph.values[place] for place in places]
        alike = len({len(value) for value in values}) == 1
        for shift in SHIFTS if len(values) > 1 and alike else (0,):
            when = {-1: " of the step before", 0: "", 1: " of the step after"}[shift]
            found[name + when] = shift_in_time(values, shift)
    return found


def _list_all_times(graph: Graph, edges: Sequence[Edge]) -> list[Edge]:
    """The pairs of values of two names at all times, also where the graph has no edge."""
    groups = graph.group_values()
    earlier, later = (groups.get(graph.names[place], []) for place in edges[0])
    alike = len(earlier) == len(later) and graph.names[edges[0][0]] != graph.names[edges[0][1]]
    pairs = list(zip(earlier, later, strict=True)) if alike else []
    return pairs if set(edges) <= set(pairs) else list(edges)


def _is_same(graph: Graph, pairs: Sequence[Edge], values: Sequence[Float]) -> bool:
    """Whether edges multiply by just these values."""
    return all(
        edge in graph.edges and np.allclose(graph.edges[edge], np.diag(value), atol=NOTHING)
        for edge, value in zip(pairs, values, strict=True)
    )


def _list_sloped_edges(
    measured: MeasuredGradient,
) -> Iterator[tuple[Graph, str, list[Edge], str, list[Float]]]:
    """The edges between each two names, with f′(z) below the later value for each activation."""
    graph = find_graph(measured)
    if graph is None:
        return
    for what, edges in graph.group_edges().items():
        for below, slope in SLOPES.items():
            yield graph, what, edges, below, [slope(graph.values[later]) for _, later in edges]


def _times(factor: float) -> Change:
    """An edge hands back a multiple of what it should."""
    return lambda edge, gradient: factor * (edge.T @ gradient)


def _multiply(factor: Float) -> Change:
    """An edge hands back ∂L/∂later times an array, entry by entry."""
    return lambda _, gradient: factor * gradient


def _transposed(slope: Float) -> Change:
    """For an edge with the Jacobian diag(f′) W: W f′ δ in the place of Wᵀ f′ δ."""

    def change(edge: Float, gradient: Float) -> Float:
        with np.errstate(all="ignore"):
            weights = np.where(slope[:, None] != 0, edge / slope[:, None], 0.0)
        return np.asarray(weights @ (slope * gradient))

    return change


def _without(slope: Float) -> Change:
    """For an edge with the Jacobian diag(f′) W: Wᵀ δ in the place of Wᵀ f′ δ."""

    def change(edge: Float, gradient: Float) -> Float:
        with np.errstate(all="ignore"):
            return np.asarray(edge.T @ np.where(slope != 0, gradient / slope, 0.0))

    return change


def _inject(graph: Graph, gradient: Float, observation: str, choices: float = 1.0) -> Injected:
    """A gradient of the graph with a fault in it, with its uncertainty."""
    spread = np.full(
        len(graph.at), max(PRECISION, SHARE * graph.precision) * largest(np.abs(gradient))
    )
    values = Values(gradient, spread, graph.at)
    choices *= WAYS * len(graph.edges)
    return Injected(values, f"it is the gradient {observation}", choices=choices)
