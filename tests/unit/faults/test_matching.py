"""What a wrong gradient is called: the fault, its parameters, and the usual cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradcheck_cli import Problem, Verdict, check, from_functions, from_layer, from_value_and_grad
from gradcheck_cli.arrays import Drawn
from gradcheck_cli.checker.check import check as check_problem
from gradcheck_cli.errors import ForwardError
from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.faults.factors import Factor, name_factor
from gradcheck_cli.options import Numeric
from tests.support.faults import diagnosis, rights, told
from tests.support.layers import layer, problem

# form and settings, the wrong rule of W, and what is said of it
RULES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "X.T @ delta / n", "GC103 it is 0.125 = 1/n times the numeric gradient"),
    ({}, "X.T @ delta * n", "GC103 it is 8 = n times the numeric gradient"),
    ({}, "X.T @ delta / N", "GC103 it is 0.2 = 1/N times the numeric gradient"),
    ({}, "-X.T @ delta", "GC103 it is −1 times the numeric gradient"),
    ({}, "2 * X.T @ delta", "GC103 it is 2 times the numeric gradient"),
    ({}, "X.T @ delta / 2", "GC103 it is 0.5 = 1/2 times the numeric gradient"),
    ({}, "X.T @ delta / (n * M)", "GC103 it is 0.041666667 = 1/(n·M) times the numeric gradient"),
    ({}, "X.T @ delta * 1.01", "GC103 it is 1.01 times the numeric gradient"),
    ({}, "X.T @ delta + 0.001 * W", "GC116 it is the numeric gradient plus 0.001 · W"),
    ({}, "X.T @ delta + 1e-5", "GC116 it is the numeric gradient plus 1e-05"),
    ({}, "X.T @ ones_like(delta)", "GC121 it is the gradient for ones in the place of Δ"),
    ({}, "X.T @ ones_like(delta) / n", "GC121 it is the gradient for ones in the place of Δ, ti"),
    ({}, "X.T @ delta**2", "GC122 it is the gradient for Δ² in the place of Δ"),
    ({}, "X.T @ sign(delta)", "GC122 it is the gradient for the sign of Δ in its place"),
    ({}, "X.T @ (delta - mean(delta, 0))", "GC125 it is the gradient for Δ without its mean over"),
    ({"N": 3}, "(X.T @ delta).T", "GC105 it is the transpose of the numeric gradient"),
    ({"N": 3}, "(X.T @ delta).T / n", "GC105 it is the transpose of the numeric gradient, times"),
    ({"n": 5}, "X @ delta", "GC106 it is the gradient with X in the place of Xᵀ"),
    ({"n": 3}, "X.T @ delta.T", "GC127 it is the gradient for Δᵀ in the place of Δ"),
    ({"n": 3, "N": 3}, "X * delta", "GC108 it is X * Δ, entry by entry"),
    ({}, "clip(X.T @ delta, -3, 3)", "GC112 its entries are cut off at ±3"),
    ({}, "delta.T @ X", "GC105 it is the transpose of the numeric gradient"),
    ({}, "sum(X.T @ delta, 1)", "GC142 it is the sum of the numeric gradient over axis 1"),
    ({}, "mean(X.T @ delta)", "GC142 it is the mean of the numeric gradient over axes 0 and 1"),
    ({}, "reshape(X.T @ delta, (15,))", "GC143 its values are right, but not its shape"),
    ({}, "einsum('ai,ak->aik', X, delta)", "GC141 its sum over axis 0 is the numeric gradient"),
    ({}, "delta", "GC144 it is 8×3, and its values are not the gradient's"),
    ({}, "X.T @ (delta / (y - y))", "GC152"),
    ({"activation": "tanh"}, "X.T @ delta", "GC131 it is the gradient without f′(z)"),
    ({"activation": "relu"}, "X.T @ delta", "GC131 it is the gradient without f′(z)"),
    (
        {"activation": "tanh"},
        "X.T @ (delta * (1 - tanh(y)**2))",
        "GC132 it is the gradient with f′(y) for f′(z)",
    ),
    (
        {"activation": "sigmoid"},
        "X.T @ (delta * z * (1 - z))",
        "GC132 it is the gradient with z in the place of y in a formula of f′ by y",
    ),
    ({"activation": "relu"}, "X.T @ (delta * (z < 0))", "GC134 it is the gradient with f′(−z)"),
    ({"activation": "tanh"}, "X.T @ (delta * y)", "GC135 it is the gradient with f(z) for f′(z)"),
    ({"activation": "leaky-relu"}, "X.T @ (delta * (z > 0))", "GC136 it is the gradient with th"),
    (
        {"activation": "tanh"},
        "X.T @ (delta * (1 - y**2)**2)",
        "GC133 it is the gradient with f′(z)² for f′(z)",
    ),
    ({"activation": "tanh"}, "-X.T @ (delta * (1 - y**2))", "GC103 it is −1 times"),
    (
        {"activation": "tanh"},
        "X.T @ (delta * (1 - y**2))**2",
        "GC122 it is the gradient for ∂L/∂Z² in the place of ∂L/∂Z",
    ),
    (
        {"activation": "tanh", "n": 5},
        "X @ (delta * (1 - y**2))",
        "GC106 it is the gradient with X in the place of Xᵀ",
    ),
    (
        {"activation": "sigmoid", "n": 3},
        "X.T @ (delta * y * (1 - y)).T",
        "GC127 it is the gradient for ∂L/∂Zᵀ in the place of ∂L/∂Z",
    ),
    (
        {"activation": "softplus"},
        "X.T @ (delta * sigmoid(z) - mean(delta * sigmoid(z), 0))",
        "GC125 it is the gradient for ∂L/∂Z without its mean over the samples",
    ),
    ({"dtype": "float32"}, "X.T @ delta * 1.01", "GC103 it is 1.01 times the numeric gradient"),
    ({}, "X.T @ delta - 1e-5 * W", "GC116 it is the numeric gradient minus 1e-05 · W"),
    ({}, "ones_like(W) * sum(delta)", "GC100"),
    ({}, "ones_like(W) * sum(X.T @ delta)", "GC142 every entry is the sum of all entries of the"),
    (
        {},
        "X.T @ delta / 3 + W / 10",
        "GC116 it is 0.333333333333 = 1/3 times the numeric gradient and 0.1 · W",
    ),
]


@pytest.mark.parametrize("scale", [1e-150, 1e-80, 1e80, 1e150])
def test_a_diagnosis_at_extreme_scales_costs_no_verdict(scale: float) -> None:
    scaled = {"X": Drawn(scale=scale)}
    of = layer("XW", own_rules={"W": "X.T @ delta / n"}, loss="linear", sources=scaled)
    result = check(problem(of))
    (found,) = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert found.observation == "it is 0.125 = 1/n times the numeric gradient"
    assert result.notes == ()


@pytest.mark.parametrize("constants", [{"a": 1e200}, {"a": 1e-200, "b": 5.0}, {"a": 1e300}])
def test_constants_of_any_size_name_no_factor(constants: dict[str, float]) -> None:
    of = from_functions(lambda x: np.minimum(x, 9.0), lambda delta, x: 2 * delta, INPUTS["x"])
    result = check(replace(of, numbers=constants))
    (found,) = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert found.observation == "it is 2 times the numeric gradient"


@pytest.mark.parametrize(("settings", "rule", "said"), RULES)
def test_a_wrong_rule_is_called_by_its_fault(
    settings: dict[str, Any], rule: str, said: str
) -> None:
    result = check(problem(layer("XW", own_rules={"W": rule}, **settings)))
    assert not any("please report" in note for note in result.notes), result.notes
    found = next(gradient.diagnosis for gradient in result.gradients if gradient.name == "W")
    assert found is not None
    assert f"{found.code} {found.observation}".startswith(said)
    assert (found.title, bool(found.cause)) == (FAULTS[found.code].title, True)


def test_the_misprint_of_35() -> None:
    rule = "(x * delta).T @ ones(1, M)"
    result = check(problem(layer("xW", N=4, M=4, own_rules={"W": rule})))
    (found,) = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert found.code == "GC107"
    assert found.observation == "its entry [i, j] is the numeric gradient at [i, i]"
    assert "(35)" in found.cause


CHANGES: dict[str, tuple[str, Any]] = {
    "GC102 every entry is zero": ("W", lambda g: g * 0),
    "GC109 row 1 is zero, the rest is right": ("W", lambda g: g * (np.arange(5) != 1)[:, None]),
    "GC109 column 2 is 3 (here also M) times the numeric gradient, the rest is right": (
        "W",
        lambda g: g * np.array([1.0, 1.0, 3.0]),
    ),
    "GC109 the block of rows 0 and 1 and columns 1 and 2 is zero, the rest is right": (
        "W",
        lambda g: np.where((np.arange(5) < 2)[:, None] & (np.arange(3) > 0), 0.0, g),
    ),
    "GC110 its rows are shifted by 1": ("W", lambda g: np.roll(g, 1, axis=0)),
    "GC110 its columns are reversed": ("W", lambda g: g[:, ::-1]),
    "GC110 its rows are in another order: 0 is 2, 2 is 4 and 4 is 0": (
        "W",
        lambda g: g[[2, 1, 4, 3, 0]],
    ),
    "GC110 its rows are those of others: 3 is 2": ("W", lambda g: g[[0, 1, 2, 2, 4]]),
    "GC113 its entries are rounded to 2 decimals": ("W", lambda g: np.round(g, 2)),
    "GC114 its entries are rounded to float32": (
        "W",
        lambda g: g.astype(np.float32).astype(np.float64),
    ),
    "GC115 every entry is off by about 6.1e-04 of itself, up or down": (
        "W",
        lambda g: g * (1 + 1e-3 * np.random.default_rng(1).standard_normal(g.shape)),
    ),
}


@pytest.mark.parametrize("said", CHANGES)
def test_a_wrong_result_is_called_by_its_fault(said: str) -> None:
    name, change = CHANGES[said]
    found = told(problem(layer("XW")), lambda gradients: {name: change(gradients[name])})
    assert found == {name: said}


def test_one_and_few_entries_are_named() -> None:
    def wrong(gradients: Any) -> Any:
        W = gradients["W"].copy()
        W[1, 2] *= 2
        W[4, 0] += 1e-3
        return {"W": W}

    assert told(problem(layer("XW")), wrong) == {
        "W": "GC111 all entries are right but [1, 2] (2 times the numeric one) and [4, 0]"
    }


def test_gradients_of_another_reduction() -> None:
    of = problem(layer("XW"))
    found = told(of, lambda g: {name: value / 8 for name, value in g.items()})
    assert set(found.values()) == {
        "GC104 every gradient is 1/n times the numeric one: they are those of the mean over the "
        "samples, and the loss is their sum"
    }
    assert told(of, lambda g: {"W": g["W"] / 8})["W"].startswith("GC103")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([0], "GC123 it is the gradient for sample 0 of Δ only"),
        ([0, 1, 2, 3, 4, 5, 6], "GC123 it is the gradient for Δ without sample 7"),
        ([1, 2, 4, 5, 6, 7], "GC123 it is the gradient for Δ without samples 0 and 3"),
    ],
)
def test_samples_that_are_left_out(rows: list[int], said: str) -> None:
    of = problem(layer("XW", N=6))
    (stage,) = of.stages(of.inputs)
    wrong = of.inputs["X"][rows].T @ stage.cotangent[rows]
    assert told(of, lambda _: {"W": wrong}) == {"W": said}


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([7, 6, 5, 4, 3, 2, 1, 0], "GC124 it is the gradient for the samples of Δ in reversed o"),
        ([1, 0, 2, 3, 4, 5, 6, 7], "GC124 it is the gradient for the samples of Δ with samples 0"),
        ([7, 0, 1, 2, 3, 4, 5, 6], "GC124 it is the gradient for the samples of Δ shifted by 1"),
    ],
)
def test_samples_in_another_order(order: list[int], said: str) -> None:
    of = problem(layer("XW"))
    (stage,) = of.stages(of.inputs)
    wrong = of.inputs["X"].T @ stage.cotangent[order]
    assert told(of, lambda _: {"W": wrong})["W"].startswith(said)


DRAWN = np.random.default_rng(5)
INPUTS = {"x": DRAWN.normal(size=(5, 4)), "w": DRAWN.normal(size=(4, 3)), "b": np.full(3, 0.2)}


def affine_relu(x: Any, w: Any, b: Any) -> Any:
    return np.maximum(x @ w + b, 0)


def test_a_layer_of_the_users_own_without_the_mask_of_its_relu() -> None:
    def backward(delta: Any, x: Any, w: Any, b: Any) -> Any:
        return delta @ w.T, x.T @ delta, delta.sum(0)

    result = check(affine_relu, backward, INPUTS)
    found = [gradient.diagnosis for gradient in result.gradients]
    assert [one.code for one in found if one] == ["GC131"] * 3


def test_a_tanh_of_the_users_own_with_its_derivative_at_the_output() -> None:
    def backward(delta: Any, x: Any, w: Any) -> Any:
        inner = delta * (1 - np.tanh(np.tanh(x @ w)) ** 2)
        return inner @ w.T, x.T @ inner

    inputs = {"x": INPUTS["x"], "w": INPUTS["w"]}
    result = check(lambda x, w: np.tanh(x @ w), backward, inputs)
    said = {gradient.diagnosis.observation for gradient in result.gradients if gradient.diagnosis}
    assert said == {"it is the gradient with f′(y) for f′(z), if y is a tanh"}


def test_a_function_of_each_entry() -> None:
    x = {"x": np.linspace(-2, 2, 6)}
    backwards = {
        "GC131 it is the upstream gradient itself, as it came in": lambda delta, x: delta,
        "GC135 it is the upstream gradient times the output, f for f′": (
            lambda delta, x: delta * np.tanh(x)
        ),
        "GC132 it is the gradient with f′(y) for f′(z), if y is a tanh": (
            lambda delta, x: delta * (1 - np.tanh(np.tanh(x)) ** 2)
        ),
        "GC133 it is the gradient with f′(z)² for f′(z), if y is a tanh": (
            lambda delta, x: delta * (1 - np.tanh(x) ** 2) ** 2
        ),
    }
    for said, backward in backwards.items():
        (gradient,) = check(np.tanh, backward, x).gradients
        assert gradient.diagnosis is not None
        assert f"{gradient.diagnosis.code} {gradient.diagnosis.observation}" == said


def test_what_is_below_an_activation_of_the_users_own() -> None:
    """W for Wᵀ below a tanh: the upstream gradient there is guessed."""
    inputs = {"x": INPUTS["x"], "w": DRAWN.normal(size=(4, 4)) / 3}

    def backward(delta: Any, x: Any, w: Any) -> Any:
        inner = delta * (1 - np.tanh(x @ w) ** 2)
        return inner @ w, x.T @ inner

    result = check(lambda x, w: np.tanh(x @ w), backward, inputs)
    (found,) = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert (found.code, found.observation) == (
        "GC106",
        "it is the gradient with w in the place of wᵀ, or the other way around",
    )


def test_an_input_that_is_left_out() -> None:
    inputs = {"x": INPUTS["x"], "gamma": np.array([1.5, 0.5, -2.0, 3.0])}

    def backward(delta: Any, x: Any, gamma: Any) -> Any:
        return delta * np.cos(x), (delta * np.sin(x)).sum(0)

    result = check(lambda x, gamma: gamma * np.sin(x), backward, inputs)
    (found,) = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert (found.code, found.observation) == (
        "GC120",
        "it is the gradient for gamma = 1 everywhere",
    )


def test_gradients_of_different_shapes_in_another_order() -> None:
    def backward(delta: Any, x: Any, w: Any) -> Any:
        return x.T @ delta, delta @ w.T

    result = check(lambda x, w: x @ w, backward, {"x": INPUTS["x"], "w": INPUTS["w"]})
    found = [gradient.diagnosis for gradient in result.gradients]
    assert [(one.code, one.observation) for one in found if one] == [
        ("GC101", "it is ∂L/∂w"),
        ("GC101", "it is ∂L/∂x"),
    ]


def test_a_path_around_the_layer() -> None:
    def backward(delta: Any, x: Any) -> Any:
        return delta * np.cos(x)

    (gradient,) = check(lambda x: x + np.sin(x), backward, {"x": INPUTS["x"]}).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.observation == (
        "it is the numeric gradient minus 1 · the upstream gradient"
    )


def test_a_transpose_of_three_axes() -> None:
    x = DRAWN.normal(size=(3, 3, 3))
    (gradient,) = check(lambda x: x * x, lambda delta, x: (2 * delta * x).T, {"x": x}).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.observation == (
        "it is the numeric gradient with its axes in the order [2, 1, 0]"
    )


def test_a_diagnosis_that_fails_is_told_and_costs_no_verdict() -> None:
    finished: list[object] = []

    def forward(inputs: Any) -> Any:
        if finished:
            raise RuntimeError("oh")
        return INPUTS["x"] @ inputs["W"]

    W, delta = DRAWN.normal(size=(4, 2)), DRAWN.normal(size=(len(INPUTS["x"]), 2))
    wrong = Problem({"W": W}, forward, lambda *_: {"W": np.cos(W)}, delta)
    result = check_problem(wrong, keep=finished.append)
    assert result.verdict == Verdict.FAIL
    assert result.notes == ("the diagnosis of ∂L/∂W failed: RuntimeError: oh; please report it",)


def test_the_diagonal_of_a_softmax() -> None:
    def softmax(x: Any) -> Any:
        y = np.exp(x - x.max(-1, keepdims=True))
        return y / y.sum(-1, keepdims=True)

    def backward(delta: Any, x: Any) -> Any:
        y = softmax(x)
        return delta * y * (1 - y)

    (gradient,) = check(softmax, backward, {"x": INPUTS["x"]}).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.code == "GC129"


def test_one_of_several_outputs_forgotten() -> None:
    def forward(x: Any) -> Any:
        return np.sin(x), np.cos(x), {"x": x}

    def backward(dh: Any, dc: Any, cache: Any) -> Any:
        return dh * np.cos(cache["x"])

    (gradient,) = check(forward, backward, {"x": INPUTS["x"]}).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.observation == (
        "it is the gradient for the upstream gradient without that of output 1"
    )


def test_weights_that_are_updated_before_they_are_used() -> None:
    def backward(delta: Any, x: Any, w: Any) -> Any:
        grad = x.T @ delta
        return delta @ (w - 0.05 * grad).T, grad

    inputs = {"x": INPUTS["x"], "w": INPUTS["w"]}
    result = check(lambda x, w: x @ w, backward, inputs)
    (found,) = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert (found.code, found.observation) == (
        "GC118",
        "it is the gradient for w − 0.05 · ∂L/∂w",
    )


class Stale:
    """Keeps the input of its first forward."""

    kept: Any = None

    def forward(self, x: Any, w: Any) -> Any:
        self.x = x
        return x @ w

    def backward(self, delta: Any) -> Any:
        return {"dx": self.x * 0, "dw": Stale.kept.T @ delta}


def test_an_input_of_another_call() -> None:
    Stale.kept = INPUTS["x"][::-1] * 1.5
    inputs = {"x": INPUTS["x"], "w": INPUTS["w"]}
    result = check(from_layer(Stale(), inputs))
    found = {gradient.name: gradient.diagnosis for gradient in result.gradients}
    assert found["x"] is not None
    assert found["x"].code == "GC102"
    assert found["w"] is not None
    assert found["w"].code in ("GC119", "GC124")


def test_a_constant_gives_a_factor_its_name() -> None:
    of = from_functions(
        lambda x, keep: x * keep, lambda delta, keep: delta * keep**2, INPUTS["x"], {"keep": 0.3}
    )
    named = Problem(of.inputs, of.forward, of.backward, of.cotangent, numbers={"keep": 0.3})
    (gradient,) = check(named).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.observation == "it is 0.3 = keep times the numeric gradient"


def test_sizes_without_letters_are_called_as_in_python() -> None:
    result = check(
        lambda x, b: x + b,
        lambda delta, x, b: (delta, delta.mean(0)),
        {"x": INPUTS["x"], "b": np.ones(4)},
    )
    found = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert [one.observation for one in found] == [
        "it is 0.2 = 1/x.shape[0] times the numeric gradient"
    ]


def test_a_sample_of_entries_is_enough_for_a_factor_and_for_the_upstream_gradient() -> None:
    inputs = {"x": INPUTS["x"], "w": DRAWN.normal(size=(4, 30))}

    def squared(delta: Any, x: Any, w: Any) -> Any:
        return delta @ w.T, x.T @ delta**2

    result = check(lambda x, w: x @ w, squared, inputs, numeric=Numeric(sample=12))
    found = [gradient.diagnosis for gradient in result.gradients if gradient.diagnosis]
    assert [one.code for one in found] == ["GC122"]
    assert [gradient.map for gradient in result.gradients] == [None, None]


def test_a_forward_that_fails_elsewhere_costs_no_result() -> None:
    inputs = {"x": INPUTS["x"], "w": INPUTS["w"]}

    def forward(x: Any, w: Any) -> Any:
        if np.max(np.abs(w - inputs["w"])) > 1.0 or np.max(np.abs(x - inputs["x"])) > 1.0:
            raise OSError("not there")
        return np.tanh(x @ w)

    def backward(delta: Any, x: Any, w: Any) -> Any:
        return delta @ w.T + 0.1, np.sqrt(np.abs(x.T @ delta))

    result = check(forward, backward, inputs)
    assert result.verdict == Verdict.FAIL
    assert [gradient.diagnosis is not None for gradient in result.gradients] == [True, True]


def test_a_slow_forward_is_not_asked_for_ever() -> None:
    calls = 0

    def forward(inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        return np.tanh(inputs["x"] @ inputs["w"])

    inputs = {"x": INPUTS["x"], "w": INPUTS["w"]}
    right = Problem(
        inputs, forward, lambda i, d: {"x": d @ i["w"].T, "w": i["x"].T @ d}, np.ones((5, 3))
    )
    result = check(right)
    assert result.verdict == Verdict.FAIL
    assert calls < 4 * result.evaluations + 10_000


@pytest.mark.parametrize(
    ("value", "names", "shown"),
    [
        (1 / 8, ("1/n",), "0.125 = 1/n"),
        (8.0, ("n",), "8 = n"),
        (64.0, ("n²",), "64 = n²"),
        (-1.0, ("−1",), "−1"),
        (-8.0, ("−n",), "−8 = −n"),
        (4.0, ("4",), "4"),
        (-1 / 3, ("−1/3",), "−0.33333333333 = −1/3"),
        (2 / 5, ("2/N",), "0.4 = 2/N"),
        (40.0, ("n·N",), "40 = n·N"),
        (0.01, ("reg",), "0.01 = reg"),
        (-0.02, ("−2·reg",), "−0.02 = −2·reg"),
        (0.3217, (), "0.3217"),
    ],
)
def test_the_names_of_factors(value: float, names: tuple[str, ...], shown: str) -> None:
    found = name_factor(value * (1 + 1e-13), 1e-11, {"n": 8, "N": 5, "reg": 0.01})
    assert found.names == names
    assert found.text == shown
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("value", "numbers", "shown"),
    [
        (-1.0, {"c": 0.5}, "−1"),
        (4.0, {"W1.shape[1]": 4}, "4 (here also W1.shape[1])"),
        (1 / 8, {"n": 8, "weight_decay": 1 / 16}, "0.125 = 1/n"),
        (2 / 3, {"x.shape[1]": 3}, "0.66666666667 = 2/3"),
        (2.0, {"T": 2, "n": 8, "N": 4}, "2 (here also T)"),
        (0.25, {"keep": 0.5, "n": 4}, "0.25 = 1/4 (here also 1/n and keep²)"),
        (0.2, {"N": 5, "reg": 0.1}, "0.2 = 1/N"),
    ],
)
def test_a_plain_number_comes_before_the_names_it_has_by_coincidence(
    value: float, numbers: dict[str, float], shown: str
) -> None:
    assert name_factor(value, 1e-11, numbers).text == shown


def test_the_weight_of_a_term_is_a_constant_before_it_is_a_size() -> None:
    found = name_factor(0.2, 1e-11, {"N": 5, "reg": 0.1}, constants_first=True)
    assert found.text == "0.2 = 2·reg"


def test_a_factor_that_is_not_known_well_has_no_name() -> None:
    assert name_factor(0.125, 1e-3, {"n": 8}) == Factor(0.125, (), 1e-3)


def test_every_fault_has_its_texts() -> None:
    for code, fault in FAULTS.items():
        assert code == fault.code
        assert fault.title
        assert fault.cause
        assert fault.next_step
        assert fault.example or code == "GC100"
        assert bool(fault.remedy) == (fault.inject is not None)


def test_conduct_has_a_code_too() -> None:
    x = {"x": INPUTS["x"]}
    state: dict[str, int] = {"calls": 0}

    def changes(delta: Any, x: Any) -> Any:
        found = delta.copy()
        delta *= 2
        return found

    def counts(delta: Any, x: Any) -> Any:
        state["calls"] += 1
        return delta * state["calls"]

    backwards = {
        "GC151": lambda delta, x: None,
        "GC152": lambda delta, x: delta * np.nan,
        "GC153": lambda delta, x: delta.astype(int),
        "GC154": changes,
        "GC155": counts,
    }
    for code, backward in backwards.items():
        (gradient,) = check(lambda x: x, backward, x).gradients
        assert gradient.diagnosis is not None
        assert (gradient.diagnosis.code, gradient.diagnosis.observation) == (code, "")
    with pytest.raises(ForwardError):
        check(lambda x: x * np.nan, lambda delta, x: delta, x)


def test_a_repeated_row_that_overwrites_where_it_should_add() -> None:
    index = np.array([0, 1, 1, 3, 3, 3, 4])

    def backward(delta: Any, x: Any) -> Any:
        dx = np.zeros_like(x)
        dx[index] += 2 * delta * x[index]
        last = {row: place for place, row in enumerate(index)}
        for row, place in last.items():
            dx[row] = 2 * (delta * x[index])[place]
        return dx

    x = DRAWN.normal(size=(5, 3))
    rows = from_functions(lambda x: x[index] ** 2, backward, {"x": x})
    same = replace(rows, cotangent=np.ones((7, 3)))
    diagnosis = check_problem(same).gradients[0].diagnosis
    assert diagnosis is not None
    assert diagnosis.code == "GC139"
    assert diagnosis.observation == (
        "each entry is the term of the last output that it has a part in, in place of the sum of "
        "all"
    )
    assert "np.add.at" in diagnosis.next_step

    summed = from_functions(
        lambda x: np.sum(x[index] ** 2), lambda delta, x: delta * backward(np.ones((7, 3)), x), x
    )
    diagnosis = check_problem(summed).gradients[0].diagnosis
    assert diagnosis is not None
    assert diagnosis.code == "GC130"
    assert diagnosis.observation == (
        "row 1 is 1/2 and row 3 is 1/3 times the numeric gradient, the rest is right"
    )
    assert "np.add.at" in diagnosis.cause


def test_a_factor_of_each_unit_is_told_without_a_repeated_index() -> None:
    z = DRAWN.normal(size=(3, 1))
    slope = 1 / np.cosh(z) ** 2
    units = from_functions(
        lambda w, x: w @ x,
        lambda delta, w, x: (slope * (delta @ x.T), w.T @ delta),
        {"w": DRAWN.normal(size=(3, 4)), "x": DRAWN.normal(size=(4, 5))},
    )
    diagnosis = check_problem(units).gradients[0].diagnosis
    assert diagnosis is not None
    assert diagnosis.code == "GC130"
    assert "np.add.at" not in diagnosis.cause


def test_a_penalty_on_the_biases_of_a_packed_vector() -> None:
    a = DRAWN.normal(size=(4, 12))
    bias = np.arange(12) % 4 == 0

    def backward(delta: Any, p: Any) -> Any:
        return 2 * a.T @ (delta * (a @ p)) + 0.6 * np.where(bias, p, 0)

    (gradient,) = check(lambda p: (a @ p) ** 2, backward, {"p": DRAWN.normal(size=12)}).gradients
    assert gradient.diagnosis is not None
    assert f"{gradient.diagnosis.code} {gradient.diagnosis.observation}" == (
        "GC116 it is the numeric gradient plus 0.6 · p at entries 0, 4 and 8, the rest is right"
    )
    assert "biases" in gradient.diagnosis.cause


@pytest.mark.parametrize("left_out", range(4))
def test_any_of_more_outputs_than_entries_is_missed(left_out: int) -> None:
    def backward(delta: Any, x: Any) -> Any:
        rows = delta[:, None] * np.stack([np.ones(2), 2 * x, 3 * x**2, np.cos(x)])
        return np.delete(rows, left_out, 0).sum(0)

    x = np.array([0.7, -0.4])
    of_rows = from_functions(
        lambda x: np.array([x.sum(), (x**2).sum(), (x**3).sum(), np.sin(x).sum()]),
        backward,
        {"x": x},
    )
    (gradient,) = check_problem(of_rows).gradients
    assert gradient.diagnosis is not None
    assert f"{gradient.diagnosis.code} {gradient.diagnosis.observation}" == (
        f"GC126 it is the gradient for the upstream gradient without output {left_out}"
    )


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        (lambda s: np.exp(-s), "exp(−s)"),
        (lambda s: np.exp(s), "exp(s)"),
        (lambda s: s, "s"),
        (lambda s: 1 / s, "1/s"),
    ],
)
def test_a_parameter_that_is_a_logarithm(change: Any, factor: str) -> None:
    a = DRAWN.normal(size=(6, 4))
    (gradient,) = check(
        lambda s: a @ np.exp(s),
        lambda delta, s: (a.T @ delta) * np.exp(s) * change(s),
        {"s": DRAWN.normal(size=4)},
    ).gradients
    assert gradient.diagnosis is not None
    assert f"{gradient.diagnosis.code} {gradient.diagnosis.observation}" == (
        f"GC137 it is the numeric gradient times {factor}, entry by entry"
    )


@pytest.mark.parametrize(
    ("change", "observation"),
    [
        (np.tril, "its entries above the diagonal are zero"),
        (np.triu, "its entries below the diagonal are zero"),
        (lambda G: G + np.diag(np.diag(G)), "its diagonal is twice the numeric gradient's"),
        (lambda G: G + G.T, "it is G + Gᵀ for the numeric gradient G"),
        (lambda G: (G + G.T) / 2, "it is (G + Gᵀ)/2 for the numeric gradient G"),
        (
            lambda G: np.tril(G + G.T) - np.diag(np.diag(G)),
            "it is the lower triangle of G + Gᵀ for the numeric gradient G",
        ),
    ],
)
def test_a_triangle_of_a_symmetric_matrix(change: Any, observation: str) -> None:
    (right, *_) = [one for one in rights(problem(layer("XW", N=3))) if one.name == "W"]
    found = diagnosis(right, change(right.value))
    assert f"{found.code} {found.observation}" == f"GC138 {observation}"


def test_zeros_where_the_input_is_negative_are_a_mask() -> None:
    x = DRAWN.normal(size=(4, 3))
    (gradient,) = check(
        lambda x: np.where(x > 0, x, 0.1 * x) * 3,
        lambda delta, x: np.where(x > 0, 3 * delta, 0),
        {"x": x},
    ).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.observation.endswith("the rest is right: they are those where x < 0")
    assert "mask" in gradient.diagnosis.cause


def test_a_row_of_zeros_is_no_mask() -> None:
    x = np.abs(DRAWN.normal(size=(4, 3)))
    (gradient,) = check(
        lambda x: x**2,
        lambda delta, x: 2 * delta * x * (np.arange(4) != 2)[:, None],
        {"x": x},
    ).gradients
    assert gradient.diagnosis is not None
    assert gradient.diagnosis.observation == "row 2 is zero, the rest is right"
    assert "mask" not in gradient.diagnosis.cause


def test_a_slice_of_zeros_in_a_gradient_that_is_wrong_everywhere() -> None:
    x, w = DRAWN.normal(size=(2, 4, 3)), DRAWN.normal(size=(2, 4, 3))
    (gradient,) = check(
        lambda x: x * w,
        lambda delta, x: np.cos(3 * x) * (np.arange(4) != 3)[:, None],
        {"x": x},
    ).gradients
    assert gradient.diagnosis is not None
    assert f"{gradient.diagnosis.code} {gradient.diagnosis.observation}" == (
        "GC109 the slice along axis 1 at 3 is zero, and the rest is wrong, too"
    )
    assert gradient.diagnosis.evidence == ""


def test_a_name_on_little_evidence_is_one_that_may_be() -> None:
    """One entry in float32 has three digits: 2 may be chance, 1.37 is no number people write."""
    x = np.array([0.3, 0.2, 0.7, -1.1], np.float32)

    def diagnose(factor: float) -> tuple[str, str]:
        def backward(delta: Any, t: Any) -> Any:
            return np.sum(factor * delta * (1 - np.tanh(t * x) ** 2) * x, keepdims=True)

        (gradient,) = check(
            lambda t: np.tanh(t * x).astype(np.float32),
            backward,
            {"t": np.full(1, 0.7, np.float32)},
        ).gradients
        assert gradient.diagnosis is not None
        return gradient.diagnosis.code, gradient.diagnosis.observation

    code, observation = diagnose(2.0)
    assert code == "GC103"
    assert "2 times the numeric gradient; that may be chance" in observation
    assert diagnose(1.37) == ("GC100", "")


def test_small_numbers_that_are_rounded_alike_are_no_evidence_of_rounding() -> None:
    def diagnose(scale: float) -> str:
        x = {"x": scale * np.array([0.02, -0.06, 0.03, 0.04])}
        of = from_value_and_grad(lambda x: (np.sum(x * x) / 2, np.round(x, 1)), x)
        (gradient,) = check(of).gradients
        assert gradient.diagnosis is not None
        return gradient.diagnosis.code

    assert diagnose(1.0) != "GC113"
    assert diagnose(1234.5) == "GC113"


def test_an_input_that_is_not_added_or_has_another_sign() -> None:
    """Where the backward computes z anew, its bias is forgotten, or subtracted."""

    def forward(x: Any, w: Any, b: Any) -> Any:
        return np.logaddexp(x @ w + b, 0)

    def backward(sign: float) -> Any:
        def rule(delta: Any, x: Any, w: Any, b: Any) -> Any:
            dz = delta / (1 + np.exp(-(x @ w + sign * b)))
            return dz @ w.T, x.T @ dz, (delta / (1 + np.exp(-(x @ w + b)))).sum(0)

        return rule

    for sign, said in (
        (0.0, "GC120 it is the gradient for b = 0 everywhere"),
        (-1.0, "GC119 it is the gradient for −b in the place of b"),
        (2.0, "GC119 it is the gradient for 2·b in the place of b"),
    ):
        found = check(forward, backward(sign), INPUTS).gradients
        assert found[0].diagnosis is not None
        assert f"{found[0].diagnosis.code} {found[0].diagnosis.observation}" == said


def test_what_flows_around_a_layer_is_no_missing_derivative() -> None:
    w = DRAWN.normal(size=(4, 4))
    (gradient,) = check(
        lambda x: x + np.tanh(x @ w), lambda delta, x: delta, {"x": INPUTS["x"]}
    ).gradients
    assert gradient.diagnosis is not None
    assert "skip connection" in gradient.diagnosis.cause
