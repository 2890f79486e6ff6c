"""torch: modules, functions of tensors and autograd.Functions are checked as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import CheckResult, GradientError, Verdict, assert_gradients, check, from_torch
from gradcheck_cli.errors import CodeError
from tests.support.command import Gradcheck

torch = pytest.importorskip("torch")

X = np.random.default_rng(0).normal(size=(4, 3))
W = np.random.default_rng(1).normal(size=(3, 2))


def verdicts(result: CheckResult) -> dict[str, Verdict]:
    return {gradient.gradient: gradient.verdict for gradient in result.gradients}


def test_a_weight_that_two_layers_share_is_one_parameter_and_the_module_keeps_its_own() -> None:
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    second.weight = first.weight
    net = torch.nn.Sequential(first, torch.nn.Tanh(), second, torch.nn.BatchNorm1d(3))
    problem = from_torch(net, torch.randn(5, 3))
    before = [*net.parameters(), *net.buffers()]
    result = check(problem)
    names = ["input", "0.weight", "0.bias", "2.bias", "3.weight", "3.bias"]
    assert verdicts(result) == dict.fromkeys([f"∂L/∂{name}" for name in names], Verdict.PASS)
    assert all(
        one is two for one, two in zip(before, [*net.parameters(), *net.buffers()], strict=True)
    )


def test_every_parameter_of_a_module_has_a_row_of_its_own() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    result = check(net, inputs=torch.randn(5, 3))
    names = ["input", "0.weight", "0.bias", "2.weight", "2.bias"]
    assert verdicts(result) == dict.fromkeys([f"∂L/∂{name}" for name in names], Verdict.PASS)


def test_a_frozen_parameter_and_a_buffer_are_constants() -> None:
    norm = torch.nn.BatchNorm1d(3)
    norm.weight.requires_grad_(False)
    before = norm.running_mean.clone()
    result = check(norm.eval(), inputs=X)
    assert [gradient.name for gradient in result.gradients] == ["input", "bias"]
    assert result.verdict == Verdict.PASS
    assert torch.equal(norm.running_mean, before.double())


Function: Any = torch.autograd.Function


class Scaled(Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        x, w = ctx.saved_tensors
        (delta,) = upstream
        return delta @ w.T, x.T @ delta / 4


def test_a_wrong_autograd_function_fails_in_the_gradient_that_is_wrong() -> None:
    result = check(Scaled, inputs={"x": X, "w": W})
    assert verdicts(result) == {"∂L/∂x": Verdict.PASS, "∂L/∂w": Verdict.FAIL}
    assert result.gradients[1].diagnosis is not None
    assert result.gradients[1].diagnosis.code == "GC103"
    with pytest.raises(GradientError, match="6 of 6 entries are wrong"):
        assert_gradients(Scaled, inputs={"x": X, "w": W})


def cross_entropy(logits: Any, labels: Any, *, smoothing: float = 0.0) -> Any:
    return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def test_labels_and_keyword_arguments_are_constants() -> None:
    labels = np.array([0, 2, 1, 0])
    result = check(cross_entropy, inputs={"logits": X}, constants={"labels": labels})
    assert verdicts(result) == {"∂L/∂logits": Verdict.PASS}
    problem = from_torch(cross_entropy, {"logits": X, "labels": labels}, {"smoothing": 0.1})
    assert list(problem.inputs) == ["logits"]
    assert check(problem).verdict == Verdict.PASS


def nested(batch: Any, unused: Any) -> dict[str, Any]:
    first, second = batch["pair"]
    return {"sum": first + second, "product": (first * second, (first > 0).long())}


def test_nested_inputs_and_outputs_and_an_input_that_is_not_used() -> None:
    result = check(nested, inputs={"batch": {"pair": (X, X + 1)}, "unused": W})
    names = ["∂L/∂batch.pair[0]", "∂L/∂batch.pair[1]", "∂L/∂unused"]
    assert verdicts(result) == dict.fromkeys(names, Verdict.PASS)
    assert "nested does not use unused: it has no gradient, which counts as zero" in result.notes


def test_what_is_drawn_inside_is_the_same_in_every_call() -> None:
    before = torch.random.get_rng_state()
    result = check(torch.nn.Dropout(0.5), inputs=X)
    assert result.verdict == Verdict.PASS
    assert before.shape == torch.random.get_rng_state().shape


def test_numpy_code_is_not_said_to_draw_from_torch() -> None:
    result = check(lambda x: x * x, lambda delta, x: 2 * x * delta, {"x": X})
    assert (result.verdict, result.notes) == (Verdict.PASS, ())


ONES = torch.ones(3, 2)


def in_single(x: Any) -> Any:
    return x @ ONES


def test_tensors_that_a_function_makes_are_in_the_type_of_the_check() -> None:
    def run(x: Any) -> Any:
        state = torch.zeros(3)
        for row in x @ torch.eye(3):
            state = torch.tanh(row + state)
        return state

    assert check(run, inputs=X).verdict == Verdict.PASS
    assert torch.get_default_dtype() == torch.float32


class Odd(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Holds an empty parameter, a number, none at all, and weights with a sparse gradient."""

    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.empty = torch.nn.Parameter(torch.zeros(0))
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.register_parameter("none", None)
        self.words = torch.nn.Embedding(4, 3, sparse=True)
        self.cut = cut

    def forward(self, ids: Any) -> Any:
        found = self.scale * self.words(ids)
        return found * (found.detach() if self.cut else found)


