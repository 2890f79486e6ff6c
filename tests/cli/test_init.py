"""`gradcheck init FILE:NAME` writes a config that runs as it is, from the text of the code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gradcheck_cli.config.load import read_config
from tests.support.command import Gradcheck

DATA = Path(__file__).parents[1] / "data/init"
COURSE = (
    "affine_forward",
    "relu_forward",
    "sigmoid",
    "batchnorm_forward",
    "dropout_forward",
    "conv_forward_naive",
    "max_pool_forward_naive",
    "rnn_step_forward",
    "word_embedding_forward",
    "softmax_loss",
    "svm_loss_vectorized",
    "two_layer_loss",
    "linear_forward",
    "Linear",
    "Tanh",
)


def write_and_run(gradcheck: Gradcheck, folder: Path, code: str) -> str:
    """The config of a function of the data; it passes as it was written."""
    shutil.copy(DATA / code.partition(":")[0], folder)
    done = gradcheck("init", code, cwd=folder)
    assert done.returncode == 0, done.stderr
    done = gradcheck("run", "--allow-code", "gradcheck.yaml", cwd=folder)
    text = (folder / "gradcheck.yaml").read_text()
    assert done.returncode == 0, text + done.stdout + done.stderr
    return text


@pytest.mark.parametrize("name", COURSE)
def test_every_function_of_a_course_file_gets_a_config_that_runs(
    gradcheck: Gradcheck, tmp_path: Path, name: str
) -> None:
    write_and_run(gradcheck, tmp_path, f"course.py:{name}")


@pytest.mark.parametrize(
    "name",
    [
        "model_forward",
        "network_cost",
        "gated",
        "Affine",
        "Embedding",
        "Network",
        "SoftmaxCrossEntropy",
        "TwoLayers.loss",
        "attention",
    ],
)
def test_every_network_of_a_file_gets_a_config_that_runs(
    gradcheck: Gradcheck, tmp_path: Path, name: str
) -> None:
    text = write_and_run(gradcheck, tmp_path, f"networks.py:{name}")
    assert ("\nloss: networks.py:compute_cost" in text) == (name == "model_forward")


@pytest.mark.parametrize("name", ["Net", "Fixed", "Cube", "swish"])
def test_code_of_torch_gets_a_config_that_runs(
    gradcheck: Gradcheck, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("torch")
    text = write_and_run(gradcheck, tmp_path, f"frameworks_torch.py:{name}")
    assert "\nbackward:" not in text


@pytest.mark.parametrize("name", ["predict", "cross_entropy"])
def test_code_of_jax_gets_a_config_that_runs(
    gradcheck: Gradcheck, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("jax")
    text = write_and_run(gradcheck, tmp_path, f"frameworks_jax.py:{name}")
    assert "\nbackward:" not in text


def test_shapes_settings_and_labels_are_those_of_the_text(
    gradcheck: Gradcheck, tmp_path: Path
) -> None:
    text = write_and_run(gradcheck, tmp_path, "course.py:batchnorm_forward")
    assert "inputs: {x: [N, D], gamma: [D], beta: [D]}" in text
    assert "constants: {bn_param: {mode: 'train'}}" in text
    assert "guess" not in text


def test_a_guess_is_said_at_its_line(gradcheck: Gradcheck, tmp_path: Path) -> None:
    text = write_and_run(gradcheck, tmp_path, "course.py:relu_forward")
    lines = text.splitlines()
    (place,) = [place for place, line in enumerate(lines) if line.startswith("inputs:")]
    assert "guesses from names, not in the text of the code: of x" in lines[place - 1]


def test_sizes_differ_so_that_what_is_transposed_does_not_fit(
    gradcheck: Gradcheck, tmp_path: Path
) -> None:
    text = write_and_run(gradcheck, tmp_path, "course.py:rnn_step_forward")
    (check,) = read_config(text, str(tmp_path / "gradcheck.yaml"))
    sizes = list(check.layer.sizes.values())
    assert len(set(sizes)) == len(sizes) == 3
