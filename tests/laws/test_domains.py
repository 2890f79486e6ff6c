"""A gradient in a domain is right along it, whatever it says of other directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcheck_cli import (
    check,
    constrained,
    from_functions,
    from_hessian,
    from_hvp,
    from_jacobian,
    from_jvp,
)
from gradcheck_cli.arrays.domains import find_fault, geometry_of
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import CONSTRAINTS, Domain
from tests.support.verdicts import judge

Array = NDArray[np.float64]
SEEDS = range(3)
SHAPE = (3, 3)


class Quadratic:
    """L = Σ C∘X + tr(XᵀDXE) at a point of a domain, which is all that it may be asked for."""

    def __init__(self, word: str, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.geometry = geometry_of(Domain(word))
        self.c, self.d, self.e, raw, self.other = random.normal(size=(5, *SHAPE))
        self.x = self.geometry.draw(raw)

    def forward(self, X: Array) -> float:
        assert not find_fault(self.geometry, X)
        return float(np.sum(self.c * X) + np.trace(X.T @ self.d @ X @ self.e))

    def along(self, v: Array) -> Array:
        """H·v of the whole space."""
        return np.asarray(self.d @ v @ self.e + self.d.T @ v @ self.e.T)

    def gradient(self, X: Array) -> Array:
        return np.asarray(self.c + self.along(X))

    def split(self) -> tuple[Array, Array]:
        """Something along the domain, and the rest of it."""
        tangent = self.geometry.tangent(self.x, self.other)
        return tangent, self.other - tangent


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("word", CONSTRAINTS)
def test_only_what_is_along_the_domain_counts(word: str, seed: int) -> None:
    f = Quadratic(word, seed)
    along, across = f.split()

    def verdict(added: Array) -> Any:
        problem = from_functions(f.forward, lambda X: f.gradient(X) + added, {"X": f.x})
        return judge(constrained(problem, {"X": word})).verdict

    assert verdict(0 * along) == verdict(across) == "pass"
    assert verdict(1e-5 * along) == "fail"


@pytest.mark.parametrize("word", CONSTRAINTS)
def test_products_along_tangents_are_checked_along_the_domain(word: str) -> None:
    f = Quadratic(word, 0)
    along, across = f.split()

    def verdict(added: Array) -> Any:
        def jvp(X: Array, dX: Array) -> float:
            return float(np.sum((f.gradient(X) + added) * dX))

        backward = lambda X: f.gradient(X) + across  # noqa: E731
        made = from_jvp(f.forward, jvp, {"X": f.x}, backward=backward)
        return judge(constrained(made, {"X": word})).verdict

    assert verdict(across) == "pass"
    assert verdict(1e-4 * along) == "fail"


@pytest.mark.parametrize("word", CONSTRAINTS)
def test_second_derivatives_are_compared_along_the_domain_on_both_sides(word: str) -> None:
    f = Quadratic(word, 0)
    _, across = f.split()
    basis = np.eye(f.x.size).reshape(-1, *SHAPE)
    whole = np.stack([f.along(one) for one in basis], axis=-1).reshape(*SHAPE, *SHAPE)
    # A row and a column that point out of the domain make no difference.
    others = np.multiply.outer(across, f.c) + np.multiply.outer(f.c, across)
    wrong = whole + 1e-3 * np.multiply.outer(f.split()[0], f.split()[0])
    for hessian, verdict in ((whole + others, "pass"), (wrong, "fail")):
        made = from_hessian(f.forward, lambda X, h=hessian: h, {"X": f.x}, gradient=f.gradient)
        assert judge(constrained(made, {"X": word})).verdict == verdict
    products = from_hvp(f.forward, lambda X, v: f.along(v), {"X": f.x}, gradient=f.gradient)
    assert check(constrained(products, {"X": word})).verdict == "pass"


def test_second_differences_stay_inside_where_they_can() -> None:
    f = Quadratic("positive-definite", 0)
    made = from_hvp(f.forward, lambda X, v: f.along(v), {"X": f.x})
    assert check(constrained(made, {"X": "positive-definite"})).verdict == "pass"
    g = Quadratic("orthogonal", 0)
    made = from_hvp(lambda X: np.sum(X**3), lambda X, v: 6 * X * v, {"X": g.x})
    with pytest.raises(CodeError, match="needs a gradient, which is differenced"):
        constrained(made, {"X": "orthogonal"})


@pytest.mark.parametrize("x", [[1e-12, 1e-5, 1.0], [1e-300, 1.0, 1e10]])
@pytest.mark.parametrize(
    ("f", "slope"),
    [(np.sqrt, lambda x: 0.5 / np.sqrt(x)), (np.log, lambda x: 1 / x)],
    ids=["sqrt", "log"],
)
def test_near_a_bound_slopes_are_known_to_the_last_digits(
    f: Any, slope: Any, x: list[float]
) -> None:
    def forward(x: Array) -> Array:
        assert np.all(x > 0)
        return np.asarray(f(x))

    for factor, verdict in ((1.0, "pass"), (1 + 1e-8, "fail")):
        problem = from_functions(
            forward, lambda delta, x, by=factor: by * delta * slope(x), {"x": np.array(x)}
        )
        result = judge(constrained(problem, bounds={"x": (0, None)}))
        assert result.verdict == verdict
        assert (result.gradients[0].bound or 0) < 1e-7


def test_at_a_bound_differences_are_one_sided_and_nothing_is_evaluated_outside() -> None:
    def forward(x: Array) -> Array:
        assert np.all((x >= 0) & (x <= 2))
        return np.exp(x) + np.sqrt(2.5 - x) + x**2.5

    def backward(delta: Array, x: Array, factor: float = 1.0) -> Array:
        return factor * delta * (np.exp(x) - 0.5 / np.sqrt(2.5 - x) + 2.5 * x**1.5)

    x = {"x": np.array([0.0, 0.7, 2.0])}
    bounds = {"x": (0, 2)}
    assert check(constrained(from_functions(forward, backward, x), bounds=bounds)).verdict == "pass"
    wrong = from_functions(forward, lambda delta, x: backward(delta, x, 1 + 1e-4), x)
    assert judge(constrained(wrong, bounds=bounds)).verdict == "fail"


@pytest.mark.parametrize("epsilon", [1e-12, 1e-6])
def test_a_slope_that_is_infinite_at_a_bound_is_no_gradient(epsilon: float) -> None:
    x = {"x": np.array([0.0, 1.0])}
    problem = from_functions(np.sqrt, lambda delta, x: delta / (2 * np.sqrt(x + epsilon)), x)
    result = judge(constrained(problem, bounds={"x": (0, None)}))
    assert result.verdict != "pass"
    with np.errstate(divide="ignore"):
        problem = from_functions(np.sqrt, lambda delta, x: delta / (2 * np.sqrt(x)), x)
        result = judge(constrained(problem, bounds={"x": (0, None)}))
    assert result.verdict == "fail"
    assert "inf at [0]" in result.gradients[0].reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"constraint": {"x": "symetric"}}, "x cannot be 'symetric'; did you mean 'symmetric'?"),
        ({"constraint": {"y": "positive"}}, "there is no input 'y'; the inputs are: x"),
        ({"constraint": {"x": "positive"}}, "x is not positive: it is -1 at [1]"),
        ({"bounds": {"x": (0, None)}}, "x is not within its bounds: it is -1 at [1], below 0"),
        ({"bounds": {"x": (1, 1)}}, "the bounds of x must rise; they are 1 and 1"),
        (
            {"constraint": {"x": "positive"}, "bounds": {"x": (0, 1)}},
            "x has a constraint and bounds; keep one of them",
        ),
    ],
)
def test_what_cannot_be_is_said(arguments: dict[str, Any], message: str) -> None:
    problem = from_functions(np.exp, lambda delta, x: delta * np.exp(x), np.array([1.0, -1.0]))
    with pytest.raises(CodeError) as error:
        constrained(problem, **arguments)
    assert str(error.value).startswith(message)


def entropy(x: Array) -> float:
    return float(-np.sum(np.where(x > 0, x * np.log(np.where(x > 0, x, 1)), 0)))


@pytest.mark.parametrize("at", [0.0, 1e-3])
def test_a_slope_that_grows_like_a_logarithm_at_a_bound_does_not_settle(at: float) -> None:
    x = {"x": np.array([at, 0.3, 2.0])}
    problem = from_functions(entropy, lambda x: -1 - np.log(np.maximum(x, 1e-300)), x)
    result = check(constrained(problem, bounds={"x": (0, None)}))
    assert result.verdict == ("inconclusive" if at == 0 else "pass")
    if at == 0:
        assert "does not settle in 1 of 3 entries, such as [0]" in result.gradients[0].reason


def test_of_a_jacobian_only_the_outputs_that_do_not_settle_are_unknown() -> None:
    x = {"x": np.array([0.0, 0.3])}

    def forward(x: Array) -> Array:
        return np.array([np.sin(x[0]) + x[1], np.sqrt(x[0])])

    made = from_jacobian(forward, lambda x: np.array([[1.0, 1.0], [1e9, 0.0]]), x)
    result = check(constrained(made, bounds={"x": (0, None)}))
    assert result.verdict == "inconclusive"
    assert "such as [1, 0]" in result.gradients[0].reason
    wrong = from_jacobian(forward, lambda x: np.array([[2.0, 1.0], [1e9, 0.0]]), x)
    (failed,) = check(constrained(wrong, bounds={"x": (0, None)})).gradients
    assert (str(failed.verdict), failed.wrong) == ("fail", 1)
