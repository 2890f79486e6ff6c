"""Help, derivations and reports, as they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from gradcheck_cli.cli import exit_code
from gradcheck_cli.config.load import read_config
from gradcheck_cli.reporters import Screen, render
from gradcheck_cli.run.suite import run
from tests.support.command import GOLDEN, ROOT, Golden
from tests.support.masking import mask

PRINTED = {
    "help": ["--help"],
    "help-run": ["run", "--help"],
    "help-explain": ["explain", "--help"],
    "help-mutate": ["mutate", "--help"],
    "help-steps": ["steps", "--help"],
    "help-init": ["init", "--help"],
    "help-validate": ["validate", "--help"],
    "help-schema": ["schema", "--help"],
    "help-completion": ["completion", "--help"],
    "help-man": ["man", "--help"],
    "explain-faults": ["explain", "GC103", "gc107"],
    "explain-column-vector": ["explain", "configs/column-vector.yaml"],
    "explain-row-vector": ["explain", "configs/row-vector.yaml"],
    "explain-batch": ["explain", "configs/batch.yaml"],
    "explain-reduction": ["explain", "configs/reduction.yaml"],
    "explain-bias": ["explain", "configs/bias.yaml", "-k", "bias-divided-by-n"],
    "explain-activation": ["explain", "configs/activations.yaml", "-k", "relu"],
    "explain-activation-of-a-column": ["explain", "tests/data/explain/activation-of-a-column.yaml"],
    "explain-no-product": ["explain", "tests/data/explain/no-product.yaml"],
    "explain-wrong-shape": ["explain", "configs/own-rules.yaml", "-k", "transposed-result"],
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_command_prints_its_golden_file(
    name: str,
    golden: Golden,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    assert exit_code(PRINTED[name]) == 0
    golden(GOLDEN / f"{name}.txt", capsys.readouterr().out)


def test_the_manual_page_is_that_of_the_help(
    golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is installed with the package; `man` finds it beside the command."""
    assert exit_code(["man"]) == 0
    golden(ROOT / "docs" / "gradcheck.1", capsys.readouterr().out)
    assert exit_code(["validate", "--help"]) == 0
    assert "-h, --help" in capsys.readouterr().out  # click keeps the option that it made first


SUITE = """\
form: XW
shapes: {n: 4, N: 3, M: 2}
checks:
- {name: right, jacobian: true}
- {name: wrong, backward: {W: X.T @ delta / n}}
- {name: shape, backward: {W: delta.T @ X}}
- {name: wrong-as-expected, backward: {W: X.T @ delta / n}, expect: fail}
- {name: right-unexpectedly, expect: fail}
- {name: coarse, loss: cosine, numeric: {order: 2, step: 0.1}}
- {name: powerless, loss: linear, inputs: {c: 0}}
"""


WRONG = """\
form: XW
shapes: {n: 4, N: 12, M: 7}
checks:
- {name: part, backward: {W: "X.T @ delta * where(W > 0.8, 1.001, 1)"}}
- {name: column, backward: {W: "(X * where(X > -9, 1, 2)).T @ (delta * (1 + 0 * delta))"}}
- {name: left-out, backward: {W: X.T @ ones_like(delta) / n}}
- {name: shape, backward: {W: "sum(delta, 0)"}}
"""

MUTATED = """\
form: xW
shapes: {N: 3, M: 3}
loss: linear
inputs: {W: [[1, 2, 3], [2, 0, 1], [3, 1, 5]], c: {distribution: ones}}
checks:
- {name: blind}
- {name: sees, inputs: {W: {scale: 1}, c: {distribution: normal}}}
"""


@pytest.mark.parametrize(
    ("name", "text", "screen", "mutants"),
    [
        ("diagnosis-wide.txt", WRONG, Screen(), False),
        ("diagnosis-60-columns.txt", WRONG, Screen(width=60), False),
        ("diagnosis-color.txt", WRONG, Screen(width=100, color=True), False),
        ("power.txt", MUTATED, Screen(), False),
        ("mutants-of-two.txt", MUTATED, Screen(), True),
        ("mutants-of-one.txt", MUTATED.split("- {name: sees")[0], Screen(), True),
        ("mutants-60-columns.txt", MUTATED.split("- {name: sees")[0], Screen(width=60), True),
    ],
)
def test_what_is_told_of_faults(
    name: str, text: str, screen: Screen, mutants: bool, golden: Golden
) -> None:
    report = run(read_config(text, "suite.yaml"), power="mutants" in name or "power" in name)
    report = replace(report, seconds=0.0)
    shown = render(report, "table", screen, mutants=mutants)
    golden(Path(GOLDEN / name), mask(shown))


@pytest.mark.parametrize(
    ("name", "format", "screen"),
    [
        ("report-piped.txt", "table", Screen()),
        ("report-40-columns.txt", "table", Screen(width=40)),
        ("report-color.txt", "table", Screen(width=100, color=True)),
        ("report.json", "json", Screen()),
    ],
)
def test_a_report_looks_like_its_golden_file(
    name: str, format: str, screen: Screen, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)
    report = replace(run(read_config(SUITE, "suite.yaml")), seconds=0.0)
    golden(Path(GOLDEN / name), mask(render(report, format, screen)))
