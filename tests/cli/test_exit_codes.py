"""Each exit code, as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT, Gradcheck, command

CONFIG = "form: XW\nshapes: {n: 8, N: 5, M: 3}\n"


def test_0_every_check_came_out_as_expected(gradcheck_process: Gradcheck) -> None:
    done = gradcheck_process("run", "configs/mean.yaml", "configs/losses.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^\d+ checks: \d+ ok ·", done.stdout, re.M)


def test_1_a_gradient_is_wrong(gradcheck_process: Gradcheck) -> None:
    done = gradcheck_process("run", "-", stdin=CONFIG + "backward: {W: X.T @ delta / n}\n")
    assert done.returncode == 1
    assert "15 of 15 entries are wrong" in done.stdout


def test_1_a_gradient_expected_to_fail_passed(gradcheck_process: Gradcheck) -> None:
    done = gradcheck_process("run", "-", stdin=CONFIG + "expect: fail\n")
    assert done.returncode == 1
    assert "every gradient is right, but the config says expect: fail" in done.stdout


def test_1_a_rule_of_the_wrong_shape_is_a_wrong_gradient(gradcheck_process: Gradcheck) -> None:
    done = gradcheck_process("run", "-", stdin=CONFIG + "backward: {W: delta.T @ X}\n")
    assert done.returncode == 1
    assert "∂L/∂W must be 5×3; 'delta.T @ X' gives 3×5" in done.stdout


def test_2_a_formula_that_cannot_be_evaluated_is_an_unusable_config(
    gradcheck_process: Gradcheck,
) -> None:
    done = gradcheck_process("run", "-", stdin=CONFIG + "backward: {W: delta @ X}\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "-:3:15: error: 'delta @ X': 8×3 times 8×5" in done.stderr


def test_2_one_broken_config_and_nothing_runs(gradcheck_process: Gradcheck) -> None:
    done = gradcheck_process("run", "configs", "tests/data/errors/unknown-key.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'shapes'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["walk"], "no command 'walk'; the commands are: completion, explain, init, man, mutate,"),
        (["rum", "configs"], "no command 'rum'; did you mean 'run'?"),
        (["configs/mean.yaml"], "did you mean `gradcheck run configs/mean.yaml`?"),
        (["mine.yml"], "did you mean `gradcheck run mine.yml`?"),
        (["layers.py"], "did you mean `gradcheck run layers.py`?"),
        (["run", "layers.py:affine"], "no such file or directory: 'layers.py:affine'"),
        (["run", "docs/examples/affine.py:affine_fwd"], "did you mean 'affine_forward'?"),
        (["run", "gradcheck_cli/text.py"], "has no function or class with a backward"),
        (["run", "docs/tutorial.ipynb"], "in a notebook, call gradcheck_cli.check"),
        (["init", "layers.py"], "`gradcheck init layers.py:NAME` writes one"),
        (["init", "--force", "tutorial.ipynb:f"], "in a notebook, call gradcheck_cli.check"),
        (["run", "configs", "--reduction", "mean"], "is set with -s reduction=VALUE"),
        (["run", "configs", "--step", "1e-5"], "is set with -s numeric.step=VALUE"),
        (["completion"], "Choose from: bash, zsh, fish, powershell"),
        (["run", "configs", "--fromat", "json"], "--format"),
        (["run", "configs", "--format", "yaml"], "'yaml'"),
        (["run", "missing.yaml"], "no such file or directory: 'missing.yaml'"),
        (["run", ".ci"], "no config (*.yaml, *.yml) in directory '.ci'"),
        (["run", "configs", "-k", "colum"], "no check matches 'colum'"),
    ],
)
def test_2_usage(gradcheck: Gradcheck, arguments: list[str], said: str) -> None:
    done = gradcheck(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_3_no_wrong_gradient_but_an_inconclusive_check(gradcheck_process: Gradcheck) -> None:
    coarse = CONFIG + "loss: cosine\nnumeric: {order: 2, step: 0.1}\n"
    done = gradcheck_process("run", "-", stdin=coarse)
    assert done.returncode == 3
    assert "the difference quotient does not settle: at [" in done.stdout


def test_3_is_not_what_expect_fail_asks_for(gradcheck_process: Gradcheck) -> None:
    coarse = CONFIG + "loss: cosine\nnumeric: {order: 2, step: 0.1}\nexpect: fail\n"
    assert gradcheck_process("run", "-", stdin=coarse).returncode == 3


def test_a_wrong_gradient_weighs_more_than_an_inconclusive_one(
    gradcheck_process: Gradcheck,
) -> None:
    both = (
        CONFIG
        + "checks:\n- {loss: cosine, numeric: {step: 0.1}}\n- {backward: {W: X.T @ delta / n}}\n"
    )
    assert gradcheck_process("run", "-", stdin=both).returncode == 1


# 129, 130 and 143: test_signals.py.


def test_python_m_and_the_packages_own_name_are_the_same_command() -> None:
    scripts = Path(command()).parent
    suffix = ".exe" if os.name == "nt" else ""
    for start in (
        [sys.executable, "-m", "gradcheck_cli"],
        [str(scripts / f"gradcheck-cli{suffix}")],
    ):
        done = subprocess.run(
            [*start, "run", "configs/batch.yaml"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0
