"""Arrays that no output depends on: their gradient is zero, and a backward may leave it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.values import Array


class Independence:
    """Finds out which arrays a forward ignores, by calling it with other numbers in them.

    ignored: for each array that was tried, whether the outputs stayed the same, bit by bit.
    """

    def __init__(
        self, forward: Callable[[Mapping[str, Array]], Array], arrays: Mapping[str, Array]
    ) -> None:
        self.forward = forward
        self.arrays = arrays
        self.ignored: dict[str, bool] = {}

    def ignores(self, name: str) -> bool:
        """Whether the outputs stay the same with other numbers in this array."""
        if name not in self.ignored:
            array = self.arrays[name]
            other = array + np.random.default_rng(0).standard_normal(array.shape)
            here, there = (
                self.forward({**{leaf: x.copy() for leaf, x in self.arrays.items()}, name: at})
                for at in (array.copy(), other.astype(array.dtype))
            )
            self.ignored[name] = bool(np.array_equal(here, there))
        return self.ignored[name]

    def fill_zeros(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Add a gradient of zeros for each array that has none and that the forward ignores."""
        lacking = [name for name in self.arrays if gradients.get(name) is None]
        if len(lacking) == len(self.arrays):
            return dict(gradients)
        zeros = {name: np.zeros_like(self.arrays[name]) for name in lacking if self.ignores(name)}
        return {**gradients, **zeros}
