"""`--set KEY=VALUE` and `--seeds K`: values from the command line that override a config.

Axes of a matrix set dotted keys in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.config.findings import SET, ConfigError, Finding, Mark
from gradcheck_cli.config.schema import CHECKS_KEY, MATRIX_KEY
from gradcheck_cli.config.yaml_tree import Node, parse

SEED = "inputs.seed"
# Keys that concern the whole file, so that they cannot differ between the checks of a matrix.
WHOLE_FILE_KEYS = ("version", "name", MATRIX_KEY, CHECKS_KEY)


if TYPE_CHECKING:
    from gradcheck_cli.config.project import Project


class Override(Struct, frozen=True):
    """A `--set`: a dotted key and its value, with their places in the argument."""

    key: str
    mark: Mark
    node: Node


class Overrides(Struct, frozen=True):
    """The values from the command line and the project for every check of every config.

    seeds: the number of seeds with which each check is run, from its own on.
    words: the options as given, for the command that runs a check again.
    one_seed: the options that undo the seeds of a project in that command.
    tolerance: by key, the default for checks whose config does not have the key.
    """

    sets: Sequence[Override] = ()
    seeds: int = 1
    words: tuple[str, ...] = ()
    one_seed: tuple[str, ...] = ()
    tolerance: Mapping[str, float] = {}

    @property
    def defaults(self) -> Node:
        """The keys that checks inherit, as if they were at the top of their config."""
        nowhere = Mark(1, 1)
        values = {key: Node(value, nowhere) for key, value in self.tolerance.items()}
        keys = dict.fromkeys(values, nowhere)
        tolerance = {"tolerance": Node(dict(values), nowhere, keys)} if values else {}
        return Node(dict(tolerance), nowhere, dict.fromkeys(tolerance, nowhere))


NOTHING_SET = Overrides()


def read_overrides(
    arguments: Sequence[str],
    seed: int | None = None,
    seeds: int = 1,
    project: Project | None = None,
) -> Overrides:
    """The overrides of a command line; the last one for a key wins.

    arguments: of `--set`; project: gives the default tolerance.
    Raises ConfigError with all errors in the arguments.
    """
    given = [*arguments, *[f"{SEED}={seed}"] * (seed is not None)]
    found: dict[str, Override] = {}
    broken = []
    for argument in given:
        try:
            override = _read(argument)
            found[override.key] = override
        except ConfigError as error:
            broken.append(error)
    if broken:
        raise ConfigError.join(broken)
    words = [word for argument in arguments for word in (SET, argument)]
    words += ["--seed", str(seed)] if seed is not None else []
    return Overrides(
        sets=list(found.values()),
        seeds=seeds,
        words=tuple(words),
        one_seed=("--seeds", "1") if project is not None and project.seeds else (),
        tolerance=project.tolerance.list_given() if project is not None else {},
    )


def _read(argument: str) -> Override:
    key, equals, text = argument.partition("=")
    key = key.strip()
    mark = Mark(1, 1, max(1, len(key)), argument or " ")
    if not equals or not all(key.split(".")):
        message = "expected KEY=VALUE, such as loss=huber or shapes.n=8"
        raise ConfigError(SET, argument, [Finding(mark, message)])
    before = argument.index("=") + 1

    def here(mark: Mark) -> Mark:
        column = mark.column + before * (mark.line == 1)
        return Mark(mark.line, column, mark.length, argument)

    if not text.strip() or text.lstrip().startswith("#"):
        return Override(key, mark, Node(None, here(Mark(1, 1))))
    try:
        return Override(key, mark, _move(parse(text, SET), here))
    except ConfigError as error:
        findings = [replace(finding, mark=here(finding.mark)) for _, finding in error.places]
        raise ConfigError(SET, argument, findings) from error


def _move(node: Node, here: Callable[[Mark], Mark]) -> Node:
    """The node, with its places in the whole argument in place of those in the value."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _move(child, here) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_move(child, here) for child in value]
    keys = {key: here(mark) for key, mark in node.keys.items()}
    return Node(value, here(node.mark), keys, here(node.start) if node.start else None)


def apply_sets(node: Node, sets: Sequence[Override], findings: list[Finding]) -> Node:
    """The mapping of a check with the overrides; a key that cannot be set is a finding."""
    for override in sets:
        if may_be_set(override.key, override.mark, findings):
            node = set_value(node, override.key, override.node, override.mark, findings)
    return node


def may_be_set(key: str, mark: Mark, findings: list[Finding]) -> bool:
    """Whether a dotted key can be an axis or be set; if not, this is a finding."""
    first, *rest = key.split(".")
    if first in WHOLE_FILE_KEYS:
        findings.append(Finding(mark, f"'{first}' cannot be set for checks one by one"))
        return False
    if not first or not all(rest):
        findings.append(Finding(mark, f"'{key}' is no dotted key, such as shapes.n"))
        return False
    return True


def set_value(node: Node, key: str, value: Node, mark: Mark, findings: list[Finding]) -> Node:
    """A mapping with a value at a dotted key; mappings that are missing on its path are made.

    A value on the path that is not a mapping is a finding.
    """
    first, _, rest = key.partition(".")
    assert isinstance(node.value, dict)
    if not rest:
        keys = {**node.keys, first: mark}
        return Node({**node.value, first: value}, node.mark, keys, shared=node.shared - {first})
    inner = node.value.get(first)
    if inner is None or inner.value is None:
        inner = Node({}, mark)
    if not isinstance(inner.value, dict):
        message = f"'{first}' is {inner.describe()}, which has no key '{rest}'"
        findings.append(Finding(mark, message))
        return node
    child = set_value(inner, rest, value, mark, findings)
    keys = {**node.keys, first: node.keys.get(first, mark)}
    return Node({**node.value, first: child}, node.mark, keys, shared=node.shared)
