"""The JSON Schema of a config, from the types that validate it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_config_schema() -> str:
    """The schema by which editors complete and underline configs."""
    from gradcheck_cli.config.schema import ConfigFile

    return render_schema("A config of gradcheck", ConfigFile)


def render_schema(title: str, kind: Any) -> str:
    """The JSON Schema of a type, as text that ends with a newline."""
    whole = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
