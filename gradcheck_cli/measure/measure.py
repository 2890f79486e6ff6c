"""Measure the numeric gradient of an input, in the way that the options and the problem allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.measure.budget import FORWARDS_PER_ENTRY
from gradcheck_cli.numeric.differences import SUPERPOSITION, Differences
from gradcheck_cli.numeric.five_points import measure_slopes
from gradcheck_cli.numeric.gradient import (
    Counted,
    Entries,
    MapChunks,
    NumericGradient,
    Progress,
    Work,
    map_in_turn,
    measure_entries,
)
from gradcheck_cli.numeric.noise import Evaluate, Float, Noise
from gradcheck_cli.numeric.quotients import WholeForwards
from gradcheck_cli.numeric.sampling import sample_entries
from gradcheck_cli.numeric.scales import entry_scale
from gradcheck_cli.numeric.stencils import STENCILS
from gradcheck_cli.options import AUTO, DIRECTIONS, DIRECTIONS_FIRST, ENTRIES, Numeric
from gradcheck_cli.problem import Problem, Stack, Stackable
from gradcheck_cli.processes.thread_map import thread_map
from gradcheck_cli.result import BY_IDENTITY

# The cost of whole forwards is counted as entries × numbers that a forward reads. Below AFFORDABLE
# they take some tens of milliseconds where a call takes many points, and no faster method is
# needed; from MOST_NUMBERS on they take hours.
AFFORDABLE, MOST_NUMBERS = 2**22, 2**37
# So few entries are measured one by one whatever a forward costs: they take a few times as many
# forwards as random directions (some 60), and tell more.
FEW_ENTRIES = 100
# In a problem with more entries, half the digits of each are enough; see `Pilots`.
ALL_DIGITS = 100
# Entries that are measured to estimate how long all of them take.
TRIED = 2**11


def choose_mode(problem: Problem, name: str, numeric: Numeric) -> str:
    """How to measure a gradient: by entries, by random directions, or by directions first."""
    if _is_costly(problem, name, numeric):
        return DIRECTIONS_FIRST
    if problem.cotangent is not None and not _is_feasible(problem, name, numeric):
        return DIRECTIONS
    if numeric.budget is None or numeric.mode != AUTO:
        return ENTRIES
    seconds = _estimate_seconds(problem, name, numeric)
    return ENTRIES if seconds <= numeric.budget else DIRECTIONS


def _is_costly(problem: Problem, name: str, numeric: Numeric) -> bool:
    """Whether directions should come first: the forward takes one point at a time, and there are
    many entries. That is a matter of counts, not of time, so it is the same on every machine."""
    by_slices = problem.locality is not None and name in problem.locality.axes
    plain = problem.cotangent is not None and problem.identity is None and problem.precision == 0
    one_point = plain and not problem.batched and not by_slices
    free = numeric.mode == AUTO and numeric.sample is None and numeric.step is None
    return one_point and free and problem.inputs[name].size > FEW_ENTRIES


def _is_feasible(problem: Problem, name: str, numeric: Numeric) -> bool:
    """Whether entries can be measured one by one, judged by sizes alone."""
    size = problem.inputs[name].size
    entries = numeric.entries(size)
    if numeric.mode != AUTO or numeric.sample is not None or not entries:
        return entries > 0
    numbers = entries * sum(array.size for array in problem.inputs.values())
    if numbers <= MOST_NUMBERS or not numeric.locality:
        return numbers <= MOST_NUMBERS
    from gradcheck_cli.measure.slices import has_few_responses

    return has_few_responses(problem, name)


def _estimate_seconds(problem: Problem, name: str, numeric: Numeric) -> float:
    """About how long the entries of a gradient take, from the time that some of them take."""
    count = numeric.entries(problem.inputs[name].size)
    if count <= TRIED:
        return 0.0
    local = _by_slices(problem, name, numeric, count)
    started = time.perf_counter()
    if local is None:
        problem.forward(problem.inputs)
        return (time.perf_counter() - started) * FORWARDS_PER_ENTRY * count
    measure_entries(local, numeric.step, np.arange(TRIED))
    return (time.perf_counter() - started) * count / TRIED


def measure_gradient(problem: Problem, name: str, numeric: Numeric) -> NumericGradient:
    """The numeric gradient of one input: all of its entries, or a sample of them."""
    if problem.identity is not None:
        return as_numeric_gradient(*problem.identity())
    size, most = problem.inputs[name].size, numeric.sample
    entries = sample_entries(size, most) if most is not None and most < size else None
    return measure_entries_of(problem, name, numeric, entries)


def as_numeric_gradient(value: Any, rounding: Any, method: str = BY_IDENTITY) -> NumericGradient:
    """A gradient that is known without differences, such as the other side of an identity.

    rounding: how far each entry may be off.
    """
    m, u = np.asarray(value, dtype=np.float64), np.asarray(rounding, dtype=np.float64)
    u = np.broadcast_to(u, m.shape)
    return NumericGradient(
        value=m,
        uncertainty=u,
        noise=u,
        step=np.zeros(m.shape),
        kink=np.zeros(m.shape, dtype=bool),
        low=m - u,
        high=m + u,
        steepest=float(np.max(np.abs(m), initial=0.0)),
        evaluations=0,
        shape=m.shape,
        method=method,
    )


def measure_entries_of(
    problem: Problem,
    name: str,
    numeric: Numeric,
    entries: NDArray[np.intp] | None,
    progress: Progress | None = None,
    noise_of: Callable[[str], Noise | None] = lambda name: None,
) -> NumericGradient:
    """The numeric gradient at some entries of an input.

    entries: their flat indices; None: all.
    progress: called now and then with how many more entries were measured.
    noise_of: maps the name of an input to the noise of the outputs as it moves, or None where that
        must be measured; called only if whole forwards are used.
    """
    every = sum(x.size for x in problem.inputs.values())
    quick = problem.cotangent is not None and every > ALL_DIGITS
    count = problem.inputs[name].size if entries is None else len(entries)
    differences = _by_slices(problem, name, numeric, count)
    differences = differences or _by_whole_forwards(problem, name, numeric, count, noise_of(name))
    map_chunks: MapChunks = map_in_turn
    if differences.method == SUPERPOSITION:
        map_chunks = _map_in_threads
    elif numeric.jobs > 1:
        map_chunks = partial(_map_in_processes, numeric.jobs)
    return measure_entries(differences, numeric.step, entries, progress, map_chunks, quick=quick)


def measure_roughly(problem: Problem, name: str, entries: NDArray[np.intp]) -> tuple[Float, Float]:
    """The gradient at these flat indices of an input and its uncertainty, by few evaluations.

    That is enough for a diagnosis. For a Jacobian: arrays of outputs × entries, outputs flat.
    """
    x, cotangent = problem.inputs[name], problem.cotangent
    weights = None if cotangent is None else np.asarray(cotangent, dtype=np.float64)
    with np.errstate(all="ignore"):
        return measure_slopes(
            points_evaluator(problem, name), x, scale_of(problem, name), entries, weights
        )


def _map_in_processes(
    jobs: int, work: Work, chunks: list[Entries], done: Callable[[Entries], None]
) -> list[Counted]:
    from gradcheck_cli.processes.fork_map import fork_map

    return fork_map(work, chunks, jobs, done)


def _map_in_threads(
    work: Work, chunks: list[Entries], done: Callable[[Entries], None]
) -> Iterator[Counted]:
    """work(chunk) for every chunk; work must call nothing of the user's."""
    for chunk, found in zip(chunks, thread_map(work, chunks), strict=True):
        done(chunk)
        yield found


