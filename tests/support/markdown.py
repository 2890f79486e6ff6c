"""The parts of a page that tests look at: console blocks, tables, what stands between marks."""

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


def cells(heading: str, text: str, column: int) -> list[str]:
    """A column of the table under a header row that begins with `heading`."""
    rows = text[text.index(heading) :].splitlines()[2:]
    found = [row.split("|")[column].strip() for row in rows[: rows.index("")]]
    return [cell.strip("`") for cell in found]


def put_between(text: str, start: str, part: str, end: str = "<!-- end -->") -> str:
    """The text with `part` between a mark and the end after it."""
    before, rest = text.split(start)
    return f"{before}{start}{part}{end}{rest.split(end, 1)[1]}"


def without_rounding(text: str) -> str:
    """What is the same on every machine: no times, no rounding errors, no last digits."""
    text = re.sub(r"\d+\.\d\d s\b", "0.00 s", text)
    text = re.sub(r"\b\d(\.\d)?e-\d\d\b", "0e-00", text)
    # An error over what is allowed, which is rounding, too.
    text = re.sub(r"\b\d\.\de\+\d\d\b", "0e+00", text)
    text = re.sub(r"^ *(1|1e-\d\d)? [┤│].*$", "(a drawing)", text, flags=re.M)
    # An error that is exactly 0 on one machine is a rounding on another, in a wider column.
    text = re.sub(r"──+", "──", re.sub(r"(?<=\S)   +", "  ", text))
    text = re.sub(r"(?<=  )0(?=  )", "0e-00", text)
    return re.sub(r"(\d\.\d{8})\d+", r"\1", text)
