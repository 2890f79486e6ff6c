"""The numeric gradients of one problem, each measured once, and how many forwards they took."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.measure.breaks import is_smooth_around
from gradcheck_cli.measure.budget import Budget
from gradcheck_cli.measure.edges import doubt_edges
from gradcheck_cli.measure.joint_noise import JointNoise
from gradcheck_cli.measure.measure import measure_entries_of, measure_gradient
from gradcheck_cli.measure.precision import round_gradient
from gradcheck_cli.numeric.gradient import NumericGradient, Progress
from gradcheck_cli.numeric.noise import Noise
from gradcheck_cli.numeric.sampling import sample_entries
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

# Where directions show that a gradient is wrong, or do not settle its verdict, all of its entries
# are measured up to this size: then a diagnosis can see whole rows and columns.
MOST_SETTLED_BY_ENTRIES = 1000
# In a larger gradient so many entries are measured, which is enough for a diagnosis.
MOST_DIAGNOSED = 400


class Measurements:
    """Numeric gradients of a problem, measured on demand and kept.

    numeric: how they are measured.
    progress: called now and then with how many more entries were measured.
    gradients: the numeric gradients, by input.
    evaluations: calls of the forward so far.
    located: by input, the flat indices of entries where random directions found an error; it has
        every gradient that directions have already judged.
    """

    def __init__(self, problem: Problem, numeric: Numeric, progress: Progress | None) -> None:
        self.problem = problem
        self.numeric = numeric
        self.progress = progress
        self.gradients: dict[str, NumericGradient] = {}
        self.evaluations = 0
        self.located: dict[str, NDArray[np.intp]] = {}

    @cached_property
    def budget(self) -> Budget:
        """The forwards that are left. It times a forward when it is first used, so that this is
        not the first one, which may be slow."""
        return Budget(self.problem, self.numeric)

    @cached_property
    def noise(self) -> JointNoise:
        """The noise of the outputs, which inputs share where one measurement holds for them."""
        return JointNoise(self.problem)

    @cached_property
    def is_smooth(self) -> bool:
        """Whether the forward has no jumps near the inputs, as far as differences move them."""
        smooth, forwards = is_smooth_around(self.problem)
        self.count(forwards)
        return smooth

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input, measured at the first call.

        If directions have already judged the gradient and it is large, only the entries that a
        diagnosis needs are measured.
        """
        if name not in self.gradients:
            if self.problem.identity is not None:
                found = measure_gradient(self.problem, name, self.numeric)
            else:
                entries = self._choose_entries(name)
                found = measure_entries_of(
                    self.problem, name, self.numeric, entries, self.progress, self._noise_of
                )
                found = doubt_edges(self.problem, name, found)
                found = round_gradient(found, self.problem.precision)
            self.gradients[name] = found
            self.count(found.evaluations)
        return self.gradients[name]

    def _noise_of(self, name: str) -> Noise | None:
        """The noise of the outputs when an input moves; None where it must be measured alone."""
        before = self.noise.evaluations
        found = self.noise.of(name)
        self.count(self.noise.evaluations - before)
        return found

    def _choose_entries(self, name: str) -> NDArray[np.intp] | None:
        """The flat indices of the entries to measure; None: all of them."""
        size, located = self.problem.inputs[name].size, self.located.get(name)
        most = min(size, self.numeric.sample or size)
        if located is not None and size > MOST_SETTLED_BY_ENTRIES:
            most = min(most, MOST_DIAGNOSED)
        most = self.budget.fit_entries(most)
        if most >= size:
            return None
        entries = sample_entries(size, most)
        return entries if located is None else np.union1d(entries, located).astype(np.intp)

    def tell(self) -> None:
        """Tell `progress` that the check still runs, though no entry was measured."""
        if self.progress is not None:
            self.progress(0)

    def count(self, forwards: int) -> None:
        """Add to the number of forwards, and take them from the budget."""
        self.evaluations += forwards
        self.budget.spend(forwards)

    def take_over(self, measured: Mapping[str, NumericGradient], evaluations: int) -> None:
        """Use numeric gradients of the same forward that another checker has measured.

        evaluations: how many forwards that took.
        """
        for name, gradient in measured.items():
            self.gradients[name] = round_gradient(gradient, self.problem.precision)
        self.evaluations = evaluations
