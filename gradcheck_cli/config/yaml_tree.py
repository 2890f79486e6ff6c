"""Parse YAML to a tree whose nodes know their line and column.

Scalars follow YAML 1.2: 1e-6 is a number, on and no are strings. What is easily misread, such as
010, 1:30 and duplicate keys, is refused with a reason, and so are aliases and tags.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from msgspec import Struct, field

from gradcheck_cli.config.findings import ConfigError, Finding, Mark
from gradcheck_cli.text import shorten

MAX_BYTES = 4 * 2**20  # of a config; larger arrays belong in .npy files
MAX_DEPTH = 20  # of nested lists and mappings
MAX_DIGITS = 40  # of a whole number

Scalar = str | int | float | bool | None


class Node(Struct):
    """A value of a config and its place, `mark`.

    value: a scalar, a list of nodes, or a mapping from keys to nodes.
    keys: the places of the keys of a mapping.
    start: the place of the first character of a scalar, after its quote; None for a block scalar,
        whose text differs from that in the file.
    shared: the keys of a mapping that a check inherits, as other checks do.
    """

    value: Scalar | list[Node] | dict[str, Node]
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    start: Mark | None = None
    shared: frozenset[str] = frozenset()

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def describe(self) -> str:
        """The value in the words of an error: its kind, or its text, shortened."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        text = shorten(str(self.value), 40)
        return f"'{text}'" if isinstance(self.value, str) else text

    def child(self, *path: str) -> Node | None:
        """The node below this one at a path of keys, or None."""
        node: Node | None = self
        for key in path:
            mapping = node.value if node is not None else None
            node = mapping.get(key) if isinstance(mapping, dict) else None
        return node


