"""The plugin of pytest: configs are test files, their checks are tests."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gradcheck_cli import api, pytest_plugin
from tests.support.command import ROOT

CONFIG = """\
form: XW
shapes: {n: 8, N: 5, M: 3}
checks:
- {name: right, matrix: {reduction: [sum, mean]}}
- {name: wrong, backward: {W: X.T @ delta / n}}
- {name: unexpected, expect: fail}
"""
CODE = "forward: own.py:f\nbackward: own.py:g\ninputs: {x: [3]}\n"
OWN = "def f(x):\n    print('in f')\n    return 2 * x\ndef g(delta, x):\n    return 2 * delta\n"
WRONG = """\
import numpy as np

def test_square(gradcheck):
    gradcheck(lambda x: x**2, lambda delta, x: delta * x, {"x": np.array([1.0, 2.0, 3.0])})

def test_cube(gradcheck):
    gradcheck(lambda x: x**3, lambda delta, x: 3 * delta * x**2, {"x": np.array([1.0, 2.0, 3.0])})
"""
# As in an environment where the package is installed with its entry point, and in others.
PLUGIN = ("-p", "no:gradcheck", "-p", "gradcheck_cli.pytest_plugin", "-p", "no:xdist")


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    """With configs of forms and of code, and YAML that is none."""
    configs = pytester.mkdir("configs")
    for name, text in {
        "form.yaml": CONFIG,
        "own.yaml": CODE,
        "own.py": OWN,
        "train.yaml": "loss: mse\nmatrix: {os: [linux]}\n",
    }.items():
        (configs / name).write_text(text, encoding="utf-8")
    return pytester


def run(folder: pytest.Pytester, *words: str) -> pytest.RunResult:
    return folder.runpytest_inprocess(*PLUGIN, *words)


def names(done: pytest.RunResult) -> list[str]:
    """The tests that were run or collected, in their order."""
    return [
        line.split(" ")[0].rpartition("::")[2] for line in done.outlines if line.count(".yaml::")
    ]


def test_the_entry_point_is_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"gradcheck": pytest_plugin.__name__}


def test_every_check_is_a_test_and_its_first_line_says_what_is_wrong(
    folder: pytest.Pytester,
) -> None:
    done = run(folder, "configs")
    done.assert_outcomes(passed=2, failed=2, skipped=1)
    said = "∂L/∂W: 15 of 15 entries wrong, GC103 0.125 = 1/n"
    lines = done.outlines
    assert lines[next(n for n, line in enumerate(lines) if "_ wrong _" in line) + 1] == said
    assert f"FAILED configs/form.yaml::wrong - Failed: {said}"[:70] in done.stdout.str()
    done.stdout.fnmatch_lines(["FAILED *::unexpected - Failed: every gradient is right, but*"])
    assert "Traceback" not in done.stdout.str()
    done.stdout.fnmatch_lines(["  rerun: gradcheck run --select wrong configs/form.yaml"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-k", "right"], ["right[reduction=sum]", "right[reduction=mean]"]),
        (["-k", "own or unexpected"], ["unexpected", "own"]),
        (["-m", "not gradcheck"], []),
        (["configs/form.yaml::right[reduction=mean]"], ["right[reduction=mean]"]),
        (["-o", "gradcheck_configs=o*.yaml"], ["own"]),
    ],
    ids=" ".join,
)
def test_tests_are_chosen_as_others_are(
    folder: pytest.Pytester, words: list[str], expected: list[str]
) -> None:
    where = [] if "::" in words[0] else ["configs"]
    assert names(run(folder, "--collect-only", "-q", *words, *where)) == expected


def test_what_failed_last_is_run_again_and_what_is_slow_is_told(folder: pytest.Pytester) -> None:
    run(folder, "configs")
    done = run(folder, "--lf", "-v", "--durations", "1", "configs")
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(["*slowest 1 durations*", "* call *configs/form.yaml::*"])


@pytest.mark.parametrize("words", [["--gradcheck-allow-code"], ["-o", "gradcheck_allow_code=true"]])
def test_code_runs_with_leave_alone(folder: pytest.Pytester, words: list[str]) -> None:
    done = run(folder, "configs/own.yaml", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED * configs/own.yaml:* f, g: *--gradcheck-allow-code only"])
    run(folder, "configs/own.yaml", *words).assert_outcomes(passed=1)


def test_tests_are_shared_out_by_xdist(folder: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    done = folder.runpytest_subprocess(*PLUGIN[:4], "-n", "2", "configs")
    done.assert_outcomes(passed=2, failed=2, skipped=1)
    done.stdout.fnmatch_lines(["FAILED configs/form.yaml::wrong - Failed: ∂L/∂W: 15 of 15*"])


def test_a_broken_config_is_an_error_of_the_collection(folder: pytest.Pytester) -> None:
    (folder.path / "configs" / "broken.yaml").write_text("form: XV\n", encoding="utf-8")
    done = run(folder, "configs")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["configs/broken.yaml:1:7: error: *XV*"])
    assert "Traceback" not in done.stdout.str()


def test_the_fixture_checks_functions(folder: pytest.Pytester) -> None:
    folder.makepyfile(test_functions=WRONG)
    done = run(folder, "test_functions.py")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        ["E * gradcheck_cli.GradientError: ∂L/∂x: 3 of 3 entries wrong, GC103 0.5 = 1/2"]
    )
    assert Path(api.__file__).name not in done.stdout.str()


def test_nothing_is_imported_where_there_is_no_config(pytester: pytest.Pytester) -> None:
    (pytester.path / "other.txt").touch()
    pytester.makepyfile(
        "import sys\n"
        "def test_modules():\n"
        "    ours = {name for name in sys.modules if name.startswith('gradcheck_cli')}\n"
        "    assert ours == {'gradcheck_cli', 'gradcheck_cli.pytest_plugin'}\n"
        "    assert 'yaml' not in sys.modules\n"
    )
    pytester.runpytest_subprocess(*PLUGIN, "-p", "no:hypothesispytest").assert_outcomes(passed=1)
