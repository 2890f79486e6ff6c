"""Every entry of a gradient by central differences: its value and its uncertainty.

Outputs are differenced before they are contracted with the cotangent. A ladder of shrinking steps
is extrapolated (Ridders 1982); each entry stops where noise lets a finer step gain nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.numeric.best import Best
from gradcheck_cli.numeric.choose import choose_slopes
from gradcheck_cli.numeric.climb import FIRST_STEP, MAX_LEVELS, climb, measure_at
from gradcheck_cli.numeric.differences import WHOLE, Differences
from gradcheck_cli.numeric.doubts import doubt_faint, doubt_small, doubt_zeros
from gradcheck_cli.numeric.invariance import settle_invariant
from gradcheck_cli.numeric.noise import Float
from gradcheck_cli.numeric.other_steps import leap_until_moved, retry_on_own_scale, widen_steps
from gradcheck_cli.numeric.pilots import Pilots
from gradcheck_cli.numeric.plateaus import doubt_plateaus
from gradcheck_cli.numeric.quotients import WholeForwards

Progress = Callable[[int], None]
Entries = NDArray[np.intp]
Counted = tuple[Best, int]  # some entries, and the evaluations that they took
Work = Callable[[Entries], Counted]
# Maps work over chunks of entries; the last argument is called with every chunk that is done.
MapChunks = Callable[[Work, list[Entries], Callable[[Entries], None]], Iterable[Counted]]


class NumericGradient(Struct, frozen=True):
    """The numeric gradient of one input.

    Arrays have the shape of the gradient: that of the input, or of a Jacobian outputs × input. If
    only some entries were measured, one axis of these stands in place of the axes of the input.

    shape: of the input; entries: the flat indices of the entries that were measured, ascending;
        None: all.
    value, uncertainty: a bound on the error of the value; noise: the part of the uncertainty that
        is due to the noise of the forward.
    step: the step that gave the value; scale: the size of an entry's surroundings, in units of
        which its steps are chosen, if known.
    kink: where the slopes on the two sides differ; low, high: the interval between these slopes,
        widened by their uncertainties, which holds every subgradient. Elsewhere value ±
        uncertainty.
    unsettled: the entries whose quotients do not converge: their uncertainty is infinite.
    possible: for entries that are zero by invariance, the size that the gradient could have,
        Σ |c·y| over the scale of the entry; 0 for all others.
    steepest: the largest Σ |c|·move over a large step, for the size that a gradient could have.
    unused: whether no entry moves the outputs at all.
    step_height: the height of the steps in which the forward moves; 0 if it moves smoothly.
    break_height: the height of jumps between smooth pieces of the forward, if the uncertainty was
        widened by them; else 0.
    cancelled: the size of the numbers whose small difference the outputs are; 0 if none was seen.
    rounding: how far a backward in low precision may be off, in addition to the uncertainty; one
        number, or one for each entry.
    evaluations: how often the forward was evaluated; method: by what method, as a report names it.
    """

    value: Float
    uncertainty: Float
    noise: Float
    step: Float
    kink: NDArray[np.bool_]
    low: Float
    high: Float
    steepest: float
    evaluations: int
    shape: tuple[int, ...]
    entries: NDArray[np.intp] | None = None
    method: str = WHOLE
    possible: Float | None = None
    unused: bool = False
    unsettled: NDArray[np.bool_] | None = None
    step_height: float = 0.0
    break_height: float = 0.0
    rounding: Float | float = 0.0
    cancelled: float = 0.0
    scale: Float | None = None

    @property
    def invariant(self) -> NDArray[np.bool_]:
        """Which entries are zero by invariance."""
        if self.possible is None:
            return np.zeros(self.value.shape, dtype=bool)
        return self.possible > 0

    def of(self, gradient: NDArray[Any]) -> NDArray[Any]:
        """The measured entries of a gradient of this input, in the shape of the arrays here.

        Axes before those of the input, such as those of a Jacobian's outputs, are kept.
        """
        if self.entries is None:
            return gradient
        outputs = gradient.shape[: gradient.ndim - len(self.shape)]
        return gradient.reshape(*outputs, -1)[..., self.entries]

    def index(self, position: int) -> tuple[int, ...]:
        """The index in the whole gradient of an entry, by its flat position in the arrays here."""
        index = np.unravel_index(position, self.value.shape)
        if self.entries is not None:
            index = (*index[:-1], *np.unravel_index(self.entries[index[-1]], self.shape))
        return tuple(int(axis) for axis in index)


def map_in_turn(
    work: Work, chunks: list[Entries], done: Callable[[Entries], None]
) -> Iterator[Counted]:
    """work(chunk) for every chunk, one after the other in this process."""
    for chunk in chunks:
        found = work(chunk)
        done(chunk)
        yield found


def _count_each(parts: Iterable[Counted], counts: list[int]) -> Iterator[Best]:
    """The results of all chunks; the evaluations of each are added to `counts`."""
    for part, count in parts:
        counts.append(count)
        yield part


def measure_entries(
    differences: Differences,
    step: float | None = None,
    entries: NDArray[np.intp] | None = None,
    progress: Progress | None = None,
    map_chunks: MapChunks = map_in_turn,
    *,
    quick: bool = False,
) -> NumericGradient:
    """The numeric gradient of an input, entry by entry.

    differences: a way to take difference quotients: by whole forwards, slices or superposition.
    step: a fixed step; None: chosen for every entry by a ladder of steps.
    entries: the flat indices of the entries to measure, ascending; None: all.
    progress: called now and then with how many more entries are done.
    map_chunks: works on chunks of entries, in this process, in others or in threads.
    quick: whether half of the digits are enough, for fewer evaluations; see `Pilots`.

    The uncertainty holds the disagreement of extrapolations (or, for a fixed step, of shorter
    steps) and the measured noise over the step. Sources: C. Ridders, "Accurate computation of
    F'(x) and F'(x)F''(x)" (1982); J. Moré and S. Wild (2011) for the noise.
    """
    x = differences.x
    with np.errstate(all="ignore"):
        every = np.arange(x.size) if entries is None else entries
        order = differences.order(every)
        every = every[order]
        pilots = Pilots(differences, every) if quick and step is None else None
        before = differences.evaluations
        parts = map_chunks(
            partial(_measure_and_count, differences, step, pilots),
            differences.chunks(every),
            lambda some: progress(len(some)) if progress is not None else None,
        )
        counts: list[int] = []
        best = Best.joined(_count_each(parts, counts), len(every))
        differences.evaluations = before + sum(counts)
        if step is None:
            _measure_further(differences, best, every)
        inner = differences.shape if entries is None else every.shape
        outputs = (*differences.outputs, *inner)
        found = _gradient(best, order, outputs, differences.evaluations, by_ladder=step is None)
        return replace(
            found,
            shape=differences.shape,
            entries=entries,
            method=differences.method,
            step_height=differences.step_height,
            cancelled=differences.cancelled,
            scale=differences.scale[... if entries is None else entries].reshape(inner),
        )


def _measure_further(differences: Differences, best: Best, every: Entries) -> None:
    """Measure what the ladder left open from other steps, and add what rounding may hide."""
    if not all(part.clear.all() for _, part in best.blocks()):
        widen_steps(differences, best, every)
        retry_on_own_scale(differences, best, every)
        doubt_zeros(differences, best, every)
    doubt_small(differences, best, every, np.arange(len(every)))
    doubt_faint(best)
    if isinstance(differences, WholeForwards):
        doubt_plateaus(differences, best, every)


def _measure_and_count(
    differences: Differences, step: float | None, pilots: Pilots | None, entries: Entries
) -> Counted:
    """Measure some entries, and count the evaluations, which another process may have to send."""
    before = differences.evaluations
    if pilots is not None and pilots.share and isinstance(differences, WholeForwards):
        best = pilots.measure(differences, entries)
        left = np.flatnonzero(~best.proven)
        if len(left):
            others = _measure_chunk(differences, entries[left], step)
            best.put(left, others)
    else:
        best = _measure_chunk(differences, entries, step)
    return best, differences.evaluations - before


def _measure_chunk(differences: Differences, entries: NDArray[np.intp], step: float | None) -> Best:
    """Measure some entries at a fixed step, or by a ladder from a step that moves the outputs."""
    if step is not None:
        return measure_at(differences, entries, np.full(len(entries), step))
    scale = differences.reach * differences.scale[entries]
    best = climb(differences, entries, FIRST_STEP * scale, MAX_LEVELS)
    if best.clear.all():
        return best
    if isinstance(differences, WholeForwards):
        settle_invariant(differences, entries, best)
    leap_until_moved(differences, entries, best)
    return best


def _gradient(
    best: Best,
    order: Entries | slice,
    shape: tuple[int, ...],
    evaluations: int,
    *,
    by_ladder: bool,
) -> NumericGradient:
    """Choose one value for each entry from the three tables of the ladder.

    order: the place in the gradient of each entry, in the order in which they were measured.
    by_ladder: whether there was a ladder of steps, or a fixed step.
    """
    largest = best.largest
    arrays: dict[str, Any] = {}
    for rows, part in best.blocks():
        places = rows if isinstance(order, slice) else order[rows]
        for name, array in choose_slopes(part, largest, by_ladder=by_ladder).items():
            if name not in arrays:
                arrays[name] = np.empty(best.steepness.shape[::-1], array.dtype)
            arrays[name][:, places] = array.T
    return NumericGradient(
        **{name: array.reshape(shape) for name, array in arrays.items()},
        steepest=float(np.max(best.steepness, where=np.isfinite(best.steepness), initial=0.0)),
        evaluations=evaluations,
        shape=shape,
        unused=bool(np.all(best.unused)),
    )
