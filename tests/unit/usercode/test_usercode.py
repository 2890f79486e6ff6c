"""Functions, losses and objects in the ways people write them."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from gradcheck_cli import check, from_derivative, from_functions, from_layer, from_value_and_grad
from gradcheck_cli.errors import CodeError, ForwardError
from gradcheck_cli.problem import Problem

Array = Any  # functions of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 2))
B = np.random.default_rng(3).normal(size=2)


def verdict(problem: Problem) -> str:
    return check(problem).verdict.value


# -- functions ---------------------------------------------------------------------------------


def test_several_outputs_have_an_upstream_gradient_each() -> None:
    def forward(x: Array) -> tuple[Array, Array, Array]:
        return np.tanh(x), (x**2).sum(axis=0), x

    def backward(dfirst: Array, dsecond: Array, cache: Array) -> Array:
        assert (dfirst.shape, dsecond.shape) == ((4, 3), (3,))
        return dfirst / np.cosh(cache) ** 2 + 2 * cache * dsecond

    def forgets(dfirst: Array, dsecond: Array, cache: Array) -> Array:
        return dfirst / np.cosh(cache) ** 2

    assert verdict(from_functions(forward, backward, X)) == "pass"
    assert verdict(from_functions(forward, forgets, X)) == "fail"


def test_keyword_arguments_take_what_is_left_by_name() -> None:
    def forward(x: Array, **others: Array) -> Array:
        return np.tanh(x @ others["W"]) * others["scale"]

    def backward(delta: Array, **values: Array) -> dict[str, Array]:
        x, W, scale = values["x"], values["W"], values["scale"]
        delta = delta * scale / np.cosh(x @ W) ** 2
        return {"x": delta @ W.T, "W": x.T @ delta}

    inputs = {"x": X, "W": W}
    assert verdict(from_functions(forward, backward, inputs, {"scale": 2.0})) == "pass"
    swapped = from_functions(
        forward, lambda delta, **v: backward(-delta, **v), inputs, {"scale": 2.0}
    )
    assert verdict(swapped) == "fail"


def test_labels_among_the_inputs_are_told_their_place() -> None:
    def loss(x: Array, y: Array) -> Array:
        return x[np.arange(len(x)), y].sum()

    with pytest.raises(CodeError, match=r"labels, indices and sizes .* go under constants"):
        from_functions(loss, lambda x, y: x, {"x": X, "y": np.ones(4)})


def test_the_gradient_of_one_number_takes_no_upstream_gradient() -> None:
    def loss(w: Array, t: float) -> float:
        return float(((w - t) ** 2).sum())

    assert verdict(from_functions(loss, lambda w, t: 2 * (w - t), {"w": B}, {"t": 1})) == "pass"
    assert verdict(from_functions(loss, lambda w, t: w - t, {"w": B}, {"t": 1})) == "fail"
    with pytest.raises(CodeError, match=r"takes no upstream gradient, so .* single number"):
        from_functions(np.tanh, lambda x: x.sum(), {"x": B})


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def relu_prime(t: Array) -> Array:
    return (t > 0).astype(float)


def relu_prime_of_negatives(t: Array) -> Array:
    return (t < 0).astype(float)


def test_a_derivative_of_every_entry_is_multiplied_by_the_upstream_gradient() -> None:
    assert verdict(from_derivative(relu, relu_prime, X)) == "pass"
    assert verdict(from_derivative(relu, relu_prime_of_negatives, X)) == "fail"


def test_a_backward_that_is_such_a_derivative_is_told() -> None:
    result = check(from_functions(relu, relu_prime, {"z": X}))
    assert result.verdict == "pass"
    guess, elementwise = result.notes
    assert guess == "relu_prime has no parameter 'z': its 't' was given it"
    assert elementwise.startswith("relu_prime takes no upstream gradient: it was called with z, ")
    assert verdict(from_functions(relu, relu_prime_of_negatives, {"z": X})) == "fail"


class Sigmoid:
    def fn(self, z: Array) -> Array:
        return 1 / (1 + np.exp(-z))

    def grad(self, x: Array) -> Array:
        return self.fn(x) * (1 - self.fn(x))


@pytest.mark.parametrize("name", ["z", "x", "Z", "values"])
def test_a_parameter_that_is_called_like_an_input_is_not_handed_the_upstream_gradient(
    name: str,
) -> None:
    assert verdict(from_functions(Sigmoid().fn, Sigmoid().grad, {name: X})) == "pass"


class Point(NamedTuple):
    x: Array
    y: Array


def test_inputs_are_nested_as_the_functions_take_them() -> None:
    def forward(point: Point, params: dict[str, Any]) -> Array:
        assert params["mode"] == "sum"
        return params["W"][0] * point.x + params["W"][1] * point.y

    def backward(delta: Array, point: Point, params: dict[str, Any]) -> Any:
        first, second = params["W"]
        of_params = {"dW": (delta * point.x, delta * point.y)}
        return Point(delta * first, delta * second), of_params

    inputs = {"point": Point(B, B + 1), "params": {"W": (B * 2, B * 3), "mode": "sum"}}
    result = check(from_functions(forward, backward, inputs))
    assert result.verdict == "pass"
    names = [gradient.gradient for gradient in result.gradients]
    assert names == ["∂L/∂point.x", "∂L/∂point.y", "∂L/∂params.W[0]", "∂L/∂params.W[1]"]


def test_one_nested_input_has_a_gradient_built_like_it() -> None:
    def forward(params: dict[str, Array]) -> Array:
        return params["a"] * params["b"]

    def backward(delta: Array, params: dict[str, Array]) -> dict[str, Array]:
        return {"a": delta * params["b"], "b": delta * params["a"]}

    assert verdict(from_functions(forward, backward, {"params": {"a": B, "b": B + 1}})) == "pass"


def test_numbers_labels_and_modes_are_passed_on() -> None:
    labels = np.array([0, 2, 1, 1])

    def forward(x: Array, y: Array, power: float, mode: str) -> Array:
        assert (y is not labels, y.dtype, mode) == (True, labels.dtype, "rows")
        return x[np.arange(4), y] ** power

    def backward(delta: Array, x: Array, y: Array, power: float) -> Array:
        found = np.zeros_like(x)
        rows = np.arange(4)
        found[rows, y] = delta * power * x[rows, y] ** (power - 1)
        return found

    inputs = {"x": X, "y": labels, "power": 2, "mode": "rows"}
    assert verdict(from_functions(forward, backward, inputs)) == "pass"


def test_a_constant_may_be_changed_by_the_forward() -> None:
    def forward(x: Array, stats: dict[str, float]) -> Array:
        stats["calls"] += 1
        assert stats["calls"] == 1
        return x * 2

    problem = from_functions(forward, lambda delta: 2 * delta, {"x": B}, {"stats": {"calls": 0}})
    assert verdict(problem) == "pass"


def test_a_constant_that_no_function_takes_is_an_error() -> None:
    with pytest.raises(CodeError, match="no function takes the constant 'strid'"):
        from_functions(np.tanh, lambda delta: delta, {"x": B}, {"strid": 1})


def test_a_parameter_that_is_guessed_is_told() -> None:
    problem = from_functions(lambda x: 2 * x, lambda delta, data: 2 * delta + 0 * data, {"x": B})
    assert problem.notes == ("<lambda> has no parameter 'x': its 'data' was given it",)


def test_points_outside_of_a_domain_are_left_out_and_counted() -> None:
    def forward(x: Array) -> Array:
        if np.any(x <= 0):
            raise ValueError("math domain error")
        return np.log(x)

    result = check(forward, lambda delta, x: delta / x, {"x": np.array([0.3, 5.0])})
    assert result.verdict == "pass"
    (note,) = result.notes
    assert note.startswith("the forward could not be evaluated at ")
    assert note.endswith("displaced points: forward raised ValueError: math domain error")
    with pytest.raises(ValueError, match="math domain error"):
        check(forward, lambda delta, x: delta / x, {"x": np.array([-1.0])})


def test_an_output_that_changes_its_shape_is_an_error() -> None:
    with pytest.raises(ForwardError, match=r"gives .* at the inputs, but .* near them"):
        check(lambda x: x[x > x.mean()], lambda delta, x: x, {"x": np.array([1.0, 1.0, 1.1])})


def test_a_backward_that_changes_the_cache_changes_its_inputs() -> None:
    def backward(delta: Array, cache: Array) -> Array:
        cache *= 2
        return cache * delta

    result = check(lambda x: (x**2, x), backward, {"x": B})
    assert "changes its input x in place" in result.gradients[0].reason


def test_a_forward_that_raises_at_its_inputs_when_called_again_is_shown() -> None:
    calls = []

    def forward(x: Array) -> Array:
        calls.append(x)
        if len(calls) > 2:
            raise OSError("the file is gone")
        return 2 * x

    with pytest.raises(OSError, match="the file is gone"):
        check(forward, lambda delta: 2 * delta, {"x": B})


def test_the_upstream_gradient_of_a_loss_has_the_default_of_its_backward() -> None:
    class Loss:
        def forward(self, x: Array, t: Array) -> Any:
            self.error = x - t
            return 0.5 * (self.error**2).sum()

        def backward(self, dout: float = 1) -> Array:
            return self.error

    assert verdict(from_layer(Loss(), {"x": X}, {"t": X + 1})) == "pass"


def test_a_gradient_that_is_not_checked_is_told() -> None:
    def backward(delta: Array, cache: None) -> Any:
        return delta, 5 * delta.sum(axis=0)

    result = check(lambda x, b: (x + b, None), backward, {"x": X, "b": [1, 2, 3]})
    assert result.notes == ("∂L/∂b is not checked: b is no array of floats among the inputs",)
    kept = check(from_layer(Attributes(), {"x": X}))
    assert [note.split(":")[0] for note in kept.notes] == [
        "∂L/∂W is not checked",
        "∂L/∂b is not checked",
    ]


def test_plain_lists_are_arrays_too() -> None:
    def forward(x: Array) -> Any:
        return (2 * x).tolist()

    assert verdict(from_functions(forward, lambda d: (2 * d).tolist(), {"x": X})) == "pass"


def test_what_is_empty_cannot_be_checked() -> None:
    with pytest.raises(ForwardError, match="the input x has no entries: it is 0×2"):
        check(lambda x: 2 * x, lambda delta: 2 * delta, {"x": np.zeros((0, 2))})
    with pytest.raises(ForwardError, match="the forward gives no numbers: it gives 0×3"):
        check(lambda x: x[:0], lambda delta: np.zeros((4, 3)), {"x": X})


def test_a_forward_that_draws_at_random_is_inconclusive() -> None:
    generator = np.random.default_rng(0)

    def forward(x: Array) -> Any:
        mask = generator.random(x.shape) < 0.5
        return x * mask, mask

    (gradient,) = check(forward, lambda delta, mask: delta * mask, {"x": X}).gradients
    assert (gradient.verdict, gradient.reason[:29]) == (
        "inconclusive",
        "the forward draws at random, ",
    )


def test_what_is_drawn_from_a_global_generator_is_the_same_in_every_call() -> None:
    def forward(x: Array) -> Any:
        mask = np.random.random(x.shape) < random.random()
        return x * mask, mask

    np.random.seed(7)
    expected = np.random.RandomState(7).random()
    result = check(forward, lambda delta, mask: delta * mask, {"x": X})
    assert (result.verdict, np.random.random()) == ("pass", expected)
    assert result.notes == (
        "the code draws from random and numpy.random, which had the same state before every call",
    )
    wrong = check(forward, lambda delta, mask: delta * ~mask, {"x": X})
    assert wrong.verdict == "fail"


def test_a_backward_that_draws_at_random_fails() -> None:
    generator = np.random.default_rng(0)
    result = check(lambda x: 2 * x, lambda delta: delta * (2 + generator.random()), {"x": X})
    assert "answers differently" in result.gradients[0].reason


def test_an_upstream_gradient_may_have_a_default() -> None:
    def backward(x: Array, dout: Any = 1.0) -> Array:
        return 2 * x * dout

    assert verdict(from_functions(lambda x: x**2, backward, {"x": B})) == "pass"


def test_a_size_never_takes_the_place_of_an_upstream_gradient() -> None:
    problem = from_functions(lambda x: x**2, lambda d, x: 2 * d * x, {"x": B}, optional={"d": 3})
    assert verdict(problem) == "pass"
    problem = from_functions(lambda d: d**2, lambda g, d: 2 * g * d, {"x": B}, optional={"d": 3})
    assert verdict(problem) == "pass"


# -- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("returns", ["tuple", "flat", "dict", "list", "swapped"])
def test_a_loss_returns_its_gradients_in_any_of_these_ways(returns: str) -> None:
    def loss(w: Array, b: Array) -> Any:
        value, dw, db = (w**2).sum() + (b**3).sum(), 2 * w, 3 * b**2
        return {
            "tuple": (value, (dw, db)),
            "flat": (value, dw, db),
            "dict": (value, {"dw": dw, "b": db}),
            "list": [value, [dw, db]],
            "swapped": ({"dw": dw, "db": db}, value),
        }[returns]

    assert verdict(from_value_and_grad(loss, {"w": W, "b": B})) == "pass"


def test_what_is_no_loss_is_an_error() -> None:
    with pytest.raises(CodeError, match="must return a number and its gradients, not float"):
        from_value_and_grad(lambda w: float(w.sum()), {"w": B})
    with pytest.raises(CodeError, match=r"a single number first, not \(2,\)"):
        from_value_and_grad(lambda w: (w, w), {"w": B})


# -- objects -----------------------------------------------------------------------------------


class Attributes:
    def __init__(self) -> None:
        self.W, self.b = W.copy(), B.copy()
        self.dW, self.db = np.zeros_like(W), np.zeros_like(B)

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta: Array) -> Array:
        self.dW += self.x.T @ delta
        self.db += delta.sum(axis=0)
        return delta @ self.W.T


class Dictionaries:
    def __init__(self) -> None:
        self.params: dict[str, Array] = {"W": W, "b": B}
        self.grads: dict[str, Array] = {}

    def __call__(self, inputs: Array) -> Array:
        self.inputs = inputs
        return inputs @ self.params["W"] + self.params["b"]

    def backward(self, grad: Array) -> Array:
        self.grads["W"], self.grads["b"] = self.inputs.T @ grad, grad.sum(axis=0)
        return grad @ self.params["W"].T


class Wrapped:
    def __init__(self) -> None:
        self.W = SimpleNamespace(data=W, grad=None)
        self.b = SimpleNamespace(data=B, grad=None)

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W.data + self.b.data

    def backward(self, delta: Array) -> Array:
        self.W.grad, self.b.grad = self.x.T @ delta, delta.sum(axis=0)
        return delta @ self.W.data.T


class Returns(Attributes):
    def backward(self, delta: Array) -> Any:
        return delta @ self.W.T, self.x.T @ delta, delta.sum(axis=0)


@pytest.mark.parametrize("kind", [Attributes, Dictionaries, Wrapped, Returns])
def test_an_object_keeps_its_parameters_and_their_gradients(kind: type) -> None:
    result = check(from_layer(kind(), {"x": X, "W": W + 1, "b": B + 1}))
    assert [gradient.verdict for gradient in result.gradients] == ["pass"] * 3


def test_a_gradient_that_an_object_does_not_compute_is_missing() -> None:
    class Forgets(Wrapped):
        def backward(self, delta: Array) -> Array:
            return delta @ self.W.data.T

    first, second, third = check(from_layer(Forgets(), {"x": X, "W": W, "b": B})).gradients
    assert first.verdict == "pass"
    assert (second.reason, third.reason) == (
        "the backward returned no ∂L/∂W",
        "the backward returned no ∂L/∂b",
    )


def test_a_parameter_must_have_the_shape_the_object_gives_it() -> None:
    with pytest.raises(CodeError, match=r"Attributes.W is 3×2, but the input of its name is 2×3"):
        from_layer(Attributes(), {"x": X, "W": W.T})
    with pytest.raises(CodeError, match="SimpleNamespace has no method 'backward'"):
        from_layer(SimpleNamespace(forward=np.tanh), {"x": X})


def test_a_method_may_return_the_value_and_the_gradients() -> None:
    class Net:
        def __init__(self) -> None:
            self.params = {"W": W}

        def loss(self, X: Array) -> Any:
            error = X @ self.params["W"]
            return 0.5 * (error**2).sum(), {"W": X.T @ error}

    assert verdict(from_value_and_grad(Net().loss, {"W": W + 1}, {"X": X})) == "pass"


def test_a_constant_that_an_object_holds_is_set_on_it() -> None:
    class Layer:
        training = True

        def forward(self, x: Array) -> Array:
            assert not self.training
            return 3 * x

        def backward(self, delta: Array) -> Array:
            return 3 * delta

    assert verdict(from_layer(Layer(), {"x": X}, {"training": False})) == "pass"


# -- what a backward changes, and what functions draw from ----------------------------------------


def keep(x: Array) -> tuple[Array, dict[str, Any]]:
    return np.maximum(x, 0), {"x": x.copy(), "shape": x.shape}


def overwrite(delta: Array, cache: dict[str, Any]) -> Array:
    cache["x"][cache["x"] < 0] = 0
    cache["x"][cache["x"] > 0] = 1
    return delta * cache["x"]


def overwrite_wrongly(delta: Array, cache: dict[str, Any]) -> Array:
    return 2 * overwrite(delta, cache)


def test_a_cache_that_the_backward_changes_is_said_once_beside_the_verdict() -> None:
    result = check(from_functions(keep, overwrite, {"x": X}))
    (gradient,) = result.gradients
    assert gradient.diagnosis is not None
    assert (result.verdict, gradient.diagnosis.code) == ("fail", "GC154")
    assert gradient.reason == (
        "the backward changes the cache in place; let it work on a copy, or accept it by "
        "in_place: allowed"
    )
    assert check(from_functions(keep, overwrite, {"x": X}), in_place=True).verdict == "pass"
    (wrong,) = check(from_functions(keep, overwrite_wrongly, {"x": X})).gradients
    assert wrong.notes == ("the backward changes the cache in place",)
    assert wrong.diagnosis is not None
    assert wrong.diagnosis.code == "GC103"


generator = np.random.default_rng(5)


def test_a_generator_of_the_module_is_in_the_same_state_before_every_call() -> None:
    def dropout(x: Array) -> tuple[Array, Array]:
        mask = generator.random(x.shape) < 0.5
        return x * mask, mask

    state = generator.bit_generator.state
    result = check(from_functions(dropout, lambda delta, mask: delta * mask, {"x": X}))
    assert result.verdict == "pass"
    told = "the code draws from its generator 'generator', which had the same state before every"
    assert result.notes == (f"{told} call",)
    assert generator.bit_generator.state == state
    assert check(from_functions(dropout, lambda delta, mask: delta, {"x": X})).verdict == "fail"


@pytest.mark.parametrize("returned", ["text", object()])
def test_what_is_no_array_is_named_by_its_type(returned: object) -> None:
    with pytest.raises(CodeError, match=rf"an array of numbers, not {type(returned).__name__}"):
        check(lambda x: returned, lambda delta, x: delta, np.ones(3))


def test_whole_numbers_as_outputs_are_told() -> None:
    result = check(lambda x: (x > 0).astype(int), lambda delta, x: delta, np.ones(3))
    assert result.verdict.value == "fail"
    assert any("gives whole numbers (int64): it moves in steps" in note for note in result.notes)
