"""The house of the design holds: who may import whom, and who may import what is heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradcheck_cli

PACKAGE = Path(gradcheck_cli.__file__).parent
ROOMS = {
    # room: the rooms it may import from, besides itself
    "errors": set(),
    "options": set(),
    "result": set(),
    "problem": set(),
    "usercode": {"arrays", "errors", "problem"},
    "own": {"arrays", "usercode", "errors", "formula", "problem"},
    "worker": {"errors"},
    "isolation": {"errors", "worker"},
    "api": {
        *("checking", "errors", "options", "problem", "reporters", "result", "usercode"),
    },
    "activations": set(),
    "forms": {"activations"},
    "losses": set(),
    "formula": {"errors"},
    "arrays": {"errors"},
    "numeric": set(),
    "layer": {
        *("activations", "arrays", "errors", "forms", "formula", "losses", "options", "problem"),
    },
    "purity": {"errors", "problem", "result"},
    "forks": {"errors"},
    "measuring": {"forks", "numeric", "options", "problem"},
    "certificate": {
        *("errors", "faults", "numeric", "options", "problem", "result", "verdict"),
    },
    "faults": {
        *("errors", "measuring", "numeric", "options", "problem", "purity", "result", "verdict"),
    },
    "verdict": {"errors", "numeric", "problem", "result"},
    "diagnosing": {
        *("faults", "measuring", "numeric", "options", "problem", "result", "verdict"),
    },
    "checking": {
        *(
            "certificate",
            "diagnosing",
            "faults",
            "measuring",
            "numeric",
            "options",
            "problem",
            "purity",
        ),
        *("result", "verdict"),
    },
    "config": {
        *("activations", "arrays", "errors", "forms", "formula", "layer", "losses"),
        *("usercode", "options", "own", "problem"),
    },
    "executors": {"config", "errors", "result", "worker"},
    "cluster": {"config", "errors", "executors", "result"},
    "running": {
        *("checking", "config", "errors", "isolation", "problem", "result", "usercode", "worker"),
    },
    "suite": {"config", "errors", "executors", "result", "running"},
    "derivation": {"config", "errors", "faults", "forms", "formula", "layer", "own", "problem"},
    "reporters": {"errors", "result", "steps"},
    "progress": set(),
    "memory": {"result"},
    "steps": {"config", "errors", "measuring", "numeric", "options", "problem", "running", "suite"},
    "schemas": {"config", "reporters", "result"},
    "cli": {
        *("cluster", "config", "derivation", "errors", "executors", "forms", "memory"),
        "progress",
        *("reporters", "result", "schemas", "steps", "suite"),
    },
    "__main__": {"cli"},
    "__init__": {"api", "errors", "options", "problem", "result", "usercode"},
}
# Who may import a library, anywhere in the module.
LIBRARIES = {
    "click": {"cli"},
    "rich": {"reporters", "progress"},
    "yaml": {"config"},
    "matplotlib": {"reporters"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "gradcheck_cli":
            yield from (f"gradcheck_cli.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_the_rooms_below_it(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "gradcheck_cli" and len(parts) > 1 and parts[1] != "__version__":
            assert parts[1] in ROOMS[here] | {here}, f"{here} imports {parts[1]}"
        elif parts[0] in LIBRARIES:
            assert here in LIBRARIES[parts[0]], f"{here} imports {parts[0]}"


def test_no_room_is_missing() -> None:
    assert {room(path) for path in modules()} == set(ROOMS)


COMMANDS = {
    "help": (["--help"], 0),
    "help of run": (["run", "--help"], 0),
    "version": (["--version"], 0),
    "validate": (["validate", "configs"], 0),
    "list": (["run", "--list", "configs"], 0),
    "schema": (["schema"], 0),
    "completion": (["completion", "bash"], 0),
    "init": (["init", "-"], 0),
    "explain": (["explain", "configs/batch.yaml"], 0),
    "a broken config": (["run", "tests/errors/unknown-key.yaml"], 2),
    "a file that is not there": (["run", "missing.yaml"], 2),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_heavy_is_not_imported_before_a_config_was_validated(name: str) -> None:
    arguments, code = COMMANDS[name]
    script = (
        "import sys; from gradcheck_cli.cli import exit_code; "
        f"code = exit_code({arguments!r}); "
        "heavy = {'numpy', 'rich', 'multiprocessing', 'distributed'} & set(sys.modules); "
        "sys.exit(f'{code}, {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
