"""The interface that all layers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gradcheck_cli.problem import Problem


class AnyLayer(Protocol):
    """A layer as a config describes it; its arrays are not drawn yet, nor is its code imported."""

    @property
    def gradients(self) -> Sequence[tuple[str, int]]:
        """For each gradient that is checked, its input and the number of its entries."""

    @property
    def seed(self) -> int:
        """The seed from which arrays are drawn."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of the layer by letter."""

    @property
    def dtype(self) -> str:
        """The type of all arrays of floats."""

    @property
    def code(self) -> Sequence[Any]:
        """The user's code that its problems run."""

    def problems(self) -> list[Problem]:
        """Make the problems that are checked."""

    def describe_settings(self) -> dict[str, Any]:
        """The settings of the layer that a report shows, by name."""
