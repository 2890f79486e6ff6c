"""A budget in seconds as a number of forwards, and how many entries those can measure."""

from __future__ import annotations

import time

from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

# About how many forwards one entry takes, and once for each gradient its noise.
FORWARDS_PER_ENTRY, FORWARDS_FOR_NOISE = 12, 20
# The same for random directions.
FORWARDS_PER_DIRECTION, FORWARDS_FOR_LINE_NOISE = 8, 12
LEAST_ENTRIES = 16  # measured even beyond the budget: fewer entries say little about a gradient
OVERHEAD = 1e-4  # s that the program spends on its own work for each forward


class Budget:
    """The forwards that a check may still take.

    left: how many; gradients: how many gradients, not yet done, share them.
    """

    def __init__(self, problem: Problem, numeric: Numeric) -> None:
        self.left = float("inf")
        self.gradients = len(problem.inputs)
        # One call of a batched forward takes many points: there `choose_mode` keeps the budget.
        one_point = not problem.batched and problem.identity is None
        if numeric.budget is not None and one_point:
            started = time.perf_counter()
            problem.forward(problem.inputs)
            self.left = numeric.budget / (time.perf_counter() - started + OVERHEAD)

    def spend(self, forwards: int) -> None:
        """Take forwards from those that are left."""
        self.left = max(0.0, self.left - forwards)

    def finish_gradient(self) -> None:
        """Note that a gradient is done, so that one fewer shares the forwards that are left."""
        self.gradients = max(1, self.gradients - 1)

    @property
    def share(self) -> float:
        """How many forwards the current gradient may take."""
        return self.left / self.gradients

    def has_room(self, entries: int) -> bool:
        """Whether the current gradient may have so many entries measured."""
        return FORWARDS_FOR_NOISE + entries * FORWARDS_PER_ENTRY <= self.share

    def fit_entries(self, wanted: int) -> int:
        """How many of the entries that are wanted may be measured; at least LEAST_ENTRIES."""
        if self.has_room(wanted):
            return wanted
        return min(
            wanted, max(LEAST_ENTRIES, int((self.share - FORWARDS_FOR_NOISE) / FORWARDS_PER_ENTRY))
        )

    def fit_directions(self, wanted: int) -> int:
        """How many of the random directions that are wanted may be taken; at least one."""
        if self.share == float("inf"):
            return wanted
        return min(
            wanted, max(1, int((self.share - FORWARDS_FOR_LINE_NOISE) / FORWARDS_PER_DIRECTION))
        )
