"""Describe the keys of a config: their purpose, and which values they may have."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, get_origin, get_type_hints

from msgspec import Meta, Struct

from gradcheck_cli.text import join_words


def one_of(*choices: Any, doc: str, or_code: bool = False) -> Meta:
    """A value from a list of choices; or_code: or code, such as layers.py:name."""
    schema: dict[str, Any] = {"enum": list(choices)}
    return Meta(
        description=doc,
        extra_json_schema={"anyOf": [schema, {"pattern": ":"}]} if or_code else schema,
        extra={
            "expected": join_words([str(choice) for choice in choices], "or"),
            "choices": choices,
            "or_code": or_code,
        },
    )


def key(doc: str, expected: str, **bounds: Any) -> Meta:
    """A value of the annotated type, within bounds; expected: its description in errors."""
    return Meta(description=doc, extra={"expected": expected}, **bounds)


@cache
def list_hints(kind: type[Struct]) -> dict[str, Any]:
    """The types of the fields of a record, with their descriptions by `one_of` and `key`."""
    return get_type_hints(kind, include_extras=True)


def find_meta(hint: Any) -> dict[str, Any]:
    """The description of a type by `one_of` or `key`; empty if it has none."""
    if get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, Meta) and extra.extra:
                return dict(extra.extra)
    return {}