def _by_slices(problem: Problem, name: str, numeric: Numeric, count: int) -> Differences | None:
    """Difference quotients that evaluate less than whole forwards; None where there are none, or
    so few entries are not worth it."""
    numbers = count * sum(array.size for array in problem.inputs.values())
    affordable = numbers < AFFORDABLE if problem.batched else count <= FEW_ENTRIES
    if affordable or not numeric.locality or problem.locality is None or problem.cotangent is None:
        return None
    from gradcheck_cli.measure.slices import measure_by_slices  # most checks are small

    return measure_by_slices(problem, name, numeric)


def _by_whole_forwards(
    problem: Problem, name: str, numeric: Numeric, count: int, noise: Noise | None
) -> Differences:
    x, cotangent = problem.inputs[name], problem.cotangent
    with np.errstate(all="ignore"):
        stack = stack_of(problem, name, FORWARDS_PER_ENTRY * count)
        return WholeForwards(
            points_evaluator(problem, name) if stack is None else stack.evaluate,
            x,
            scale_of(problem, name),
            None if cotangent is None else np.asarray(cotangent, dtype=np.float64),
            STENCILS[numeric.order or 2],
            noise,
            alone=not problem.batched,
            scatter=0.0 if stack is None else stack.scatter,
            together=1 if stack is None else stack.size,
        )


def stack_of(problem: Problem, name: str, points: int) -> Stack | None:
    """A way to evaluate so many points of an input in few calls, if the forward has one."""
    forward = problem.forward
    return forward.stack(problem.inputs, name, points) if isinstance(forward, Stackable) else None


def scale_of(problem: Problem, name: str) -> Float:
    """The scale of every entry of an input, from which steps begin; in a domain, at most the
    distance to its boundary."""
    return np.minimum(entry_scale(problem.inputs[name]), problem.room.get(name, np.inf))


def points_evaluator(problem: Problem, name: str) -> Evaluate:
    """The forward as a function of K points of one input: (K, *input) → (K, *outputs)."""

    def evaluate(points: Any) -> Any:
        return problem.forward({**problem.inputs, name: points})

    def evaluate_in_turn(points: Any) -> Any:
        return np.stack([np.asarray(evaluate(point)) for point in points])

    return evaluate if problem.batched else evaluate_in_turn


def joint_evaluator(problem: Problem) -> tuple[Evaluate, NDArray[Any], Float] | None:
    """The forward as a function of K points of all inputs joined: (K, size of all) → (K, *outputs).

    Returns that function, the inputs joined, and their scales; None where inputs differ in type.
    """
    inputs = problem.inputs
    if len({x.dtype for x in inputs.values()}) > 1:
        return None
    ends = np.cumsum([x.size for x in inputs.values()])[:-1]

    def outputs(point: NDArray[Any]) -> NDArray[Any]:
        parts = zip(inputs.items(), np.split(point, ends), strict=True)
        moved = {name: part.reshape(x.shape) for (name, x), part in parts}
        return np.asarray(problem.forward(moved))

    flat = np.concatenate([x.ravel() for x in inputs.values()])
    scale = np.concatenate([scale_of(problem, name).ravel() for name in inputs])
    return lambda points: np.stack([*map(outputs, points)]), flat, scale
