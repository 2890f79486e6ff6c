"""YAML with positions: 1.2 scalars, places, and what is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.yaml_tree import MAX_BYTES, decode, parse, resolve

SCALARS = {
    "1e-6": 1e-6,
    "1E6": 1e6,
    "-.5": -0.5,
    "1.": 1.0,
    "0": 0,
    "-12": -12,
    "+3": 3,
    "0x1F": 31,
    "0o17": 15,
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "yes": "yes",
    "on": "on",
    "no": "no",
    "1_000": "1_000",
    "2026-01-01": "2026-01-01",
    "=": "=",
    "X.T @ delta": "X.T @ delta",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_yaml_1_2(text: str) -> None:
    value = parse(f"key: {text}", "c.yaml").plain()["key"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", ["'1e-6'", '"true"', "'010'", '"1:30"'])
def test_quoted_scalars_are_strings(text: str) -> None:
    assert parse(f"key: {text}", "c.yaml").plain()["key"] == text[1:-1]


REFUSED = {
    "a: 010": "1:4: error: '010' may mean octal or decimal; write 10, or quote a string",
    "a: 1:30": "1:4: error: '1:30' is a base-60 number to some readers",
    "a: .nan": "1:4: error: '.nan' is not a finite number",
    "a: -.inf": "1:4: error: '-.inf' is not a finite number",
    "a: 1e999": "1:4: error: '1e999' is too large for float64",
    "a: 1\nb: 2\na: 3": "3:1: error: the key 'a' stands twice; the first is in line 1",
    "a: &x 1\nb: *x": "2:4: error: the alias '*x' is refused; write the value out",
    "a: !!python/object:os.system x": "error: the tag",
    "a: !mine 1": "1:4: error: the tag '!mine' is refused; a config is plain data",
    "a:\n\tb: 1": "2:1: error: a tab stands where spaces are expected; indent with spaces",
    "": "1:1: error: the file is empty",
    "# only a comment\n": "1:1: error: the file is empty",
    "a: 1\n---\nb: 2": "2:1: error: a second document",
    "? [a, b]\n: 1": "1:3: error: a key must be a single word",
    "a: [1, 2": "error: this is not YAML",
    "a: b: c": "error: this is not YAML",
    "a: \x07": "error: the character U+0007 is not allowed in YAML; remove it",
    "[" * 30: "error: nested more than 20 deep",
    "a: " + "9" * 5000: "error: a number of 5000 digits; at most 40 are read",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20])
def test_what_is_refused_gets_its_sentence_and_its_place(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "c.yaml")
    assert REFUSED[text] in str(raised.value)
    assert str(raised.value).startswith("c.yaml:")


def test_every_node_knows_its_place() -> None:
    root = parse("é: 1\nshapes: {n: 8,\n  W: [5, 3]}\n", "c.yaml")
    sizes = root.child("shapes", "W")
    assert sizes is not None
    assert (sizes.mark.line, sizes.mark.column) == (3, 6)
    assert isinstance(sizes.value, list)
    assert [(item.mark.line, item.mark.column) for item in sizes.value] == [(3, 7), (3, 10)]
    assert (root.keys["shapes"].line, root.keys["shapes"].column) == (2, 1)


def test_a_file_that_is_too_large_or_not_utf_8_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the file has 5\.0 MiB; at most 4 are read"):
        decode(b" " * (MAX_BYTES + 2**20), "c.yaml")
    with pytest.raises(ConfigError, match=r"c\.yaml:2:4: error: the file is not UTF-8: byte 0xff"):
        decode(b"a: 1\nb: \xff", "c.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse(decode(b"\xef\xbb\xbfa: 1", "c.yaml"), "c.yaml").plain() == {"a": 1}


@given(st.text(max_size=60))
def test_any_text_is_a_tree_or_a_config_error(text: str) -> None:
    try:
        parse(text, "c.yaml")
    except ConfigError as error:
        assert "c.yaml:" in str(error)


@given(st.text("0123456789+-._eExo:", max_size=12))
def test_scalars_that_are_numbers_here_are_the_same_numbers_in_python(text: str) -> None:
    value, reason = resolve(text)
    if isinstance(value, float) and not reason:
        assert value == float(text)


def test_the_parser_does_not_need_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    root = parse("form: XW\nshapes: {n: 8, W: [5, 3]}\nname: '8'\n", "c.yaml")
    assert root.plain() == {"form": "XW", "shapes": {"n": 8, "W": [5, 3]}, "name": "8"}
