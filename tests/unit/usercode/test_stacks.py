"""Many points in one call: what single calls give, to a scatter that counts as noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import CheckResult, Problem, Verdict, check, from_torch
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Stack, Stackable
from gradcheck_cli.usercode.frameworks.problems import from_framework
from gradcheck_cli.usercode.frameworks.stacks import Sizes, Stacks
from tests.support.layers import Float

ENTRIES = Numeric(mode="entries")
EPS = 2.0**-52
Arrays = Mapping[str, Any]


def notes_on_points(result: CheckResult) -> list[str]:
    return [note for note in result.notes if "points" in note]


def bilinear() -> Problem:
    """y = tanh(xW) of which W's last column moves nothing."""
    random = np.random.default_rng(0)
    inputs = {"x": random.standard_normal((3, 4)), "W": random.standard_normal((4, 5))}
    delta = random.standard_normal((3, 4))

    def forward(arrays: Arrays) -> Float:
        return np.asarray(np.tanh(arrays["x"] @ arrays["W"][:, :4]))

    def backward(arrays: Arrays, cotangent: Float) -> Arrays:
        inner = cotangent * (1 - forward(arrays) ** 2)
        grad_W = np.pad(arrays["x"].T @ inner, ((0, 0), (0, 1)))
        return {"x": inner @ arrays["W"][:, :4].T, "W": grad_W}

    return Problem(inputs, forward, backward, delta)


def scattered(problem: Problem, ulps: float) -> Problem:
    """The problem with stacks whose outputs are off by where in a call their point is."""

    def mapped(name: str) -> Any:
        def forward(arrays: Arrays) -> Float:
            points = arrays[name]
            each = [problem.forward({**arrays, name: point}) for point in points]
            place = np.arange(len(points)).reshape(-1, 1, 1) % 3 - 1
            return np.asarray(np.stack(each) * (1 + ulps * EPS * place))

        return forward

    stacks = Stacks(problem.forward, mapped, Sizes(many=16, few=4, worth=1))
    return Problem(
        problem.inputs,
        Stackable(problem.forward, stacks.stack),
        problem.backward,
        problem.cotangent,
        late_notes=lambda: tuple(stacks.notes("here")),
    )


@pytest.mark.parametrize("ulps", [0.0, 1.0, 8.0, 100.0])
def test_what_a_place_in_a_call_changes_is_noise_and_no_verdict(ulps: float) -> None:
    plain, result = (
        check(problem, numeric=ENTRIES) for problem in (bilinear(), scattered(bilinear(), ulps))
    )
    assert notes_on_points(result) == ["many points of x and W were evaluated at once, by here"]
    assert result.verdict == plain.verdict == Verdict.PASS
    for one, other in zip(result.gradients, plain.gradients, strict=True):
        assert one.bound is not None
        assert other.bound is not None
        assert one.bound <= (other.bound + 1e3 * EPS) * (2 + 10 * ulps)


def test_what_differs_by_more_is_evaluated_one_by_one() -> None:
    result = check(scattered(bilinear(), 1e6), numeric=ENTRIES)
    assert result.verdict == Verdict.PASS
    assert not notes_on_points(result)


def test_an_entry_that_moves_nothing_is_not_moved_by_its_place_in_a_call() -> None:
    problem = scattered(bilinear(), 8.0)
    assert isinstance(problem.forward, Stackable)
    stack = problem.forward.stack(problem.inputs, "W", 100)
    assert stack is not None
    points = np.stack([problem.inputs["W"]] * 9)
    points[:, :, 4] += 0.1
    outputs = stack.evaluate(points)
    np.testing.assert_array_equal(outputs, np.stack([problem.forward(problem.inputs)] * 9))


def test_a_stack_is_of_the_inputs_that_it_was_asked_for() -> None:
    problem = scattered(bilinear(), 1.0)
    assert isinstance(problem.forward, Stackable)
    for factor in (1.0, 2.0, 1.0):
        inputs = {**problem.inputs, "x": factor * problem.inputs["x"]}
        stack = problem.forward.stack(inputs, "W", 100)
        assert stack is not None
        (output,) = stack.evaluate(np.stack([inputs["W"]]))
        np.testing.assert_array_equal(output, problem.forward(inputs))


