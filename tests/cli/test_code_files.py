"""`gradcheck run FILE.py`: what has a backward in a Python file is checked, without a config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from gradcheck_cli.errors import UsageError
from tests.cli.test_init import CODE, DATA, UNREAD
from tests.support.command import Result, run_here

RUN = ("run", "--allow-code", "--format", "json")

TWO = """
import numpy as np


def affine(x, w, b):
    return x @ w + b


def affine_backward(dout, x, w, b):
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def helper(x):
    return x + 1


class Scale:
    def __init__(self, m):
        self.w = np.ones(m)

    def forward(self, x):
        self.x = x
        return x * self.w

    def backward(self, dout):
        self.dw = (dout * self.x).sum(axis=0)
        return dout * self.w


class Chain:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class Layer:
    def forward(self, x):
        raise NotImplementedError

    def backward(self, dout):
        raise NotImplementedError
"""


def outcomes(done: Result) -> dict[str, str]:
    """How each check came out, by its id."""
    return {check["id"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two.py").write_text(TWO)
    return tmp_path


def test_all_that_has_a_backward_is_checked(folder: Path) -> None:
    done = run_here(*RUN, "two.py", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert outcomes(done) == {"affine": "ok", "Scale": "ok"}


def test_one_name_is_checked_alone(folder: Path) -> None:
    done = run_here(*RUN, "two.py:Scale", cwd=folder)
    assert outcomes(done) == {"Scale": "ok"}


def test_each_check_stands_in_the_line_of_its_definition(folder: Path) -> None:
    done = run_here("run", "--list", "two.py", cwd=folder)
    lines = TWO.splitlines()
    assert done.stdout == (
        f"affine\ttwo.py:{lines.index('def affine(x, w, b):') + 1}\n"
        f"Scale\ttwo.py:{lines.index('class Scale:') + 1}\n"
    )


def test_code_is_read_and_does_not_run_unless_it_may(folder: Path) -> None:
    (folder / "two.py").write_text("raise SystemExit('ran')\n" + TWO)
    done = run_here("run", "two.py", cwd=folder)
    assert done.returncode == 2
    assert (
        "2 checks of Python code were not run\n  two.py: affine, affine_backward, Scale\n"
        in done.stderr
    )
    assert "ran" not in done.stdout + done.stderr


def test_a_wrong_gradient_says_what_was_checked_and_how_to_run_it_again(folder: Path) -> None:
    (folder / "two.py").write_text(
        TWO.replace("dout.sum(axis=0)\n\n\ndef h", "dout.mean(axis=0)\n\n\ndef h")
    )
    done = run_here("run", "--allow-code", "two.py", cwd=folder)
    assert done.returncode == 1
    assert "rerun: gradcheck run --allow-code two.py:affine\n" in done.stdout
    assert "found from its text: inputs: {x: [n, N], w: [N, M], b: [M]}, shapes:" in done.stdout
    assert "`gradcheck init two.py:affine` writes a config for you to change" in done.stdout


@pytest.mark.parametrize("file", ["course.py", "networks.py"])  # mistakes are in all other styles
def test_every_style_passes_without_a_config(file: str) -> None:
    done = run_here(*RUN, str(DATA / file))
    found = outcomes(done)
    assert set(found.values()) == {"ok"}
    assert {name.partition(".")[0] for name in CODE[file]} - {*found} <= {"attention"}


# A mistake in each style: what stands in the place of what. None may be left out of the config.
MISTAKES = {
    "make_chain": ("self.dLdb = g.sum(0)", "self.dLdb = g.mean(0)"),
    "Kept": ('self.fc["X"].T @ dZ', 'self.fc["X"].T @ dX'),
    "Logistic": ("db = np.mean(p - y)", "db = np.sum(p - y)"),
    "DeepNet": ('grads["b%d" % i] = dout.sum', 'grads["b%d" % i] = dout.mean'),
    "Perceptrons": ("nabla_b[-k] = delta", "nabla_b[-k] = 2 * delta"),
    "LazyDense": ("self.dW = self.x.T @ dout", "self.dW = self.x.T @ dout * 2"),
    "Inherited": ("np.sum(grad, axis=0)", "np.mean(grad, axis=0)"),
    "Short": ("self.dLdb = g.sum(0)", "self.dLdb = g.mean(0)"),
    "WeightsAlone": ('"b1": dZ.sum(axis=0)', '"b1": dA.sum(axis=0)'),
    "Cell": ("np.outer(da, self.kept)", "np.outer(delta, self.kept)"),
    "Mul": ("return b * d_output, a * d_output", "return a * d_output, b * d_output"),
    "QNetwork": ("= 2 * (q[rows", "= (q[rows"),
    "affine": ("dy.sum(axis=0)", "dy.mean(axis=0)"),
    "two_layers": ("dZ1.sum(axis=0), np", "dZ1.mean(axis=0), np"),
    "cost_function": ("X.T.dot(h - y) / len(y)", "X.T.dot(h - y)"),
    "Quadratic": ("delta = activations[-1] - y", "delta = y - activations[-1]"),
    "Stepping": ("learning_rate * output_error", "learning_rate * 2 * output_error"),
    "mse": ("2 * (y_pred - y_true) / y_true.size", "(y_pred - y_true) / y_true.size"),
    "Activation": (
        "return self.activation_prime(self.x) * grad",
        "return self.activation(self.x) * grad",
    ),
    "Heads": ("self.dWv = flat.T @ dv", "self.dWv = flat.T @ dq"),
    "MaxPool1d": ("first = window.argmax", "first = window.argmin"),
    "Gates": ("(1 - self.f**2)", "(1 - self.f)"),
    "conv_along": ("dA, dW, db\n\n\ndef prob", "dA, 2 * dW, db\n\n\ndef prob"),
    "regularized_cost": ("lambda_ / m * penalized\n", "lambda_ / m * theta\n"),
    "RBFLayer": ("-gd.sum(0)", "gd.sum(0)"),
    "GCNLayer": ("self._A.T @ (dZ @", "2 * self._A.T @ (dZ @"),
    "scaled": ("2 * x * weight * delta", "x * weight * delta"),
    "probability": ("(A - Y) / Y.shape[1]", "A - Y"),
    "triplet_loss": ("(positive - anchor) * active", "(anchor - positive) * active"),
}


def write_mistakes(folder: Path, text: str, mistakes: Mapping[str, tuple[str, str]]) -> list[str]:
    """Write a file for each mistake, named like what it is in; what to run of each."""
    for name, (right, wrong) in mistakes.items():
        assert right in text
        (folder / f"{name}.py").write_text(text.replace(right, wrong))
    return [f"{name}.py:{name}" for name in mistakes]


def test_a_mistake_in_every_style_is_found_without_a_config(tmp_path: Path) -> None:
    text = (DATA / "styles.py").read_text()
    mistaken = write_mistakes(tmp_path, text, MISTAKES)
    done = run_here(*RUN, *mistaken, cwd=tmp_path)
    assert outcomes(done) == dict.fromkeys(MISTAKES, "wrong")


GUESSED = {
    "bce_kl_loss": ("-0.5 * (1 - np.exp(logvar))", "-0.5 * (1 + np.exp(logvar))"),
    "prelu": ("da = np.sum(dout * np.minimum", "da = np.sum(dout * np.maximum"),
    "planar_logdet": ("dw = z.T @ da + g.sum() * u", "dw = z.T @ da + g.sum() * w"),
    "info_nce": ("/ len(z_a) / temperature", "/ len(z_a) * temperature"),
    "filter_nll": ("2 * e * de / S", "e * de / S"),
    "Windows": ("+= dcols[:, :, i]", "= dcols[:, :, i]"),
    "Attention": (
        "dA * self.A, axis=-1, keepdims=True))",
        "dA * self.A, axis=-2, keepdims=True))",
    ),
}


def test_what_parameters_are_is_told_by_gradients_where_the_text_does_not(tmp_path: Path) -> None:
    text = (DATA / "guessed.py").read_text()
    (tmp_path / "right.py").write_text(text)
    mistaken = write_mistakes(tmp_path, text, GUESSED)
    done = run_here(*RUN, *(f"right.py:{name}" for name in GUESSED), cwd=tmp_path)
    assert outcomes(done) == dict.fromkeys(GUESSED, "ok")
    done = run_here(*RUN, *mistaken, cwd=tmp_path)
    assert outcomes(done) == dict.fromkeys(GUESSED, "wrong")


# Of functions with gradients by the names of those who minimize, and a mistake in each.
FUNCTIONS = {
    "Valley": ("[[first, cross], [cross, 2 * steep]]", "[[first, cross], [cross, steep]]"),
    "Softsign": ("1 / (1 + np.abs(t)) ** 2", "1 / (1 + np.abs(t))"),
    "Counts": ("self.X.T @ (self.counts", "self.X.T @ (2 * self.counts"),
    "Tied": ("self.X.T @ top, top.sum", "2 * self.X.T @ top, top.sum"),
    "Updated": ("d_y @ self.last.T, d_y", "d_y @ self.last.T, 2 * d_y"),
    "MeanOfSquares": ("2 * (outputs - targets)", "(outputs - targets)"),
    "objective": ("return [4 * x[0],", "return [2 * x[0],"),
    "poly": ("np.array([3 * x**2 * y,", "np.array([3 * x * y,"),
    "ridge": ("[[2 * pull, 1], [1, 0]]", "[[2 * pull, 1], [1, 1]]"),
}


def test_functions_are_found_by_their_names_and_their_shapes_by_trying(tmp_path: Path) -> None:
    text = (DATA / "functions.py").read_text()
    (tmp_path / "right.py").write_text(text)
    mistaken = write_mistakes(tmp_path, text, FUNCTIONS)
    done = run_here(*RUN, "right.py", cwd=tmp_path)
    assert outcomes(done) == {**dict.fromkeys(FUNCTIONS, "ok"), "choice": "error"}
    assert "right with others: inputs: {a: [N]}" in done.stdout  # a mean over one output, or all
    done = run_here(*RUN, *mistaken, cwd=tmp_path)
    assert outcomes(done) == dict.fromkeys(FUNCTIONS, "wrong")


def test_gradients_that_are_right_with_other_shapes_alone_are_no_failure(tmp_path: Path) -> None:
    """Here those that were read are taken, too; both are shown."""
    (tmp_path / "guessed.py").write_text((DATA / "guessed.py").read_text())
    done = run_here("run", "--allow-code", "guessed.py:mse", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert "wrong with the shapes inputs: {y_pred: [n, N]}" in done.stdout
    assert "right with others: inputs: {y_pred: [N]}" in done.stdout


def test_a_loss_that_may_return_gradients_is_told_where_it_is_no_check(tmp_path: Path) -> None:
    (tmp_path / "guessed.py").write_text((DATA / "guessed.py").read_text())
    done = run_here("run", "--list", "guessed.py", cwd=tmp_path)
    assert "left out of 'guessed.py': mse; `gradcheck init guessed.py:mse`" in done.stderr


def test_shapes_that_are_not_in_the_text_are_tried(tmp_path: Path) -> None:
    text = (DATA / "unread.py").read_text()
    (tmp_path / "a.py").write_text(text)
    command = ("run", "--allow-code", "a.py:skipgram_neg")
    done = run_here(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "found by trying: inputs: {center: [n], context: [n], negs: [N, n]}" in done.stdout
    assert "`gradcheck init --allow-code a.py:skipgram_neg` writes a config" in done.stdout
    right, wrong = UNREAD["skipgram_neg"]
    (tmp_path / "a.py").write_text(text.replace(right, wrong))
    assert run_here(*command, cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("x.T @ dout, dout.sum(axis=0)", "dout.T @ x, dout.sum(axis=0)"),
        ("x.T @ dout, dout.sum(axis=0)", "x @ dout, dout.sum(axis=0)"),
        ("x.T @ dout, dout.sum(axis=0)", "x.T @ dout, dout"),
        ("x.T @ dout, dout.sum(axis=0)", "x.T @ dout, dout.sum()"),
    ],
    ids=["transposed", "does not fit", "not summed", "summed over all"],
)
def test_no_shapes_are_tried_for_which_a_wrong_backward_would_fit(
    right: str, wrong: str, folder: Path
) -> None:
    assert right in TWO
    (folder / "two.py").write_text(TWO.replace(right, wrong))
    done = run_here(*RUN, "two.py:affine", cwd=folder)
    assert done.returncode != 0
    assert outcomes(done)["affine"] in ("wrong", "error")
    assert "found by trying" not in done.stdout


def test_code_that_cannot_be_read_does_not_stop_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradcheck_cli.config.init import file_checks

    draft = file_checks.draft_check

    def fail(path: str, name: str) -> object:
        if name == "affine":
            raise UsageError("no")
        return draft(path, name)

    monkeypatch.setattr(file_checks, "draft_check", fail)
    done = run_here(*RUN, "two.py", cwd=folder)
    assert outcomes(done) == {"Scale": "ok"}
    assert "left out of 'two.py': affine, Chain; `gradcheck init two.py:affine`" in done.stderr


RULES = """
import jax


