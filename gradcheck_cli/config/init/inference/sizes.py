"""Choose names and values for the sizes of axes.

Names are those of the code, else letters. Values are all different, so that no wrong shape fits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradcheck_cli.config.init.inference.axes import Axis
from gradcheck_cli.config.init.inference.values import note_name

VALUES = {
    "n": 4, "N": 4, "D": 5, "M": 3, "C": 3, "H": 6, "W": 8, "F": 3, "HH": 3, "WW": 3, "T": 3,
    "V": 7, "m": 4,
}  # fmt: skip
# Values where an array has four axes, such as images: with larger sizes it has many entries.
SMALL_VALUES = {"N": 2, "C": 3, "F": 5, "H": 4, "W": 6, "HH": 3, "WW": 3}
OTHER_VALUES = (5, 3, 6, 7, 2, 8, 9)
EVEN_VALUES = (6, 4, 8)
LETTERS = ("n", "N", "M", "P", "Q", "R", "S", "U")
KERNEL = 2  # the size of a filter: smaller than the image that it slides over
MAY_BE_EQUAL = ("HH", "WW")  # filters may be square


class Sizes:
    """The sizes that occur in the shapes of a config. taken: names that mean something else.

    values: of each size by name; small: whether an array has four axes or more.
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self.values: dict[str, int] = {}
        self.axes: dict[str, Axis] = {}
        self.taken = set(taken)
        self.small = False

    def named(self, name: str) -> Axis:
        """The axis that a docstring writes so: by a name, or by a number."""
        if name.isdigit():
            return Axis(value=int(name))
        axis = self.axes.setdefault(name, Axis(name=name))
        note_name(axis, name)
        return axis

    def allocate(self, axis: Axis) -> int:
        """Choose the value of an axis that is open, and a name if it has none that can be used."""
        root = axis.root
        name = root.name
        if not name.isidentifier() or name in self.taken or name in self.values:
            used = {*self.values, *self.taken}
            name = next(one for one in (*LETTERS, *(f"n{k}" for k in range(99))) if one not in used)
        root.name = name
        if name not in self.values:
            self.values[name] = KERNEL if root.small else self._choose(name, root.even)
        return self.values[name]

    def _choose(self, name: str, even: bool) -> int:
        known = {**VALUES, **(SMALL_VALUES if self.small else {})}
        if name in MAY_BE_EQUAL:
            return known[name]
        used = self.values.values()
        wanted = EVEN_VALUES if even else ((known[name],) if name in known else ())
        others = range(10, 99, 2) if even else (*OTHER_VALUES, *range(10, 99))
        free: int = next(value for value in (*wanted, *others) if value not in used)
        return free

    def write(self, axis: Axis) -> str:
        """An axis as YAML: the name of its size, or a number."""
        value = axis.size(self.allocate)
        name = axis.root.name
        return name if self.values.get(name) == value and axis.root.base is None else str(value)

    def shape(self, axes: Sequence[Axis]) -> str:
        """A shape as YAML."""
        return "[" + ", ".join(map(self.write, axes)) + "]"
