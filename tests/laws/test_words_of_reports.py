"""No format says what means nothing: a bound of 0, an error above inf, -0, an entry of no index."""

from __future__ import annotations

import re
from functools import cache
from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gradcheck_cli.config.load import read_config
from gradcheck_cli.report import CheckReport, SuiteReport
from gradcheck_cli.reporters import FORMATS, Screen, render
from gradcheck_cli.result import Entry, GradientResult, Verdict, Zero
from gradcheck_cli.run import suite

FORBIDDEN = (
    r"pass, (zero )?to -?(0|inf|nan)\b(?!\.)",
    r"\bright to -?(0|inf|nan)\b(?!\.)",
    r"an error above -?(0|inf|nan)\b(?!\.)",
    r"\bstep \d(\.\d+)?e\+[23]\d",
    r"(analytic|numeric|/)\W+-0(?![.\d])",
    r'"(analytic|numeric|ratio)": *-0(\.0)?(?![.\d])',
    r"(worst entry|entry|entries) \[\]",
    r"\bNaN\b|\bInfinity\b",
)
LAYERS = """\
shapes: {n: 3, N: 3, M: 2}
checks:
- {name: right, form: XW}
- {name: wrong, form: XW, backward: {W: X.T @ delta / n}}
- {name: power, form: XW, loss: linear, inputs: {c: 0}}
- {name: scalar, forward: x * x, backward: {x: 3 * delta * x}, inputs: {x: []}}
- {name: invariant, forward: softmax(x), backward: {x: 0 * x}, inputs: {x: [1]}}
- {name: coarse, form: XW, loss: cosine, numeric: {order: 2, step: 0.1}}
"""
NUMBERS = st.sampled_from([0.0, -0.0, inf, nan, 5e-324, 1e308, 1e-16, 0.5])
ERRORS = st.one_of(st.none(), st.sampled_from([0.0, inf, 5e-324, 1e308, 1e-16, 0.5]))


def say(report: SuiteReport, format: str) -> str:
    """A report in a format, as its reader sees it: of a page, without the tags and the style."""
    text = render(report, format, Screen(verbose=True))
    if format != "html":
        return text
    return re.sub(r"<[^>]*>", " ", text.partition("</style>")[2])


def find_forbidden(text: str) -> list[str]:
    return [found[0] for pattern in FORBIDDEN if (found := re.search(pattern, text))]


@cache
def samples() -> SuiteReport:
    return suite.run(read_config(LAYERS, "c.yaml"))


@st.composite
def gradients(draw: st.DrawFn) -> GradientResult:
    """A gradient of a run, with numbers as they come out at the edges of what can be measured."""
    checks = [check.result for check in samples().checks if check.result is not None]
    of = draw(st.sampled_from([gradient for result in checks for gradient in result.gradients]))
    zero = draw(st.sampled_from([None, None, *Zero])) if of.verdict == Verdict.PASS else None
    worst = Entry(
        index=draw(st.sampled_from([(), (0,), (1, 2)])),
        analytic=draw(NUMBERS),
        numeric=draw(NUMBERS.filter(isfinite)),
        uncertainty=draw(st.sampled_from([0.0, 1e-16, inf])),
        ratio=draw(st.one_of(st.none(), NUMBERS)),
    )
    resolution = draw(ERRORS)
    return replace(
        of,
        zero=zero,
        max_abs_error=draw(ERRORS),
        max_rel_error=draw(ERRORS),
        max_over_allowed=draw(ERRORS),
        uncertainty=draw(ERRORS),
        resolution=resolution,
        bound=draw(ERRORS),
        # Of a gradient that is zero, steps grow until they can grow no more.
        step=2.8e39 if zero is not None or not resolution else draw(st.sampled_from([None, 1e-3])),
        worst=draw(st.sampled_from([None, worst])),
    )


@given(found=st.lists(gradients(), min_size=1, max_size=4))
def test_whatever_was_measured_no_format_for_people_says_what_means_nothing(
    found: list[GradientResult],
) -> None:
    (check, *_), of_run = samples().checks, samples()
    assert check.result is not None
    worst = min((of.verdict for of in found), key=[*Verdict].index)
    result = replace(check.result, gradients=tuple(found), verdict=worst)
    report = replace(of_run, checks=(replace(check, result=result),))
    for format in (name for name in FORMATS if not name.startswith("json")):
        assert find_forbidden(say(report, format)) == [], format


RULES = ["", "backward: {W: 0 * W}", "backward: {W: -0 * W}", "backward: {W: X.T @ delta / n}"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("scale", ["0", "1e-307", "1e-18", "1", "1e+18", "1e+150"])
def test_no_run_says_what_means_nothing(format: str, scale: str) -> None:
    text = "\n".join(say(report, format) for report in runs(scale))
    assert find_forbidden(text) == []


@cache
def runs(scale: str) -> tuple[SuiteReport, ...]:
    """Right, wrong and zero gradients of layers whose weights have this scale."""
    checks: list[CheckReport] = []
    for number, rule in enumerate(RULES):
        for loss in ("squared-error", "linear"):
            text = f"""\
name: of-{loss}-{number}
form: XW
shapes: {{n: 2, N: 3, M: 2}}
loss: {loss}
inputs: {{W: {{scale: {scale}}}{", c: 0" * (loss == "linear")}}}
{rule}
"""
            checks += suite.run(read_config(text, "c.yaml")).checks
    return (samples(), replace(samples(), checks=tuple(checks)))
