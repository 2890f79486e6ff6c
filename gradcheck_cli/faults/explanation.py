"""The text of `gradcheck explain GC103`: the entry of a fault in the catalogue."""

from __future__ import annotations

import re
import textwrap

from gradcheck_cli.errors import UsageError


def is_fault_code(word: str) -> bool:
    """Whether a word looks like a code of the catalogue of faults."""
    return re.fullmatch(r"GC\d+", word, re.IGNORECASE) is not None


def explain_fault(code: str) -> str:
    """The entry of a fault in the catalogue as text. Raises UsageError for an unknown code."""
    from gradcheck_cli.faults.catalogue import FAULTS

    fault = FAULTS.get(code.upper())
    if fault is None:
        codes = sorted(FAULTS)
        raise UsageError(f"there is no fault {code}; there are {codes[0]} to {codes[-1]}")
    parts = [
        ("How it usually happens", fault.cause),
        ("Example", fault.example),
        ("What to do", fault.next_step),
        ("What a check needs to see it", fault.remedy),
    ]
    lines = [f"{fault.code}: {fault.title}", ""]
    for title, text in parts:
        if text:
            lines += [title, *textwrap.wrap(text, 78, initial_indent="  ", subsequent_indent="  ")]
            lines.append("")
    return "\n".join(lines)
