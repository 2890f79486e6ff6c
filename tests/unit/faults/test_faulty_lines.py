"""The lines of a backward in which it goes wrong, found by what is right before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradcheck_cli.config.load import load_config
from gradcheck_cli.faults import faulty_lines
from gradcheck_cli.run import suite

NET = """\
import numpy as np

def net(x, W1, b1, W2, b2):
    z = x @ W1 + b1
    return np.tanh(z) @ W2 + b2

def backward(delta, x, W1, b1, W2, b2):
    hidden = np.tanh(x @ W1 + b1)
    grad_W2 = hidden.T @ delta
    grad_b2 = delta.sum(axis=0)
    back = delta @ W2.T
    back *= 1 - hidden**2
    grad_W1 = x.T @ back
    grad_b1 = back.sum(axis=0)
    return back @ W1.T, grad_W1, grad_b1, grad_W2, grad_b2

def rnn(xs, W, U):
    h = np.zeros((xs.shape[1], len(U)))
    for x in xs:
        h = np.tanh(x @ W + h @ U)
    return h

def rnn_backward(delta, xs, W, U):
    hs = [np.zeros((xs.shape[1], len(U)))]
    for x in xs:
        hs.append(np.tanh(x @ W + hs[-1] @ U))
    dxs, dW, dU = np.zeros_like(xs), np.zeros_like(W), np.zeros_like(U)
    dh = delta
    for t in reversed(range(len(xs))):
        dz = dh * (1 - hs[t + 1] ** 2)
        dxs[t] = dz @ W.T
        dW += xs[t].T @ dz
        dU += hs[t].T @ dz
        dh = dz @ U.T
    return dxs, dW, dU
"""
OF_NET = "inputs: {x: [n, 4], W1: [4, H], b1: [H], W2: [H, 3], b2: [3]}\nforward: net.py:net\n"
OF_NET += "backward: net.py:backward\n"
OF_RNN = "inputs: {xs: [3, n, 2], W: [2, H], U: [H, H]}\nforward: net.py:rnn\n"
OF_RNN += "backward: net.py:rnn_backward\n"

SMALL, LARGE = "{n: 5, H: 3}", "{n: 9, H: 60}"


def said(folder: Path, config: str, before: str, after: str, sizes: str) -> dict[str, str]:
    """What is said of each wrong gradient, where a line of the code is another."""
    assert NET.count(before) == 1
    (folder / "net.py").write_text(NET.replace(before, after))
    (folder / "c.yaml").write_text(f"{config}shapes: {sizes}\n")
    (check,) = suite.run(load_config(str(folder / "c.yaml")), allow_code=True).checks
    assert check.result is not None, check.error
    return {one.name: one.faulty for one in check.result.gradients if one.verdict == "fail"}


@pytest.mark.parametrize(
    ("config", "before", "after", "wrong", "line", "sizes"),
    [
        (OF_NET, "= 1 - hidden**2", "= 1 - hidden[::-1] ** 2", "x W1 b1", "back *=", SMALL),
        (OF_NET, "= 1 - hidden**2", "= 1 - hidden[::-1] ** 2", "x W1 b1", "back *=", LARGE),
        (OF_NET, "hidden.T @ delta", "hidden.T @ delta**3", "W2", "grad_W2 =", SMALL),
        (OF_NET, "delta @ W2.T", "delta @ np.tanh(W2.T)", "x W1 b1", "back = ", SMALL),
        (OF_NET, "return back @ W1.T", "return back @ np.cos(W1.T)", "x", "return", SMALL),
        (OF_RNN, "dz @ W.T", "dz**2 @ W.T", "xs", "dxs[t] =", SMALL),
        (OF_RNN, "dh = dz @ U.T", "dh = dz @ np.sin(U.T)", "xs W U", "dh =", SMALL),
        (OF_RNN, "(1 - hs[t + 1] ** 2)", "(1 - hs[t] ** 2)", "xs W U", "dz =", SMALL),
    ],
)
def test_the_line_is_said_at_which_a_backward_goes_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    before: str,
    after: str,
    wrong: str,
    line: str,
    sizes: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = said(tmp_path, config, before, after, sizes)
    assert {*found} == {*wrong.split()}
    assert all(one.partition(" ")[2].startswith(f"`{line}") for one in found.values()), found


def test_what_goes_into_it_is_named_by_what_it_is_the_gradient_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = said(tmp_path, OF_NET, "x.T @ back", "np.tanh(x.T) @ back", SMALL)
    assert found == {
        "W1": "net.py:13 `grad_W1 = np.tanh(x.T) @ back`: all is right before this line "
        "(back is ∂L/∂z), and no longer after it"
    }


def test_no_line_is_said_where_values_are_right_and_arguments_are_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = "grad_b1 = back.sum(axis=0)"
    assert said(tmp_path, OF_NET, before, f"{before}; delta *= 2", SMALL) == {"x": ""}


def test_functions_that_take_long_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faulty_lines, "MOST_SECONDS", 0.0)
    assert said(tmp_path, OF_NET, "x.T @ back", "np.tanh(x.T) @ back", SMALL) == {"W1": ""}


LOSS = """\
import numpy as np

def softmax_loss(x, y):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    dx = p.copy()
    dx[rows, y] -= 1
    grad = np.sin(dx)
    return -np.log(p[rows, y]).sum(), grad
"""


def test_a_loss_that_computes_its_gradient_itself_has_lines_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loss.py").write_text(LOSS)
    (tmp_path / "c.yaml").write_text(
        "value_and_grad: loss.py:softmax_loss\ninputs: {x: [4, 3]}\n"
        "constants: {y: {distribution: integers, low: 0, high: 3, shape: [4]}}\n"
    )
    (check,) = suite.run(load_config(str(tmp_path / "c.yaml")), allow_code=True).checks
    assert check.result is not None, check.error
    (gradient,) = check.result.gradients
    assert gradient.faulty.startswith("loss.py:9 `grad = np.sin(dx)`"), gradient
