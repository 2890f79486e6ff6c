"""What a backward leaves in its object; of one that updates parameters, what an update takes away.

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

    handed: what the backward is handed, by name; without a learning rate there are no updates.
    """

    def __init__(self, owner: Any, handed: Mapping[str, Any]) -> None:
        rates = (handed[name] for name in RATES if name in handed)
        self.rate = next((rate for rate in rates if np.ndim(rate) == 0 and rate), None)
        arrays = list_arrays(owner) if owner is not None else {}
        self.before = {name: (array, array.copy()) for name, array in arrays.items()}

    def left(self, owner: Any) -> dict[str, Any]:
        """The arrays that are new, or not what they were."""
        now = list_arrays(owner) if owner is not None else {}
        same = {
            memory_of(array)
            for array, copied in self.before.values()
            if np.array_equal(array, copied)
        }
        return {name: array for name, array in now.items() if memory_of(array) not in same}

    def gradients(self, owner: Any) -> dict[str, Any]:
        """What was taken away from every array that was updated, over the learning rate.

        What was updated in place is set back: that is how such a layer gives its gradient.
        """
        if self.rate is None or owner is None:
            return {}
        found, after = {}, list_arrays(owner)
        for name, (array, before) in self.before.items():
            now = after.get(name)
            changed = now is not None and now.shape == before.shape and not np.all(now == before)
            if changed and before.dtype.kind in "fc":
                found[name] = (before - now) / self.rate
                array[...] = before
        return found
