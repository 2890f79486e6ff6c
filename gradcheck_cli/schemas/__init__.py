"""JSON Schemas of what gradcheck reads and writes, made from the types that validate and encode.

The files beside this module are what is published; `made` makes them, and a test compares.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(which: str) -> str:
    """The text of a published schema: of a `config`, a `report`, or the `lines` of JSONL."""
    return files(__name__).joinpath(f"{which}.json").read_text(encoding="utf-8")


def made(which: str) -> str:
    """The schema as the types have it."""
    import msgspec

    from gradcheck_cli.config.schema import ConfigFile
    from gradcheck_cli.reporters.jsonl import CheckLine, SummaryLine
    from gradcheck_cli.result import SuiteReport

    types: dict[str, tuple[str, Any]] = {
        "config": ("A config of gradcheck", ConfigFile),
        "report": ("A report of gradcheck in JSON", SuiteReport),
        "lines": ("A line of a report of gradcheck in JSONL", CheckLine | SummaryLine),
    }
    title, kind = types[which]
    whole = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
