"""The commands that tell of faults, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Gradcheck

CONFIG = "form: XW\nshapes: {n: 8, N: 5, M: 3}\n"
BLIND = "form: xW\ninputs: {W: [[2, 1, 0.3], [1, 3, 0.7], [0.3, 0.7, 1.5]]}\n"

CODE = """
import os, time
import numpy as np

def sqrt(x):
    return np.sqrt(x)

def hangs(x):
    while np.any(x < 0):
        time.sleep(0.1)
    return np.sqrt(x)

def exits(x):
    if np.any(x < 0):
        os._exit(0)
    return np.sqrt(x)

def right(delta, x):
    return delta / np.sqrt(x) / 2

def wrong(delta, x):
    return delta * np.sin(x)
"""
LAYER = "inputs: {{x: {{shape: [4], distribution: uniform, offset: 3}}}}\nforward: c.py:{}\n"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "c.py").write_text(CODE, encoding="utf-8")
    return tmp_path / "c.yaml"


def test_a_diagnosis_in_json(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "-", "--format", "json", stdin=CONFIG + "backward: {W: X.T@delta/n}\n")
    (check,) = json.loads(done.stdout)["checks"]
    right, wrong = check["result"]["gradients"]
    assert (right["diagnosis"], right["where"], right["map"]) == (None, "", None)
    assert wrong["diagnosis"]["code"] == "GC103"
    assert wrong["diagnosis"]["fits"] < 1e-12
    assert wrong["where"] == "every entry is wrong"


def test_explain_spells_codes_out(gradcheck: Gradcheck) -> None:
    done = gradcheck("explain", "GC103", "gc105")
    assert done.returncode == 0
    assert done.stdout.startswith("GC103: a constant factor\n\nHow it usually happens\n")
    assert "\nGC105: transposed\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["GC999"], "there is no fault GC999; there are GC100 to GC164"),
        (
            ["GC103", "configs"],
            "GC103 is a code, the others are configs; explain one kind at a time",
        ),
    ],
)
def test_codes_that_cannot_be_explained(gradcheck: Gradcheck, words: list[str], said: str) -> None:
    done = gradcheck("explain", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_mutate_0_every_fault_would_be_caught(gradcheck: Gradcheck) -> None:
    done = gradcheck("mutate", "-", stdin=CONFIG)
    assert (done.returncode, done.stderr) == (0, "")
    assert "faults would be caught" in done.stdout


def test_mutate_1_a_fault_survives(gradcheck: Gradcheck) -> None:
    done = gradcheck("mutate", "-", stdin=BLIND)
    assert done.returncode == 1
    assert "unseen, because W is symmetric" in done.stdout


def test_mutate_2_nothing_could_be_run(gradcheck: Gradcheck, code: Path) -> None:
    code.write_text(LAYER.format("missing") + "backward: c.py:right\n", encoding="utf-8")
    done = gradcheck("mutate", "--allow-code", str(code))
    assert done.returncode == 2
    assert gradcheck("mutate", str(code)).returncode == 2


def test_mutate_in_json(gradcheck: Gradcheck) -> None:
    report = json.loads(gradcheck("mutate", "-", "--format", "json", stdin=BLIND).stdout)
    (check,) = report["checks"]
    statuses = [mutant["status"] for mutant in check["result"]["mutants"]]
    assert report["exit_code"] == 1
    assert report["mutants"] == {
        status: statuses.count(status) for status in ("caught", "survived", "equal")
    }
    (survivor,) = [one for one in check["result"]["mutants"] if one["status"] == "survived"]
    assert (survivor["code"], survivor["gradient"]) == ("GC106", "∂L/∂x")
    assert survivor["reason"] == "W is symmetric"
    assert survivor["remedy"]


def test_mutate_works_for_code(gradcheck: Gradcheck, code: Path) -> None:
    code.write_text(LAYER.format("sqrt") + "backward: c.py:right\n", encoding="utf-8")
    done = gradcheck("mutate", "--allow-code", str(code))
    assert (done.returncode, done.stderr) == (0, "")


UNIT_OFF = """\
forward: maximum(x @ W + b, 0)
backward:
  x: (delta * (y > 0)) @ W.T
  W: x.T @ (delta * (y > 0))
  b: sum(delta * (y > 0), 0)
inputs: {x: [n, N], W: [N, M], b: {values: [9, -9]}}
shapes: {n: 3, N: 2, M: 2}
"""


@pytest.mark.parametrize("command", ["mutate", "run --power"])
def test_what_the_inputs_do_not_exercise(gradcheck: Gradcheck, command: str) -> None:
    done = gradcheck(*command.split(), "-", stdin=UNIT_OFF)
    # 3×2 outputs depend on 2 of 6 entries of x, 2 of 4 of W, 1 of 2 of b; half of them are off.
    assert (
        "exercise: stdin: these inputs reach 15 of 30 entries of the forward's Jacobian that can "
        "be nonzero (50%); no output depends on column 1 of W and entry 1 of b here" in done.stdout
    )
    done = gradcheck(*command.split(), "-", stdin=UNIT_OFF.replace("-9", "8"))
    assert "these inputs reach all 30 entries of the forward's Jacobian that can be" in done.stdout


def test_power_adds_a_line(gradcheck: Gradcheck) -> None:
    done = gradcheck("run", "--power", "-", stdin=BLIND)
    assert done.returncode == 0
    assert "injected bugs would have been caught here; which would not: gradcheck mutate -" in (
        done.stdout
    )


@pytest.mark.parametrize(
    ("forward", "why"),
    [("hangs", "a call did not return within 1 s"), ("exits", "the code ended its process")],
)
def test_what_a_diagnosis_asks_of_the_forward_costs_no_verdict(
    gradcheck: Gradcheck, code: Path, forward: str, why: str
) -> None:
    code.write_text(LAYER.format(forward) + "backward: c.py:wrong\n", encoding="utf-8")
    done = gradcheck("run", "--allow-code", "--timeout", "1", str(code))
    assert done.returncode == 1
    assert "4 of 4 entries are wrong" in done.stdout
    assert f"the diagnosis was not finished: {why}" in done.stdout


def test_what_mutants_ask_of_the_forward_costs_no_verdict(gradcheck: Gradcheck, code: Path) -> None:
    code.write_text(LAYER.format("exits") + "backward: c.py:right\n", encoding="utf-8")
    done = gradcheck("run", "--power", "--allow-code", str(code))
    assert done.returncode == 0
    assert "the diagnosis was not finished: the code ended its process" in done.stdout
    assert gradcheck("mutate", "--allow-code", str(code)).returncode == 2
