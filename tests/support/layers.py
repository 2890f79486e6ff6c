"""Layers for the tests: made by hand or drawn by hypothesis, and what is checked of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from gradcheck_cli.arrays import Given
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.layers.paper import Layer, make_arrays
from gradcheck_cli.measure.measure import measure_gradient
from gradcheck_cli.numeric.gradient import NumericGradient
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Problem

Float = NDArray[np.float64]


def layer(form: str = "XW", n: int = 8, N: int = 5, M: int = 3, **changes: Any) -> Layer:
    """A layer of these sizes, with any other field of it changed."""
    sizes = {
        name: size for name, size in {"n": n, "N": N, "M": M}.items() if name in FORMS[form].sizes
    }
    loss = LOSSES[changes.pop("loss", "squared-error")]
    extended = FORMS[form].extend(changes.pop("bias", False), changes.pop("activation", NONE))
    return replace(Layer(form=extended, sizes=sizes, loss=loss), **changes)


def given(form: str, x: Float, W: Float, target: Float, **changes: Any) -> Layer:
    """A layer with these very arrays."""
    outer, inner = W.shape if form == "Wx" else W.shape[::-1]
    made = layer(form, n=len(x), N=inner, M=outer, **changes)
    name = "X" if form == "XW" else "x"
    sources = {name: x, "W": W, made.loss.target: target}
    return replace(made, sources={key: Given(array.tolist()) for key, array in sources.items()})


def problem(of: Layer) -> Problem:
    """The gradient check of a layer."""
    return of.problems()[0]


def measured(of: Layer, name: str, numeric: Numeric | None = None) -> NumericGradient:
    """The numeric gradient of a layer for one of its inputs."""
    return measure_gradient(problem(of), name, numeric or Numeric())


def data(of: Layer) -> tuple[Float, Float, Float]:
    """x, W and the target of a layer, as float64."""
    inputs, target = make_arrays(of)
    x = inputs["X" if "X" in inputs else "x"]
    return tuple(np.asarray(array, dtype=np.float64) for array in (x, inputs["W"], target))  # type: ignore[return-value]


sizes = st.integers(1, 6)
losses = st.sampled_from(sorted(LOSSES))
seeds = st.integers(0, 2**32)
reductions = st.sampled_from(["sum", "mean"])


@st.composite
def layers(
    draw: st.DrawFn, /, forms: tuple[str, ...] = ("Wx", "xW", "XW"), **changes: Any
) -> Layer:
    """Any small layer of the paper."""
    return layer(
        draw(st.sampled_from(forms)),
        n=draw(sizes),
        N=draw(sizes),
        M=draw(sizes),
        **{
            "loss": draw(losses),
            "reduction": draw(reductions),
            "seed": draw(seeds),
            **changes,
        },
    )


@st.composite
def extended_layers(draw: st.DrawFn, /) -> Layer:
    """Any small layer with a bias, an activation or both."""
    bias = draw(st.booleans())
    activation = draw(st.sampled_from([*ACTIVATIONS, *([NONE] if bias else [])]))
    return draw(layers(bias=bias, activation=activation))
