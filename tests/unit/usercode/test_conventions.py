"""Signatures as people write them, and which value each parameter gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling import conventions
from gradcheck_cli.usercode.calling.conventions import BACKWARD, Convention, bind_backward
from gradcheck_cli.usercode.calling.gradients import name_gradients
from gradcheck_cli.usercode.calling.signatures import FORWARD, Pass, bind, read_parameters

Function = Callable[..., Any]
XWB = ("x", "w", "b")
ONE, TWOS = np.array([1.0]), np.array([2.0])
FORWARD_NAMES = ("first", "second", "third")


def bound(function: Function, ordered: Sequence[str], named: Sequence[str] = ()) -> str:
    """How a function is called, as Python would write it."""
    call = bind(read_parameters(function), ordered, named)
    return ", ".join([*call.positional, *(f"{key}={name}" for key, name in call.keyword.items())])


@pytest.mark.parametrize(
    ("function", "called"),
    [
        (lambda x, w, b: 0, "x, w, b"),
        (lambda b, x, w: 0, "b, x, w"),
        (lambda data, w, bias: 0, "x, w, b"),
        (lambda X, W, b, stride=1: 0, "x, w, b, stride"),
        (lambda x, w, b, eps=1e-5, stride=1: 0, "x, w, b, stride=stride"),
        (lambda *inputs: 0, "x, w, b"),
        (lambda x, *others: 0, "x, w, b"),
        (lambda x, *, w, b, stride: 0, "x, w=w, b=b, stride=stride"),
        (lambda x, w, b, **options: 0, "x, w, b, stride=stride"),
        (lambda x, stride, w, b: 0, "x, stride, w, b"),
    ],
)
def test_a_forward_gets_its_inputs_by_name_and_else_in_order(
    function: Function, called: str
) -> None:
    assert bound(function, XWB, ("stride",)) == called


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, w: 0, "<lambda>(x, w) takes no 'b'"),
        (lambda x, w, b, mode: 0, "<lambda>(x, w, b, mode) needs 'mode'; give it under inputs"),
        (lambda x, w, b, *, mode: 0, "needs 'mode'"),
    ],
)
def test_a_value_without_a_parameter_and_a_parameter_without_a_value_are_named(
    function: Function, message: str
) -> None:
    with pytest.raises(CodeError) as caught:
        bound(function, XWB)
    assert message in str(caught.value)


def test_a_function_that_tells_no_parameters_takes_all_in_order() -> None:
    assert bound(max, ("x", "w")) == "x, w"


def written(signature: str) -> Function:
    """A function of these parameters."""
    function: Function = eval(f"lambda {signature}: 0")
    return function


@pytest.mark.parametrize("one", FORWARD, ids=lambda one: one.says)
def test_every_pass_of_a_forward_does_what_its_example_says(one: Pass) -> None:
    signature, called = one.example
    call = bind(read_parameters(written(signature)), XWB, ("stride",), ("n",))
    assert ", ".join(call.used) == called


@pytest.mark.parametrize("one", BACKWARD, ids=lambda one: one.says)
def test_every_convention_of_a_backward_does_what_its_example_says(one: Convention) -> None:
    signature, returned, called = one.example
    outputs = [value == "out" for value in returned.split(", ")]
    takes, forward = read_parameters(written(signature)), dict(zip(FORWARD_NAMES, XWB, strict=True))
    forward |= {"fourth": "labels", "fifth": "data"}
    found = bind_backward(takes, XWB, ("stride", "labels", "data"), outputs, ("n",), forward)
    assert ", ".join(found.call.used) == called


@pytest.mark.parametrize("one", BACKWARD, ids=lambda one: one.says)
def test_the_example_of_a_convention_needs_it(
    one: Convention, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tuple(other for other in BACKWARD if other is not one)
    monkeypatch.setattr(conventions, "BACKWARD", others)
    with pytest.raises((AssertionError, CodeError)):
        test_every_convention_of_a_backward_does_what_its_example_says(one)


UP, UP1 = "upstream gradient 0", "upstream gradient 1"
OUT, OUT_CACHE, TWO, TWO_CACHE = [True], [True, False], [True, True], [True, True, False]


@pytest.mark.parametrize(
    ("function", "returned", "called", "upstream"),
    [
        (lambda delta: 0, OUT, f"{UP}", 1),
        (lambda dout, cache: 0, OUT_CACHE, f"{UP}, the cache", 1),
        (lambda dA, Z: 0, TWO, f"{UP}, the cache", 1),
        (lambda cache, dout: 0, OUT_CACHE, f"the cache, {UP}", 1),
        (lambda ctx, grad_output: 0, TWO, f"the cache, {UP}", 1),
        (lambda a_number, what_was_kept: 0, OUT_CACHE, f"{UP}, the cache", 1),
        (lambda dh, dc, cache: 0, TWO_CACHE, f"{UP}, {UP1}, the cache", 2),
        (lambda dh, dc, x, w, b: 0, TWO, f"{UP}, {UP1}, x, w, b", 2),
        (lambda dout, cache: 0, TWO_CACHE, f"{UP}, the cache", 1),
        (lambda dout, x, w: 0, OUT, f"{UP}, x, w", 1),
        (lambda x, w, dout: 0, OUT, f"x, w, {UP}", 1),
        (lambda delta, *inputs: 0, OUT, f"{UP}, x, w, b", 1),
        (lambda *arguments: 0, OUT, f"{UP}, x, w, b", 1),
        (lambda *arguments: 0, OUT_CACHE, f"{UP}, the cache", 1),
        (lambda delta, X, weights: 0, OUT, f"{UP}, x, w", 1),
        (lambda dout, out: 0, OUT, f"{UP}, the output", 1),
        (lambda dA, A: 0, OUT, f"{UP}, the output", 1),
        (lambda x, w, b: 0, OUT, "x, w, b", 0),
        (lambda x, w, b, stride: 0, OUT, "x, w, b, stride", 0),
        (lambda dout, cache, stride=1: 0, OUT_CACHE, f"{UP}, the cache, stride", 1),
        (lambda dout, cache, eps=1.0: 0, OUT_CACHE, f"{UP}, the cache", 1),
        (lambda t: 0, OUT, "x", 0),
        (lambda z: 0, OUT, "x", 0),
        (lambda Z: 0, OUT_CACHE, "x", 0),
        (lambda t: 0, OUT_CACHE, f"{UP}", 1),
    ],
)
def test_a_backward_gets_what_its_parameters_are_called(
    function: Function, returned: list[bool], called: str, upstream: int
) -> None:
    found = bind_backward(read_parameters(function), XWB, ("stride",), returned)
    assert (", ".join(found.call.used), found.upstream) == (called, upstream)


@pytest.mark.parametrize(
    "returned",
    [
        (1, 2),
        [1, 2],
        {"x": 1, "w": 2},
        {"dx": 1, "dw": 2},
        {"grad_x": 1, "w_grad": 2},
        (1, None, 2),  # in the order of the parameters, a constant among them
        (1, {"dw": 2}),
        ({"dw": 2}, 1),
    ],
)
def test_gradients_are_told_apart(returned: Any) -> None:
    assert name_gradients(returned, ("x", "w"), ("x", "stride", "w"), "f") == {"x": 1, "w": 2}


@pytest.mark.parametrize("returned", [(ONE, [TWOS]), [[ONE, None], TWOS], [(ONE, TWOS)]])
def test_a_list_among_the_gradients_is_opened(returned: Any) -> None:
    found = name_gradients(returned, ("x", "w"), ("x", "stride", "w"), "f")
    assert (found["x"] is ONE, found["w"] is TWOS) == (True, True)


def test_a_list_is_the_gradient_of_an_input_that_is_a_list() -> None:
    returned = (ONE, [TWOS, TWOS])
    assert name_gradients(returned, ("x", "w"), ("x", "w"), "f", ("w",)) == {
        "x": ONE,
        "w": [TWOS, TWOS],
    }


def test_the_order_of_a_tuple_is_that_of_the_parameters() -> None:
    assert name_gradients((1, 2), ("x", "w"), ("w", "x"), "f") == {"w": 1, "x": 2}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1, "f returned one value for 2 inputs (x, w); expected a tuple"),
        ((1, 2, 3, 4), "f returned 4 gradients for 2 inputs (x, w)"),
        ({"weights": 1}, "f returned a dict with 'weights'; expected the inputs' names"),
    ],
)
def test_gradients_that_cannot_be_told_apart_are_an_error(returned: Any, message: str) -> None:
    with pytest.raises(CodeError) as caught:
        name_gradients(returned, ("x", "w"), ("x", "stride", "w"), "f")
    assert message in str(caught.value)
