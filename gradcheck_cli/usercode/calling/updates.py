"""What a backward changes in its object: new arrays, and parameters that it updates.

A backward with `self.weights -= learning_rate * weights_error` keeps no gradient, but the gradient
follows from the update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.names import RATES
from gradcheck_cli.usercode.calling.objects import list_arrays, memory_of


class Snapshot:
    """The arrays of an object before its backward runs.

    passed: the values that the backward gets or has as defaults, by name; updates are looked for
    only if one of them is a learning rate.
    noting: whether changed arrays are needed even without one; that is slow for large objects.
    """

    def __init__(self, owner: Any, passed: Mapping[str, Any], noting: bool) -> None:
        rates = (passed[name] for name in RATES if name in passed)
        self.rate = next((rate for rate in rates if np.ndim(rate) == 0 and rate), None)
        self.owner = owner if noting or self.rate is not None else None
        self.before = {name: (array, array.copy()) for name, array in self._list().items()}

    def find_changed(self) -> dict[str, Any]:
        """The arrays of the object that are new or have changed, by name."""
        now = self._list()
        same = {
            memory_of(array)
            for array, copied in self.before.values()
            if np.array_equal(array, copied)
        }
        return {name: array for name, array in now.items() if memory_of(array) not in same}

    def undo_updates(self) -> dict[str, Any]:
        """Set updated parameters back, and return their gradients: the update over the rate."""
        if self.rate is None:
            return {}
        found, after = {}, self._list()
        for name, (array, before) in self.before.items():
            now = after.get(name)
            changed = now is not None and now.shape == before.shape and not np.all(now == before)
            if changed and before.dtype.kind in "fc":
                found[name] = (before - now) / self.rate
                array[...] = before
        return found

    def _list(self) -> dict[str, Any]:
        return {} if self.owner is None else list_arrays(self.owner)
