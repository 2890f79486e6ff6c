"""A factor is called after a size or a constant only if it changes as that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Problem, check
from gradcheck_cli.config.load import load_config
from gradcheck_cli.run import suite
from tests.support.layers import layer, problem

CODE = """\
import numpy as np

def product(x, w, c): return c * x @ w

def of_samples(delta, x, w, c): return c * delta @ w.T, c * x.T @ delta / len(x)
def of_four(delta, x, w, c): return c * delta @ w.T, c * x.T @ delta / 4
def of_constant(delta, x, w, c): return c * delta @ w.T, x.T @ delta
def of_half(delta, x, w, c): return c * delta @ w.T, 2 * c * x.T @ delta
def of_width(delta, x, w, c): return c * delta @ w.T, 6 * c * x.T @ delta / (w.shape[0] * len(x))
def of_six(delta, x, w, c): return c * delta @ w.T, 6 * c * x.T @ delta
def with_term(delta, x, w, c): return c * delta @ w.T, c * x.T @ delta + c * w
def with_half(delta, x, w, c): return c * delta @ w.T, c * x.T @ delta + 0.5 * w
"""
CONFIG = """\
forward: f.py:product
backward: f.py:{}
shapes: {{n: 4, d: 6}}
inputs: {{x: [n, d], w: [d, 3]}}
constants: {{c: 0.5}}
"""
FORMULAS = """\
forward: c * x @ w
backward: {{x: c * delta @ w.T, w: {}}}
shapes: {{n: 4, d: 6}}
inputs: {{x: [n, d], w: [d, 3]}}
constants: {{c: 0.5}}
"""


def say(folder: Path, config: str) -> str:
    """What is observed of the gradient of w."""
    (folder / "f.py").write_text(CODE)
    (folder / "c.yaml").write_text(config)
    (check,) = suite.run(load_config(str(folder / "c.yaml")), allow_code=True).checks
    assert check.result is not None, check.error
    diagnosis = check.result.gradients[1].diagnosis
    assert diagnosis is not None
    return diagnosis.observation


@pytest.mark.parametrize(
    ("backward", "expected"),
    [
        ("of_samples", "it is 0.25 = 1/n times the numeric gradient"),
        ("of_four", "it is 0.25 = 1/4 times the numeric gradient"),
        ("of_constant", "it is 2 = 1/c times the numeric gradient"),
        ("of_half", "it is 2 times the numeric gradient"),
        ("of_six", "it is 6 times the numeric gradient"),
        ("with_term", "it is the numeric gradient plus 0.5 = c · w"),
        ("with_half", "it is the numeric gradient plus 0.5 · w"),
    ],
)
def test_a_name_holds_where_the_size_or_the_constant_is_another(
    tmp_path: Path, backward: str, expected: str
) -> None:
    assert say(tmp_path, CONFIG.format(backward)) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("c * x.T @ delta / n", "it is 0.25 = 1/n times the numeric gradient"),
        ("c * x.T @ delta / 4", "it is 0.25 = 1/4 times the numeric gradient"),
        ("x.T @ delta", "it is 2 = 1/c times the numeric gradient"),
    ],
)
def test_so_it_is_with_formulas(tmp_path: Path, rule: str, expected: str) -> None:
    assert say(tmp_path, FORMULAS.format(rule)) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("X.T @ delta / n", "it is 0.25 = 1/n times the numeric gradient"),
        ("X.T @ delta / 4", "it is 0.25 = 1/4 times the numeric gradient"),
        ("X.T @ delta * N", "it is 6 = N times the numeric gradient"),
        ("X.T @ delta * 6", "it is 6 times the numeric gradient"),
    ],
)
def test_so_it_is_with_the_forms_of_the_paper(rule: str, expected: str) -> None:
    of = problem(layer("XW", n=4, N=6, M=3, own_rules={"W": rule}))
    found = next(one.diagnosis for one in check(of).gradients if one.name == "W")
    assert found is not None
    assert found.observation == expected


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (lambda x: 1 / len(x), "it is 0.25 = 1/x.shape[0] times the numeric gradient"),
        (lambda x: 1 / 4, "it is 0.25 = 1/4 times the numeric gradient"),
        (lambda x: 6.0, "it is 6 times the numeric gradient"),
    ],
)
def test_so_it_is_with_functions_in_python(by: Any, expected: str) -> None:
    draw = np.random.default_rng(0).normal
    inputs = {"x": draw(size=(4, 6)), "w": draw(size=(6, 3))}
    result = check(
        lambda x, w: x @ w, lambda delta, x, w: (delta @ w.T, by(x) * x.T @ delta), inputs
    )
    (found,) = [one.diagnosis for one in result.gradients if one.diagnosis is not None]
    assert found.observation == expected


MASKS = {
    "x @ w + 2 * b": [0.0, -0.9, 0.0],  # with b, output 1 is on; with 2b, off
    "x @ w - b": [-2.0, 0.1, 0.01],  # without b, output 0 is on, and with −b; with b, off
}


@pytest.mark.parametrize(("mask", "b"), MASKS.items(), ids=["b twice", "b with another sign"])
def test_what_another_mask_leaves_out_by_chance_is_no_part_that_is_forgotten(
    mask: str, b: list[float]
) -> None:
    x, w = np.array([[1.0, 0.5], [0.4, 1.2]]), np.array([[0.7, 0.9, -0.8], [0.6, 0.5, 1.5]])

    def backward(v: Any, delta: Any) -> dict[str, Any]:
        on = delta * (eval(mask, dict(v)) > 0)
        return {"x": on @ v["w"].T, "w": v["x"].T @ on, "b": on.sum(0)}

    result = check(
        Problem(
            {"x": x, "w": w, "b": np.array(b)},
            lambda v: np.maximum(v["x"] @ v["w"] + v["b"], 0.0),
            backward,
            np.array([[1.0, -0.7, 0.4], [0.6, 1.3, -0.9]]),
        )
    )
    told = [one.diagnosis for one in result.gradients if one.diagnosis is not None]
    assert len(told) == 3
    for one in told:
        named = one.code in ("GC120", "GC123", "GC126", "GC109")
        assert not named or "may be chance" in one.observation, one


def test_an_output_that_is_always_forgotten_is_named() -> None:
    drawn = np.random.default_rng(0)

    def backward(v: Any, delta: Any) -> dict[str, Any]:
        on = delta * (v["x"] @ v["w"] > 0) * [1, 0, 1]
        return {"x": on @ v["w"].T, "w": v["x"].T @ on}

    inputs = {"x": drawn.normal(size=(4, 3)), "w": drawn.normal(size=(3, 3))}
    result = check(
        Problem(
            inputs,
            lambda v: np.maximum(v["x"] @ v["w"], 0.0),
            backward,
            drawn.normal(size=(4, 3)),
        )
    )
    found = [one.diagnosis for one in result.gradients if one.diagnosis is not None]
    assert [one.code for one in found] == ["GC126", "GC126"]
    assert not any("chance" in one.observation for one in found)
