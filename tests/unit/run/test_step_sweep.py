"""The error against the step: slopes of truncation and rounding, and a step that beats both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from gradcheck_cli.config.load import read_config
from gradcheck_cli.errors import UsageError
from gradcheck_cli.reporters import Screen, step_figure
from gradcheck_cli.reporters.step_drawing import render, render_json
from gradcheck_cli.run.step_sweep import KINKS, ZERO, Curve, GradientSteps, StepsReport, run
from tests.support.command import GOLDEN, Golden, Gradcheck

LAYER = "form: XW\nshapes: {n: 4, N: 3, M: 2}\n"


def steps(text: str) -> StepsReport:
    return run(read_config(text, "c.yaml"))


def first(text: str) -> GradientSteps:
    return steps(text).checks[0].gradients[0]


@pytest.fixture(scope="module")
def logistic() -> GradientSteps:
    return first(LAYER + "loss: logistic\n")


def fitted(pairs: list[tuple[float, float]]) -> float:
    """The slope of the line through some points."""
    x, y = np.array(pairs).T
    return float(np.polyfit(x, y, 1)[0])


def slope(of: GradientSteps, curve: Curve, low: float, high: float) -> float:
    """Of log error over log step, where the error is between two values, beside the best step."""
    right = low < 1e-3
    pairs = [
        (np.log(step), np.log(error))
        for step, error in zip(of.steps, curve.errors, strict=True)
        if error is not None and low < error < high and (step > curve.best_step) == right
    ]
    assert len(pairs) > 5
    return fitted(pairs)


def test_truncation_grows_with_the_order_of_the_stencil(logistic: GradientSteps) -> None:
    assert [curve.order for curve in logistic.curves] == [2, 4, 6]
    for curve in logistic.curves:
        low = 30 * curve.best_error
        assert slope(logistic, curve, low, 1e-3) == pytest.approx(curve.order, abs=0.35)


def test_rounding_grows_as_the_step_shrinks(logistic: GradientSteps) -> None:
    for curve in logistic.curves:
        pairs = [
            (np.log(step), np.log(error))
            for step, error in zip(logistic.steps, curve.errors, strict=True)
            if error and step < curve.best_step / 100
        ]
        assert fitted(pairs) == pytest.approx(-1, abs=0.15)


def test_the_chosen_step_beats_the_best_plain_one(logistic: GradientSteps) -> None:
    plain = logistic.curves[0]
    assert logistic.known_to is not None
    assert logistic.chosen is not None
    assert logistic.known_to < plain.best_error / 10
    assert logistic.chosen > 100 * plain.best_step


def test_a_squared_error_has_no_truncation() -> None:
    for curve in first(LAYER).curves:
        assert curve.errors[0] is not None
        assert curve.errors[0] < 1e-14
    assert "no truncation" in render(steps(LAYER), Screen())


NOTHING = "form: Wx\nshapes: {N: 2, M: 2}\ninputs: {x: [[0], [0]]}\n"


def test_a_zero_gradient_has_no_relative_error() -> None:
    report = steps(NOTHING)
    assert [of.note for of in report.checks[0].gradients] == ["", ZERO]
    assert ZERO in render(report, Screen())


def test_kinks_have_no_gradient() -> None:
    text = "forward: abs(x)\nbackward: {x: delta * sign(x)}\ninputs: {x: {values: [0, 0]}}\n"
    assert first(text).note == KINKS


@pytest.mark.parametrize(
    "more",
    [
        "dtype: float32\n",
        "jacobian: true\nloss: cosine\n",
        "activation: relu\ninputs: {X: {distribution: zeros}}\n",
        "inputs: {W: {scale: 1e-150}}\nloss: linear\n",
        "inputs: {W: {scale: 1e100}}\nloss: cosine\n",
        "shapes: {n: 9, N: 30, M: 2}\nloss: huber\n",
    ],
)
def test_what_is_hard_to_difference_is_drawn_or_says_why_not(more: str) -> None:
    base = LAYER if "shapes" not in more else "form: XW\n"
    report = steps(base + more)
    for gradient in report.checks[0].gradients:
        assert gradient.curves or gradient.note
        assert gradient.measured <= 48
    assert "∂" in render(report, Screen())
    json.loads(render_json(report), parse_constant=lambda text: pytest.fail(text))


@pytest.mark.parametrize(("name", "screen"), [("80", Screen()), ("40", Screen(40))])
def test_the_drawing_looks_like_its_golden_file(name: str, screen: Screen, golden: Golden) -> None:
    # Rounding differs between machines; what is made up of truncation does not.
    curve = [
        Curve(
            order,
            tuple(max((10.0**-k) ** order, 10.0 ** (k - 16)) for k in range(-1, 15)),
            10.0 ** (-16 / (order + 1)),
            10.0 ** (-16 * order / (order + 1)),
        )
        for order in (2, 4, 6)
    ]
    whole = GradientSteps(
        "W",
        "∂L/∂W",
        (3, 2),
        6,
        6,
        tuple(10.0**-k for k in range(-1, 15)),
        tuple(curve),
        1e-2,
        1e-14,
    )

    report = steps(LAYER)
    one = replace(report.checks[0], gradients=(whole,))
    report = replace(report, checks=(one,))
    golden(GOLDEN / f"steps-{name}.txt", render(report, screen))


@pytest.mark.parametrize(
    ("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_figures_are_saved_whole(tmp_path: Path, suffix: str, magic: bytes) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"steps.{suffix}"
    step_figure.save(steps(LAYER), str(path))
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_saved_is_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"must end in \.svg, \.png or \.pdf"):
        step_figure.refuse_path("steps.gif")
    with pytest.raises(UsageError, match="there is no such folder"):
        step_figure.refuse_path(str(tmp_path / "none" / "steps.png"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'gradcheck-cli\[plot\]'"):
        step_figure.refuse_path("steps.png")


def test_the_command_draws_code_and_says_what_cannot_be_run(gradcheck: Gradcheck) -> None:
    done = gradcheck("steps", "docs/examples/affine.yaml", "-k", "affine")
    assert (done.returncode, "--allow-code" in done.stderr) == (2, True)
    assert "NOT RUN  affine" in done.stdout
    assert "ERROR" not in done.stdout
    done = gradcheck("steps", "--allow-code", "docs/examples/affine.yaml", "-k", "affine")
    assert (done.returncode, done.stderr) == (0, "")
    assert "affine  ∂L/∂w" in done.stdout
    done = gradcheck("steps", "-", "--format", "json", stdin=LAYER)
    assert len(json.loads(done.stdout)["checks"][0]["gradients"]) == 2
