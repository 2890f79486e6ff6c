"""A Python file in place of a config: a check for each function and class in it with a backward."""

from __future__ import annotations

from pathlib import Path

from gradcheck_cli.config.init.checkable import list_checkable, list_left_out, list_losses
from gradcheck_cli.config.init.definitions import find_definition, read_file, refuse_deep
from gradcheck_cli.config.init.template import Draft, draft_code_config
from gradcheck_cli.errors import UsageError


def list_names(path: str) -> tuple[list[str], list[str]]:
    """The names of the functions and classes of a Python file that are checked, since they have a
    backward; and the names of those that are not, though they look like gradients.

    Raises UsageError where it is not a Python file, or there is nothing to check.
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
    """Draft the config of a function or class in a Python file.

    Returns the draft and its text, which is in the line of the definition, so that errors in it
    point there. Raises UsageError where there is no such name, or it has no backward.
    """
    with refuse_deep(f"{path}:{name}"):
        draft = draft_code_config(None, f"{path}:{name}", Path(path).parent)
    definition = find_definition(read_file(f"{path}:")[2], name)
    return draft, "\n" * (definition.lineno - 1) + f"{{name: {name}, {draft.line[1:]}"
