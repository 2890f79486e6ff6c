"""How much code a reader walks through: what a run enters, and the size of the house.

    python -m tests.benchmarks.house

Functions and files are counted as they are entered by a second run in the same process, and in the
processes that it forks; imports and comprehensions are left out.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import gradcheck_cli
from gradcheck_cli.cli import exit_code

PACKAGE = Path(gradcheck_cli.__file__).parent
RUNS = (
    ("run", "configs/mean.yaml"),
    ("run", "--allow-code", "docs/examples/affine.yaml", "--select", "affine"),
)
LONGEST = 8  # functions that are listed


def entered(arguments: Sequence[str]) -> set[tuple[str, str]]:
    """File and qualified name of every function of the package that a command enters."""
    with tempfile.TemporaryFile() as file, contextlib.redirect_stdout(io.StringIO()):
        exit_code(list(arguments))
        seen: set[tuple[str, str]] = set()

        def note(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            name = code.co_filename, code.co_qualname
            if event == "call" and name not in seen and name[0].startswith(str(PACKAGE)):
                seen.add(name)
                # Written at once: a forked process ends without a word.
                os.write(file.fileno(), f"{name[0]}\t{name[1]}\n".encode())

        sys.setprofile(note)
        exit_code(list(arguments))
        sys.setprofile(None)
        file.seek(0)
        lines = file.read().decode().splitlines()
    found = {(path, name) for path, name in (line.split("\t") for line in lines)}
    return {(path, name) for path, name in found if not name.endswith(">")}


def functions() -> list[tuple[int, str]]:
    """The length in lines of every function of the package, and where it is; longest first."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                found.append((length, f"{path.relative_to(PACKAGE)}:{node.name}"))
    return sorted(found, reverse=True)


def main() -> None:
    """Print the figures."""
    files = list(PACKAGE.rglob("*.py"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    top = len(list(PACKAGE.glob("*.py")))
    print(f"{lines:,} lines in {len(files)} files, {top} modules at the top")
    for arguments in RUNS:
        names = entered(arguments)
        count = len({path for path, _ in names})
        print(f"{' '.join(arguments)}: {len(names)} functions in {count} files")
    print("longest functions:")
    for length, name in functions()[:LONGEST]:
        print(f"  {length}  {name}")


if __name__ == "__main__":
    main()
