"""The tutorial runs from its first cell to its last, and prints what it shows."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from typing import Any

import pytest

from tests.support.command import ROOT
from tests.support.markdown import without_rounding

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def run_cell(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs of a cell as a notebook stores them: what it prints, and its last value."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        data = {"text/plain": [repr(value)]}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        outputs.append(
            {
                "data": data,
                "execution_count": None,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    return outputs


def test_the_tutorial_runs_and_prints_what_it_shows(request: pytest.FixtureRequest) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 5
    names: dict[str, Any] = {"__name__": "tutorial"}
    made = [run_cell("".join(cell["source"]), names) for cell in cells]
    if request.config.getoption("--update-golden"):
        for cell, outputs in zip(cells, made, strict=True):
            cell["outputs"] = outputs
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        NOTEBOOK.write_text(text, encoding="utf-8")
        return
    shown = [cell["outputs"] for cell in cells]
    assert without_rounding(json.dumps(made)) == without_rounding(json.dumps(shown))
