"""Inputs that make a check blind: with them, many a wrong rule would pass, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcheck_cli.problem import Problem


def find_blind_spots(problem: Problem) -> list[str]:
    """Notes on what lets wrong rules pass, such as a symmetric input."""
    notes = []
    if problem.cotangent is not None and not np.any(problem.cotangent):
        notes.append("the upstream gradient is zero: every gradient is zero, whatever the rule")
    for name, x in problem.inputs.items():
        if x.size > 1 and np.all(x == x.flat[0]):
            notes.append(f"all entries of {name} are equal: permuted or summed entries go unseen")
        elif name not in problem.domains and _is_symmetric(x):
            notes.append(f"{name} is symmetric: a missing or extra transpose goes unseen")
    return notes


def _is_symmetric(x: NDArray[Any]) -> bool:
    return x.ndim == 2 and x.shape[0] == x.shape[1] > 1 and np.array_equal(x, x.T)
