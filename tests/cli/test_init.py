"""`gradcheck init FILE:NAME` writes a config that runs as it is, from the text of the code."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from gradcheck_cli.config.load import read_config
from tests.support.command import Gradcheck, run_here
from tests.support.once import make_once

DATA = Path(__file__).parents[1] / "data/init"
CODE = {
    "course.py": (
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
    ),
    "networks.py": (
        "model_forward",
        "network_cost",
        "gated",
        "Affine",
        "Embedding",
        "Network",
        "SoftmaxCrossEntropy",
        "TwoLayers.loss",
        "Regression",
        "attention",
    ),
    "styles.py": (
        "DeepNet",
        "Perceptrons",
        "LazyDense",
        "Inherited",
        "Short",
        "WeightsAlone",
        "Cell",
        "Mul",
        "QNetwork",
        "affine",
        "triplet_loss",
        "two_layers",
        "cost_function",
        "Quadratic",
        "Stepping",
        "mse",
        "Activation",
        "Bend",
        "Heads",
        "MaxPool1d",
        "Gates",
        "conv_along",
        "probability",
        "scaled",
        "RBFLayer",
        "regularized_cost",
        "GCNLayer",
        "Kept",
        "Logistic",
        "make_chain",
    ),
    "frameworks_torch.py": ("Net", "Fixed", "Cube", "swish"),
    "frameworks_jax.py": ("predict", "cross_entropy", "classify"),
}


# Those whose backward is that of a loss beside them.
WITH_LOSS = ("model_forward", "two_layers", "probability")


class Written(NamedTuple):
    """The config that was written for some code, and how its check came out."""

    text: str
    outcome: str


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    """A config of every function of the data, by its name; all of them in one run."""
    folder = tmp_path_factory.mktemp("init")
    return make_once(tmp_path_factory, "configs", lambda: write_and_run(folder))


def write_and_run(folder: Path) -> dict[str, Written]:
    """The configs, as they are written in a folder, and their outcomes."""
    for file, names in CODE.items():
        shutil.copy(DATA / file, folder)
        library = file.removesuffix(".py").rpartition("_")[2]
        for name in names if "_" not in file or find_spec(library) else ():
            done = run_here("init", f"{file}:{name}", f"{name}.yaml", cwd=folder)
            assert done.returncode == 0, done.stderr
    done = run_here("run", "-q", "--allow-code", ".", "--format", "json", cwd=folder)
    checks = json.loads(done.stdout)["checks"]
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return {
        check["id"]: Written((folder / check["path"]).read_text(), check["outcome"])
        for check in checks
    }


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file, names in CODE.items() for name in names]
)
def test_code_gets_a_config_that_runs_as_it_was_written(
    configs: dict[str, Written], file: str, name: str
) -> None:
    if "_" in file:
        if name not in configs:
            pytest.skip(f"{file} needs its library")
        assert "\nbackward:" not in configs[name].text
    assert configs[name].outcome == "ok"
    assert ("\nloss: " in configs[name].text) == (name in WITH_LOSS)


OTHER_NAMES = """
import numpy as np


class Scale:
    def __init__(self, m):
        self.w = np.ones(m)

    def run(self, x):
        self.x = x
        return self.x * self.w

    def unrun(self, g):
        self.dw = (g * self.x).sum(0)
        return g * self.w
"""


def test_a_class_without_methods_is_none_to_check(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("class Empty:\n    x = 1\n")
    done = run_here("init", "s.py:Empty", cwd=tmp_path)
    assert done.returncode == 2
    assert "it has none. Of two by other names" in done.stderr


def test_a_class_that_others_hand_its_layers_asks_for_a_function_that_makes_one() -> None:
    done = run_here("init", f"{DATA / 'styles.py'}:Chain", "-")
    assert done.returncode == 2
    assert "name a function that makes one, such as def make(): return Chain(…)" in done.stderr


UNUSUAL = {
    "an object that holds itself": """
class Layer:
    def __init__(self, n):
        self.w, self.net, self.by_name = np.ones(n), self, {"a": self}
    def forward(self, x):
        self.x = x
        return self.w * x
    def backward(self, g):
        self.dw = (g * self.x).sum(0)
        return g * self.w
""",
    "a tuple with attributes": """
def layer(x):
    out = (x, x)
    out[0], out["name"] = 2 * x, x
    return out
def layer_backward(g, x):
    return 2 * g
""",
    "a module that inherits all but a size": """
import torch.nn
class Layer(torch.nn.LazyLinear, Base):
    def __init__(self, out_size):
        super().__init__(out_size)
        self.count = torch.zeros(out_size)
