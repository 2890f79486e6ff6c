"""docs/config.md and docs/paper.md name every key, loss, activation, distribution and function."""

from __future__ import annotations

import re
from typing import Annotated, Any, get_origin, get_type_hints

import pytest
from msgspec import Meta, Struct

from gradcheck_cli.arrays import DISTRIBUTIONS
from gradcheck_cli.config.schema import ConfigFile
from gradcheck_cli.config.schema_parts import ArrayConfig, NumericConfig, ToleranceConfig
from gradcheck_cli.formula import FUNCTIONS
from gradcheck_cli.layers.activations import ACTIVATIONS
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from tests.support.command import ROOT
from tests.support.markdown import cells, put_between

CONFIG = ROOT / "docs" / "config.md"
PAPER = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
TABLES: dict[str, type[Struct]] = {
    "keys": ConfigFile,
    "numeric": NumericConfig,
    "tolerance": ToleranceConfig,
    "arrays": ArrayConfig,
}


def table(record: type[Struct]) -> str:
    """Every key of a record: what may stand there, its default and what it says."""
    rows = ["| key | what may stand there | default | meaning |", "|---|---|---|---|"]
    hints = get_type_hints(record, include_extras=True)
    for name, default in zip(record.__struct_fields__, record.__struct_defaults__, strict=True):
        meaning, expected = described(hints[name])
        cells = (f"`{name}`", expected, shown(default), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def described(hint: Any) -> tuple[str, str]:
    """What the schema says of a key, and what it expects."""
    assert get_origin(hint) is Annotated
    meta = next(one for one in hint.__metadata__ if isinstance(one, Meta) and one.extra)
    assert meta.extra is not None
    assert meta.description is not None
    choices = meta.extra.get("choices")
    if choices is None:
        return meta.description, meta.extra["expected"]
    listed = ", ".join(f"`{choice}`" for choice in choices)
    return meta.description, f"{listed} or code" if meta.extra["or_code"] else listed


def shown(default: Any) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str | int | float):
        return f"`{default}`" if default != "" else ""
    return ""


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_keys_are_those_of_the_schema(
    name: str, request: pytest.FixtureRequest
) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    made = put_between(text, f"<!-- {name} -->\n", table(TABLES[name]))
    if request.config.getoption("--update-golden"):
        CONFIG.write_text(made, encoding="utf-8")
        return
    assert made == text


def test_every_distribution_and_function_is_named() -> None:
    text = CONFIG.read_text(encoding="utf-8")
    sentence = text[text.index("Distributions are") :].split("Every array")[0]
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == set(DISTRIBUTIONS)
    functions = text[text.index("<!-- functions -->") :].split("<!-- end -->")[0]
    assert re.findall(r"`(\w+)`", functions) == sorted(FUNCTIONS)


def test_every_loss_and_activation_is_in_the_page_of_the_paper() -> None:
    assert cells("| loss | ℓ of one sample |", PAPER, 1) == list(LOSSES)
    for activation in ACTIVATIONS.values():
        row = f"| `{activation.name}` | {activation.shown} | {activation.shown_derivative} |"
        assert row in PAPER


def test_every_form_is_in_the_page_of_the_paper() -> None:
    forms = cells("| form | y | x |", PAPER, 1)
    assert [form.split("`")[0] for form in forms] == list(FORMS)
