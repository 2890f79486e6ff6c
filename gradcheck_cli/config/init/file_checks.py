"""A Python file as a config: a check for what stands in it, each in the line of its definition."""

from __future__ import annotations

from pathlib import Path

from gradcheck_cli.config.init.checkable import list_checkable, list_left_out, list_losses
from gradcheck_cli.config.init.definitions import find_definition, read_file, refuse_deep
from gradcheck_cli.config.init.template import Draft, draft_code_config
from gradcheck_cli.errors import UsageError


def list_names(path: str) -> tuple[list[str], list[str]]:
    """What is checked in a Python file: the functions and classes that have a backward; and what
    else in it is called like a gradient.

    Raises UsageError where it is no Python file, or there is nothing to check.
    """
    read_file(f"{path}:")
    with refuse_deep(path):
        names = list(dict.fromkeys(list_checkable(path) or list_losses(path)))
        left_out = list_left_out(path, names)
    if not names:
        raise UsageError(
            f"'{path}' has no function or class with a backward or gradients; where their names do "
            "not tell, `gradcheck init --forward FILE:NAME --backward NAME` writes a config, and "
            "`gradcheck init --value-and-grad FILE:NAME` of a function that returns both"
        )
    return names, left_out


def draft_check(path: str, name: str) -> tuple[Draft, str]:
    """What is read of a function or class in a Python file, and the text of its config.

    Raises UsageError where it is not there, or has no backward.
    """
    with refuse_deep(f"{path}:{name}"):
        draft = draft_code_config(None, f"{path}:{name}", Path(path).parent)
    definition = find_definition(read_file(f"{path}:")[2], name)
    return draft, "\n" * (definition.lineno - 1) + f"{{name: {name}, {draft.line[1:]}"