@pytest.mark.parametrize(("cut", "verdict"), [(False, "pass"), (True, "fail")])
def test_parameters_may_be_empty_and_their_gradients_sparse(cut: bool, verdict: str) -> None:
    result = check(from_torch(Odd(cut=cut), {}, {"ids": np.array([0, 2, 2, 1])}))
    assert verdicts(result) == dict.fromkeys(["∂L/∂scale", "∂L/∂words.weight"], verdict)


class Words(torch.nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(4, 3, padding_idx=0)
        self.cut = cut

    def forward(self, ids: Any) -> Any:
        found = torch.tanh(self.words(ids))
        return found * (found.detach() if self.cut else found)


@pytest.mark.parametrize(("cut", "verdict"), [(False, "pass"), (True, "fail")])
def test_the_padding_of_an_embedding_is_a_constant(cut: bool, verdict: str) -> None:
    net, ids = Words(cut=cut), {"ids": np.array([0, 2, 2, 1])}
    assert check(from_torch(net, {}, ids)).verdict == verdict


def test_types_that_do_not_fit_are_told_with_what_to_do() -> None:
    with pytest.raises(CodeError, match="float32 parameters or constants meet float64 inputs"):
        from_torch(in_single, X)
    assert check(from_torch(in_single, X, dtype="float32")).verdict == Verdict.PASS


def test_plain_python_without_a_backward_is_told_what_it_lacks() -> None:
    with pytest.raises(CodeError, match="belongs to none of torch, jax and autograd"):
        check(sorted, inputs=X)


FUNCTIONS = """\
import torch


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, delta):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * delta
"""

STATIC = """\
inputs: {x: [4]}
checks:
- {name: class, forward: "f.py:Cube"}
- {name: methods, forward: "f.py:Cube.forward", backward: "f.py:Cube.backward"}
- {name: applied, forward: "f.py:Cube.apply", backward: "f.py:Cube.backward"}
"""


def test_the_methods_of_a_function_are_the_function(
    gradcheck_process: Gradcheck, tmp_path: Path
) -> None:
    (tmp_path / "f.py").write_text(FUNCTIONS)
    (tmp_path / "c.yaml").write_text(STATIC)
    done = gradcheck_process("run", "--allow-code", "c.yaml", cwd=tmp_path)
    assert "3 checks: 3 ok" in done.stdout, done.stdout + done.stderr


MODULES = """\
import numpy as np
import torch


class Net(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.fc1 = torch.nn.Linear(3, hidden)
        self.fc2 = torch.nn.LazyLinear(2)
        self.dropout = torch.nn.Dropout()

    def forward(self, x):
        return self.fc2(self.dropout(torch.tanh(self.fc1(x))))


def make_net(hidden=4):
    return Net(hidden)


def affine(x, w):
    return x @ w


def affine_backward(delta, x, w):
    return delta @ w.T, x.T @ delta


def wrapped(x):
    tensor = torch.tensor(x, requires_grad=True)
    out = torch.tanh(tensor)
    return out.detach().numpy(), (out, tensor)


def wrapped_backward(delta, cache):
    out, tensor = cache
    return torch.autograd.grad(out, tensor, torch.from_numpy(delta))[0].numpy()
"""

CONFIG = """\
shapes: {n: 4, N: 3}
inputs: {x: [n, N]}
checks:
- {name: class, forward: "net.py:Net", constants: {hidden: 5, training: false}}
- {name: made, forward: "net.py:make_net"}
- name: numpy-backward
  framework: torch
  forward: net.py:affine
  backward: net.py:affine_backward
  inputs: {w: [N, 2]}
- {name: arrays-around-torch, forward: "net.py:wrapped", backward: "net.py:wrapped_backward"}
"""


def test_configs_name_modules_functions_and_factories(
    gradcheck_process: Gradcheck, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(MODULES)
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = gradcheck_process("run", "--allow-code", "c.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 checks: 4 ok" in done.stdout
    assert done.stdout.count("∂L/∂fc2.weight") == 2
