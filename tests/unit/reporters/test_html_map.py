"""Every cell of a map says where it is in the gradient, whatever its shape."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli import check
from gradcheck_cli.reporters.html_map import draw_map
from gradcheck_cli.result import GradientResult

SHAPES = [(6,), (5, 1), (1, 5), (3, 4), (2, 3, 4), (2, 2, 3, 2), (20, 3, 2), (2, 2, 2, 2, 3)]


def find_wrong(shape: tuple[int, ...], at: tuple[int, ...]) -> GradientResult:
    """The result of a gradient of this shape with one wrong entry."""
    factor = np.ones(shape)
    factor[at] = 1.01
    x = np.random.default_rng(0).normal(size=shape) + 3
    (gradient,) = check(lambda x: x**2, lambda delta, x: 2 * x * delta * factor, {"x": x}).gradients
    return gradient


def tips(gradient: GradientResult) -> list[str]:
    assert gradient.map is not None
    figure = draw_map(gradient.map, gradient.shape, "")
    return [cell.attrib["data-tip"] for cell in figure.iter("td")]


@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_the_cell_of_a_wrong_entry_has_its_index(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    at = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    said = tips(find_wrong(shape, at))
    wrong = [tip for tip in said if not tip.endswith("] right")]
    index = ", ".join(map(str, at))
    if len(said) == np.prod(shape):
        assert wrong == [f"[{index}] relative error 1.0e-02"]
        assert len(set(said)) == len(said)
        return
    (tip,) = wrong
    assert "at worst relative error" in tip
    assert tip.startswith("[rows ")


def test_a_cell_of_several_entries_has_their_indices() -> None:
    (tip,) = [tip for tip in tips(find_wrong((20, 50), (19, 3))) if not tip.endswith("right")]
    assert tip == "[18–19, 2–3] at worst relative error 1.0e-02"


@pytest.mark.parametrize(("shape", "stops"), [((3, 4), 12), ((9, 9), 0)])
def test_the_tab_key_stops_at_cells_that_are_wrong_where_they_are_few(
    shape: tuple[int, ...], stops: int
) -> None:
    x = {"x": np.ones(shape)}
    (gradient,) = check(lambda x: x**2, lambda delta, x: x * delta, x).gradients
    assert gradient.map is not None
    cells = draw_map(gradient.map, gradient.shape, "").iter("td")
    assert sum("tabindex" in cell.attrib for cell in cells) == stops


def test_panels_and_axes_are_named() -> None:
    gradient = find_wrong((2, 3, 4, 5), (1, 2, 3, 4))
    assert gradient.map is not None
    figure = draw_map(gradient.map, gradient.shape, "in one entry")
    names = [of.text for of in figure.iter("p")]
    assert names == [f"[{i}, {j}, :, :]" for i in range(2) for j in range(3)]
    text = "".join(figure.itertext())
    assert "a panel is [i, j, :, :], axis 2 down and axis 3 across" in text
    label = figure.find("div")
    assert label is not None
    assert re.fullmatch("the relative errors of .*: in one entry", label.attrib["aria-label"])
