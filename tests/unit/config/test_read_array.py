"""Arrays of configs: one reader for forms and own layers, each value and file read once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from gradcheck_cli.arrays import Drawn, Given
from gradcheck_cli.config.builders.check import ConfigCheck
from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.load import load, read_config
from gradcheck_cli.config.overrides import read_overrides
from gradcheck_cli.layers.formula_layer import FormulaLayer
from gradcheck_cli.layers.paper import Layer

FORM = "form: xW\nshapes: {N: 3, M: 2}\n"
OWN = "forward: x * 1\nbackward: {x: delta}\nshapes: {N: 3}\n"


def layer(check: ConfigCheck) -> Layer:
    assert isinstance(check.layer, Layer)
    return check.layer


def read_in(folder: Path, text: str, *, seeds: int = 1) -> list[ConfigCheck]:
    return read_config(text, str(folder / "c.yaml"), overrides=read_overrides([], None, seeds))


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read_in(folder, text)
    return str(raised.value)


def test_a_size_bounds_integers_of_a_form_and_of_an_own_layer() -> None:
    (form,) = read_config(FORM + "inputs: {W: {distribution: integers, high: N}}", "c.yaml")
    assert layer(form).sources["W"] == Drawn("integers", high=3)
    inputs = "inputs: {x: {shape: [N], distribution: integers, high: N}}"
    (own,) = read_config(OWN + inputs, "c.yaml")
    assert isinstance(own.layer, FormulaLayer)
    assert own.layer.data.inputs["x"].source == Drawn("integers", high=3)


def test_a_size_that_another_array_tells_bounds_integers(tmp_path: Path) -> None:
    inputs = "inputs: {W: {distribution: integers, high: N}, x: [[1, 2, 3]], t: [[1, 2]]}"
    (check,) = read_in(tmp_path, f"form: xW\n{inputs}")
    assert layer(check).sources["W"] == Drawn("integers", high=3)


def test_a_mapping_of_a_form_may_hold_shape_and_values(tmp_path: Path) -> None:
    (check,) = read_in(tmp_path, "form: xW\ninputs: {W: {shape: [3, 2]}, x: {values: [[1, 2, 3]]}}")
    assert layer(check).sizes == {"N": 3, "M": 2}
    assert layer(check).sources["x"].array("x", (1, 3), 0).tolist() == [[1, 2, 3]]


def test_checks_of_a_matrix_share_their_inline_arrays(tmp_path: Path) -> None:
    text = FORM + "inputs: {W: [[1, 2], [3, 4], [5, 6]]}\nmatrix: {inputs.seed: [1, 2, 3]}"
    sources = [layer(check).sources["W"] for check in read_in(tmp_path, text)]
    assert len({id(source.values) for source in sources if isinstance(source, Given)}) == 1
    assert len(sources) == 3


def test_checks_share_the_arrays_that_were_read_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones((3, 2)))
    checks = read_in(tmp_path, FORM + "inputs: {W: w.npy}", seeds=4)
    sources = [layer(check).sources["W"] for check in checks]
    assert len({id(source.values) for source in sources if isinstance(source, Given)}) == 1


def test_code_may_change_the_constants_of_one_check_alone(tmp_path: Path) -> None:
    text = OWN + "inputs: {x: [N]}\nconstants: {order: [2, 0, 1]}\nmatrix: {inputs.seed: [1, 2]}"
    first, second = (check.layer for check in read_in(tmp_path, text))
    assert isinstance(first, FormulaLayer)
    assert isinstance(second, FormulaLayer)
    first.data.make_constants()["order"].clear()
    assert second.data.make_constants()["order"] == [2, 0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("1,2\n1,2\n1,2\n")
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "w.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "environ.csv").symlink_to("/proc/self/environ")
    for name in ("w.csv", "environ.csv", "../secret.csv", f"{tmp_path}/secret.csv"):
        assert "is outside the folder of the config" in refused(
            folder, f"{FORM}inputs: {{W: {name}}}"
        )


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_a_link_within_a_folder_that_the_user_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "data" / "w.csv").write_text("1,2\n1,2\n1,2\n")
    (tmp_path / "configs" / "w.csv").symlink_to(tmp_path / "data" / "w.csv")
    (tmp_path / "configs" / "a.yaml").write_text(FORM + "inputs: {W: w.csv}")
    (tmp_path / "configs" / "b.yaml").write_text(FORM + "inputs: {W: ../data/w.csv}")
    assert len(load([str(tmp_path)], print)) == 2
