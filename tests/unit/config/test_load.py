"""From paths to checks: what cannot be read is said, and hides nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.load import load, read_config
from gradcheck_cli.errors import UsageError

GOOD = "form: xW\nshapes: {N: 3, M: 2}\n"


def test_a_file_that_is_not_there_does_not_hide_the_findings_of_others(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("form: xw\n")
    with pytest.raises(ConfigError) as raised:
        load([str(tmp_path / "missing.yaml"), str(tmp_path / "bad.yaml")], print)
    assert "no such file or directory" in str(raised.value)
    assert "'form' must be Wx, xW or XW, got 'xw'" in str(raised.value)
    assert raised.value.count == 2


def test_one_path_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or directory"):
        load([str(tmp_path / "missing.yaml")], print)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a folder that cannot be read"
)
def test_a_folder_that_cannot_be_read_is_not_skipped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(UsageError, match=r"cannot read '.*closed': Permission denied"):
        load([str(tmp_path)], print)


def test_a_sparse_yaml_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    with open(tmp_path / "sparse.yaml", "wb") as file:
        file.truncate(8 * 2**30)
    skipped: list[str] = []
    assert len(load([str(tmp_path)], skipped.append)) == 1
    assert skipped == ["skipped 1 YAML file without a key of a config"]
    with pytest.raises(ConfigError, match="at most 4 are read"):
        load([str(tmp_path / "sparse.yaml")], print)


@pytest.mark.parametrize("end", ["\\n", "\\x9b", "\\0", "\\x1b[31m"])
def test_a_name_with_control_characters_is_refused(end: str) -> None:
    with pytest.raises(ConfigError, match="'name' must be a short line of text"):
        read_config(f'{GOOD}name: "name{end}"', "c.yaml")


def test_many_unknown_keys_are_found_without_a_near_miss_for_each() -> None:
    keys = "".join(f"key-of-some-length-{number}: 1\n" for number in range(40_000))
    start = time.process_time()
    with pytest.raises(ConfigError) as raised:
        read_config(GOOD + keys, "c.yaml")
    assert raised.value.count == 40_000
    assert time.process_time() - start < 6  # 9 s with near misses of all of them


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("form: XW\nshapes: {n: 4, N: 3, M: 2}\n")
    named = [str(path), str(tmp_path), f"{tmp_path}/../{tmp_path.name}/a.yaml"]
    assert [check.path for check in load(named, print)] == [str(path)]


@pytest.mark.parametrize(
    ("key", "word", "meant"),
    [
        ("loss", "mse", "squared-error"),
        ("loss", "Smooth_L1", "huber"),
        ("dtype", "half", "float16"),
    ],
)
def test_the_word_of_another_program_is_understood(key: str, word: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'?"):
        read_config(f"form: XW\nshapes: {{n: 4, N: 3, M: 2}}\n{key}: {word}\n", "a.yaml")
