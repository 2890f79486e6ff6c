"""Streams without ∂ and Δ."""

from __future__ import annotations

import io

import pytest

from gradcheck_cli.cli import encoding
from tests.support.command import Gradcheck

WRONG = "form: XW\nshapes: {n: 8, N: 5, M: 3}\nbackward: {X: delta @ W.T / n}\n"


def test_a_report_in_ascii_has_the_same_columns(gradcheck_process: Gradcheck) -> None:
    def table(**env: str) -> list[str]:
        done = gradcheck_process("run", "-", stdin=WRONG, env=env)
        assert done.returncode == 1
        return done.stdout.splitlines()

    lines = table(PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert not any("?" in line or not line.isascii() for line in lines)
    rows = [line for line in lines if "dL/d" in line]
    assert any("dL/dW = XTD (52)" in row for row in rows)
    above = table()
    assert list(map(len, above[:6])) == list(map(len, lines[:6]))


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        ("cp1252", "∂L/∂X, 8×5 ± 1, a…", "dL/dX, 8×5 ± 1, a…"),
        ("ascii", "θ² ≤ ½ · ‖x‖", "theta^2 <= 1/2 . ||x||"),
        ("ascii", "é 漢 \U0001f600", "e ? ?"),
        ("utf-8", "∂", "∂"),
    ],
)
def test_only_what_an_encoding_lacks_is_replaced(name: str, text: str, written: str) -> None:
    encoding.register()
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, name, encoding.ERRORS)
    stream.write(text)
    stream.flush()
    assert raw.getvalue().decode(name) == written