def square(x):
    return x**2


def square_bwd(x, g):
    return (2 * x * g,)


ruled_square = jax.custom_vjp(square)
ruled_square.defvjp(lambda x: (square(x), x), square_bwd)


@jax.custom_vjp
def cube(x):
    return x**3


def forward(x):
    return cube(x), x


def backward(x, g):
    return (3 * x**2 * g,)


cube.defvjp(forward, backward)
"""


def test_what_jax_is_told_a_rule_of_is_a_check_and_the_rule_none(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULES)
    assert run_here("run", "--list", "rules.py", cwd=tmp_path).stdout == "cube\trules.py:18\n"


def test_what_was_given_is_told_where_a_gradient_is_zero(tmp_path: Path) -> None:
    code = "def f(x):\n    return 0 * x\n\n\ndef f_backward(g, x):\n    return 0 * g\n"
    (tmp_path / "a.py").write_text(code)
    done = run_here("run", "--allow-code", "a.py", cwd=tmp_path)
    assert done.returncode == 0
    assert "note: f: found from its text: inputs: {x: [n, N]}" in done.stdout


HANGS = """
import time


def f(x):
    if x.ndim == 1:
        time.sleep(100)
    raise ValueError("x must have another shape")


def f_backward(g, x):
    return g
"""


def test_a_search_for_shapes_that_hangs_is_told(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    done = run_here("run", "--allow-code", "--timeout", "1", "hangs.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "the search for other shapes was not finished: a call did not return" in done.stdout
    assert 'File "hangs.py", line 7, in f' in done.stdout


def test_a_folder_of_code_says_that_files_are_named(folder: Path) -> None:
    done = run_here("run", str(folder))
    assert done.returncode == 2
    assert f"Python files are named one by one, as {folder / 'two.py'}" in done.stderr


UNPAIRED = """
def square(x):
    return x**2


