"""The JSON Schema of a config, from the types that validate it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gradcheck_cli.result import SCHEMA_VERSION

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_config_schema() -> str:
    """The schema by which editors complete and underline configs."""
    from gradcheck_cli.config.schema import ConfigFile

    return render_schema("config", "A config of gradcheck", ConfigFile)


def render_schema(name: str, title: str, kind: Any) -> str:
    """The JSON Schema of a type, as text that ends with a newline; name: of its $id."""
    id = f"urn:gradcheck-cli:{name}:{SCHEMA_VERSION}"  # a URN, as it is at no address yet
    whole = {"$schema": DIALECT, "$id": id, "title": title, **msgspec.json.schema(kind)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
