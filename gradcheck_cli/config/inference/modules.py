"""Layers of torch.nn and the like: what they take, and what they make of it, as a table."""

from __future__ import annotations

from msgspec import Struct

from gradcheck_cli.config.inference.axes import unify
from gradcheck_cli.config.inference.values import ITEMS, OBJECT, Value, array

TAKES_ALL = 0  # axes: as many as there are


class Module(Struct, frozen=True):
    """A layer. rank: how many axes it takes; axis: that which its first argument is the size of.

    out: which argument is the size of that axis in what it returns; None: it stays.
    indexes: it takes whole numbers below its first argument, and adds an axis.
    """

    rank: int = TAKES_ALL
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
}
KEEPING = frozenset(
    ("ReLU", "GELU", "Tanh", "Sigmoid", "Dropout", "Softmax", "LeakyReLU", "SiLU", "Identity")
)
SEVERAL = frozenset(("RNN", "GRU", "LSTM"))  # they return a state, too


def make(name: str, arguments: list[Value]) -> Value | None:
    """A layer of this name; None where it is none."""
    if name not in MODULES and name not in KEEPING and name != "Sequential":
        return None
    for argument in arguments if name in MODULES else ():
        if argument.kind is None and argument.is_parameter:
            argument.as_size()
    made = Value(OBJECT, fields=dict(enumerate(arguments)))
    made.text = name
    return made


def apply(layer: Value, taken: Value) -> Value:
    """What a layer makes of an array."""
    if layer.text == "Sequential":
        for part in layer.fields.values():
            taken = apply(part, taken)
        return taken
    module = MODULES.get(layer.text)
    if module is None:
        return taken
    taken.as_array(module.rank or 2)
    if taken.axes is None:
        return array(None)
    first = layer.fields[0].as_size()
    last = layer.fields[module.out].as_size() if module.out is not None else first
    if module.indexes:
        taken.classes = first
        return array([*taken.axes, last])
    if len(taken.axes) < (module.rank or 1):
        return array(None)
    unify(taken.axes[module.axis], first)
    axes = list(taken.axes)
    axes[module.axis] = last
    found = array(axes)
    return Value(ITEMS, fields={0: found, 1: Value()}) if layer.text in SEVERAL else found
