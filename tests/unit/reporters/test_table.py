"""The screen is as good at 2,000 checks as at one, in every width, piped and in colour."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import cache

import pytest
from msgspec.structs import replace

from gradcheck_cli.config.load import read_config
from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.reporters import Screen, render
from gradcheck_cli.reporters.table import MOST_DETAILS, MOST_FILES, SCREENFUL
from gradcheck_cli.run import suite
from tests.support.command import GOLDEN, Golden
from tests.support.masking import mask

LAYER = """\
form: XW
shapes: {n: 4, N: 3, M: 2}
checks:
- {name: right}
- {name: "right[loss=softmax-cross-entropy,reduction=mean]", loss: softmax-cross-entropy}
- {name: as-expected, backward: {W: X.T @ delta / (n + 1) * 1.000}, expect: fail}
- {name: wrong, backward: {W: X.T @ delta / n}}
- {name: coarse, loss: cosine, numeric: {order: 2, step: 0.1}}
"""
PER_FILE = 7  # checks of a file of these reports
# So many of these reports' checks are wrong or inconclusive: one in this many.
EVERY = 61


@cache
def samples() -> tuple[Sequence[CheckReport], Sequence[CheckReport]]:
    """Checks that came out as expected, and those that did not."""
    checks = [
        replace(check, result=replace(check.result, seconds=0.001 * place))
        for place, check in enumerate(suite.run(read_config(LAYER, "layer.yaml")).checks)
        if check.result is not None
    ]
    return checks[:3], checks[3:]


def report_of(count: int, every: int = EVERY) -> SuiteReport:
    """A report of so many checks, of which one in `every` is not ok."""
    good, bad = samples()
    checks = []
    for place in range(count):
        last = place % every == every - 1
        check = bad[place // every % 2] if last else good[place % 3]
        number = place // PER_FILE
        path = f"configs/part-{number % 4}/layers-of-{number}.yaml"
        rerun = f"gradcheck run --select {check.id}-{place} {path}"
        checks.append(replace(check, id=f"{check.id}-{place}", path=path, rerun=rerun))
    counts = {o.value: sum(c.outcome == o for c in checks) for o in Outcome}
    return replace(suite.run([]), checks=tuple(checks), counts=counts, seconds=0.0)


@pytest.mark.parametrize("count", [0, 1, 20, 138, 2000])
@pytest.mark.parametrize("width", [None, 40, 80, 120])
def test_the_screen_at_every_size_looks_like_its_golden_file(
    count: int, width: int | None, golden: Golden
) -> None:
    text = render(report_of(count), "table", Screen(width=width))
    golden(GOLDEN / "screen" / f"{count}-checks-{width or 'piped'}.txt", mask(text))


@pytest.mark.parametrize("count", [1, 20, 138])
def test_a_terminal_has_the_same_report_in_colour(
    count: int, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)
    text = render(report_of(count), "table", Screen(width=80, color=True))
    golden(GOLDEN / "screen" / f"{count}-checks-80-color.txt", mask(text))
    plain = render(report_of(count), "table", Screen(width=80))
    assert re.sub(r"\x1b\[[\d;]*m", "", text) == plain


@pytest.mark.parametrize("width", [None, 40, 60, 80, 100, 120])
@pytest.mark.parametrize("count", [1, 20, 138])
def test_no_line_of_a_table_is_wider_than_the_window_and_no_number_is_cut(
    count: int, width: int | None
) -> None:
    report = report_of(count, every=count + 1)
    text = render(report, "table", Screen(width=width))
    assert all(len(line) <= (width or 80) for line in text.splitlines())
    if count * 2 <= SCREENFUL:
        for check in report.checks:
            assert check.id in "".join(text.split())
            for gradient in check.result.gradients if check.result else ():
                assert f"{gradient.max_over_allowed:.1e}" in text


def test_a_long_rule_is_cut_and_its_equation_is_not() -> None:
    check = samples()[0][0]
    assert check.result is not None
    long = [replace(of, rule=of.rule * 40) for of in check.result.gradients]
    result = replace(check.result, gradients=tuple(long))
    report = replace(report_of(1), checks=(replace(check, result=result),))
    table = render(report, "table", Screen()).split("\n\n")[0]
    assert table.count("… (45)") == table.count("… (52)") == 1
    assert max(map(len, table.splitlines())) == 80


def test_beyond_a_screenful_verbose_shows_every_gradient_and_every_failure() -> None:
    report = report_of(300, every=2)
    lines = {check.id: place for place, check in enumerate(report.checks)}  # no two are of one item
    report = replace(
        report, checks=tuple(replace(check, line=lines[check.id]) for check in report.checks)
    )
    brief, whole = (render(report, "table", Screen(verbose=verbose)) for verbose in (False, True))
    told = re.findall(r"^(?:FAIL|INCONCLUSIVE)  (\S+)", brief, re.MULTILINE)
    assert len(told) == MOST_DETAILS
    left = 150 - len(set(told))
    assert f"\n{left} more checks did not come out as expected; --verbose" in brief
    for text in ("rerun: ", "FAIL  wrong-297  "):
        assert brief.count(text) < whole.count(text)
    for check in report.checks:
        assert re.search(rf"^{re.escape(check.id)} ", whole, re.MULTILINE) or (
            f"\n{check.id}\n" in whole
        )


def test_what_is_wrong_with_many_seeds_alike_is_told_once() -> None:
    config = "form: XW\nshapes: {n: 4, N: 3, M: 2}\nbackward: {W: X.T @ delta / n}\n"
    seeds = f"matrix: {{inputs.seed: [{', '.join(map(str, range(9)))}]}}\n"
    report = suite.run(read_config(config + seeds, "c.yaml"))
    brief, whole = (render(report, "table", Screen(verbose=verbose)) for verbose in (False, True))
    assert (brief.count("\nFAIL"), whole.count("\nFAIL")) == (1, 9)
    assert "\n  alike: c[seed=1], c[seed=2], c[seed=3] and 5 more\n" in brief
    assert "alike" not in whole
    two = config.replace("{W:", "{X: 2 * delta @ W.T, W:")
    report = suite.run(read_config(two + seeds, "c.yaml"))
    assert render(report, "table", Screen()).count("\nFAIL") == 2  # a gradient each


def test_very_many_files_have_a_row_where_they_are_not_all_ok_and_one_row_together() -> None:
    lines = render(report_of(2000), "table", Screen()).splitlines()
    table = lines[: lines.index("")]
    assert len(table) <= 3 + MOST_FILES + 1
    assert re.match(r"\d+ other files +1,\d{3} ", table[-1])
    paths = {check.path for check in report_of(2000).checks if check.outcome != Outcome.OK}
    assert len(table) == 3 + len(paths) + 1


def test_thousands_of_checks_that_came_out_as_expected_take_a_screen_and_no_time() -> None:
    report = report_of(2000, every=10_000)
    since = time.process_time()
    lines = render(report, "table", Screen()).splitlines()
    assert len(lines) < 20
    # A row of rich's takes 0.35 to 0.6 ms; these are 4,000 gradients.
    assert time.process_time() - since < 4000 * 0.35e-3


def test_a_relative_error_of_two_percent_is_shown_as_such_beside_what_is_allowed() -> None:
    text = "form: xW\nshapes: {N: 3, M: 2}\nbackward: {W: 1.02 * x.T @ delta}\n"
    (check,) = suite.run(read_config(text, "c.yaml")).checks
    assert check.result is not None
    _, wrong = check.result.gradients
    assert wrong.max_rel_error == pytest.approx(0.02 / 1.02)
    assert wrong.max_over_allowed is not None
    assert wrong.max_over_allowed > 1e6
    table = render(suite.run(read_config(text, "c.yaml")), "table", Screen()).split("\n\n")[0]
    assert re.search(r" 2\.0e-02 +\d\.\de\+\d\d  fail$", table, re.MULTILINE)


ZERO = "form: xW\nshapes: {N: 3, M: 2}\nloss: linear\ninputs: {c: 0}\n"


@pytest.mark.parametrize("format", ["table", "markdown", "html", "github", "junit"])
def test_a_gradient_of_zeros_has_no_bound_and_says_that_the_check_has_no_power(format: str) -> None:
    report = suite.run(read_config(ZERO, "c.yaml"))
    text = render(report, format, Screen(verbose=True))
    assert not re.search(r"to 0\b(?!\.)|above (0|inf)\b would|analytic +-0\b|\[\]", text)
    assert format not in ("table", "markdown", "html") or "this check has no power" in text


def test_checks_of_one_name_in_two_files_are_told_apart() -> None:
    good, _ = samples()
    checks = [replace(good[0], id="same", path=path) for path in ("a.yaml", "b.yaml")]
    report = replace(report_of(0), checks=tuple(checks))
    for format in ("table", "markdown"):
        text = render(report, format, Screen())
        assert "same (a.yaml)" in text
        assert "same (b.yaml)" in text
