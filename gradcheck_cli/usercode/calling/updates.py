"""What a backward changes in its object: arrays that are new, and parameters that it updates.

`self.weights -= learning_rate * weights_error` keeps no gradient, but the step that it makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.conventions import RATES
from gradcheck_cli.usercode.calling.objects import list_arrays, memory_of


class Update:
    """The arrays of an object before its backward, which may change them.

    handed: what the backward is handed, or has by default, by name; without a learning rate there
        are no updates.
    noting: whether it is asked what is left, which takes a while in large objects.
    """

    def __init__(self, owner: Any, handed: Mapping[str, Any], noting: bool) -> None:
        rates = (handed[name] for name in RATES if name in handed)
        self.rate = next((rate for rate in rates if np.ndim(rate) == 0 and rate), None)
        self.owner = owner if noting or self.rate is not None else None
        self.before = {name: (array, array.copy()) for name, array in self._list().items()}

    def left(self) -> dict[str, Any]:
        """The arrays that are new, or not what they were."""
        now = self._list()
        same = {
            memory_of(array)
            for array, copied in self.before.values()
            if np.array_equal(array, copied)
        }
        return {name: array for name, array in now.items() if memory_of(array) not in same}

    def gradients(self) -> dict[str, Any]:
        """What was taken away from every array that was updated, over the learning rate.

        What was updated in place is set back: that is how such a layer gives its gradient.
        """
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
