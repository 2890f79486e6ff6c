"""How many forwards fit into a budget of seconds, and how many entries into those forwards."""

from __future__ import annotations

import time

from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

# What an entry takes in forwards, and what a gradient takes once for its noise.
ENTRY, NOISE = 12, 20
# The same of a random direction.
DIRECTION, LINE_NOISE = 8, 12
LEAST_ENTRIES = 16  # are measured whatever the budget is: fewer say nothing of a gradient
OVERHEAD = 1e-4  # seconds that a forward costs beside itself


class Budget:
    """The forwards that a check may still take.

    left: forwards; gradients: that are still to be checked with them, and share them.
    """

    def __init__(self, problem: Problem, numeric: Numeric) -> None:
        self.left = float("inf")
        self.gradients = len(problem.inputs)
        # Of forwards that take many points at once, `mode_of` keeps the budget.
        alone = not problem.batched and problem.identity is None
        if numeric.budget is not None and alone:
            started = time.perf_counter()
            problem.forward(problem.inputs)
            self.left = numeric.budget / (time.perf_counter() - started + OVERHEAD)

    def spend(self, forwards: int) -> None:
        """Count forwards that were taken."""
        self.left = max(0.0, self.left - forwards)

    def finish_gradient(self) -> None:
        """Note that a gradient is done: one less shares the forwards that are left."""
        self.gradients = max(1, self.gradients - 1)

    @property
    def share(self) -> float:
        """How many forwards the gradient that is being checked may take."""
        return self.left / self.gradients

    def has_room(self, entries: int) -> bool:
        """Whether so many entries may be measured."""
        return NOISE + entries * ENTRY <= self.share

    def fit_entries(self, wanted: int) -> int:
        """How many of the entries of a gradient, of those that are wanted, may be measured."""
        if self.has_room(wanted):
            return wanted
        return min(wanted, max(LEAST_ENTRIES, int((self.share - NOISE) / ENTRY)))

    def fit_directions(self, wanted: int) -> int:
        """How many random directions, of those that are wanted; one at least."""
        if self.share == float("inf"):
            return wanted
        return min(wanted, max(1, int((self.share - LINE_NOISE) / DIRECTION)))