def decode(data: bytes, path: str) -> str:
    """The text of a config. Raises ConfigError where it is too large or not UTF-8."""
    if len(data) > MAX_BYTES:
        size, most = len(data) / 2**20, MAX_BYTES // 2**20
        message = (
            f"the file has {size:.1f} MiB; at most {most} are read, put arrays into .npy files"
        )
        raise ConfigError(path, "", [Finding(Mark(1, 1), message)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"the file is not UTF-8: byte 0x{data[error.start]:02x} here; save it as UTF-8"
        raise ConfigError(path, "", [Finding(Mark(line, column), message)]) from error


def parse(text: str, path: str) -> Node:
    """Parse a config, which must be a single document.

    Raises ConfigError with every finding where it is not YAML, empty, or holds what is refused.
    """
    loader = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
            if builder.done:
                break
    except yaml.MarkedYAMLError as error:
        builder.findings.append(_syntax_finding(error, text))
    except yaml.reader.ReaderError as error:
        builder.findings.append(_character_finding(error.position, error.character, text))
    except UnicodeEncodeError as error:  # half of a character, as of a byte on the command line
        builder.findings.append(_character_finding(error.start, ord(text[error.start]), text))
    if builder.findings:
        raise ConfigError(path, text, builder.findings)
    if builder.root is None:
        raise ConfigError(path, text, [Finding(Mark(1, 1), EMPTY)])
    return builder.root


EMPTY = "the file is empty; a config needs at least form and shapes (see gradcheck --help)"


def _mark(event: Any) -> Mark:
    start, end = event.start_mark, event.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return Mark(start.line + 1, start.column + 1, max(1, length))


def _syntax_finding(error: yaml.MarkedYAMLError, text: str) -> Finding:
    place = error.problem_mark or error.context_mark
    mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
    problem = (error.problem or "").strip()
    line = (text.splitlines()[mark.line - 1 :] or [""])[0]
    if "\t" in line[: mark.column]:
        return Finding(mark, "a tab stands where spaces are expected; indent with spaces")
    context = f" ({error.context.strip()})" if error.context else ""
    return Finding(mark, f"this is not YAML: {problem}{context}")


def _character_finding(position: int, character: int | str, text: str) -> Finding:
    before = text[:position]
    mark = Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    shown = f"U+{character:04X}" if isinstance(character, int) else character
    return Finding(mark, f"the character {shown} is not allowed in YAML; remove it")


class _Builder:
    """Builds the tree from the events of the parser, without recursion."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self.open: list[Node] = []
        self.key: list[str | None] = []
        self.documents = 0
        self.done = False

    def report(self, event: Any, message: str) -> None:
        self.findings.append(Finding(_mark(event), message))

    def take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self.report(event, "a second document; keep one a file, or use 'checks:'")
                    self.done = True
            case yaml.AliasEvent():
                self.report(event, f"the alias '*{event.anchor}' is refused; write the value out")
                self.add(Node(None, _mark(event)), event)
            case yaml.ScalarEvent():
                self.refuse_tag(event)
                self.add(self.scalar(event), event)
            case yaml.MappingStartEvent():
                self.refuse_tag(event)
                self.enter(Node({}, _mark(event)), event)
            case yaml.SequenceStartEvent():
                self.refuse_tag(event)
                self.enter(Node([], _mark(event)), event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.open.pop()
                self.key.pop()

    def refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            self.report(event, f"the tag '{event.tag}' is refused; a config is plain data")
        if event.anchor is not None:
            self.report(event, f"the anchor '&{event.anchor}' is refused; write the value out")

    def enter(self, node: Node, event: Any) -> None:
        if len(self.open) >= MAX_DEPTH:
            self.report(event, f"nested more than {MAX_DEPTH} deep")
            self.done = True
            return
        self.add(node, event)
        self.open.append(node)
        self.key.append(None)

    def add(self, node: Node, event: Any) -> None:
        """Add a node at the current position: as the root, an item, a key or a value."""
        if not self.open:
            self.root = node
            return
        parent = self.open[-1].value
        if isinstance(parent, list):
            parent.append(node)
        elif isinstance(parent, dict):
            key = self.key[-1]
            if key is None:
                self.add_key(event)
            else:
                parent[key] = node
                self.key[-1] = None

    def add_key(self, event: Any) -> None:
        parent = self.open[-1]
        if not isinstance(event, yaml.ScalarEvent):
            self.report(event, "a key must be a single word")
            self.done = True
            return
        if event.value in parent.keys:
            first = parent.keys[event.value].line
            self.report(
                event, f"the key '{event.value}' stands twice; the first is in line {first}"
            )
        parent.keys.setdefault(event.value, _mark(event))
        self.key[-1] = event.value

    def scalar(self, event: yaml.ScalarEvent) -> Node:
        mark = _mark(event)
        is_key = bool(self.open) and isinstance(self.open[-1].value, dict) and self.key[-1] is None
        if event.style or is_key:  # a plain style is '' in the C parser, None in the Python one
            quoted = event.style in ("'", '"')
            start = Mark(mark.line, mark.column + 1) if quoted else None
            return Node(event.value, mark, start=start)
        value, reason = resolve(event.value)
        if reason:
            self.report(event, reason)
        return Node(value, mark, start=mark)


_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_PREFIXED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+\Z")
_BASE_60 = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")


def resolve(text: str) -> tuple[Scalar, str]:
    """The value of an unquoted scalar by the core schema of YAML 1.2, and the reason if it is
    refused, else empty."""
    if text in _NULL:
        return None, ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE, ""
    if _LEADING_ZERO.match(text):
        decimal = text.replace("+", "").lstrip("-0") or "0"
        return text, f"'{text}' may mean octal or decimal; write {decimal}, or quote a string"
    if _BASE_60.match(text):
        return text, f"'{text}' is a base-60 number to some readers; quote it if it is a string"
    if _NOT_FINITE.match(text):
        return text, f"'{text}' is not a finite number; nothing here can be infinite or undefined"
    if len(text) > MAX_DIGITS and (_INT.match(text) or _PREFIXED.match(text)):
        return text, f"a number of {len(text)} digits; at most {MAX_DIGITS} are read"
    if _INT.match(text):
        return int(text), ""
    if _PREFIXED.match(text):
        return int(text, 0), ""
    if _FLOAT.match(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            return text, f"'{text}' is too large for float64"
        return value, ""
    return text, ""