""",
}


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=list(UNUSUAL))
def test_what_is_written_for_unusual_code_is_a_config(tmp_path: Path, text: str) -> None:
    (tmp_path / "code.py").write_text("import numpy as np\n" + text)
    name = "layer" if "def layer" in text else "Layer"
    done = run_here("init", f"code.py:{name}", "c.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_here("validate", "c.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_casts_to_float32_is_checked_in_it(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(OTHER_NAMES.replace("self.x = x", "self.x = x.astype('f')"))
    done = run_here("init", "--forward", "s.py:Scale.run", "--backward", "unrun", cwd=tmp_path)
    assert done.returncode == 0
    assert "\ndtype: float32" in (tmp_path / "gradcheck.yaml").read_text()


def test_a_file_without_a_name_is_told_what_is_in_it() -> None:
    done = run_here("init", str(DATA / "styles.py"))
    assert done.returncode == 2
    names = "DeepNet, Perceptrons, LazyDense, Inherited, Short, WeightsAlone, Cell, Mul, QNetwork"
    assert f"a function or class in it: {names} and " in done.stderr


def test_methods_of_other_names_are_asked_for_and_taken(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(OTHER_NAMES)
    done = run_here("init", "s.py:Scale", cwd=tmp_path)
    assert done.returncode == 2
    assert "it has run and unrun" in done.stderr
    named = ("--forward", "s.py:Scale.run", "--backward", "unrun")
    assert run_here("init", *named, cwd=tmp_path).returncode == 0
    text = (tmp_path / "gradcheck.yaml").read_text()
    assert "backward: s.py:Scale.unrun" in text
    assert "\ndtype:" not in text
    assert run_here("run", "--allow-code", "gradcheck.yaml", cwd=tmp_path).returncode == 0


def test_shapes_settings_and_labels_are_those_of_the_text(configs: dict[str, Written]) -> None:
    text = configs["batchnorm_forward"].text
    assert "inputs: {x: [N, D], gamma: [D], beta: [D]}" in text
    assert "constants: {bn_param: {mode: 'train'}}" in text
    assert "guess" not in text


def test_a_guess_is_said_at_its_line(configs: dict[str, Written]) -> None:
    lines = configs["relu_forward"].text.splitlines()
    (place,) = [place for place, line in enumerate(lines) if line.startswith("inputs:")]
    assert "guesses from names, not in the text of the code: of x" in lines[place - 1]


def test_sizes_differ_so_that_what_is_transposed_does_not_fit(
    configs: dict[str, Written],
) -> None:
    (check,) = read_config(configs["rnn_step_forward"].text, str(DATA / "rnn.yaml"))
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


UNREAD = {
    "policy_gradient_loss": ("d * returns[:, None]) / n", "d * returns[:, None])"),
    "cox_partial_likelihood": ("(X - cumx / cum[:, None])", "(X + cumx / cum[:, None])"),
    "gp_nll": ("2 * K0, 2 * sn**2", "2 * K0, sn**2"),
    "skipgram_neg": ("(s(negs @ center)) @ negs", "(s(center @ center)) * context"),
    "crf_nll": ("dT[tags[t], tags[t + 1]] -= 1", "dT[tags[t], tags[t]] -= 1"),
    "word_loss": ("np.outer(scores, center)", "np.outer(center, scores).T * 2"),
}


@pytest.mark.parametrize("name", [name for name in UNREAD if name != "skipgram_neg"])
def test_shapes_that_the_text_does_not_tell_are_found_by_trying(name: str, tmp_path: Path) -> None:
    right, wrong = UNREAD[name]
    text = (DATA / "unread.py").read_text()
    assert right in text
    (tmp_path / "a.py").write_text(text)
    done = run_here("init", "--allow-code", f"a.py:{name}", cwd=tmp_path)
    assert "with shapes that the code takes" in done.stderr
    run = ("run", "--allow-code", "gradcheck.yaml")
    assert run_here(*run, cwd=tmp_path).returncode == 0
    (tmp_path / "a.py").write_text(text.replace(right, wrong))
    assert run_here(*run, cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('no')", "shapes as they are read: none were found"),
        ("import os; os._exit(3)", "the code cannot be tried: the code ended its process"),
        ("while True: pass", "the code cannot be tried: a call did not return within"),
    ],
    ids=["raises", "ends", "hangs"],
)
def test_code_that_takes_no_shapes_ends_the_trials(code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"def loss(x):\n    {code}\n    return 0.0, x\n")
    command = ("init", "--allow-code", "--timeout", "0.5", "--value-and-grad", "a.py:loss")
    assert said in run_here(*command, cwd=tmp_path).stderr


def test_a_form_has_no_code_to_try() -> None:
    done = run_here("init", "--allow-code", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--allow-code goes with code of your own" in done.stderr
