"""A Python file as a config: a check for what stands in it, each in the line of its definition."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gradcheck_cli.config.init.checkable import list_checkable
from gradcheck_cli.config.init.definitions import find_definition, read_file
from gradcheck_cli.config.init.template import Draft, draft_code_config
from gradcheck_cli.errors import UsageError


def draft_checks(path: str, name: str = "") -> dict[str, Draft]:
    """What is read of a Python file, by the names of the functions and classes; it is not run.

    name: of the one that is checked; all that have a backward, if none is given.
    Raises UsageError where there is none.
    """
    names = [name] if name else list_checkable(path)
    if not names:
        raise UsageError(f"'{path}' has no function or class with a backward or gradients")
    return {one: draft_code_config(None, f"{path}:{one}", Path(path).parent) for one in names}


def write_checks(path: str, drafts: Mapping[str, Draft]) -> str:
    """The text of a config of these checks."""
    tree = read_file(f"{path}:")[2]
    line, text = 1, "checks: ["
    for name, draft in drafts.items():
        definition = find_definition(tree, name)
        text += "\n" * (definition.lineno - line) + f"{{name: {name}, {draft.line[1:]}, "
        line = definition.lineno
    return text + "]"
