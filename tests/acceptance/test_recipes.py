"""What CI services read is true, and runs as far as it can without them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gradcheck_cli.cli import cli
from tests.conftest import ROOT, command, environment

TEXT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
INSTALL, RUN = ACTION["runs"]["steps"]
RIGHT = "form: XW\nshapes: {n: 4, N: 3, M: 2}\n"
WRONG = RIGHT + "backward: {W: X.T @ delta / n}\n"
UNKNOWN = RIGHT + "loss: cosine\nnumeric: {step: 0.1}\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")


def block(language: str, after: str) -> str:
    """The first block of a language below a heading."""
    found = re.search(rf"```{language}\n(.*?)```", TEXT.split(f"## {after}\n")[1], re.S)
    assert found is not None
    return found[1]


def shell(script: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    env = environment(**extra)
    env["PATH"] = f"{Path(command()).parent}:{env['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


# -- the action ------------------------------------------------------------------------------


def test_inputs_reach_scripts_as_variables_only() -> None:
    used = set()
    for step in (INSTALL, RUN):
        assert "${{" not in step["run"]
        for name, value in step["env"].items():
            assert f"${name}" in step["run"] or f"${{{name}" in step["run"], name
            used |= set(re.findall(r"inputs\.([\w-]+)", value))
    assert used == set(ACTION["inputs"])


def test_the_docs_have_every_input_with_its_default() -> None:
    table = TEXT.split("| input | default |")[1].split("\n\n")[0]
    rows = [row.split("|")[1:4] for row in table.splitlines()[2:]]
    shown = {
        name: default.strip().strip("`")
        for names, default, _ in rows
        for name in re.findall(r"`([\w-]+)`", names)
    }
    assert shown == {name: of["default"] for name, of in ACTION["inputs"].items()}


def act(folder: Path, **given: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """The action's run step as GitHub runs it: what it did, and its output."""
    inputs = {name: str(of["default"]) for name, of in ACTION["inputs"].items()}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    output = folder / "output"
    output.write_text("")
    variables = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)
        for name, value in RUN["env"].items()
    }
    variables |= {"BIN": str(Path(command()).parent), "GITHUB_OUTPUT": str(output)}
    done = shell(RUN["run"], folder, **variables)
    return done, output.read_text()


@pytest.mark.parametrize(
    ("text", "given", "code", "told"),
    [
        (RIGHT, {}, 0, 0),
        (WRONG, {}, 1, 1),
        (UNKNOWN, {}, 3, 3),
        (UNKNOWN, {"allow_inconclusive": "true"}, 0, 3),
        (WRONG, {"args": "--select\nnone"}, 2, 2),
        (WRONG, {"args": "--set=backward={}\n"}, 0, 0),
    ],
)
def test_the_action_ends_as_gradcheck_does(
    tmp_path: Path, text: str, given: dict[str, str], code: int, told: int
) -> None:
    (tmp_path / "gradcheck.yaml").write_text(text)
    done, output = act(tmp_path, **given)
    assert (done.returncode, output) == (code, f"exit-code={told}\n"), done.stderr


def test_the_action_takes_odd_names_and_writes_reports(tmp_path: Path) -> None:
    for name in ("a b.yaml", "-c$(touch pwned).yaml"):
        (tmp_path / name).write_text(WRONG)
    summary = tmp_path / "summary.md"
    done, _ = act(
        tmp_path,
        configs="a b.yaml\n-c$(touch pwned).yaml\n",
        junit="build/r.xml",
        html="build/r.html",
    )
    assert done.returncode == 1
    assert done.stdout.count("::error file=") == 2
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["r.html", "r.xml"]
    assert not (tmp_path / "pwned").exists()
    assert not summary.exists()


def test_the_action_runs_code_only_if_it_may(tmp_path: Path) -> None:
    config = str(ROOT / "configs" / "layers" / "affine.yaml")
    assert act(tmp_path, configs=config)[0].returncode == 2
    assert act(tmp_path, configs=config, allow_code="true")[0].returncode == 0