def square_backward(delta, x):
    return 2 * x * delta


def backward_of_cube(delta, x):
    return 3 * x**2 * delta


def numerical_gradient(f, x):
    return (f(x + 1e-6) - f(x)) / 1e-6


class Net:
    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, delta):
        return delta
"""


def test_what_is_called_like_a_gradient_and_is_part_of_no_check_is_told(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(UNPAIRED)
    done = run_here("run", "--allow-code", "file.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out of 'file.py': Net, backward_of_cube; `gradcheck init" in done.stderr


FOCAL = """
import numpy as np


class Focal:
    def forward(self, logits, targets):
        self.p, self.t = 1 / (1 + np.exp(-logits)), targets
        pt = np.where(targets == 1, self.p, 1 - self.p)
        return np.mean(-np.log(pt))

    def backward(self):
        pt = np.where(self.t == 1, self.p, 1 - self.p)
        return (pt - 1) * np.where(self.t == 1, 1, -1) / self.t.size
"""


@pytest.mark.parametrize(("code", "exit"), [(FOCAL, 2), (FOCAL.replace("pt - 1", "pt + 1"), 1)])
def test_shapes_that_make_right_code_wrong_are_no_failure(
    tmp_path: Path, code: str, exit: int
) -> None:
    (tmp_path / "focal.py").write_text(code)
    done = run_here("run", "--allow-code", "focal.py", cwd=tmp_path)
    assert done.returncode == exit, done.stdout


def test_a_config_says_where_its_shapes_make_right_code_wrong(tmp_path: Path) -> None:
    (tmp_path / "focal.py").write_text(FOCAL)
    done = run_here("init", "--allow-code", "focal.py:Focal", cwd=tmp_path)
    assert "but its gradients fit others: see whether they are those meant" in done.stderr


def test_a_file_of_any_name_is_named_in_its_config(folder: Path) -> None:
    (folder / "two.py").rename(folder / "my [2], two.py")
    done = run_here(*RUN, "my [2], two.py", cwd=folder)
    assert outcomes(done) == {"affine": "ok", "Scale": "ok"}
    assert run_here("init", "my [2], two.py:Scale", cwd=folder).returncode == 0
    assert run_here("run", "--allow-code", "gradcheck.yaml", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(x:\n", "'two.py' is not Python: "),
        ("def f(x):\n    return x\n", "'two.py' has no function or class with a backward"),
    ],
)
def test_a_file_with_nothing_to_check_says_why(text: str, said: str, folder: Path) -> None:
    (folder / "two.py").write_text(text)
    done = run_here("run", "two.py", cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr


def test_of_many_names_the_nearest_are_told(folder: Path) -> None:
    (folder / "many.py").write_text("".join(f"def {c}_layer(x): pass\n" for c in "abcdefghijklmn"))
    done = run_here("run", "many.py:layers_of_n", cwd=folder)
    assert "there is no 'layers_of_n' in the file; there are: n_layer, " in done.stderr
    assert " and 2 more\n" in done.stderr


def test_what_is_defined_twice_is_checked_once(folder: Path) -> None:
    wrong = TWO.replace("dout.sum(axis=0)", "dout")
    (folder / "two.py").write_text(wrong + TWO)
    assert outcomes(run_here(*RUN, "two.py", cwd=folder)) == {"affine": "ok", "Scale": "ok"}


GREEK = """
def σ(z):
    return z**2


def σ_prime(z):
    return 2 * z


class Δ:
    def forward(self, ξ):
        self.ξ = ξ
        return ξ**3

    def backward(self, δ):
        return 3 * δ * self.ξ**2
"""


def test_names_have_the_letters_that_python_allows(folder: Path) -> None:
    (folder / "γ.py").write_text(GREEK, encoding="utf-8")
    assert outcomes(run_here(*RUN, "γ.py", cwd=folder)) == {"σ": "ok", "Δ": "ok"}
    assert outcomes(run_here(*RUN, "γ.py:σ", cwd=folder)) == {"σ": "ok"}


@pytest.mark.parametrize("terms", [700, 50_000])
def test_code_that_is_nested_too_deep_is_told_so(terms: int, folder: Path) -> None:
    total = " + ".join(["b"] * terms)
    (folder / "two.py").write_text(TWO.replace("x @ w + b", f"x @ w + {total}"))
    for words in (("run", "two.py"), ("init", "two.py:affine", "-")):
        done = run_here(*words, cwd=folder)
        assert done.returncode == 2
        assert "is nested too deep to be read" in done.stderr
