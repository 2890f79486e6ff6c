"""--last-failed knows which checks failed, whatever they are called and whoever runs beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Gradcheck, command, environment, shell

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files and shells")
WRONG = "form: XW\nshapes: {n: 2, N: 3, M: 3}\nbackward: {W: 2 * X.T @ delta}\n"
RIGHT = "form: XW\nshapes: {n: 2, N: 3, M: 3}\n"


def list_failed(gradcheck: Gradcheck, folder: Path, cache: Path) -> list[str]:
    done = gradcheck("run", "--lf", "--list", ".", cwd=folder, env={"XDG_CACHE_HOME": str(cache)})
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@unix
@pytest.mark.parametrize(
    "name", ["a\x1b[31m", "new\nline", "\x9b31m", "::error::x", "\udc80\udcff"]
)
def test_names_of_any_kind(name: str, folder: Path, tmp_path: Path, gradcheck: Gradcheck) -> None:
    (folder / "right.yaml").write_text(RIGHT)
    (folder / f"{name}.yaml").write_text(WRONG)
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    assert gradcheck("run", ".", cwd=folder, env=env).returncode == 1
    (only,) = list_failed(gradcheck, folder, tmp_path)
    assert only != "right"


@unix
def test_runs_at_once_forget_nothing_of_each_other(
    folder: Path, tmp_path: Path, gradcheck: Gradcheck
) -> None:
    for place in range(8):
        (folder / f"wrong-{place}.yaml").write_text(WRONG)
    (folder / "right.yaml").write_text(RIGHT)
    runs = [
        subprocess.Popen(
            [command(), "run", "-qq", f"wrong-{place}.yaml"],
            cwd=folder,
            env=environment(XDG_CACHE_HOME=str(tmp_path)),
        )
        for place in range(8)
    ]
    assert [run.wait(timeout=60) for run in runs] == [1] * 8
    assert list_failed(gradcheck, folder, tmp_path) == [f"wrong-{place}" for place in range(8)]


@unix
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("["),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('[["a", 1], 2]'),
        lambda path: path.write_text('{"a": null}'),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text(""),
        lambda path: path.mkdir(),
        os.mkfifo if hasattr(os, "mkfifo") else lambda path: None,
        lambda path: path.symlink_to("/dev/zero"),
    ],
)
def test_a_broken_cache_is_as_good_as_none(
    spoil: Callable[[Path], None], folder: Path, tmp_path: Path, gradcheck: Gradcheck
) -> None:
    (folder / "wrong.yaml").write_text(WRONG)
    (folder / "right.yaml").write_text(RIGHT)
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    gradcheck("run", ".", cwd=folder, env=env)
    (file,) = (tmp_path / "gradcheck" / "failed").glob("*.json")
    file.unlink()
    spoil(file)
    done = gradcheck("run", "--lf", ".", cwd=folder, env=env)
    assert done.returncode == 1
    assert "none of these checks failed when last run" in done.stderr
    assert "internal" not in done.stderr


@unix
def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    (tmp_path / "gone").mkdir()
    line = f"cd {tmp_path}/gone; rmdir ../gone; gradcheck run --lf {tmp_path}/wrong.yaml"
    done = shell(line)
    assert done.returncode == 1
    assert "internal" not in done.stderr
    done = shell(f"mkdir {tmp_path}/g; cd {tmp_path}/g; rmdir ../g; gradcheck run --lf x.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such file or directory: 'x.yaml'" in done.stderr


@unix
@pytest.mark.parametrize("cache", ["/dev/null", "/proc", "relative"])
def test_a_cache_that_cannot_be_written_changes_nothing(
    cache: str, folder: Path, gradcheck: Gradcheck
) -> None:
    (folder / "wrong.yaml").write_text(WRONG)
    done = gradcheck("run", "--lf", ".", cwd=folder, env={"XDG_CACHE_HOME": cache})
    assert done.returncode == 1
    assert [path.name for path in folder.iterdir()] == ["wrong.yaml"]
