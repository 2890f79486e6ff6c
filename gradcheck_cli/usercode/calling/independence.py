"""Arrays that no output depends on, so that a backward may leave their gradients out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.values import Array


class Independence:
    """Tells which arrays a forward ignores, by another draw of each; remembers what it found.

    ignored: for each array that was asked for, whether the outputs are the same, bit by bit.
    """

    def __init__(
        self, forward: Callable[[Mapping[str, Array]], Array], arrays: Mapping[str, Array]
    ) -> None:
        self.forward = forward
        self.arrays = arrays
        self.ignored: dict[str, bool] = {}

    def ignores(self, name: str) -> bool:
        """Whether the outputs stay the same where this array is another one."""
        if name not in self.ignored:
            array = self.arrays[name]
            other = array + np.random.default_rng(0).standard_normal(array.shape)
            here, there = (
                self.forward({**{leaf: x.copy() for leaf, x in self.arrays.items()}, name: at})
                for at in (array.copy(), other.astype(array.dtype))
            )
            self.ignored[name] = bool(np.array_equal(here, there))
        return self.ignored[name]

    def fill(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Gradients with zeros for those that are left out of arrays that the forward ignores."""
        lacking = [name for name in self.arrays if gradients.get(name) is None]
        if len(lacking) == len(self.arrays):
            return dict(gradients)
        zeros = {name: np.zeros_like(self.arrays[name]) for name in lacking if self.ignores(name)}
        return {**gradients, **zeros}
