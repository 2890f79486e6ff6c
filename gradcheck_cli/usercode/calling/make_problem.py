"""The `Problem` of a forward and its backward, made when it is known how to call them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gradcheck_cli.arrays import draw
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.usercode.calling.calls import Calls
from gradcheck_cli.usercode.calling.conventions import CACHE
from gradcheck_cli.usercode.calling.interpret import interpret_backward
from gradcheck_cli.usercode.calling.notes import describe_calls
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.complex_numbers import TORCH, as_real
from gradcheck_cli.usercode.low_precision import work_in_bfloat16
from gradcheck_cli.usercode.watching.tracing import find_lines


def make_problem(calls: Calls, delta: Array | None, seed: int, convention: str = TORCH) -> Problem:
    """Make the problem of a pair.

    delta: the upstream gradient; None: it is drawn, or 1 where the backward takes none.
    convention: of complex gradients, see `as_real`.
    Raises CodeError for a constant that no function takes, and for a backward that can be the
    gradient neither of the outputs nor of a loss.
    """
    calls.notes += interpret_backward(calls)
    calls.refuse_unused()
    calls.convention = convention
    cotangent = _choose_cotangent(calls, delta, seed)
    outputs = [output.size for output in calls.outputs]
    made = Problem(
        inputs=calls.arrays,
        forward=calls.forward,
        backward=calls.backward,
        cotangent=cotangent,
        labels={leaf: Label(f"∂L/∂{leaf}", source=calls.location) for leaf in calls.arrays},
        notes=tuple(calls.notes),
        late_notes=partial(describe_calls, calls),
        parts=tuple(outputs) if calls.output_count > 1 else (),
        other_changes=lambda: [CACHE] if calls.changes_cache else [],
        origins=partial(_find_origins, calls, cotangent),
    )
    return work_in_bfloat16(made) if calls.in_bfloat16 else as_real(made, convention)


def _choose_cotangent(calls: Calls, delta: Array | None, seed: int) -> Array:
    """The upstream gradient: `delta`, ones where the backward takes none, or random numbers."""
    shape = calls.join(calls.outputs).shape
    defaults = delta is None and calls.backward_call.has_default and calls.outputs[0].size == 1
    if (
        calls.loss is not None
        or defaults
        or not (calls.backward_call.upstream or calls.elementwise)
    ):
        return np.ones(shape)
    if delta is not None:
        return np.asarray(delta)
    kind = np.result_type(*calls.outputs)
    return draw("delta", shape, seed, kind if kind.kind in "fc" else np.float64)


def _find_origins(calls: Calls, delta: Array) -> dict[str, str]:
    """Call once more, and find after which of the user's lines each gradient exists."""

    def call() -> dict[str, Any]:
        return calls.call_backward(
            {leaf: x.copy() for leaf, x in calls.arrays.items()}, delta.copy()
        )

    return find_lines(call, call())
