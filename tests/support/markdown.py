"""The console blocks of a page: a command, and what it prints."""

from __future__ import annotations

import re
from pathlib import Path

_BLOCK = re.compile(r"^```console\n\$ (.*?)\n```$", re.S | re.M)
_HEREDOC = re.compile(r"\A(.*?<<'(\w+)'[^\n]*\n.*?\n\2)(?:\n|\Z)(.*)\Z", re.S)


def console_blocks(path: Path) -> list[tuple[str, str]]:
    """Every console block: its command (with a here-document, if it has one) and its output."""
    return [_divide(block) for block in _BLOCK.findall(path.read_text(encoding="utf-8"))]


def _divide(block: str) -> tuple[str, str]:
    heredoc = _HEREDOC.match(block)
    if heredoc:
        return heredoc[1], heredoc[3]
    # A command goes on while a quote is open.
    lines = block.split("\n")
    length = next(
        count for count in range(1, len(lines) + 1) if "\n".join(lines[:count]).count("'") % 2 == 0
    )
    return "\n".join(lines[:length]), "\n".join(lines[length:])
