"""Golden files, and the command as a user runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.command import CACHE, Golden, Gradcheck, Result, run_here, run_process, shell
from tests.support.once import make_once

# The same few examples on every machine and in every run; a failure can be run again.
# `--hypothesis-profile thorough` draws many, and others in every run.
settings.register_profile(
    "steady", max_examples=25, derandomize=True, deadline=None, print_blob=True
)
settings.register_profile("thorough", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("steady")

# Read when numpy is imported, which no test has done yet: threads of two processes only collide.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Without bytecode, each of the commands that tests start compiles the program anew, 0.1 s, and each
# run of tests their assertions, 2 s.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# Configs are what tests read, not tests.
collect_ignore_glob = ["*.yaml", "*.yml"]
pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: many tests wait for processes that they start."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionfinish() -> None:
    CACHE.cleanup()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a text with a golden file; with --update-golden, writes the file instead."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {path}; write it with --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def gradcheck() -> Gradcheck:
    """Runs the command in this process, which is fast, and returns what it did."""
    return run_here


@pytest.fixture
def gradcheck_process() -> Gradcheck:
    """Runs the installed command in a process of its own, as a user does."""
    return run_process


@pytest.fixture(autouse=True, scope="module")
def jax_is_not_imported() -> Iterator[None]:
    """jax forbids forks in a process that imported it, and other tests fork."""
    yield
    assert "jax" not in sys.modules, "test jax in a process of its own, as test_jax_and_autograd"


@pytest.fixture(scope="session")
def run_of_examples(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The run of all layers in docs/examples, which takes a while, as JSON."""
    # Quiet, or a machine at work hears of checks that take long.
    line = "gradcheck run -q --allow-code --jobs 2 docs/examples --format json"
    return make_once(tmp_path_factory, "examples", lambda: shell(line, timeout=300))
