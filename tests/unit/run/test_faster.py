"""What would make a slow check faster, in the words of its config."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from gradcheck_cli.config.load import load
from gradcheck_cli.options import Numeric
from gradcheck_cli.run.faster import find_faster

BUDGETED = Numeric(mode="directions", budget=10.0)
CONFIG = """
checks:
- {name: form, form: XW, shapes: {n: 2, N: 3, M: 3}}
- {name: own, forward: f.py:f, backward: f.py:b, inputs: {x: [2]}}
- {name: batched, forward: f.py:f, backward: f.py:b, inputs: {x: [2]}, batched: true}
- {name: by-directions, forward: f.py:f, backward: f.py:b, inputs: {x: [2]}, batched: true,
   numeric: {mode: directions}}
"""


def test_what_is_not_said_in_a_config_yet_is_named(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f(x):\n    return x\ndef b(delta, x):\n    return delta\n")
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    checks = load([str(path)], lambda _: None)
    found = find_faster([*checks[:3], replace(checks[3], numeric=BUDGETED)])
    said = {name.rpartition(":")[2]: text for name, text in found.items()}
    assert sorted(said) == ["batched", "own"]
    assert "`batched: true`" in said["own"]
    assert "`batched: true`" not in said["batched"]
    assert all("`numeric: {mode: directions}`" in text for text in said.values())
