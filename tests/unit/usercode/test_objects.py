"""Layers that are objects: where they keep parameters and gradients, and what their methods are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradcheck_cli import Verdict, check, from_functions, from_layer
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem
from gradcheck_cli.usercode.loading import Loader, read_reference

Array = Any  # objects of users have no types

X = np.random.default_rng(1).normal(size=(4, 3))
W = np.random.default_rng(2).normal(size=(3, 2))
B = np.random.default_rng(3).normal(size=2)
V = np.random.default_rng(4).normal(size=(2, 5))


def verdicts(problem: Problem) -> dict[str, str]:
    return {one.name: one.verdict.value for one in check(problem).gradients}


def notes(problem: Problem) -> tuple[str, ...]:
    return check(problem).notes


class Linear:
    """Keeps its parameters in attributes."""

    def __init__(self, weight: Array = W, bias: Array = B) -> None:
        self.W, self.b = weight.copy(), bias.copy()
        self.dW: Array = None
        self.db: Array = None

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta: Array) -> Array:
        self.dW, self.db = self.x.T @ delta, delta.sum(axis=0)
        return delta @ self.W.T


class Lists:
    """Keeps its parameters and gradients in lists of one order."""

    def __init__(self) -> None:
        self.params = [W.copy(), B.copy()]
        self.grads: list[Array] = [np.zeros_like(one) for one in self.params]

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, delta: Array) -> Array:
        self.grads[0][...] = self.x.T @ delta
        self.grads[1] = delta.sum(axis=0)
        return delta @ self.params[0].T


class Net:
    """Has layers in a list, and shares their arrays in its params."""

    def __init__(self) -> None:
        self.layers = [Linear(), Linear(V, np.zeros(5))]
        self.params = {"W1": self.layers[0].W, "W2": self.layers[1].W}

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, delta: Array) -> Array:
        for layer in reversed(self.layers):
            delta = layer.backward(delta)
        return delta

    def gradient(self, delta: Array) -> dict[str, Array]:
        self.backward(delta)
        return {"W1": self.layers[0].dW, "W2": self.layers[1].dW}


class Lazy:
    """Makes its parameters in the first forward, when it sees how many inputs there are."""

    def __init__(self) -> None:
        self.built = False

    def forward(self, x: Array) -> Array:
        if not self.built:
            self.W, self.built = np.random.default_rng().normal(size=(x.shape[1], 2)), True
        self.x = x
        return x @ self.W

    def backward(self, delta: Array) -> Array:
        self.dW = self.x.T @ delta
        return delta @ self.W.T


class LazyNone(Lazy):
    """The same, with an attribute that is None before."""

    W: Array = None


class Forgetful(Linear):
    """Draws its W in every forward."""

    def forward(self, x: Array) -> Array:
        self.W = np.ones((3, 2))
        return super().forward(x)


class Renamed(Linear):
    """Has its gradients where nobody looks."""

    def backward(self, delta: Array) -> Array:
        self.gradient_of_weights = self.x.T @ delta
        return delta @ self.W.T


def test_lists_of_parameters_have_lists_of_gradients() -> None:
    found = verdicts(from_layer(Lists(), {"x": X, "params": [W + 1, B + 1]}))
    assert found == {"x": "pass", "params[0]": "pass", "params[1]": "pass"}


def test_a_list_of_gradients_that_is_not_checked_is_told() -> None:
    assert notes(from_layer(Lists(), {"x": X})) == (
        "∂L/∂params[0] is not checked: params[0] is no array of floats among the inputs",
        "∂L/∂params[1] is not checked: params[1] is no array of floats among the inputs",
    )


def test_parameters_of_layers_in_layers_are_named_by_their_path() -> None:
    inputs = {"x": X, "layers[0].W": W + 1, "layers[1].b": np.ones(5)}
    assert set(verdicts(from_layer(Net(), inputs)).values()) == {"pass"}


def test_gradients_of_layers_in_layers_that_are_not_checked_are_told() -> None:
    told = [note.split(" ")[0] for note in notes(from_layer(Net(), {"x": X}))]
    assert told == [f"∂L/∂layers[{place}].{name}" for place in (0, 1) for name in "Wb"]


def test_an_array_that_is_kept_in_two_places_is_set_in_both() -> None:
    problem = from_layer(Net(), {"W1": W + 1, "W2": V + 1}, {"x": X}, names=("forward", "gradient"))
    assert verdicts(problem) == {"W1": "pass", "W2": "pass"}


@pytest.mark.parametrize("kind", [Lazy, LazyNone])
def test_parameters_that_the_first_forward_makes_are_set_after_it(kind: type[Any]) -> None:
    assert verdicts(from_layer(kind(), {"x": X, "W": W})) == {"x": "pass", "W": "pass"}


def test_a_parameter_that_the_forward_replaces_is_told() -> None:
    (note, *_) = notes(from_layer(Forgetful(), {"x": X, "W": W}, {"b": B}))
    assert note == "∂L/∂b is not checked: b is no array of floats among the inputs"
    assert "Forgetful.forward changes W: it is not what was set before the call" in notes(
        from_layer(Forgetful(), {"x": X, "W": W, "b": B})
    )


def test_attributes_that_are_called_like_a_gradient_are_listed_where_none_fits() -> None:
    problem = from_layer(Renamed(), {"x": X, "W": W})
    assert verdicts(problem) == {"x": "pass", "W": "fail"}
    assert notes(problem) == (
        "Renamed.backward leaves no ∂L/∂W as dW, grads['W'] or W.grad; like a gradient, the "
        "object has gradient_of_weights",
    )


def with_names(forward: str, backward: str) -> Any:
    """A layer whose methods have these names."""
    methods = {forward: Linear.forward, backward: Linear.backward}
    return type("Dense", (), {"__init__": Linear.__init__, **methods})()


@pytest.mark.parametrize(
    "called",
    ["delta_weights", "weight_gradients", "w_grad", "nabla_w", "gradW", "dLoss_dW", "dE_dweights"],
)
def test_a_gradient_has_any_of_many_names(called: str) -> None:
    class Doubled:
        def __init__(self) -> None:
            self.weights = W.copy()

        def forward(self, x: Array) -> Array:
            self.x = x
            return x @ self.weights

        def backward(self, delta: Array) -> Array:
            setattr(self, called, 2 * self.x.T @ delta)
            return delta @ self.weights.T

    found = verdicts(from_layer(Doubled(), {"x": X, "weights": W}))
    assert found == {"x": "pass", "weights": "fail"}
    told = "∂L/∂weights is not checked: weights is no array of floats among the inputs"
    assert notes(from_layer(Doubled(), {"x": X})) == (told,)


@pytest.mark.parametrize(
    ("forward", "backward"),
    [("forward_pass", "backward_pass"), ("fprop", "bprop"), ("feedforward", "backprop")],
)
def test_methods_have_any_of_the_usual_names(forward: str, backward: str) -> None:
    layer = with_names(forward, backward)
    assert set(verdicts(from_layer(layer, {"x": X, "W": W, "b": B})).values()) == {"pass"}


def test_methods_of_other_names_are_named() -> None:
    layer = with_names("run", "unrun")
    named = from_layer(layer, {"x": X}, names=("run", "unrun"))
    assert verdicts(named) == {"x": "pass"}
    with pytest.raises(CodeError, match=r"no method 'forward'; it has run and unrun; methods of"):
        from_layer(layer, {"x": X})


class Deep:
    """A layer that keeps its parameters, and their gradients, in lists."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.weights = [random.standard_normal((3, 4)), random.standard_normal((4, 2))]
        self.biases = [random.standard_normal(4), random.standard_normal(2)]

    def forward(self, x: Array) -> Array:
        self.a = [x]
        for W, b in zip(self.weights, self.biases, strict=True):
            self.a.append(self.a[-1] @ W + b)
        return self.a[-1]

    def backward(self, delta: Array) -> Array:
        self.dweights, self.dbiases = [None, None], [None, None]
        for at in (1, 0):
            self.dweights[at], self.dbiases[at] = self.a[at].T @ delta, 3 * delta.sum(axis=0)
            delta = delta @ self.weights[at].T
        return delta


