"""The table of calling styles: each row is a check of docs/styles that comes out as it should."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import run_process

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "own-layers.md").read_text(encoding="utf-8").partition("## Styles")[2]
STYLES = re.findall(r"^\| .* \| `([\w-]+)` \|$", TABLE, re.MULTILINE)


@pytest.fixture(scope="module")
def checks() -> dict[str, Any]:
    done = run_process("run", "--allow-code", "docs/styles", "--format", "json")
    return {check["id"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_table_has_every_style(checks: dict[str, Any]) -> None:
    assert set(STYLES) == set(checks)


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_taken_as_it_is_written(checks: dict[str, Any], style: str) -> None:
    check = checks[style]
    assert (check["error"], check["outcome"]) == ("", "ok")
    assert {one["verdict"] for one in check["result"]["gradients"]} == {check["expected"]}
