"""CONTRIBUTING.md is true: its examples, added to a copy of the program, do what it shows."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.command import ROOT, run_words
from tests.support.markdown import console_blocks
from tests.support.program_copy import add, copy_program

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
TEXT = CONTRIBUTING.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.S | re.M)
BLOCKS = console_blocks(CONTRIBUTING)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a command that runs a copy of the program with all examples."""
    copy = copy_program(tmp_path_factory.mktemp("copy"))
    for example in EXAMPLES:
        add(copy, example)
    folder = copy / "scripts"
    folder.mkdir()
    command = folder / "gradcheck"
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH="{copy}" exec "{sys.executable}" -P -m gradcheck_cli "$@"\n'
    )
    command.chmod(0o755)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="written for a POSIX shell")
@pytest.mark.parametrize(("line", "output"), BLOCKS, ids=[line for line, _ in BLOCKS])
def test_what_an_example_adds_does_what_is_shown(scripts: Path, line: str, output: str) -> None:
    done = run_words(
        ["bash", "-c", line], env={"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    )
    assert done.stdout.rstrip() == output, done.stderr


def test_every_table_that_is_said_to_grow_has_an_example() -> None:
    sections = re.findall(r"^## Add (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M)
    done = [name for name, text in sections if "```python" in text and "```console" in text]
    assert done == ["an activation", "a loss", "a form", "a fault", "a format"]


def commands(marker: str) -> list[str]:
    """The lines of the block below a marker."""
    (block,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)\n```", TEXT, re.S)
    return str(block).splitlines()


def test_the_commands_are_those_of_ci_and_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tests, *others = commands("checks")
    assert [line for line in ci if line.startswith(".venv/bin/")] == others
    assert f"<!-- tests -->\n```sh\n{' && '.join([*commands('set-up'), tests])}\n" in readme


def test_the_rooms_of_the_design_are_those_of_the_contract_in_their_order() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    layers = [re.findall(r"\w+", layer) for layer in reversed(contract["layers"])]
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.split(r"\| room \| .*\n\|[-|]+\n", design)[1].split("\n\n")[0].splitlines()
    rooms = [re.findall(r"`(\w+)/?`", row.split("|")[1]) for row in rows]
    *below, entrances = layers
    assert rooms == [sorted(layer) for layer in below]
    assert entrances == ["__main__", "pytest_plugin"]
    assert all(f"`{name}`" in design for name in entrances)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/design.md"])
def test_every_path_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:tests|docs|configs|gradcheck_cli|\.ci)/[\w./-]*)`", text))
    assert paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()