def test_gradients_in_lists_that_are_not_checked_are_named() -> None:
    x = np.random.default_rng(1).standard_normal((5, 3))
    result = check(from_layer(Deep(), {"x": x}))
    for name in ("weights[0]", "weights[1]", "biases[0]", "biases[1]"):
        assert any(f"∂L/∂{name} is not checked" in note for note in result.notes)
    bias = check(from_layer(Deep(), {"x": x, "biases[1]": np.ones(2)})).gradients[1]
    assert bias.verdict == Verdict.FAIL
    assert bias.worst is not None
    assert bias.worst.ratio == pytest.approx(3.0)


class Odd:
    """Leaves its gradients where no name tells, and keeps what has none."""

    __slots__ = ("kernel", "rate", "scale", "store", "updates", "x")

    def __init__(self) -> None:
        self.kernel, self.scale, self.rate = W.copy(), 0.5, np.ones(7)

    def forward(self, x: Array) -> Array:
        self.x, self.store = x, {"z": x @ self.kernel}
        return self.scale * self.store["z"]

    def backward(self, delta: Array) -> Array:
        self.store["dz"] = self.scale * delta
        self.updates = [(self.kernel, self.x.T @ self.store["dz"])]
        return self.store["dz"] @ self.kernel.T


def test_what_has_the_shape_of_an_array_that_is_no_input_is_named() -> None:
    assert notes(from_layer(Odd(), {"x": X})) == (
        "Odd.backward leaves updates[0][1], of the shape of kernel, which is no input: it is not "
        "checked",
    )
    assert notes(from_layer(Renamed(), {"x": X})) == (
        "Renamed.backward leaves gradient_of_weights, of the shape of W, which is no input: it is "
        "not checked",
    )


class Divided(Linear):
    """Computes its gradients in a method of its own."""

    def backward(self, delta: Array) -> Array:
        self.delta = delta
        return delta @ self.W.T

    def compute_gradients(self) -> None:
        self.dW = self.x.T @ self.delta


