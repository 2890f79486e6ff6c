"""A wrong gradient is at the line of the user's after which it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck_cli.config.load import load_config
from gradcheck_cli.result import GradientResult
from gradcheck_cli.run import suite

LAYER = """\
import numpy as np

def affine(x, w):
    return x @ w

def grad_w(delta, x):
    return 2 * x.T @ delta

def zeros(x, w):
    return np.zeros_like(x), np.zeros_like(w)

def by_a_helper(delta, x, w):
    return delta @ w.T, grad_w(delta, x)

def by_helpers_that_return_each_other(delta, x, w):
    return both(delta, x, w)

def both(delta, x, w):
    return {"x": delta @ w.T, "w": grad_w(delta, x)}

def filled_in_place(delta, x, w):
    dx, dw = zeros(x, w)
    dx += delta @ w.T
    dw += grad_w(delta, x)
    return dx, dw

def changed_afterwards(delta, x, w):
    dw = grad_w(delta, x)
    dw *= 3
    return delta @ w.T, dw

def copied(delta, x, w):
    return delta @ w.T, grad_w(delta, x).copy()
"""
CONFIG = "forward: l.py:affine\nbackward: l.py:{}\ninputs: {{x: [4, 3], w: [3, 2]}}\n"


def wrong(folder: Path, backward: str) -> GradientResult:
    (folder / "l.py").write_text(LAYER)
    (folder / "c.yaml").write_text(CONFIG.format(backward))
    (check,) = suite.run(load_config(str(folder / "c.yaml")), allow_code=True).checks
    assert check.result is not None, check.error
    right, wrong = check.result.gradients
    assert (right.verdict, wrong.verdict) == ("pass", "fail")
    assert right.source.startswith(backward)
    return wrong


@pytest.mark.parametrize(
    ("backward", "writer", "text"),
    [
        ("by_a_helper", "grad_w", "2 * x.T @ delta"),
        ("by_helpers_that_return_each_other", "grad_w", "2 * x.T @ delta"),
        ("filled_in_place", "grad_w", "2 * x.T @ delta"),
        ("changed_afterwards", "changed_afterwards", "dw *= 3"),
        ("copied", "grad_w", "2 * x.T @ delta"),
    ],
)
def test_the_innermost_function_that_computed_it_as_it_stayed(
    tmp_path: Path, backward: str, writer: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = LAYER.splitlines()
    line = 1 + next(place for place, one in enumerate(lines) if text in one)
    assert wrong(tmp_path, backward).source == f"{writer}, l.py:{line}"
