"""Every constant of the numeric side stands in docs/numerics.md, with what the code says of it."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.markdown import put_between

PAGE = ROOT / "docs" / "numerics.md"
START, END = "<!-- constants -->\n", "<!-- end of constants -->"
ROOMS = ("numeric", "measure", "checker", "faults")


def comments_of(source: str) -> dict[int, str]:
    """The comments of a file by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def constants(path: Path) -> Iterator[tuple[str, str, str]]:
    """Name, value and comment of every number that a module gives a name in capitals."""
    source = path.read_text(encoding="utf-8")
    comments, lines = comments_of(source), source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        names = [name.id for name in ast.walk(targets[0]) if isinstance(name, ast.Name)]
        if not all(name.isupper() for name in names) or not is_number(value):
            continue
        first = node.lineno - 1
        while first and lines[first - 1].startswith("#"):
            first -= 1
        above = [comments[line] for line in range(first + 1, node.lineno)]
        beside = comments.get(node.end_lineno or node.lineno)
        comment = " ".join([*above, *([beside] if beside else [])])
        yield ", ".join(names), ast.unparse(value), comment


def is_number(value: ast.expr) -> bool:
    """Whether an expression is made of numbers, tuples and NumPy's functions alone."""
    for part in ast.walk(value):
        if isinstance(part, ast.Constant) and not isinstance(part.value, int | float):
            return False
        if isinstance(part, ast.Name) and part.id != "np":
            return False
        if isinstance(part, ast.Lambda | ast.Dict):
            return False
    return any(isinstance(part, ast.Constant) for part in ast.walk(value))


def table() -> str:
    rows = ["| constant | value | what it bounds |", "|---|---|---|"]
    for room in ROOMS:
        for path in sorted((ROOT / "gradcheck_cli" / room).rglob("*.py")):
            where = path.relative_to(ROOT / "gradcheck_cli").as_posix()
            for name, value, comment in constants(path):
                assert comment, f"{where}: {name} has no comment that says what it bounds"
                text = comment.replace("|", "\\|")
                rows.append(f"| `{name}` ({where}) | `{value}` | {text} |")
    return "\n".join(rows) + "\n"


def test_every_constant_of_the_method_is_in_the_docs(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text(encoding="utf-8")
    made = put_between(text, START, table(), END)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(made, encoding="utf-8")
        return
    assert made == text