class Empty:
    """A net that no layer was added to."""

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, delta: Array) -> Array:
        return delta


def test_a_forward_that_computes_nothing_is_told() -> None:
    told = "Empty.forward returns x as it was handed: nothing is computed"
    assert notes(from_layer(Empty(), {"x": X})) == (told,)


def test_a_method_that_is_called_like_gradients_is_named_where_none_is_left() -> None:
    (note,) = notes(from_layer(Divided(), {"x": X, "W": W}))
    assert note.endswith("the object has delta and compute_gradients(), which is not called")


def test_a_key_of_the_returned_gradients_that_is_no_input_is_named() -> None:
    def backward(delta: Array, x: Array) -> Array:
        return {"dx": 2 * x * delta, "dbias": delta.sum(axis=0)}

    result = check(from_functions(lambda x: x**2, backward, {"x": np.ones((2, 3)) + np.eye(2, 3)}))
    assert result.notes == (
        "backward returned 'dbias', which is the gradient of no input: it is not checked",
    )


class Shared:
    """A layer that keeps the array of an inner layer in its params, too."""

    def __init__(self) -> None:
        self.params = {"W1": np.random.default_rng(0).standard_normal((3, 4))}
        self.inner = Linear(self.params["W1"], np.zeros(4))
        self.inner.W = self.params["W1"]

    def forward(self, x: Array) -> Array:
        return np.tanh(self.inner.forward(x))

    def backward(self, delta: Array) -> Array:
        slope = 1 - np.tanh(self.inner.x @ self.inner.W + self.inner.b) ** 2
        found = self.inner.backward(delta * slope)
        self.grads = {"W1": self.inner.dW}
        return found


def test_an_array_that_two_places_share_is_set_in_both_and_checked_once() -> None:
    random = np.random.default_rng(1)
    inputs = {"x": random.standard_normal((5, 3)), "W1": random.standard_normal((3, 4))}
    result = check(from_layer(Shared(), inputs))
    assert result.verdict == Verdict.PASS
    assert not any("inner.W" in note for note in result.notes)


def test_a_class_without_a_constructor_is_handed_no_sizes(tmp_path: Path) -> None:
    (tmp_path / "act.py").write_text(
        "class Base:\n"
        " def __init__(self, **refused):\n  assert not refused\n"
        "class Act(Base):\n forward = backward = lambda self, x: x\n"
    )
    code = read_reference("act.py:Act", tmp_path)
    assert code is not None
    assert type(Loader({"n": 3}).load(code)).__name__ == "Act"


def test_a_forward_may_return_its_backward() -> None:
    def scale(x: Array, factor: float) -> Any:
        return np.tanh(factor * x), lambda delta: factor * delta / np.cosh(factor * x) ** 2

    def wrong(x: Array) -> Any:
        return np.tanh(x), lambda delta: delta / np.cosh(x)

    x = np.linspace(-1.0, 1.0, 5)
    assert check(scale, inputs={"x": x, "factor": 3}).verdict == Verdict.PASS
    assert check(wrong, inputs=x).verdict == Verdict.FAIL
    with pytest.raises(CodeError, match="needs a backward"):
        check(lambda x: (np.tanh(x), x), inputs=x)


class Stack:
    """Keeps lists of arrays, and returns lists of their gradients, in another order."""

    def __init__(self) -> None:
        self.scales = [np.ones((3, 1)), np.ones((3, 1))]
        self.weights = [np.eye(3), np.eye(3)]

    def forward(self, x: Array) -> Array:
        self.kept = [x]
        for scale, weight in zip(self.scales, self.weights, strict=True):
            self.kept.append(scale * (weight @ self.kept[-1]))
        return self.kept[-1]

    def backward(self, delta: Array) -> Any:
        of_weights, of_scales = [], []
        for scale, weight, before in zip(
            self.scales[::-1], self.weights[::-1], self.kept[-2::-1], strict=True
        ):
            of_scales.append((delta * (weight @ before)).sum(axis=1, keepdims=True))
            of_weights.append((delta * scale) @ before.T)
            delta = weight.T @ (delta * scale)
        return of_weights[::-1], of_scales[::-1]


def test_lists_of_gradients_are_those_of_the_lists_of_their_shapes() -> None:
    rng = np.random.default_rng(0)
    arrays = {f"scales[{k}]": rng.normal(size=(3, 1)) for k in range(2)}
    arrays |= {f"weights[{k}]": rng.normal(size=(3, 3)) for k in range(2)}
    problem = from_layer(Stack(), arrays, {"x": rng.normal(size=(3, 4))})
    assert set(verdicts(problem).values()) == {"pass"}


class Unmade:
    """Needs a method to be called that nothing here calls."""

    def __init__(self) -> None:
        self.W: Array = None

    def forward(self, x: Array) -> Array:
        return x @ self.W

    def backward(self, delta: Array) -> Array:
        return delta @ self.W.T


def test_an_attribute_that_nothing_made_is_told_with_what_to_give() -> None:
    with pytest.raises(CodeError, match=r"self\.W is None: .* given by its name, as W"):
        from_layer(Unmade(), {"x": X})
