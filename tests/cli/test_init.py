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


DERIVATIVES = """
import numpy as np


def net(x, w):
    return np.tanh(x @ w)


def net_backward(delta, x, w):
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


def net_jvp(x, w, dx, dw):
    return (1 - np.tanh(x @ w) ** 2) * (dx @ w + x @ dw)


def misfit(x, w):
    return x @ w


def misfit_jacobian(x, w):
    of_x = np.einsum("ik,lj->ijkl", np.eye(len(x)), w)
    return of_x, np.einsum("il,jk->ijlk", x, np.eye(w.shape[1]))


def energy(x, w):
    return np.sum((x @ w) ** 2) / 2


def energy_gradient(x, w):
    return x @ w @ w.T, x.T @ x @ w


def energy_hvp(x, w, dx, dw):
    of_x = dx @ w @ w.T + x @ (dw @ w.T + w @ dw.T)
    return of_x, x.T @ x @ dw + (dx.T @ x + x.T @ dx) @ w
"""


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("net", ["backward: f.py:net_backward", "jvp: f.py:net_jvp"]),
        ("misfit", ["jacobian: f.py:misfit_jacobian"]),
        ("energy", ["backward: f.py:energy_gradient", "hvp: f.py:energy_hvp"]),
    ],
)
def test_other_derivatives_are_found_by_their_names(
    gradcheck: Gradcheck, tmp_path: Path, name: str, lines: list[str]
) -> None:
    (tmp_path / "f.py").write_text(DERIVATIVES)
    done = gradcheck("init", f"f.py:{name}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "gradcheck.yaml").read_text()
    written = [line.partition("  ")[0] for line in text.splitlines()]
    assert all(line in written for line in lines)
    assert not any(line.startswith("backward") for line in written) or name != "misfit"
    done = gradcheck("run", "--allow-code", "gradcheck.yaml", cwd=tmp_path)
    assert done.returncode == 0, text + done.stdout + done.stderr


def test_a_key_without_a_default_has_an_example(gradcheck: Gradcheck, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(DERIVATIVES)
    gradcheck("init", "f.py:net", cwd=tmp_path)
    text = (tmp_path / "gradcheck.yaml").read_text()
    assert "None" not in text
    assert "# hessian: f.py:net_hessian" in text
    assert "# framework: torch" in text
    assert "# constraint: {}" in text
    assert "# double_backward: false" in text
