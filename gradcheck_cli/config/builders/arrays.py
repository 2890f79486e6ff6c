"""Read an array of a config: the source of its values, and its shape."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradcheck_cli.arrays import (
    ARRAY_FILES,
    MAX_AXES,
    Drawn,
    Given,
    Shape,
    Source,
    inline_shape,
    read_file,
)
from gradcheck_cli.config.builders.sizes import LARGEST_SIZE, SizeError, evaluate_size
from gradcheck_cli.config.findings import Finding
from gradcheck_cli.config.read_record import read_record
from gradcheck_cli.config.schema_parts import ArrayConfig
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import ArrayError
from gradcheck_cli.text import format_shape


class ValueReader:
    """Reads the values of arrays; each list and each file is read once for all checks.

    folder: of the config; file names are relative to it. named: the folders that the user gave on
    the command line. Files elsewhere are refused, since a link may lead to a secret.
    """

    def __init__(self, folder: Path, named: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._roots = [Path(os.path.realpath(root)) for root in (folder, *named)]
        # Nodes by identity: the checks of a matrix share all nodes that no axis sets.
        self._plain: dict[int, tuple[Node, Any]] = {}
        self._inline: dict[int, tuple[Given, Shape]] = {}
        self._files: dict[str, tuple[Given, Shape]] = {}

    def read_plain(self, node: Node) -> Any:
        """The value of a node without positions: the same object for the same node."""
        if id(node) not in self._plain:
            self._plain[id(node)] = node, node.plain()
        return self._plain[id(node)][1]

    def read(self, node: Node, expected: str, *, booleans: bool = False) -> tuple[Given, Shape]:
        """Read numbers from a config, or from the file that it names; return them and their shape.

        expected: what is expected, for the error; booleans: whether booleans are allowed.
        Raises ArrayError where it is not an array.
        """
        if not isinstance(node.value, str):
            values = self.read_plain(node)
            if id(node) not in self._inline:
                self._inline[id(node)] = Given(values), inline_shape(values, booleans=booleans)
            return self._inline[id(node)]
        if not node.value.lower().endswith(ARRAY_FILES):
            raise ArrayError(f"expected {expected}, got {node.describe()}")
        path = self._find_file(node.value)
        if path not in self._files:
            array = read_file(Path(path), (self.folder / node.value).as_posix())
            self._files[path] = Given(array), array.shape
        return self._files[path]

    def _find_file(self, name: str) -> str:
        """The path of a file without links. Raises ArrayError where it is not a regular file, or
        outside the allowed folders."""
        try:
            path = os.path.realpath(self.folder / name)
        except ValueError as error:  # it holds NUL
            raise ArrayError(f"{name!r} is not the name of a file") from error
        shown = f"'{(self.folder / name).as_posix()}'"
        if os.path.exists(path) and not os.path.isfile(path):
            raise ArrayError(f"cannot read {shown}: it is not a regular file")
        if not any(Path(path).is_relative_to(root) for root in self._roots):
            raise ArrayError(
                f"{shown} is outside the folder of the config; move it there, or name a folder "
                "that holds both on the command line"
            )
        return path


def read_array(
    name: str,
    node: Node,
    sizes: Mapping[str, int],
    values: ValueReader,
    findings: list[Finding],
    expected: str,
    *,
    booleans: bool = False,
) -> tuple[Source, Shape | None] | None:
    """The source of an array and its shape, which is None if not given; None with a finding.

    A mapping gives its distribution, shape or values; a text is the name of a file; a number or
    nested lists are values.
    sizes: by letter; expected: what is expected, for errors; booleans: whether they are allowed.
    """
    shape: Shape | None = None
    given: Node | None = node
    if isinstance(node.value, dict):
        record = read_record(node, ArrayConfig, findings)
        if record is None:
            return None
        listed = node.child("shape")
        if listed is not None and record.shape is not None:
            shape = read_shape(name, listed, sizes, findings)
        if listed is not None and shape is None:
            return None
        given = node.child("values")
        if given is None:
            drawn = _read_drawn(name, node, record, sizes, findings)
            return None if drawn is None else (drawn, shape)
    assert given is not None
    try:
        source, found = values.read(given, expected, booleans=booleans)
    except ArrayError as error:
        findings.append(Finding(given.mark, f"'{name}': {error}"))
        return None
    return _check_shape(name, given, source, found, shape, findings)


def _check_shape(
    name: str,
    node: Node,
    source: Given,
    found: Shape,
    shape: Shape | None,
    findings: list[Finding],
) -> tuple[Given, Shape | None] | None:
    """The values with their shape; None with a finding if the config gives another shape.

    A single number has the shape that is given.
    """
    if shape is None or not found or found == shape:
        return source, shape if shape is not None else found
    message = f"'{name}' is {format_shape(found)} here, but {format_shape(shape)} by its shape"
    findings.append(Finding(node.mark, message))
    return None


def _read_drawn(
    name: str,
    node: Node,
    record: ArrayConfig,
    sizes: Mapping[str, int],
    findings: list[Finding],
) -> Drawn | None:
    """The distribution of an array; `high` may be a size, or arithmetic of sizes."""
    high, mark = record.high, (node.child("high") or node).mark
    if isinstance(high, str):
        try:
            high = evaluate_size(high, sizes)
        except SizeError as error:
            findings.append(Finding(mark, f"'{name}' has {error}"))
            return None
    if high <= record.low:
        message = f"'{name}' needs high above low, which is {record.low}"
        findings.append(Finding(mark, message))
        return None
    return Drawn(record.distribution, record.scale, record.offset, record.low, high, record.keep)


def read_shape(
    name: str, node: Node, sizes: Mapping[str, int], findings: list[Finding]
) -> Shape | None:
    """The shape of a list of sizes, which are whole numbers or arithmetic of letters."""
    assert isinstance(node.value, list)
    if len(node.value) > MAX_AXES:
        message = f"'{name}' has {len(node.value)} axes; at most {MAX_AXES} are allowed"
        findings.append(Finding(node.mark, message))
        return None
    if any(isinstance(item.value, float) for item in node.value):
        message = (
            f"a flat list is a shape, so '{name}' needs whole numbers or sizes; "
            "write its values as {values: [0.5, 1]}"
        )
        findings.append(Finding(node.mark, message))
        return None
    found = [_read_axis(name, item, sizes, findings) for item in node.value]
    shape = tuple(size for size in found if size is not None)
    return shape if len(shape) == len(found) else None


def _read_axis(
    name: str, node: Node, sizes: Mapping[str, int], findings: list[Finding]
) -> int | None:
    """A size of a shape: a number, or arithmetic of letters."""
    if not isinstance(node.value, str):
        return read_size(name, node, findings)
    try:
        return evaluate_size(node.value, sizes)
    except SizeError as error:
        findings.append(Finding(node.mark, f"the shape of '{name}' has {error}"))
        return None


def read_size(name: str, node: Node, findings: list[Finding]) -> int | None:
    """A size, or None with a finding."""
    value = node.value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_SIZE:
        return value
    too_large = isinstance(value, int) and value > LARGEST_SIZE
    wanted = f"at most {LARGEST_SIZE}" if too_large else "a whole number of 1 or more"
    findings.append(Finding(node.mark, f"'{name}' must be {wanted}, got {node.describe()}"))
    return None
