"""What pyproject.toml or gradcheck.toml says for all commands; --exclude."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.command import ROOT, Gradcheck

FORM = "form: XW\nshapes: {n: 4, N: 3, M: 2}\n"
TWO = f"{FORM}checks:\n- {{name: right}}\n- {{name: wrong, backward: {{W: X.T @ delta / n}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("configs/a.yaml", "configs/deep/b.yaml", "other/c.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TWO.replace("right", f"right-{name[-6]}"), encoding="utf-8")
    return tmp_path


def say(folder: Path, *lines: str, file: str = "gradcheck.toml") -> None:
    head = "[tool.gradcheck]\n" if file == "pyproject.toml" else ""
    (folder / file).write_text(head + "\n".join(lines), encoding="utf-8")


def ids(gradcheck: Gradcheck, folder: Path, *words: str) -> list[str]:
    done = gradcheck("run", "--list", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("file", ["pyproject.toml", "gradcheck.toml"])
@pytest.mark.parametrize("words", [[], ["run"]], ids=["gradcheck", "gradcheck run"])
def test_without_arguments_what_the_project_names_is_run(
    gradcheck: Gradcheck, folder: Path, file: str, words: list[str]
) -> None:
    say(folder, 'paths = ["configs"]', 'select = ["right*"]', file=file)
    done = gradcheck(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 checks: 2 ok" in done.stdout
    done = gradcheck(*words, cwd=folder / "other")
    assert (done.returncode, "2 checks: 2 ok" in done.stdout) == (0, True)


def test_this_repository_is_right(gradcheck: Gradcheck) -> None:
    done = gradcheck("validate", cwd=ROOT)
    assert (done.returncode, "configs/batch.yaml: " in done.stdout) == (0, True)


def test_what_is_named_is_run_and_not_what_the_project_names(
    gradcheck: Gradcheck, folder: Path
) -> None:
    say(folder, 'paths = ["configs"]', 'select = ["right*"]')
    assert ids(gradcheck, folder, "other") == ["right-c", "wrong"]
    assert ids(gradcheck, folder, "-k", "wrong") == ["wrong", "wrong"]
    assert ids(gradcheck, folder) == ["right-a", "right-b"]


def test_options_come_before_those_of_the_project(gradcheck: Gradcheck, folder: Path) -> None:
    say(folder, "seeds = 2", 'format = "json"', 'output = ["plain=reports/a.txt"]', "jobs = 1")
    words = ("run", "other", "-k", "right*")
    report = json.loads(gradcheck(*words, cwd=folder).stdout)
    assert [check["id"] for check in report["checks"]] == ["right-c[seed=0]", "right-c[seed=1]"]
    assert (folder / "reports/a.txt").read_text(encoding="utf-8").count("\n") == 4
    rerun = report["checks"][1]["rerun"].split()[1:]
    assert json.loads(gradcheck(*rerun, cwd=folder).stdout)["counts"]["ok"] == 1
    done = gradcheck(*words, "--seeds", "3", "--format", "plain", cwd=folder)
    assert len(done.stdout.splitlines()) == 6


def test_a_tolerance_of_the_project_is_that_of_configs_without_one(
    gradcheck: Gradcheck, folder: Path
) -> None:
    own = f"{FORM}tolerance: {{atol: 1e-7}}\n"
    (folder / "own.yaml").write_text(own, encoding="utf-8")
    say(folder, "tolerance = {rtol = 1e-4, atol = 1e-5}", 'paths = ["configs", "own.yaml"]')
    report = json.loads(
        gradcheck("run", "--format", "json", "-k", "right-a", "-k", "own", cwd=folder).stdout
    )
    allowed = [(c["result"]["rtol"], c["result"]["atol"]) for c in report["checks"]]
    assert allowed == [(1e-4, 1e-5), (1e-4, 1e-7)]
    done = gradcheck(
        "run", "own.yaml", "--set", "tolerance.rtol=1e-3", "--format", "json", cwd=folder
    )
    assert json.loads(done.stdout)["checks"][0]["result"]["rtol"] == 1e-3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('path = ["a"]', "unknown key 'path'; did you mean 'paths'?"),
        ('paths = ["/etc"]', "'/etc' is not a path inside the folder of this file"),
        ('paths = ["a/../../b"]', "'a/../../b' is not a path inside the folder of this file"),
        ('paths = ["link"]', "'link' is not a path inside the folder of this file"),
        ('paths = ["a\\u0000b"]', "'a\\x00b' is not a path inside the folder of this file"),
        ('paths = ["-"]', "'-' is not a path inside the folder of this file"),
        ('output = ["json=../a"]', "'../a' is not a path inside the folder of this file"),
        ('output = ["json=.git/a"]', "'.git/a' is hidden; no report is written there"),
        ("allow_code = true", "leave to run code is given on the command line alone: --allow-code"),
        ("seeds = 0", "Expected `int` >= 1 - at `seeds`"),
        ("tolerance = {rtol = 2}", "Expected `float` < 1.0 - at `tolerance.rtol`"),
        ("paths = [", "gradcheck.toml is not TOML"),
    ],
)
def test_what_a_project_may_not_say_is_an_error(
    gradcheck: Gradcheck, folder: Path, line: str, said: str
) -> None:
    os.symlink("/etc", folder / "link")
    say(folder, line)
    done = gradcheck("run", "configs", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert gradcheck("run", "--help", cwd=folder).returncode == 0


def test_without_a_project_configs_must_be_named(gradcheck: Gradcheck, folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project]\nname = 'gradcheck'\n", encoding="utf-8")
    done = gradcheck("run", cwd=folder)
    assert done.returncode == 2
    assert "put paths under [tool.gradcheck] in pyproject.toml" in done.stderr
    assert "Usage:" in gradcheck(cwd=folder).stdout + gradcheck(cwd=folder).stderr


def test_a_checkout_ends_the_search(gradcheck: Gradcheck, folder: Path) -> None:
    say(folder, 'paths = ["configs"]')
    (folder / "other" / ".git").mkdir()
    assert gradcheck("run", cwd=folder / "other").returncode == 2


@pytest.mark.parametrize(
    ("glob", "left"),
    [
        ("deep", ["a", "c"]),
        ("b.*", ["a", "c"]),
        ("configs", ["c"]),
        ("configs/*", ["c"]),
        ("configs/deep/", ["a", "c"]),
        ("other/[a-c].yaml", ["a", "b"]),
        ("unknown", ["a", "b", "c"]),
    ],
)
def test_files_and_folders_are_left_out(
    gradcheck: Gradcheck, folder: Path, glob: str, left: list[str]
) -> None:
    expected = [f"right-{name}" for name in left]
    words = (".", "-k", "right*")
    assert ids(gradcheck, folder, *words, "--exclude", glob) == expected
    say(folder, f'exclude = ["{glob}"]')
    assert ids(gradcheck, folder, *words) == expected


def test_what_is_named_is_never_left_out(gradcheck: Gradcheck, folder: Path) -> None:
    assert ids(gradcheck, folder, "other/c.yaml", "--exclude", "c.yaml") == ["right-c", "wrong"]
