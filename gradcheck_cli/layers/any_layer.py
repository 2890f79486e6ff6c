"""What a layer of a config is asked, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gradcheck_cli.problem import Problem


class AnyLayer(Protocol):
    """What a config describes, before an array is drawn or code is imported."""

    @property
    def gradients(self) -> Sequence[tuple[str, int]]:
        """The input that each gradient to be checked is of, and how many entries that input has."""

    @property
    def seed(self) -> int:
        """The seed that arrays are drawn with."""

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
        """What is to be checked."""

    def describe_settings(self) -> dict[str, Any]:
        """What a report says of it, by the names of its settings."""