def test_the_action_installs_into_an_environment_of_its_own() -> None:
    assert "-m venv --system-site-packages" in INSTALL["run"]
    assert INSTALL["env"]["SOURCE"] == "${{ github.action_path }}"


# -- the hooks -------------------------------------------------------------------------------


def test_hooks_are_commands_that_exist() -> None:
    assert {hook["id"] for hook in HOOKS} == {"gradcheck", "gradcheck-validate"}
    for hook in HOOKS:
        program, name, *_ = hook["entry"].split()
        assert (program, name in cli.commands) == ("gradcheck", True)
        known = {spelling for one in cli.commands[name].params for spelling in one.opts}
        assert set(hook.get("args", ())) <= known


@pytest.mark.parametrize(
    ("path", "looked_at"),
    [
        ("configs/mean.yaml", True),
        ("a/configs/deep/x.yml", True),
        ("gradcheck.yaml", True),
        ("models/my-gradcheck.yml", True),
        (".github/workflows/test.yaml", False),
        ("configs/readme.md", False),
        ("compose.yaml", False),
    ],
)
def test_hooks_look_at_configs(path: str, looked_at: bool) -> None:
    for hook in HOOKS:
        assert bool(re.search(hook["files"], path)) is looked_at


# -- the recipes -----------------------------------------------------------------------------


def test_every_yaml_block_is_yaml_and_names_options_that_exist() -> None:
    known = {spelling for one in cli.commands["run"].params for spelling in one.opts}
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    assert len(blocks) == 5
    words: list[str] = []

    def walk(node: Any) -> None:
        for inner in node.values() if isinstance(node, dict) else node:
            if isinstance(inner, dict | list):
                walk(inner)
            elif isinstance(inner, str):
                words.append(inner)

    for text in blocks:
        walk(yaml.safe_load(text))
    used = {
        option
        for line in words
        if line.startswith(("gradcheck run", "--"))
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line)
    }
    assert {"--shard", "-o", "--allow-code"} <= used <= known
    uses = yaml.safe_load(blocks[0])["jobs"]["gradients"]["steps"][1]["with"]
    assert set(uses) <= set(ACTION["inputs"])


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_the_makefile_fails_with_a_wrong_gradient(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "c.yaml"
    (tmp_path / "Makefile").write_text(block("make", "make"))
    config.write_text(RIGHT)
    assert shell("make gradients", tmp_path).returncode == 0
    assert "up to date" in shell("make build/gradcheck.json", tmp_path).stdout
    config.write_text(WRONG)
    os.utime(config, (2**32, 2**32))
    done = shell("make gradients", tmp_path)
    assert done.returncode == 2
    assert "GC103" in done.stdout


def test_the_pytest_recipe_has_a_test_a_check(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "c.yaml").write_text(
        RIGHT + "checks:\n- {name: right}\n- {name: wrong, backward: {W: 2 * (X.T @ delta)}}\n"
    )
    (tmp_path / "test_it.py").write_text(block("python", "pytest"))
    done = shell(f"{sys.executable} -m pytest -q -p no:cacheprovider test_it.py", tmp_path)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "GC103" in done.stdout


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (RIGHT, 0, "the gradients are right"),
        (WRONG, 1, "a gradient is wrong"),
        (UNKNOWN, 0, "not known"),
        ("shapez: 3\nform: XW\n", 1, "nothing was checked"),
    ],
)
def test_the_shell_recipe_knows_the_exit_codes(
    tmp_path: Path, text: str, code: int, said: str
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "c.yaml").write_text(text)
    done = shell("set +e\n" + block("sh", "A shell script"), tmp_path)
    assert done.returncode == code
    assert said in done.stdout + done.stderr


# -- the README's commands ---------------------------------------------------------------------


def lines_of_the_readme() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (
        ROOT / "docs" / "reference.md"
    ).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    return [line for one in blocks for line in one.splitlines() if line.startswith("gradcheck")]


@pytest.mark.parametrize("line", lines_of_the_readme())
def test_commands_of_the_docs_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    done = shell(line, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rror:" not in done.stderr
