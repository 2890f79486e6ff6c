"""A table of the layers of torch.nn: the shapes of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gradcheck_cli.config.init.inference.axes import Axis, product, unify
from gradcheck_cli.config.init.inference.operations import Allocate
from gradcheck_cli.config.init.inference.values import ITEMS, OBJECT, Value, array
from gradcheck_cli.config.init.inference.windows import ARGUMENTS, slide

ANY_RANK = 0


class Module(Struct, frozen=True):
    """A layer of torch.nn, whose first argument is the size of an axis of its input.

    rank: the number of axes of its input; axis: the place of the axis of that size.
    out: the place of the argument that is the size of that axis in the output; None: the same.
    indexes: whether the input holds whole numbers below that size, and the output has an axis more.
    """

    rank: int = ANY_RANK
    axis: int = -1
    out: int | None = None
    indexes: bool = False


MODULES = {
    "Linear": Module(out=1),
    "Embedding": Module(rank=2, out=1, indexes=True),
    "LayerNorm": Module(),
    "BatchNorm1d": Module(rank=2, axis=1),
    "BatchNorm2d": Module(rank=4, axis=1),
    "Conv1d": Module(rank=3, axis=1, out=1),
    "Conv2d": Module(rank=4, axis=1, out=1),
    "RNN": Module(rank=3, out=1),
    "GRU": Module(rank=3, out=1),
    "LSTM": Module(rank=3, out=1),
    "MultiheadAttention": Module(rank=3),
}
# Layers whose output has the shape of their input.
KEEPING = frozenset(
    ("ReLU", "GELU", "Tanh", "Sigmoid", "Dropout", "Softmax", "LeakyReLU", "SiLU", "Identity")
)
# Layers that return a tuple: the output, and a state or the weights of the attention.
SEVERAL = frozenset(("RNN", "GRU", "LSTM", "MultiheadAttention"))
MADE = frozenset((*MODULES, *KEEPING, *ARGUMENTS, "Sequential", "Flatten"))
# Functions, with the layer that computes the same.
FUNCTIONS = {
    "max_pool1d": "MaxPool1d",
    "max_pool2d": "MaxPool2d",
    "avg_pool1d": "AvgPool1d",
    "avg_pool2d": "AvgPool2d",
}


def make(name: str, arguments: Sequence[Value], named: Mapping[str, Value]) -> Value | None:
    """A layer with these arguments; None where the name is not that of a layer."""
    if name not in MADE:
        return None
    for argument in arguments if name in MODULES else ():
        if argument.kind is None and argument.is_parameter:
            argument.as_size()
    return Value(OBJECT, fields={**dict(enumerate(arguments)), **named}, text=name)


def apply(layer: Value, taken: Value, allocate: Allocate) -> Value:
    """The output of a layer for an input."""
    if layer.text == "Sequential":
        for part in layer.fields.values():
            taken = apply(part, taken, allocate)
        return taken
    if layer.text == "Flatten":
        return flatten(taken, allocate)
    module = MODULES.get(layer.text)
    if module is None:
        return slide(layer, taken, allocate) if layer.text in ARGUMENTS else taken
    given = taken
    taken.as_array(min(module.rank, taken.guessed_rank) if module.indexes else module.rank or 2)
    if taken.axes is None:
        return array(None)
    first = layer.fields[0].as_size() if 0 in layer.fields else Axis()
    last = layer.fields[module.out].as_size() if module.out in layer.fields else first
    if module.indexes:
        given.classes = first
        return array([*taken.axes, last])
    if len(taken.axes) < (module.rank or 1):
        return array(None)
    unify(taken.axes[module.axis], first)
    axes = list(taken.axes)
    axes[module.axis] = last
    found = array(axes)
    if layer.text in ARGUMENTS:
        found = slide(layer, found, allocate)
    return Value(ITEMS, fields={0: found, 1: Value()}) if layer.text in SEVERAL else found


def flatten(taken: Value, allocate: Allocate) -> Value:
    """An array with all axes but the first made one."""
    if taken.axes is None or len(taken.axes) < 3:
        return taken
    return array([taken.axes[0], product(taken.axes[1:], allocate)])
