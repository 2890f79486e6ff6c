"""Text of others cannot act on a terminal, a reader or a CI server, wherever it is written."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.text import printable
from tests.support.command import Gradcheck

ESCAPE, C1, OVERRIDE, ISOLATE = "\x1b[31m", "\x9b31m", "\u202e", "\u2066"
EVIL = f"{ESCAPE}{C1}{OVERRIDE}{ISOLATE}\r\n::error::owned\n##[group]owned\u2028x\u200bx\x00"
HALF = "\ud800"  # of a character, as in a name that could not be decoded
FORMATS = (
    "table",
    "plain",
    "json",
    "jsonl",
    "junit",
    "github",
    "gitlab",
    "sarif",
    "markdown",
    "html",
)
COMMAND = re.compile(r"^\s*::\w|##\[", re.MULTILINE)
OURS = re.compile(
    r"^::(?:error|warning|notice) (?:file=[^:]*)?title=gradcheck[^:]*::", re.MULTILINE
)


def assert_harmless(text: str, where: str) -> None:
    acting = {
        char
        for char in text
        if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs") and char not in "\n\t"
    }
    assert not acting, (where, acting)
    assert not COMMAND.search(OURS.sub("", text)), (where, text)


def quote(text: str) -> str:
    return json.dumps(text)  # which YAML reads, too


@pytest.mark.parametrize("format", FORMATS)
def test_names_rules_and_matrix_keys(format: str, gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / f"{'' if sys.platform == 'win32' else chr(27)}::error::a.yaml").write_text(
        "form: XW\nshapes: {n: 2, N: 3, M: 3}\n"
        f"matrix: {{backward.W: [{quote('X.T @ delta' + chr(10))}, {quote('2 * X.T @ delta')}]}}\n",
        encoding="utf-8",
    )
    done = gradcheck("run", tmp_path, "--format", format, "--durations", "2")
    assert done.returncode == 1, done.stderr
    assert_harmless(done.stdout, format)
    assert_harmless(done.stderr, "stderr")


@pytest.mark.parametrize("format", FORMATS)
def test_exceptions_and_notes_of_code(format: str, gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / "layer.py").write_text(
        f"def forward(x):\n    raise ValueError({EVIL + HALF!r})\n"
        'text = """\n::error::owned\n"""\n',
        encoding="utf-8",
    )
    (tmp_path / "c.yaml").write_text(
        "forward: layer.py:forward\nbackward: layer.py:forward\ninputs: {x: [2]}\n"
    )
    done = gradcheck("run", "--allow-code", tmp_path / "c.yaml", "--format", format)
    assert done.returncode == 2
    assert_harmless(done.stdout + done.stderr, format)


@pytest.mark.parametrize("format", ["table", "github"])
@pytest.mark.parametrize(
    "config",
    [
        "form: XW\nshapes: {n: 2, N: 3, M: 3}\nbackward: {W: EVIL}\n",
        "form: XW\nEVIL: 1\n",
        "form: EVIL\n",
        "form: XW\n::error::owned: 1\n",
        "form: XW\nreduction: '::error::owned ##[group]'\n",
        "form: XW\nreduction:\n  ::error::owned\n",
        "form: XW\nshapes: {n: 2, N: 3, M: 3}\ninputs: {W: EVIL}\n",
        "forward: EVIL\nbackward: {x: delta}\ninputs: {x: [2]}\n",
        "form: XW\nshapes: {n: [\n::error::owned",
    ],
)
def test_errors_of_configs_and_their_excerpts(
    config: str, format: str, gradcheck: Gradcheck, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(config.replace("EVIL", quote(EVIL[:-1])), encoding="utf-8")
    done = gradcheck("run", path, "--format", format)
    assert done.returncode == 2
    assert_harmless(done.stdout + done.stderr, config)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "EVIL"),
        ("run", "--format", "EVIL", "x.yaml"),
        ("run", "-k", "EVIL", "configs/mean.yaml"),
        ("run", "-o", "EVIL=x", "configs/mean.yaml"),
        ("run", "-o", "json=configs/mean.yaml/EVIL", "configs/mean.yaml"),
        ("run", "--set", "EVIL=1", "configs/mean.yaml"),
        ("run", "--set", "loss=EVIL", "configs/mean.yaml"),
        ("run", "--jobs", "EVIL", "configs/mean.yaml"),
        ("run", "--shard", "EVIL", "configs/mean.yaml"),
        ("explain", "EVIL"),
        ("validate", "EVIL"),
        ("EVIL",),
        ("run", "--EVIL"),
        ("init", "--code", "EVIL"),
    ],
)
def test_words_of_the_command_line(words: tuple[str, ...], gradcheck: Gradcheck) -> None:
    done = gradcheck(*(word.replace("EVIL", EVIL[:-1]) for word in words))
    assert done.returncode == 2
    assert_harmless(done.stdout + done.stderr, repr(words))


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_of_skipped_and_unreadable_files(gradcheck: Gradcheck, tmp_path: Path) -> None:
    for name in (f"{ESCAPE}{OVERRIDE}.yaml", "a\n::error::owned.yaml", "##[group].yml"):
        (tmp_path / name).write_text("services: {}\n")
    (tmp_path / "ok.yaml").write_text("form: XW\nshapes: {n: 2, N: 3, M: 3}\n")
    done = gradcheck("run", tmp_path)
    assert "gradcheck: skipped 3 YAML files" in done.stderr
    assert_harmless(done.stderr, "stderr")
    assert_harmless(gradcheck("run", tmp_path, "--list").stdout, "--list")


@given(st.text())
def test_what_is_printable_is_one_harmless_line_and_stays_as_it_is(text: str) -> None:
    once = printable(text)
    assert_harmless(once, text)
    assert "\n" not in once
    assert printable(once) == once


@pytest.mark.parametrize(
    "text", ["X.T @ delta", "x[::n]", "a::b", "∂L/∂W = δxᵀ", "größe", "日本語"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
