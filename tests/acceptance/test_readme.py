"""The README is true: its commands print what it shows, and its tables name what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gradcheck_cli.activations import ACTIVATIONS
from gradcheck_cli.arrays import DISTRIBUTIONS
from gradcheck_cli.config.schema import CHECKS_KEY, CheckConfig
from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.formula import FUNCTIONS
from gradcheck_cli.losses import LOSSES
from tests.conftest import ROOT, command, environment

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
TEXT = README.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```console\n\$ (.*?)\n```$", re.S | re.M)
HEREDOC = re.compile(r"\A(.*<<'(\w+)'\n.*?\n\2)(?:\n|\Z)(.*)\Z", re.S)


def blocks() -> list[tuple[str, str]]:
    """Every console block: its command (with a here-document, if it has one) and its output."""
    found = []
    for block in BLOCK.findall(TEXT):
        heredoc = HEREDOC.match(block)
        if heredoc:
            found.append((heredoc[1], heredoc[3]))
        else:
            # A command goes on while a quote is open.
            lines = block.split("\n")
            length = next(
                count
                for count in range(1, len(lines) + 1)
                if "\n".join(lines[:count]).count("'") % 2 == 0
            )
            found.append(("\n".join(lines[:length]), "\n".join(lines[length:])))
    return found


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


def without_rounding(text: str) -> str:
    """What is the same on every machine: no times, no rounding errors, no last digits."""
    text = re.sub(r"\d+\.\d\d s\b", "0.00 s", text)
    text = re.sub(r"\b\d(\.\d)?e-\d\d\b", "0e-00", text)
    return re.sub(r"(\d\.\d{8})\d+", r"\1", text)


@pytest.mark.skipif(sys.platform == "win32", reason="the README is written for a POSIX shell")
@pytest.mark.parametrize("shown", blocks(), ids=lambda shown: shown[0].splitlines()[0])
def test_a_command_prints_what_the_readme_shows(
    shown: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    line, output = shown
    printed = run(line)
    if request.config.getoption("--update-golden"):
        text = README.read_text(encoding="utf-8")
        old = f"```console\n$ {line}\n{output}\n```" if output else f"```console\n$ {line}\n```"
        assert old in text
        README.write_text(text.replace(old, f"```console\n$ {line}\n{printed}\n```"), "utf-8")
        return
    assert without_rounding(printed) == without_rounding(output)


def test_the_readme_shows_commands() -> None:
    assert len(blocks()) >= 4
    assert all(output for _, output in blocks())


@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_python_examples_run(name: str) -> None:
    known: dict[str, Any] = {}
    text = (ROOT / name).read_text(encoding="utf-8")
    for library, code in re.findall(r"^```python ?(\w*)\n(.*?)^```$", text, re.S | re.M):
        if not library or find_spec(library):
            exec(code, known)
    for test in [value for key, value in known.items() if key.startswith("test_")]:
        test()


def test_the_catalogue_of_faults_is_in_the_docs(request: pytest.FixtureRequest) -> None:
    path = ROOT / "docs" / "faults.md"
    text = path.read_text(encoding="utf-8")
    rows = [f"| {fault.code} | {fault.title} | {fault.cause} |" for fault in FAULTS.values()]
    rows.sort()
    table = "\n".join(["| code | fault | the usual cause |", "|---|---|---|", *rows])
    start, end = "<!-- catalogue -->\n", "<!-- end -->"
    before, rest = text.split(start)
    shown, after = rest.split(end)
    if request.config.getoption("--update-golden"):
        path.write_text(f"{before}{start}{table}\n{end}{after}", encoding="utf-8")
        return
    assert shown == f"{table}\n"


@pytest.mark.parametrize("name", [path.name for path in DOCS])
def test_the_docs_are_reached_from_the_readme(name: str) -> None:
    assert f"](docs/{name})" in TEXT


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{path.name}" for path in DOCS)])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert ((ROOT / name).parent / target).exists(), target


def test_the_reference_shows_activations_as_explain_does() -> None:
    for activation in ACTIVATIONS.values():
        row = f"| `{activation.name}` | {activation.shown} | {activation.shown_derivative} |"
        assert row in TEXT


def first_cells(heading: str) -> set[str]:
    """The first column of the table under a header row."""
    rows = TEXT[TEXT.index(heading) :].splitlines()[2:]
    cells = [row.split("|")[1].strip() for row in rows[: rows.index("")]]
    return {cell.strip("`") for cell in cells}


def test_the_reference_names_every_key_and_no_other() -> None:
    keys = set(CheckConfig.__struct_fields__) | {CHECKS_KEY}
    assert first_cells("| key | values |") == keys


def test_the_reference_names_every_loss_activation_distribution_and_function() -> None:
    assert first_cells("| loss | ℓ of one sample |") == set(LOSSES)
    assert first_cells("| activation | f(z) |") == set(ACTIVATIONS)
    sentence = TEXT[TEXT.index("Distributions are") :].split("Every array")[0]
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == set(DISTRIBUTIONS)
    functions = TEXT[TEXT.index("<!-- functions -->") :].split("<!-- end -->")[0]
    assert re.findall(r"`(\w+)`", functions) == sorted(FUNCTIONS)
