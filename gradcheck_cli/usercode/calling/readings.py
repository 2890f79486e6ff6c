"""Two readings of a backward with one parameter: f′ of its input, or a function of the upstream
gradient.

`backward(self, x)` may be either, whatever its parameter is called. One directional difference of
the forward shows which reading is right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from gradcheck_cli.usercode.calling.conventions import UPSTREAM, BackwardCall
from gradcheck_cli.usercode.calling.signatures import Call
from gradcheck_cli.usercode.calling.values import Array

Gradients = Callable[[Mapping[str, Array], Array], Mapping[str, Any]]

STEP = 1e-5  # of the largest input: away from kinks, the difference is right to about 1e-9
AGREEMENT = 1e-3  # of the difference: a right reading is closer than this, a wrong one far off


def read_as_upstream(back: BackwardCall, inputs: Collection[str]) -> BackwardCall | None:
    """The call with the upstream gradient in place of the input; None unless it gets one input."""
    if len(back.call.used) != 1 or back.call.used[0] not in inputs:
        return None
    upstream = UPSTREAM.format(0)
    keyword = dict.fromkeys(back.call.keyword, upstream)
    return BackwardCall(Call((upstream,) * len(back.call.positional), keyword), 1)


def replace_upstream(back: BackwardCall, value: str) -> BackwardCall:
    """The call with another value in place of the first output's upstream gradient."""
    upstream, call = UPSTREAM.format(0), back.call
    positional = tuple(value if name == upstream else name for name in call.positional)
    keyword = {key: value if name == upstream else name for key, name in call.keyword.items()}
    return BackwardCall(Call(positional, keyword), 0)


def fits_forward(
    forward: Callable[[Mapping[str, Array]], Array],
    backward: Gradients,
    arrays: Mapping[str, Array],
    cotangent: Array,
    seed: int = 0,
) -> bool:
    """Whether gradients agree with a central difference of cotangent · forward in one direction.

    seed: from which the direction is drawn.
    """
    rng = np.random.default_rng(seed)
    direction = {name: rng.standard_normal(array.shape) for name, array in arrays.items()}
    step = STEP * max(1.0, *(float(np.max(np.abs(x), initial=0.0)) for x in arrays.values()))
    ends = [
        forward({name: x + sign * step * direction[name] for name, x in arrays.items()})
        for sign in (1, -1)
    ]
    difference = float(np.sum(cotangent * (ends[0] - ends[1]))) / (2 * step)
    gradients = backward({name: x.copy() for name, x in arrays.items()}, cotangent.copy())
    try:
        claimed = sum(float(np.sum(gradients[name] * direction[name])) for name in arrays)
    except (TypeError, ValueError, KeyError):  # a gradient is missing or has another shape
        return False
    return abs(claimed - difference) <= AGREEMENT * abs(difference)
