"""Checks in a test suite: three lines, and the command's report in the failure."""

from __future__ import annotations

from inspect import signature
from math import inf, nan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import gradcheck_cli
from gradcheck_cli import GradientError, Numeric, Tolerance, assert_gradients, check
from gradcheck_cli.errors import CodeError

pytest_plugins = ["pytester"]

SUITE = """\
import numpy as np
from gradcheck_cli import assert_gradients


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.mean(axis=0)


def test_affine():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(4, 3)), random.normal(size=(3, 2)), random.normal(size=2)
    assert_gradients(affine, affine_backward, inputs)
"""


def test_a_failure_reads_like_the_command(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            ">*assert_gradients(affine, affine_backward, inputs)",
            "E*check   gradient*verdict",
            "E*affine  ∂L/∂x*pass, to*",
            "E*FAIL  affine  ∂L/∂b",
            "E*2 of 2 entries are wrong",
            "E*analytic / numeric = 0.25",
        ]
    )
    assert str(Path(gradcheck_cli.__file__).parent) not in done.stdout.str()


def test_a_pass_returns_the_result() -> None:
    result = assert_gradients(np.sin, lambda delta, x: delta * np.cos(x), np.ones(3))
    assert (result.verdict, len(result.gradients)) == ("pass", 1)


def test_an_inconclusive_check_is_no_pass() -> None:
    with pytest.raises(GradientError, match="INCONCLUSIVE  absolute"):
        assert_gradients(np.absolute, lambda delta, x: delta * np.sign(x), np.zeros(3))
    assert issubclass(GradientError, AssertionError)


def test_delta_seed_numeric_and_tolerance_are_heard() -> None:
    def backward(delta: Any, x: Any) -> Any:
        return delta * np.cos(x) * (1 + 1e-6)

    x = np.linspace(0, 1, 50)
    result = check(np.sin, backward, x, tolerance=Tolerance(rtol=1e-4), numeric=Numeric(sample=7))
    assert (result.verdict, result.gradients[0].measured) == ("pass", 7)
    ones = check(np.sin, backward, x, delta=np.ones(50))
    drawn, other = check(np.sin, backward, x, seed=1), check(np.sin, backward, x, seed=2)
    values = {one.gradients[0].max_abs_error for one in (ones, drawn, other)}
    assert len(values) == 3


@pytest.mark.parametrize("rtol", [nan, 0.0, -1.0, 1.0, inf])
def test_a_tolerance_that_lets_anything_pass_or_nothing_is_refused(rtol: float) -> None:
    with pytest.raises(ValueError, match="'rtol' must be a number above 0, below 1"):
        Tolerance(rtol=rtol)


@pytest.mark.parametrize("name", ["atol", "repeat"])
@pytest.mark.parametrize("value", [nan, inf, -1.0])
def test_so_are_what_is_added_to_it(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"'{name}' must be a number, 0 or more"):
        Tolerance(**{name: value})


def test_options_that_make_no_sense_are_refused() -> None:
    wrong: list[dict[str, Any]] = [{"step": -1.0}, {"step": nan}, {"sample": 0}, {"jobs": 0}]
    for options in wrong:
        with pytest.raises(ValueError, match="must be a number above 0"):
            Numeric(**options)
    with pytest.raises(ValueError, match="'order' must be 2, 4 or 6, got 3"):
        Numeric(order=3)
    with pytest.raises(ValueError, match="'mode' must be one of auto, entries, directions"):
        Numeric(mode="fast")
    with pytest.raises(TypeError, match=r"tolerance must be a Tolerance, got 0\.001"):
        check(np.tanh, lambda delta, x: delta, 0.5, tolerance=0.001)  # type: ignore[arg-type]


def test_help_shows_what_assert_gradients_takes() -> None:
    assert signature(assert_gradients) == signature(check)
    assert (assert_gradients.__doc__ or "").startswith("`check` for a test")
    with pytest.raises(TypeError, match="unexpected keyword argument 'deltas'"):
        assert_gradients(np.tanh, np.cosh, np.ones(2), deltas=1)  # type: ignore[call-arg]


def test_a_check_needs_a_backward_and_inputs() -> None:
    with pytest.raises(CodeError, match="needs inputs"):
        check(np.sin, lambda delta: delta)
    with pytest.raises(CodeError, match="so it needs a backward"):
        check(np.sin, inputs=np.ones(3))


def test_what_is_public_is_there() -> None:
    for name in gradcheck_cli.__all__:
        assert getattr(gradcheck_cli, name).__doc__


def test_a_notebook_shows_a_result_as_a_table() -> None:
    result = check(lambda x, y: x**2 + y, lambda delta, x, y: (delta * x, delta), [np.ones(3)] * 2)
    assert repr(result) == "<CheckResult fail: ∂L/∂x fail, ∂L/∂y pass>"
    html = ElementTree.fromstring(result._repr_html_())
    cells = [[cell.text for cell in row] for row in html.iter("tr")]
    assert cells[0][0] == "gradient"
    assert [(row[0], row[1]) for row in cells[1:]] == [("∂L/∂x", "(3,)"), ("∂L/∂y", "(3,)")]
    assert (cells[1][-1], str(cells[2][-1])[:9]) == ("fail", "pass, to ")
    first = html.find("p/strong")
    assert first is not None
    assert first.text == "∂L/∂x: 3 of 3 entries wrong, GC103 0.5 = 1/2"
