"""The JSON Schema of a config, from the types that validate it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gradcheck_cli.report import SCHEMA_VERSION

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_config_schema() -> str:
    """The schema with which editors complete configs and mark errors."""
    from gradcheck_cli.config.schema import ConfigFile
    from gradcheck_cli.config.schema_parts import ArrayConfig

    schema = msgspec.json.schema(ConfigFile)
    array = msgspec.json.schema(ArrayConfig)["$defs"]["ArrayConfig"]
    for record in schema["$defs"].values():
        if "inputs" in record["properties"]:
            # Arrays may have any name, and may be nested.
            record["properties"]["inputs"]["additionalProperties"] = {
                "description": "A shape, inline numbers, a .npy or .csv file, or how it is drawn.",
                "type": ["array", "string", "number", "object"],
                "properties": array["properties"],
            }
    return render_schema("config", "A config of gradcheck", schema)


def render_schema(name: str, title: str, schema: dict[str, Any]) -> str:
    """A JSON Schema as text that ends with a newline; name: of its $id."""
    id = f"urn:gradcheck-cli:{name}:{SCHEMA_VERSION}"  # a URN, as it is at no address yet
    whole = {"$schema": DIALECT, "$id": id, "title": title, **schema}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
