"""The numeric gradients of one check, each measured once, and the forwards that they took."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.measure.breaks import jumps_nowhere
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

# Of a gradient that directions show to be wrong or do not settle: all of them are measured, for a
# diagnosis that knows its rows and columns. Of a larger one that is wrong as many as that needs.
MOST_SETTLED_BY_ENTRIES, MOST_DIAGNOSED = 1000, 400


class Measurements:
    """What is measured of a problem, as `numeric` asks for it.

    progress: is told, now and then, how many more entries were measured.
    gradients: by input. evaluations: calls of the forward so far. located: of every gradient that
        random directions have settled first, the flat indices of entries that look wrong.
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
        """The forwards that are left; timed when it is first asked for, after the first forward."""
        return Budget(self.problem, self.numeric)

    @cached_property
    def noise(self) -> JointNoise:
        """The noise of the outputs; inputs share one measurement where it holds for all of them."""
        return JointNoise(self.problem)

    @cached_property
    def jumps_nowhere(self) -> bool:
        """Whether the forward is one smooth piece around the inputs, as far as they move."""
        nowhere, forwards = jumps_nowhere(self.problem)
        self.count(forwards)
        return nowhere

    def measure(self, name: str) -> NumericGradient:
        """The numeric gradient of an input, measured when it is first asked for.

        Of a large one that directions have settled, what a diagnosis needs of it.
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
        """The noise of the outputs as an input is moved; None where that must be measured."""
        before = self.noise.evaluations
        found = self.noise.of(name)
        self.count(self.noise.evaluations - before)
        return found

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

    def tell(self) -> None:
        """Tell `progress` that the check goes on, though no entry was measured."""
        if self.progress is not None:
            self.progress(0)

    def count(self, forwards: int) -> None:
        """Count forwards that were taken."""
        self.evaluations += forwards
        self.budget.spend(forwards)

    def take_over(self, measured: Mapping[str, NumericGradient], evaluations: int) -> None:
        """Use numeric gradients of the same forward that took another checker these evaluations."""
        for name, gradient in measured.items():
            self.gradients[name] = round_gradient(gradient, self.problem.precision)
        self.evaluations = evaluations