def test_a_watched_forward_keeps_its_stacks() -> None:
    seen: list[str] = []

    def watch(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            seen.append(getattr(function, "__name__", ""))
            return function(*arguments)

        return call

    problem = scattered(bilinear(), 0.0)
    assert isinstance(problem.forward, Stackable)
    stack = problem.forward.watched(watch).stack(problem.inputs, "x", 100)
    assert isinstance(stack, Stack)
    stack.evaluate(np.stack([problem.inputs["x"]] * 3))
    assert seen == ["stack", "evaluate"]


def torch_layer(kind: str) -> Any:
    torch = pytest.importorskip("torch")

    def forward(x: Any, w: Any) -> Any:
        y = torch.tanh(x @ w)
        if kind == "in place":
            out = torch.zeros(4, 2, dtype=x.dtype)
            out += y
            return out
        if kind == "a branch":
            return y * 2 if y.sum() > 0 else y * 3
        if kind == "a draw":
            return y + torch.rand(4, 2, dtype=x.dtype)
        return y

    return forward


@pytest.mark.parametrize("kind", ["plain", "in place", "a branch", "a draw"])
def test_torch_functions_are_stacked_where_they_can_be(kind: str) -> None:
    random = np.random.default_rng(0)
    inputs = {"x": random.standard_normal((4, 3)), "w": random.standard_normal((3, 2))}
    result = check(from_torch(torch_layer(kind), inputs), numeric=ENTRIES)
    assert result.verdict == Verdict.PASS
    note = "many points of x and w were evaluated at once, by torch.func.vmap"
    assert notes_on_points(result) == [note] * (kind == "plain")


def test_a_rule_for_stacks_that_is_wrong_is_not_used() -> None:
    torch = pytest.importorskip("torch")
    function: Any = torch.autograd.Function

    class Doubled(function):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any) -> Any:
            return 2 * x

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            """There is nothing to save."""

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            return 2 * upstream[0]

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any) -> Any:
            return 2.001 * x, in_dims[0]

    result = check(from_torch(Doubled, np.linspace(-1, 1, 12)), numeric=ENTRIES)
    assert result.verdict == Verdict.PASS
    assert not notes_on_points(result)


def test_a_wrong_gradient_fails_in_stacks_as_it_does_alone() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(5, 4)
    problem = from_torch(layer, np.random.default_rng(0).standard_normal((3, 5)))
    right = problem.backward(problem.inputs, problem.cotangent)
    wrong = {**right, "weight": np.array(right["weight"])}
    wrong["weight"][2, 3] *= 1 + 1e-7

    def claim(arrays: Arrays, cotangent: Float) -> Arrays:
        return wrong

    result = check(
        Problem(problem.inputs, problem.forward, claim, problem.cotangent), numeric=ENTRIES
    )
    failed = [one for one in result.gradients if one.verdict == Verdict.FAIL]
    assert [(one.name, one.wrong) for one in failed] == [("weight", 1)]


class Averaged:
    """Makes a module that keeps a running mean of its outputs, and one that keeps its inputs."""

    @staticmethod
    def make(kept: str) -> Any:
        torch = pytest.importorskip("torch")
        module: Any = torch.nn.Module

        class Layer(module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.linear = torch.nn.Linear(3, 4)
                self.mean: Any = None
                self.seen: list[Any] = []

            def forward(self, x: Any) -> Any:
                y = torch.tanh(self.linear(x))
                if kept == "mean":
                    self.mean = y.mean(0) if self.mean is None else self.mean / 2 + y.mean(0) / 2
                    return y + 0 * self.mean
                self.seen.append(x)
                return y + 0 * self.seen[max(-2, -len(self.seen))].sum()

        return Layer()


@pytest.mark.parametrize("kept", ["mean", "inputs"])
def test_what_a_module_keeps_of_a_call_is_not_that_of_many_points(kept: str) -> None:
    inputs = np.random.default_rng(0).standard_normal((5, 3))
    assert check(from_torch(Averaged.make(kept), inputs), numeric=ENTRIES).verdict == Verdict.PASS


KEPT: list[Any] = []
LAST: Any = None


def keep_in_a_list(x: Any) -> Any:
    KEPT.append(x)
    return x.tanh() + 0 * KEPT[max(-2, -len(KEPT))]


def keep_in_a_name(x: Any) -> Any:
    global LAST
    before, LAST = LAST, x
    return x.tanh() + 0 * (x if before is None else before)


def keep_by_another(x: Any) -> Any:
    return keep_in_a_name(x)


@pytest.mark.parametrize("function", [keep_in_a_list, keep_in_a_name, keep_by_another])
def test_a_function_that_may_keep_something_is_not_handed_many_points(function: Any) -> None:
    pytest.importorskip("torch")
    inputs = np.random.default_rng(0).standard_normal((5, 3))
    result = check(from_framework(function, {"x": inputs}, framework="torch"), numeric=ENTRIES)
    assert result.verdict == Verdict.PASS
    assert not notes_on_points(result)
