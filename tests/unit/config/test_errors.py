"""Each broken config in tests/errors has its message beside it, as the command prints it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck_cli.cli import exit_code
from tests.support.command import DATA, ROOT, Golden

BROKEN = sorted((DATA / "errors").glob("*.yaml"))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_config_exits_2_with_its_message(
    path: Path,
    golden: Golden,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert exit_code(["run", path.relative_to(ROOT).as_posix()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    golden(path.with_suffix(".txt"), printed.err)


def test_every_message_has_its_config() -> None:
    assert {path.stem for path in BROKEN} == {path.stem for path in (DATA / "errors").glob("*.txt")}
