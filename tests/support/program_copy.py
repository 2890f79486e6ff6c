"""A copy of the program, to which the examples of CONTRIBUTING.md are added."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from textwrap import indent

from tests.support.command import ROOT

_WHERE = re.compile(
    r"# (?P<path>\S+), (?:after `(?P<anchor>[^`]+)`|(?P<new>a new file)|at the end)"
)


def copy_program(folder: Path) -> Path:
    """The package alone, in a folder that is put on the path."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gradcheck_cli", folder / "gradcheck_cli", ignore=skipped)
    return folder


def add(folder: Path, example: str) -> None:
    """Puts an example where its first line says: after a text, into a new file, or at the end."""
    first, code = example.split("\n", 1)
    where = _WHERE.fullmatch(first)
    assert where is not None, first
    path, anchor = folder / where["path"], where["anchor"]
    assert path.exists() is (where["new"] is None), path
    text = "" if where["new"] else path.read_text(encoding="utf-8")
    if anchor is None:
        path.write_text(f"{text}\n\n{code}", encoding="utf-8")
        return
    assert text.count(anchor) == 1, f"{anchor!r} stands {text.count(anchor)} times in {path}"
    before, after = text.split(anchor)
    comma = "," if anchor[-1] in "(," else ""
    margin = re.match(r" *", before.rsplit("\n", 1)[-1] + anchor)
    assert margin is not None
    entry = indent(code.rstrip() + comma, margin[0])
    path.write_text(f"{before}{anchor}\n{entry}\n{after}", encoding="utf-8")
