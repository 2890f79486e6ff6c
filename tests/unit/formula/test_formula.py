"""The formula language: right shapes and values, and a sentence for everything else."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.errors import FormulaError
from gradcheck_cli.formula import FUNCTIONS, Shape, parse

SIZES = {"n": 8, "N": 5, "M": 3}
SHAPES: dict[str, Shape] = {"X": (8, 5), "W": (5, 3), "delta": (8, 3), "y": (8, 3)}
NAMES: dict[str, Shape | int] = {**SHAPES, **SIZES}
ARRAYS = {name: np.random.default_rng(len(name)).normal(size=SHAPES[name]) for name in SHAPES}


def evaluate(text: str) -> Any:
    return parse(text, NAMES)(ARRAYS)


EQUAL_TO_NUMPY = [
    "X.T @ delta / n",
    "-delta @ W.T + 2 * X",
    "X**2 - N",
    "2**-1 * X",
    "where(delta > 0, delta, 0.1 * delta)",
    "maximum(X, 0) + minimum(X, 0)",
    "clip(X, -1, 1)",
    "sum(X)",
    "sum(X, 0)",
    "sum(X, axis=-1, keepdims=True)",
    "mean(X, (0, 1))",
    "max(X, 1) + 0 * min(X, 1)",
    "outer(sum(X, 0), ones(M))",
    "einsum('ni,nj->ij', X, delta)",
    "einsum('ii', eye(N))",
    "ones(n, M) * zeros((n, M)) + eye(n, M)",
    "diag(diag(eye(N)))",
    "reshape(X, N, n) @ delta",
    "transpose(W)",
    "exp(-abs(X)) + log(1 + X**2) + tanh(X) * sqrt(square(X))",
    "logaddexp(0, X) + log1p(abs(X)) + expm1(X)",
    "sign(X) * ones_like(X) + zeros_like(X)",
    "(n * N) / (M - 1) + X",
    "+X",
    "(X > 0) * X",
]

# Comparisons give 1.0 and 0.0, and whole numbers count as floats: no formula wraps or raises.
AS_FLOATS = {
    "((X > 0) - (X < 0)) + 0 * X": np.sign(ARRAYS["X"]),
    "-(X > 0) + 0 * X": -1.0 * (ARRAYS["X"] > 0),
    "square(n)**-1 * X": ARRAYS["X"] / 64,
    "reciprocal(n) * X": ARRAYS["X"] / 8,
    "square(2**32) * X": ARRAYS["X"] * 2.0**64,
    "maximum(2**63, -1) * X": ARRAYS["X"] * 2.0**63,
    "sigmoid(X > 0)": np.where(ARRAYS["X"] > 0, 1 / (1 + np.exp(-1)), 0.5),
}


@pytest.mark.parametrize("text", AS_FLOATS)
def test_every_number_is_a_float(text: str) -> None:
    np.testing.assert_allclose(evaluate(text), AS_FLOATS[text], rtol=1e-15)


@pytest.mark.parametrize("text", EQUAL_TO_NUMPY)
def test_a_formula_has_the_shape_and_the_value_that_numpy_gives(text: str) -> None:
    spelled = {name: getattr(np, name) for name in FUNCTIONS if hasattr(np, name)}
    ones = {"ones": lambda *shape: np.ones(shape[0] if isinstance(shape[0], tuple) else shape)}
    zeros = {"zeros": lambda *shape: np.zeros(shape[0] if isinstance(shape[0], tuple) else shape)}
    reshape = {"reshape": lambda array, *shape: np.reshape(array, shape)}
    expected = eval(text, {**spelled, **ones, **zeros, **reshape, **ARRAYS, **SIZES})
    formula = parse(text, NAMES)
    assert formula.shape == np.shape(expected)
    np.testing.assert_array_equal(formula(ARRAYS), expected)


def test_the_stable_functions_survive_large_arguments() -> None:
    names = {"z": (2, 3)}
    z = np.array([[1000.0, 0.0, -1000.0], [-1e300, 1e300, 0.0]])
    sigmoid = parse("sigmoid(z)", names)({"z": z})
    np.testing.assert_allclose(sigmoid, [[1, 0.5, 0], [0, 1, 0.5]])
    np.testing.assert_allclose(parse("softmax(z, 1)", names)({"z": z}).sum(1), [1, 1])
    np.testing.assert_allclose(parse("logsumexp(z, 1)", names)({"z": z}), [1000, 1e300])


def test_products_are_listed_with_the_shapes_that_met() -> None:
    products = parse("X.T @ (X @ W)", NAMES).products
    assert [(product.left, product.right, product.result) for product in products] == [
        ((8, 5), (5, 3), (8, 3)),
        ((5, 8), (8, 3), (5, 3)),
    ]


REFUSED = {
    "delta @ X": "'delta @ X': 8×3 times 8×5",
    "X + W": "'X + W': 8×5 with 5×3 does not fit",
    "zelta @ X": "unknown name 'zelta'; did you mean 'delta'?",
    "X.shape": "'.shape' is not allowed; the only attribute is .T",
    "().__class__": "'.__class__' is not allowed; the only attribute is .T",
    "X.T.__init__": "'.__init__' is not allowed; the only attribute is .T",
    "X[0]": "'X[0]' is not allowed in a formula",
    "lambda: 0": "'lambda: 0' is not allowed in a formula",
    "[x for x in X]": "is not allowed in a formula",
    "(x := 1)": "is not allowed in a formula",
    "X if n else W": "is not allowed in a formula",
    "X and W": "is not allowed in a formula",
    "f'{X}'": "is not allowed in a formula",
    "1 < X < 2": "is not allowed in a formula",
    "X @ 2": "@ needs two arrays; write * to multiply by a number",
    "'text'": "'text' is not a real number",
    "1j * X": "1j is not a real number",
    "True": "True is not a real number",
    "__import__('os')": "unknown function '__import__'",
    "(lambda: 0)()": "is not allowed in a formula",
    "X) + (W": "this is not a formula",
    "X # + 1": "a formula has no comments",
    "sum(X, 0, axis=1)": "an argument is given twice",
    "+".join(["ones(2**24)"] * 9): "at most 33,554,432 are allowed",
    "+".join(["sum(ones(2**9, 2**9) @ ones(2**9, 2**9))"] * 20): "multiplications; too many",
    "exp": "'exp' is a function; call it: exp(…)",
    "X(1)": "'X' is not a function",
    "exp(X, W)": "wrong number of arguments; write exp(x)",
    "exp(*X)": "wrong number of arguments",
    "sum(X, dtype=1)": "sum has no 'dtype'",
    "sum(X, **W)": "sum has no '**'",
    "sum(X, 2)": "axis 2 does not exist",
    "sum(X, X)": "an axis must be a whole number",
    "sum(X, (0, 0))": "the same axis is named twice",
    "ones(10**9, 10**9)": "makes an array of 1000000000×1000000000",
    "outer(outer(ones(n*1000), ones(n*1000)), ones(n))": "makes an array of",
    "eye(10**6)": "makes an array of",
    "ones(0)": "a size must be 1 or more, not 0",
    "ones(X)": "a size must be a whole number",
    "9**9**9": "'9 ** 9 ** 9' is too large a number",
    "2.0**5000": "is too large a number",
    "10**30": "is too large a number",
    "1e999": "the number is too large for float64",
    "99999999999999999999": "the whole number is too large",
    "1 / (n - 8)": "divides by zero",
    "X / 0": "divides by zero",
    "(0 - 1)**0.5": "is not a real number",
    "einsum('ij,jk->ik', X)": "is for 2 arrays; 1 were given",
    "einsum('ij,jk->ik', W, X)": "'j' is 3 in one array and 8 in another",
    "einsum('ijk', X)": "'ijk' does not fit 8×5",
    "einsum('ij->iij', X)": "must name each of its letters once",
    "einsum('i...', X)": "einsum's subscripts are letters",
    "einsum(X, X)": "einsum needs its subscripts in quotes",
    "reshape(X, 3, 3)": "8×5 cannot be reshaped to 3×3",
    "": "the formula is empty",
    "X @": "this is not a formula",
    "X; W": "this is not a formula",
    "import os": "this is not a formula",
    "((((X": "this is not a formula",
    "X" + "+X" * 1000: "nested too deeply, at most 100 operations",
    "(" * 500 + "X" + ")" * 500: "nested too deeply",
    "-" * 3900 + "X": "nested too deeply",
    "X" * 1_000_000: "the formula has 1,000,000 characters; at most 4,000 are allowed",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_what_is_no_formula_gets_its_sentence_within_a_second(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(FormulaError) as raised:
        parse(text, NAMES)
    assert REFUSED[text] in raised.value.message
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("X.T @ zelta", "zelta"),
        ("  X.T @ zelta", "zelta"),
        ("X.T @\n  zelta", "zelta"),
        ("exp(X) + delta @ X", "delta @ X"),
        ("W * zelta('é') + X", "zelta('é')"),
        ("einsum('ij,jk->ik', W, X)", "X"),
    ],
)
def test_an_error_points_at_its_place(text: str, place: str) -> None:
    with pytest.raises(FormulaError) as raised:
        parse(text, NAMES)
    error = raised.value
    assert text[error.offset : error.offset + error.length] == place


@given(st.text(max_size=80))
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    try:
        parse(text, NAMES)
    except FormulaError as error:
        assert error.message
        assert 0 <= error.offset <= len(text)
