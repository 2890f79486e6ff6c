"""A check of a config file before its keys are validated: its node, its name and its id."""

from __future__ import annotations

from msgspec import Struct

from gradcheck_cli.config.yaml_tree import Node


class Item(Struct, frozen=True):
    """A check of a file. node: its keys with their positions, including inherited ones.

    name: its own, or that of the file; axes: a text such as `n=8` for each axis of a matrix;
    seed: from `--seeds`, if given.
    """

    node: Node
    name: str
    axes: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def id(self) -> str:
        """The name with the values of a matrix and of `--seeds`: `batch[n=8,seed=1]`."""
        return _add_axes(
            self.name, self.axes + (() if self.seed is None else (f"seed={self.seed}",))
        )

    @property
    def id_without_seed(self) -> str:
        """The id that selects all checks that `--seeds` made of one."""
        return _add_axes(self.name, self.axes)


def _add_axes(name: str, axes: tuple[str, ...]) -> str:
    return f"{name}[{','.join(axes)}]" if axes else name
