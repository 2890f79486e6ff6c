"""The README is true: its commands print what it shows, and its tables name what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gradcheck_cli.cli import cli
from gradcheck_cli.cli.checks import EXIT_CODES
from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.reporters import FORMATS
from gradcheck_cli.reporters.plain import FIELDS
from tests.support.command import ROOT, command, environment, run_words
from tests.support.markdown import cells, console_blocks, put_between, without_rounding

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS]
TEXT = README.read_text(encoding="utf-8")


def run(shell_command: str) -> str:
    scripts = str(Path(command()).parent)
    env = environment()
    env["PATH"] = scripts + ":" + env["PATH"]
    done = subprocess.run(
        ["bash", "-c", f"{shell_command}\n"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())


@pytest.mark.skipif(sys.platform == "win32", reason="the README is written for a POSIX shell")
@pytest.mark.parametrize(
    ("path", "line", "output"),
    [
        pytest.param(path, *shown, id=f"{path.name}: {shown[0].splitlines()[0]}")
        for path in (README, *DOCS)
        for shown in console_blocks(path)
    ],
)
def test_a_command_prints_what_the_docs_show(
    path: Path, line: str, output: str, request: pytest.FixtureRequest
) -> None:
    printed = run(line)
    if request.config.getoption("--update-golden"):
        text = path.read_text(encoding="utf-8")
        old = f"```console\n$ {line}\n{output}\n```" if output else f"```console\n$ {line}\n```"
        assert old in text
        path.write_text(text.replace(old, f"```console\n$ {line}\n{printed}\n```"), "utf-8")
        return
    assert without_rounding(printed) == without_rounding(output)


def test_the_readme_shows_commands() -> None:
    assert len(console_blocks(README)) >= 3
    assert all(output for path in (README, *DOCS) for _, output in console_blocks(path))


def test_the_first_command_of_the_readme_runs_the_configs() -> None:
    """tests/cli/test_configs.py runs it."""
    (line,) = re.findall(r"<!-- run -->\n```sh\n(.*?)\n```", TEXT, re.S)
    *set_up, checks = line.split(" && ")
    assert set_up == ["python3 -m venv .venv", ".venv/bin/pip install -q ."]
    assert checks == ".venv/bin/gradcheck run configs"


def lines_of_shell() -> list[str]:
    """The commands of the README and the reference that are shown without their output."""
    texts = (path.read_text(encoding="utf-8") for path in (README, ROOT / "docs" / "reference.md"))
    parts = (part for text in texts for part in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M))
    return [line for part in parts for line in part.splitlines() if line.startswith("gradcheck")]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("line", lines_of_shell())
def test_commands_of_the_docs_run(line: str, tmp_path: Path) -> None:
    for name in ("configs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    env = environment(PATH=f"{Path(command()).parent}:{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rror:" not in done.stderr


# Those that import jax last: none may be forked in a process where it was imported.
PYTHON_PAGES = ("docs/python.md", "docs/derivatives.md", "README.md", "docs/frameworks.md")


def test_python_examples_run(tmp_path: Path) -> None:
    """Page by page, in one process that imports the frameworks once."""
    for number, name in enumerate(PYTHON_PAGES):
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.findall(r"^```python ?(\w*)\n(.*?)^```$", text, re.S | re.M)
        code = [block for library, block in blocks if not library or find_spec(library)]
        assert code
        code.append("for name in [name for name in globals() if name.startswith('test_')]:")
        code.append("    globals()[name]()")
        (tmp_path / f"page_{number}.py").write_text("\n".join(code), encoding="utf-8")
    pages = "; ".join(f"import page_{number}" for number in range(len(PYTHON_PAGES)))
    done = run_words([sys.executable, "-c", pages], env={"PYTHONPATH": str(tmp_path)}, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_catalogue_of_faults_is_in_the_docs(request: pytest.FixtureRequest) -> None:
    path = ROOT / "docs" / "faults.md"
    text = path.read_text(encoding="utf-8")
    rows = [f"| {fault.code} | {fault.title} | {fault.cause} |" for fault in FAULTS.values()]
    rows.sort()
    table = "\n".join(["| code | fault | the usual cause |", "|---|---|---|", *rows])
    made = put_between(text, "<!-- catalogue -->\n", f"{table}\n")
    if request.config.getoption("--update-golden"):
        path.write_text(made, encoding="utf-8")
        return
    assert made == text


@pytest.mark.parametrize(
    "name", [path.relative_to(ROOT).as_posix() for path in PAGES if path != README]
)
def test_every_page_is_reached_from_the_readme(name: str) -> None:
    assert f"]({name})" in TEXT


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_links_lead_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    for target in re.findall(r"\]\((?!https://)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not heading or heading in headings(path), target


def headings(path: Path) -> set[str]:
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def options_of(name: str) -> set[str]:
    """All spellings of the options of a command."""
    found = cli.commands[name].params
    return {spelling for one in found if one.param_type_name == "option" for spelling in one.opts}


def section(heading: str) -> str:
    """A part of the reference, up to the next heading of its rank."""
    assert heading in REFERENCE, heading
    rank = heading.split()[0]
    return re.split(rf"^{rank} ", REFERENCE.split(heading)[1], flags=re.M)[0]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_reference_has_every_option_of_a_command_and_no_other(name: str) -> None:
    text = section(f"### `gradcheck {name}")
    rows = re.findall(r"^\| (`-.*?) \|", text, re.M)
    shown = {option for row in rows for option in OPTION.findall(row)}
    if name == "mutate":  # it says which of those of run it has
        shown |= set(re.findall(r"`(-[a-z-]+)`", text))
    assert shown == options_of(name)


def test_the_docs_name_no_option_that_is_not_there() -> None:
    known = {option for name in cli.commands for option in options_of(name)} | {
        "--help",
        "--version",
    }
    for path in [README, *DOCS]:
        text = path.read_text(encoding="utf-8")
        for line in re.findall(r"gradcheck (?:run|mutate|explain|init|steps)\b[^\n`|&]*", text):
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)) <= known, (path, line)


def test_the_reference_has_every_exit_code() -> None:
    codes = set(re.findall(r"\b\d+\b", re.sub(r"^(?!  \d).*$", "", EXIT_CODES, flags=re.M)))
    shown = set(cells("| exit code | meaning |", REFERENCE, 1))
    signals = {"129", "143"}  # named in the line of 130
    assert codes <= shown | signals
    assert shown == {"0", "1", "2", "3", "4", "130", *signals}


def test_the_reference_has_every_format_and_field() -> None:
    assert cells("| format | for |", REFERENCE, 1) == list(FORMATS)
    assert cells("| field | of plain |", REFERENCE, 2) == list(FIELDS)
