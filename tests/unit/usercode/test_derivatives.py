"""Derivatives that are claimed besides a backward, in the shapes people give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import CheckResult, check, from_hessian, from_hvp, from_jacobian, from_jvp
from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.derivatives import jacobians

Array = NDArray[np.float64]
X = np.random.default_rng(0).normal(size=(2, 3))
W = np.random.default_rng(1).normal(size=(3, 4))


def product(x: Array, w: Array) -> Array:
    return x @ w


def blocks(x: Array, w: Array) -> tuple[Array, Array]:
    """∂y/∂x and ∂y/∂w of y = xw, outputs × input."""
    of_x = np.einsum("ik,lj->ijkl", np.eye(len(x)), w)
    return of_x, np.einsum("il,jk->ijlk", x, np.eye(w.shape[1]))


def flattened(x: Array, w: Array) -> list[Array]:
    return [block.reshape(8, -1) for block in blocks(x, w)]


def code(result: CheckResult, place: int = 0) -> str:
    diagnosis = result.gradients[place].diagnosis
    assert diagnosis is not None
    return f"{diagnosis.code} {diagnosis.observation}"


@pytest.mark.parametrize(
    "jacobian",
    [
        blocks,
        flattened,
        lambda x, w: dict(zip("xw", blocks(x, w), strict=True)),
        lambda x, w: np.hstack(flattened(x, w)),
        lambda x, w: np.hstack(flattened(x, w)).reshape(2, 4, -1),
        lambda w, x: {"dx": flattened(x, w)[0], "dw": blocks(x, w)[1]},
    ],
    ids=["by-input", "flattened", "dict", "one-matrix", "inputs-flattened", "mixed"],
)
def test_a_jacobian_is_taken_in_the_shapes_people_give_it(jacobian: Callable[..., Any]) -> None:
    result = check(from_jacobian(product, jacobian, {"x": X, "w": W}))
    assert result.verdict == "pass"
    assert [(one.gradient, one.shape) for one in result.gradients] == [
        ("∂y/∂x", (2, 4, 2, 3)),
        ("∂y/∂w", (2, 4, 3, 4)),
    ]


def test_a_sparse_jacobian_is_compared_with_its_zeros() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = np.array([0.5, -1.0, 2.0])

    def squares(x: Array) -> Array:
        return x**2

    right = check(from_jacobian(squares, lambda x: sparse.diags_array(2 * x), x))
    assert right.verdict == "pass"
    wrong = check(from_jacobian(squares, lambda x: sparse.diags_array(2 * x * [1, 1, 0]), x))
    assert code(wrong) == "GC161 1 nonzero is missing, at [2, 2]"


def test_the_jacobian_of_a_loss_is_its_gradient_as_a_row() -> None:
    x = np.array([0.5, -1.0, 2.0])
    for shape in ((3,), (1, 3)):
        jacobian = from_jacobian(lambda x: x @ x, lambda x, to=shape: (2 * x).reshape(to), x)
        assert check(jacobian).verdict == "pass"


@pytest.mark.parametrize(
    ("spoil", "observation"),
    [
        (lambda j: j.T, "GC105 it is the transpose of the numeric gradient"),
        (lambda j: j[:, [1, 0, 2]], "GC110 its columns are in another order: 0 is 1 and 1 is 0"),
        (lambda j: j * [[1, 1, 1], [1, 1, 1], [1, 0, 1]], "GC161 1 nonzero is missing, at [2, 1]"),
        (
            lambda j: np.add(j, [[0, 0, 5], [0, 3, 0], [0, 0, 0]]),
            "GC161 its pattern is another: 2 nonzeros are too many, at [0, 2] and [1, 1]",
        ),
        (
            lambda j: j * [[0, 1, 1], [1, 1, 1], [1, 1, 1]] + [[0, 0, 0], [0, 0, 2], [0, 0, 0]],
            "GC161 its pattern is another: 1 nonzero is missing, at [0, 0] and 1 nonzero is too "
            "many, at [1, 2]",
        ),
    ],
)
def test_a_wrong_jacobian_is_named_with_its_indices(
    spoil: Callable[[Array], Array], observation: str
) -> None:
    def forward(x: Array) -> Array:
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0], x[2] * x[1]])

    def jacobian(x: Array) -> Array:
        return np.array([[-20 * x[0], 10, 0], [-1, 0, 0], [0, x[2], x[1]]])

    x = np.array([0.3, 0.8, 1.7])
    assert check(from_jacobian(forward, jacobian, x)).verdict == "pass"
    result = check(from_jacobian(forward, lambda x: spoil(jacobian(x)), x))
    assert code(result) == observation


def test_a_jacobian_of_another_shape_is_told_by_the_name_of_its_function() -> None:
    def jac(x: Array) -> Array:
        return np.diag(2 * x)[:2]

    (gradient,) = check(from_jacobian(lambda x: x**2, jac, np.arange(1.0, 4.0))).gradients
    assert gradient.reason == "∂y/∂x must be 3×3; jac gives 2×3"


def test_one_matrix_for_several_inputs_must_have_the_columns_of_all() -> None:
    def jac(x: Array, w: Array) -> Array:
        return flattened(x, w)[0]

    with pytest.raises(
        CodeError, match=r"jac returned 8×6 for 2 inputs \(x, w\); expected .* 8×18"
    ):
        check(from_jacobian(product, jac, {"x": X, "w": W}))


@pytest.mark.parametrize("wrong", [False, True])
def test_a_large_jacobian_is_checked_by_its_product_with_an_upstream_gradient(
    wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jacobians, "MOST_CELLS", 8)

    def jac(x: Array) -> Array:
        return np.diag(np.cos(x)) + wrong * np.eye(3, k=1)

    result = check(from_jacobian(np.sin, jac, np.array([0.3, 0.8, 1.7])))
    assert result.verdict == ("fail" if wrong else "pass")
    assert result.notes == (
        "jac has 9 entries: its product with one random upstream gradient was checked, to which "
        "every entry contributes",
    )


def layer(x: Array, w: Array) -> Array:
    return np.tanh(x @ w)


def layer_backward(delta: Array, x: Array, w: Array) -> tuple[Array, Array]:
    inner = delta * (1 - np.tanh(x @ w) ** 2)
    return inner @ w.T, x.T @ inner


def layer_jvp(x: Array, w: Array, dx: Array, dw: Array) -> Array:
    return np.asarray((1 - np.tanh(x @ w) ** 2) * (dx @ w + x @ dw))


@pytest.mark.parametrize(
    "jvp",
    [
        layer_jvp,
        lambda dw, dx, w, x: layer_jvp(x, w, dx, dw),
        lambda x, w, x_dot, w_dot: layer_jvp(x, w, x_dot, w_dot),
        lambda a, b, c, d: layer_jvp(a, b, c, d),
        lambda points, directions: layer_jvp(*points, *directions),
        lambda primals, tangents: (layer(*primals), layer_jvp(*primals, *tangents)),
        lambda x, w, dx, dw: layer_jvp(x, w, dx, dw).ravel(),
    ],
    ids=["d", "by-name", "dot", "in-order", "tuples", "as-in-jax", "flattened"],
)
def test_tangents_are_handed_over_as_people_take_them(jvp: Callable[..., Any]) -> None:
    result = check(from_jvp(layer, jvp, {"x": X, "w": W}))
    assert result.verdict == "pass"
    assert [one.gradient for one in result.gradients] == ["∂y/∂x·v", "∂y/∂w·v"]


def test_constants_reach_all_three_functions() -> None:
    result = check(
        from_jvp(
            lambda x, scale: scale * np.sin(x),
            lambda x, dx, scale: scale * np.cos(x) * dx,
            X,
            {"scale": 3.0},
            backward=lambda delta, x, scale: scale * np.cos(x) * delta,
        )
    )
    assert [str(one.verdict) for one in result.gradients] == ["pass"] * 3


@pytest.mark.parametrize(
    ("jvp", "backward", "failed"),
    [
        (layer_jvp, layer_backward, []),
        (
            lambda x, w, dx, dw: layer_jvp(x, w, dx, 0 * dw),
            layer_backward,
            ["∂y/∂w·v", "⟨δ, Jv⟩ = ⟨Jᵀδ, v⟩"],
        ),
        (
            layer_jvp,
            lambda delta, x, w: layer_backward(delta / 2, x, w),
            ["∂L/∂x", "∂L/∂w", "⟨δ, Jv⟩ = ⟨Jᵀδ, v⟩"],
        ),
        (
            lambda x, w, dx, dw: layer_jvp(x, w, dx, dw) / 2,
            lambda delta, x, w: layer_backward(delta / 2, x, w),
            ["∂L/∂x", "∂L/∂w", "∂y/∂x·v", "∂y/∂w·v"],
        ),
    ],
    ids=["both-right", "wrong-jvp", "wrong-backward", "both-wrong-alike"],
)
def test_a_wrong_jvp_and_a_wrong_backward_are_told_apart(
    jvp: Callable[..., Any], backward: Callable[..., Any], failed: list[str]
) -> None:
    result = check(from_jvp(layer, jvp, {"x": X, "w": W}, backward=backward))
    assert [one.gradient for one in result.gradients if one.verdict == "fail"] == failed
    assert result.gradients[-1].method == "an identity"


def test_an_identity_that_does_not_hold_says_so() -> None:
    result = check(
        from_jvp(np.sin, lambda x, dx: dx, X, backward=lambda delta, x: delta * np.cos(x))
    )
    assert code(result, -1).startswith("GC162 the two sides are ")


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_tangents_have_the_scale_of_their_input(scale: float) -> None:
    x = scale * np.array([0.5, 1.5, 2.5])
    assert check(from_jvp(np.log, lambda x, dx: dx / x, x)).verdict == "pass"


MATRIX = np.random.default_rng(2).normal(size=(3, 3))


def energy(x: Array) -> float:
    return float(np.log(np.sum(np.exp(x))) + x @ MATRIX @ x / 2)


def softmax(x: Array) -> Array:
    return np.asarray(np.exp(x) / np.sum(np.exp(x)))


def energy_gradient(x: Array) -> Array:
    return softmax(x) + (MATRIX + MATRIX.T) @ x / 2


def energy_hessian(x: Array) -> Array:
    p = softmax(x)
    return np.diag(p) - np.outer(p, p) + (MATRIX + MATRIX.T) / 2


POINT = np.array([0.5, -1.0, 2.0])


@pytest.mark.parametrize("gradient", [energy_gradient, None], ids=["by-gradient", "by-forward"])
@pytest.mark.parametrize("wrong", [False, True])
def test_a_hessian_and_its_product_are_measured(
    gradient: Callable[..., Any] | None, wrong: bool
) -> None:
    spoil = np.diag([0, 0, 1e-6]) * wrong
    expected = "fail" if wrong else "pass"
    hessian = check(
        from_hessian(energy, lambda x: energy_hessian(x) + spoil, POINT, gradient=gradient)
    )
    product = check(
        from_hvp(energy, lambda x, v: (energy_hessian(x) + spoil) @ v, POINT, gradient=gradient)
    )
    assert (hessian.verdict, product.verdict) == (expected, expected)
    assert hessian.gradients[-1].gradient == "H = Hᵀ"
    assert (hessian.gradients[-1].verdict, product.gradients[-1].verdict) == ("pass", "pass")


def test_a_wrong_gradient_is_not_blamed_on_the_hessian() -> None:
    result = check(
        from_hessian(energy, energy_hessian, POINT, gradient=lambda x: 2 * energy_gradient(x))
    )
    assert [str(one.verdict) for one in result.gradients] == ["fail", "pass", "pass"]
    assert result.notes == (
        "energy_hessian was measured by second differences of the forward, since the gradient did "
        "not pass",
    )


def test_an_asymmetric_hessian_is_seen_without_a_step() -> None:
    result = check(from_hessian(energy, lambda x: energy_hessian(x) + np.eye(3, k=1), POINT))
    assert [str(one.verdict) for one in result.gradients] == ["fail", "fail"]
    assert code(result, 1).startswith("GC162 the two sides are ")
    assert result.gradients[1].uncertainty == pytest.approx(0, abs=1e-12)


def tanh_loss(w: Array, b: Array) -> float:
    return float(np.sum(np.tanh(w @ [1.0, 2.0] + b) ** 2))


def tanh_blocks(w: Array, b: Array) -> Array:
    t = np.tanh(w @ [1.0, 2.0] + b)
    s = 1 - t * t
    inner = np.concatenate([np.kron(np.eye(2), [[1.0, 2.0]]), np.eye(2)], axis=1)
    return np.asarray(inner.T @ np.diag(2 * s * s - 4 * t * t * s) @ inner)


def nested(w: Array, b: Array) -> dict[str, dict[str, Array]]:
    h = tanh_blocks(w, b)
    return {
        "w": {"w": h[:4, :4].reshape(2, 2, 2, 2), "b": h[:4, 4:].reshape(2, 2, 2)},
        "b": {"w": h[4:, :4].reshape(2, 2, 2), "b": h[4:, 4:]},
    }


@pytest.mark.parametrize("hessian", [tanh_blocks, nested], ids=["one-matrix", "nested"])
def test_a_hessian_of_several_inputs_has_the_rows_of_all(hessian: Callable[..., Any]) -> None:
    random = np.random.default_rng(0)
    inputs = {"w": random.normal(size=(2, 2)), "b": random.normal(size=2)}
    result = check(from_hessian(tanh_loss, hessian, inputs))
    assert [(one.gradient, one.shape, str(one.verdict)) for one in result.gradients] == [
        ("∂∇L/∂w", (6, 2, 2), "pass"),
        ("∂∇L/∂b", (6, 2), "pass"),
        ("H = Hᵀ", (6, 6), "pass"),
    ]


def test_a_hessian_needs_a_forward_of_one_number() -> None:
    with pytest.raises(CodeError, match=r"<lambda> is a second derivative, .* it gives \(3,\)"):
        check(from_hessian(np.sin, lambda x: np.diag(-np.sin(x)), POINT))


PAIR = np.array([1.5, -2.0])


def pair(x: Array) -> Array:
    return np.array([x[0] * x[1], x[1] ** 2])


def pair_jacobian(x: Array) -> Array:
    return np.array([[x[1], x[0]], [0.0, 2 * x[1]]])


@pytest.mark.parametrize(
    "jacobian",
    [
        lambda x, w: {"J_x": flattened(x, w)[0], "J_w": flattened(x, w)[1]},
        lambda x, w: {"dy_dx": blocks(x, w)[0], "dy_dw": blocks(x, w)[1]},
        lambda x, w: np.hstack(flattened(x, w)).tolist(),
    ],
    ids=["J_x", "dy_dx", "list-of-rows"],
)
def test_a_jacobian_is_known_by_other_names_and_as_lists(jacobian: Callable[..., Any]) -> None:
    assert check(from_jacobian(product, jacobian, {"x": X, "w": W})).verdict == "pass"


def test_a_jacobian_may_come_with_the_outputs() -> None:
    both = from_jacobian(pair, lambda x: (pair(x), pair_jacobian(x)), PAIR)
    assert check(both).verdict == "pass"


def test_the_outputs_may_be_a_tuple_of_numbers() -> None:
    made = from_jacobian(lambda x: (x[0] * x[1], x[1] ** 2), pair_jacobian, PAIR)
    assert check(made).verdict == "pass"


def test_a_constant_derivative_may_hold_whole_numbers() -> None:
    twice = from_jacobian(lambda x: 2 * x, lambda x: 2 * np.eye(2, dtype=int), PAIR)
    assert check(twice).verdict == "pass"
    square = from_hessian(
        lambda x: x @ x, lambda x: 2 * np.eye(2, dtype=int), PAIR, gradient=lambda x: 2 * x
    )
    assert check(square).verdict == "pass"
    cut = from_jacobian(pair, lambda x: pair_jacobian(x).astype(int), PAIR)
    assert check(cut).verdict == "fail"


def test_a_linear_operator_is_a_matrix() -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg")
    made = from_jacobian(pair, lambda x: linalg.aslinearoperator(pair_jacobian(x)), PAIR)
    assert check(made).verdict == "pass"


def scaled(p: dict[str, Array]) -> Array:
    return p["a"] * p["b"]


@pytest.mark.parametrize("whole", [True, False])
def test_derivatives_are_nested_like_the_inputs(whole: bool) -> None:
    def jacobian(p: dict[str, Array]) -> dict[str, Any]:
        parts = {"a": np.diag(p["b"]), "b": np.diag(p["a"])}
        return {"p": parts} if whole else parts

    made = from_jacobian(scaled, jacobian, {"p": {"a": PAIR, "b": PAIR + 1}})
    result = check(made)
    assert [one.gradient for one in result.gradients] == ["∂y/∂p.a", "∂y/∂p.b"]
    assert result.verdict == "pass"


@pytest.mark.parametrize(
    ("jacobian", "told"),
    [
        (
            lambda x, w: tuple(block.T for block in flattened(x, w)),
            "GC105 it is the transpose: inputs × outputs",
        ),
        (
            lambda x, w: (np.kron(w.T, np.eye(2)), np.kron(np.eye(4), x)),
            "GC164 its outputs and the input are flattened by columns, as by order='F' or vec",
        ),
    ],
    ids=["transposed", "by-columns"],
)
def test_what_is_flattened_in_another_way_is_named(jacobian: Callable[..., Any], told: str) -> None:
    result = check(from_jacobian(product, jacobian, {"x": X, "w": W}))
    assert [code(result, place) for place in (0, 1)] == [told, told]


def test_a_diagonal_without_its_zeros_is_named() -> None:
    result = check(from_jacobian(np.sin, np.cos, PAIR))
    assert (
        code(result) == "GC143 it is the diagonal of the Jacobian alone, without the zeros around"
    )


def own_blocks(w: Array, b: Array) -> tuple[Array, Array]:
    whole = tanh_blocks(w, b)
    return whole[:-2, :-2], whole[-2:, -2:]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: from_jacobian(pair, lambda x: {"y": pair_jacobian(x)}, PAIR),
            "returned a dict with 'y'; expected a Jacobian for every input: 'x'",
        ),
        (
            lambda: from_jvp(layer, lambda x, w, dx, dw: (dx @ w, x @ dw), {"x": X, "w": W}),
            "of which the first is not the outputs; expected the tangent of the outputs, with the",
        ),
        (
            lambda: from_hvp(lambda x: x @ x, lambda x: lambda v: 2 * v, PAIR),
            "must take the inputs and a vector of each, such as (x, v); it takes (x)",
        ),
        (
            lambda: from_hessian(tanh_loss, own_blocks, {"w": X[:, :2], "b": PAIR}),
            "the mixed derivatives are missing: expected nested tuples or dicts of blocks",
        ),
    ],
    ids=["other-keys", "a-term-for-each-input", "a-closure", "own-blocks"],
)
def test_what_cannot_be_read_is_told_with_what_was_expected(
    make: Callable[[], Any], told: str
) -> None:
    with pytest.raises(CodeError) as error:
        check(make())
    assert told in str(error.value)


def test_tangents_with_defaults_are_handed_over_by_name() -> None:
    def jvp(x: Array, w: Array, dx: Any = None, dw: Any = None) -> Array:
        return layer_jvp(x, w, dx, dw)

    assert check(from_jvp(layer, jvp, {"x": X, "w": W})).verdict == "pass"


def test_the_value_its_gradient_and_the_hessian_may_come_together() -> None:
    def all_three(x: Array) -> tuple[float, Array, Array]:
        return energy(x), energy_gradient(x), energy_hessian(x)

    made = from_hessian(energy, all_three, POINT, gradient=energy_gradient)
    assert check(made).verdict == "pass"


def test_a_parameter_of_another_name_is_told() -> None:
    made = from_hvp(
        lambda x: np.sum(x**4), lambda p, q: 12 * q**2 * p, PAIR, gradient=lambda x: 4 * x**3
    )
    result = check(made)
    assert result.verdict == "fail"
    assert "<lambda> has no parameter 'x': its 'p' was given it" in result.notes


def test_second_differences_of_an_input_without_axes() -> None:
    def right(x: Array, v: Array) -> Array:
        return 12 * x**2 * v

    assert check(from_hvp(lambda x: x**4, right, np.array(0.7))).verdict == "pass"
    assert check(from_hvp(lambda x: x**4, lambda x, v: 6 * x * v, np.array(0.7))).verdict == "fail"
