"""What a diagnosis costs: at most the forwards of the check, and as many again inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Problem
from gradcheck_cli.checker.check import check
from gradcheck_cli.checker.diagnose import CALLS_PER_EVALUATION, LEAST_CALLS
from gradcheck_cli.result import Code, Verdict

Array = Any  # functions of users have no types
OVER = 1.1  # what was begun is brought to its end
draw = np.random.default_rng(0).standard_normal
X, LABELS = draw((6, 5)), np.array([0, 2, 1, 1, 0, 2])


def net(W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
    z1 = X @ W1 + b1
    h = np.tanh(z1)
    logits = h @ W2 + b2
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    return -np.mean(np.log(p[np.arange(6), LABELS]))


def recurrent(x: Array, h: Array, U: Array, W: Array, b: Array) -> Array:
    for t in range(3):
        a = x[:, t] @ U + h @ W + b
        h = np.tanh(a)
    return h


NETS = {
    net: {"W1": (5, 8), "b1": (8,), "W2": (8, 3), "b2": (3,)},
    recurrent: {"x": (2, 3, 2), "h": (2, 3), "U": (2, 3), "W": (3, 3), "b": (3,)},
}


@pytest.mark.parametrize("forward", NETS)
def test_what_nothing_explains_costs_twice_the_check_at_most(forward: Any) -> None:
    calls, before = [0], [0]

    def counted(inputs: Any) -> Any:
        calls[0] += 1
        return np.asarray(forward(**inputs))

    def keep(_: Any) -> None:
        before[0] = calls[0]

    inputs = {name: draw(shape) for name, shape in NETS[forward].items()}
    wrong = {name: draw(x.shape) for name, x in inputs.items()}
    cotangent = draw(np.shape(forward(**inputs)))
    result = check(Problem(inputs, counted, lambda *_: wrong, cotangent), keep=keep)
    found = [gradient.diagnosis for gradient in result.gradients]
    assert result.verdict == Verdict.FAIL
    assert {one.code for one in found if one is not None} == {Code.NO_KNOWN_FAULT}
    most = 2 * max(CALLS_PER_EVALUATION * before[0], LEAST_CALLS)
    assert 0 < calls[0] - before[0] <= OVER * most
