"""Sizes in shapes are names, or whole-number arithmetic of them, and nothing else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.config.builders.sizes import LARGEST_SIZE, SizeError, evaluate_size

SIZES = {"H": 2, "F": 3, "M": 4}


def terms() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(sorted(SIZES)) | st.integers(0, 20).map(str)
    return st.recursive(
        leaves,
        lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", " // "]), inner).map(
            lambda parts: f"({''.join(parts)})"
        ),
        max_leaves=6,
    )


@given(terms())
def test_a_size_is_what_python_makes_of_it(text: str) -> None:
    try:
        expected = eval(text, {}, dict(SIZES))
    except ZeroDivisionError:
        expected = 0
    if 1 <= expected <= LARGEST_SIZE:
        assert evaluate_size(text, SIZES) == expected
    else:
        with pytest.raises(SizeError):
            evaluate_size(text, SIZES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("h", "no size 'h'; did you mean 'H'?"),
        ("H*(K+1)", "no size 'K'; shapes gives: H, F, M"),
        ("H-2", "no size 'H-2', which is 0 here"),
        ("9**99", "no size '9**99'; a size is made of names, whole numbers and + - * //"),
        ("H/2", "no size 'H/2'; a size is made of names, whole numbers and + - * //"),
        ("f(H)", "no size 'f(H)'; a size is made of names, whole numbers and + - * //"),
        ("H.real", "no size 'H.real'; a size is made of names, whole numbers and + - * //"),
        ("True", "no size 'True'; a size is made of names, whole numbers and + - * //"),
        ("H//0", "no size 'H//0'; a size is made of names, whole numbers and + - * //"),
        ("", "no size ''; a size is made of names, whole numbers and + - * //"),
        ("9" * 20, f"no size '{'9' * 20}', which is {'9' * 20} here"),
    ],
)
def test_what_is_no_size_is_told_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(SizeError) as caught:
        evaluate_size(text, SIZES)
    assert str(caught.value) == reason


@given(st.text(max_size=200))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with suppress(SizeError):
        assert 1 <= evaluate_size(text, SIZES) <= LARGEST_SIZE


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 5000, "H" + "+H" * 5000])
def test_a_long_text_is_refused(text: str) -> None:
    with pytest.raises(SizeError, match="a size is made of"):
        evaluate_size(text, SIZES)
