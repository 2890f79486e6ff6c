"""The house of the design holds: who may import whom, and who may import what is heavy."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

import gradcheck_cli
from tests.support.command import run_words

PACKAGE = Path(gradcheck_cli.__file__).parent


def test_a_room_imports_only_the_rooms_below_it() -> None:
    """The contracts stand in pyproject.toml."""
    linter = Path(sysconfig.get_path("scripts"), "lint-imports")
    done = run_words([linter, "--no-cache"], cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout


COMMANDS = {
    "help": (["--help"], 0),
    "help of run": (["run", "--help"], 0),
    "version": (["--version"], 0),
    "validate": (["validate", "configs"], 0),
    "list": (["run", "--list", "configs"], 0),
    "schema": (["schema"], 0),
    "schema of a report": (["schema", "report"], 0),
    "schema of lines": (["schema", "lines"], 0),
    "completion": (["completion", "bash"], 0),
    "init": (["init", "-"], 0),
    "explain": (["explain", "configs/batch.yaml"], 0),
    "a broken config": (["run", "tests/data/errors/unknown-key.yaml"], 2),
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
    done = run_words([sys.executable, "-c", script], cwd=PACKAGE.parent)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("name", ["batch", "mean"])
def test_a_check_that_passes_does_not_import_masked_arrays(name: str) -> None:
    """They take 15 ms, and np.median, np.unique and what uses it import them."""
    script = (
        "import sys; from gradcheck_cli.cli import exit_code; "
        f"code = exit_code(['run', 'configs/{name}.yaml']); "
        "sys.exit('numpy.ma' in sys.modules or code)"
    )
    assert run_words([sys.executable, "-c", script], cwd=PACKAGE.parent).returncode == 0
