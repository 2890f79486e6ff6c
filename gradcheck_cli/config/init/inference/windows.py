"""Convolutions and pools of torch: the sizes of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradcheck_cli.config.init.inference.axes import LARGEST, Axis
from gradcheck_cli.config.init.inference.operations import Allocate
from gradcheck_cli.config.init.inference.values import ITEMS, NUMBER, SIZE, Value, array

SETTINGS = ("kernel_size", "stride", "padding", "dilation")
# For each layer: the place of kernel_size among its arguments, and the number of axes over which
# its window slides.
ARGUMENTS = {
    "Conv1d": (2, 1),
    "Conv2d": (2, 2),
    "MaxPool1d": (0, 1),
    "MaxPool2d": (0, 2),
    "AvgPool1d": (0, 1),
    "AvgPool2d": (0, 2),
}


def slide(layer: Value, taken: Value, allocate: Allocate) -> Value:
    """The output of a convolution or a pool, which slides over the last axes of an array."""
    first, count = ARGUMENTS[layer.text]
    taken.as_array(count + 2)
    if taken.axes is None or len(taken.axes) < count + 1:
        return taken
    axes = list(taken.axes)
    for back in range(1, count + 1):
        kernel, stride, pad, dilation = _settings(layer, first, count - back, allocate)
        axes[-back] = _slide_axis(axes[-back], (kernel, stride, pad, dilation), allocate)
    return array(axes)


def _settings(
    layer: Value, first: int, place: int, allocate: Allocate
) -> Sequence[Callable[[], int]]:
    """Functions that give the kernel size, the stride, the padding and the dilation of an axis.

    first: the place of kernel_size among the arguments; place: that of the axis in a tuple.
    """

    def read(at: int, default: Callable[[], int]) -> Callable[[], int]:
        value = layer.fields.get(SETTINGS[at], layer.fields.get(first + at))
        if value is not None and value.kind == ITEMS:
            value = list(value.fields.values())[place] if len(value.fields) > place else None
        if value is not None and value.kind == NUMBER and value.number is not None:
            known = int(value.number)
            return lambda: known
        if value is not None and value.kind == SIZE:
            axis = value.as_size()
            axis.root.small |= at == 0
            return lambda: axis.size(allocate)
        return default

    kernel = read(0, lambda: 2)
    pool = first == 0
    stride = read(1, kernel if pool else lambda: 1)
    dilation = (lambda: 1) if pool else read(3, lambda: 1)
    return kernel, stride, read(2, lambda: 0), dilation


def _slide_axis(axis: Axis, settings: Sequence[Callable[[], int]], allocate: Allocate) -> Axis:
    """The axis of the positions of a window that slides over an axis; open axes that it depends on
    become long enough for two positions."""

    def calculate() -> int:
        kernel, stride, pad, dilation = (setting() for setting in settings)
        reach = dilation * (kernel - 1) + 1
        return max(0, (axis.size(allocate) + 2 * pad - reach) // max(1, stride) + 1)

    slid = Axis(calculate=calculate, needs=[axis])
    for root in dict.fromkeys(slid.open_needs):
        root.ends.append(lambda root=root: _find_shortest(root, calculate))  # type: ignore[misc]
    return slid


def _find_shortest(axis: Axis, calculate: Callable[[], int]) -> int:
    """The smallest size of an axis at which a window has two positions."""
    before, found = axis.value, 1
    for found in range(1, LARGEST + 1):
        axis.value = found
        if calculate() >= 2:
            break
    axis.value = before
    return found
