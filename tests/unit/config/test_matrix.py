"""A matrix is a check for every combination, named readably; the command line sets and pins."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcheck_cli.config.builders.check import ConfigCheck
from gradcheck_cli.config.findings import ConfigError
from gradcheck_cli.config.load import read_config
from gradcheck_cli.config.overrides import Overrides, read_overrides
from gradcheck_cli.layers.paper import Layer

MATRIX = """\
form: XW
name: batch
shapes: {N: 5, M: 3}
matrix:
  reduction: [sum, mean]
  shapes.n: [1, 8]
  exclude:
  - {reduction: sum, shapes.n: 1}
"""


def read(text: str, *sets: str, seed: int | None = None, seeds: int = 1) -> list[ConfigCheck]:
    return read_config(text, "c.yaml", overrides=read_overrides(sets, seed, seeds))


def ids(checks: list[ConfigCheck]) -> list[str]:
    return [check.id for check in checks]


def layer(check: ConfigCheck) -> Layer:
    assert isinstance(check.layer, Layer)
    return check.layer


def refused(text: str, *sets: str, seeds: int = 1) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, *sets, seeds=seeds)
    return str(caught.value)


def test_a_check_for_every_combination_but_the_excluded_ones() -> None:
    checks = read(MATRIX)
    assert ids(checks) == [
        "batch[reduction=sum,n=8]",
        "batch[reduction=mean,n=1]",
        "batch[reduction=mean,n=8]",
    ]
    assert [(layer(check).reduction, layer(check).sizes["n"]) for check in checks] == [
        ("sum", 8),
        ("mean", 1),
        ("mean", 8),
    ]


def test_combinations_are_excluded_by_few_sets_of_axes() -> None:
    values = ", ".join(map(str, range(1, 91)))
    axes = f"shapes.n: [{values}], shapes.N: [{values}]"
    pairs = [f"{{shapes.n: {n}, shapes.N: {m}}}" for n in range(1, 91) for m in range(2, 91)]
    text = f"form: XW\nshapes: {{M: 3}}\nmatrix: {{{axes}, exclude: [{', '.join(pairs)}]}}"
    assert len(read(text)) == 90
    keys = [f"inputs.{name}.scale" for name in "abcdefg"]
    some = [[key for bit, key in enumerate(keys) if which >> bit & 1] for which in range(1, 128)]
    excluded = ["{" + ", ".join(f"{key}: 1" for key in of) + "}" for of in some]
    axes = ", ".join(f"{key}: [1, 2]" for key in keys)
    text = f"form: XW\nmatrix: {{{axes}, exclude: [{', '.join(excluded)}]}}"
    assert "'exclude' combines axes in 127 ways; at most 100 are allowed" in refused(text)


def test_items_of_checks_inherit_a_matrix_and_add_axes() -> None:
    text = MATRIX + "checks:\n- {name: a}\n- {name: b, matrix: {loss: [huber, cosine]}}\n- {}\n"
    found = ids(read(text))
    assert len(found) == 3 + 6 + 3
    assert "b[reduction=mean,n=1,loss=cosine]" in found
    assert "batch[3][reduction=mean,n=1]" in found


def test_axes_with_the_same_last_key_keep_all_of_it() -> None:
    axes = "{inputs.W.scale: [2], inputs.X.scale: [3]}"
    text = f"form: XW\nshapes: {{n: 2, N: 5, M: 3}}\nmatrix: {axes}"
    (check,) = read(text)
    assert check.id == "c[inputs.W.scale=2,inputs.X.scale=3]"


def test_long_values_are_named_by_their_position() -> None:
    rules = ["X.T @ delta", "(delta.T @ X).T", "X.T @ delta * 1"]
    text = f"form: XW\nshapes: {{n: 2, N: 5, M: 3}}\nmatrix: {{backward.W: {rules}}}"
    checks = read(text)
    assert ids(checks) == ["c[W=#1]", "c[W=#2]", "c[W=#3]"]
    assert layer(checks[1]).own_rules["W"] == "(delta.T @ X).T"


def test_an_axis_may_be_a_whole_mapping_or_a_list() -> None:
    text = "form: XW\nmatrix: {shapes: [{n: 2, N: 5, M: 3}, {n: 3, N: 5, M: 3}]}"
    assert ids(read(text)) == ["c[shapes=#1]", "c[shapes=#2]"]
    text = "form: XW\nmatrix: {shapes.X: [[2, 3], [4, 5]]}\nshapes: {M: 2}"
    assert ids(read(text)) == ["c[X=2x3]", "c[X=4x5]"]


@given(
    st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(["sum", "mean"]), min_size=1, max_size=2, unique=True),
    st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
)
def test_ids_are_unique_and_tell_the_values(
    n: list[int], reduction: list[str], M: list[int]
) -> None:
    axes = f"{{shapes.n: {n}, reduction: {reduction}, shapes.M: {M}}}"
    checks = read(f"form: XW\nshapes: {{N: 2}}\nmatrix: {axes}")
    assert len(set(ids(checks))) == len(checks) == len(n) * len(reduction) * len(M)
    for check in checks:
        found = re.fullmatch(r"c\[n=(\d+),reduction=(\w+),M=(\d+)\]", check.id)
        assert found is not None
        of = layer(check)
        assert (of.sizes["n"], of.reduction, of.sizes["M"]) == (
            int(found[1]),
            found[2],
            int(found[3]),
        )


def test_set_wins_over_what_the_config_says_and_makes_what_is_missing() -> None:
    (check,) = read("form: XW\nshapes: {n: 8, N: 5, M: 3}", "shapes.n=2", "inputs.W.scale=1e-3")
    assert layer(check).sizes["n"] == 2
    assert "W" in layer(check).sources


def test_set_reads_scalars_as_a_config_does() -> None:
    (check,) = read("form: XW\nshapes: {n: 8, N: 5, M: 3}", "tolerance.rtol=1e-6", "jacobian=true")
    assert (check.tolerance.rtol, layer(check).jacobian) == (1e-6, True)


def test_set_of_an_axis_pins_it() -> None:
    assert ids(read(MATRIX, "shapes.n=8")) == [
        "batch[reduction=sum,n=8]",
        "batch[reduction=mean,n=8]",
    ]
    assert ids(read(MATRIX, "shapes.n=4", "reduction=sum")) == ["batch[reduction=sum,n=4]"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (
            "shapez.n=3",
            "--set:1:1: error: unknown key 'shapez'; did you mean 'shapes'?\n  | shapez.n=3",
        ),
        ("reduction=avg", "--set:1:11: error: 'reduction' must be sum or mean, got 'avg'"),
        ("shapes.n=0", "--set:1:10: error: 'n' must be a whole number of 1 or more, got 0"),
        ("loss", "--set:1:1: error: expected KEY=VALUE, such as loss=huber"),
        ("=3", "--set:1:1: error: expected KEY=VALUE"),
        ("shapes.=3", "--set:1:1: error: expected KEY=VALUE"),
        ("checks=[]", "--set:1:1: error: 'checks' cannot be set for checks one by one"),
        ("form.x=3", "--set:1:1: error: 'form' is 'XW', which has no key 'x'"),
        ("shapes={n: 010}", "--set:1:12: error: '010' may mean octal"),
        ("backward.W=X @ delta", "--set:1:12: error: 'X @ delta'"),
        ("loss=", "--set:1:6: error: 'loss' must be"),
        ("loss=# huber", "--set:1:6: error: 'loss' must be"),
        ("name=\udcff", "--set:1:6: error: the character U+DCFF is not allowed in YAML"),
    ],
)
def test_what_is_wrong_with_set_is_told_like_a_config(argument: str, said: str) -> None:
    assert said in refused("form: XW\nshapes: {n: 8, N: 5, M: 3}", argument)


def test_what_is_wrong_with_set_is_told_once_for_many_configs() -> None:
    from gradcheck_cli.config.load import load

    overrides = read_overrides(["shapez.n=3"])
    with pytest.raises(ConfigError) as caught:
        load(["configs/mean.yaml", "configs/batch.yaml"], lambda text: None, overrides=overrides)
    assert (caught.value.count, str(caught.value).count("shapez")) == (1, 2)


def test_seeds_are_an_axis_from_the_own_seed_on() -> None:
    checks = read(MATRIX, "shapes.n=8", "reduction=mean", "inputs.seed=5", seeds=3)
    assert ids(checks) == [f"batch[reduction=mean,n=8,seed={seed}]" for seed in (5, 6, 7)]
    assert [layer(check).seed for check in checks] == [5, 6, 7]
    assert ids(read("form: Wx\nshapes: {N: 2, M: 2}", seed=9)) == ["c"]
    (check,) = read("form: Wx\nshapes: {N: 2, M: 2}", seed=9)
    assert (layer(check).seed, check.words) == (9, ("--seed", "9"))
    text = "form: Wx\nshapes: {N: 2, M: 2}\nmatrix: {inputs.seed: [1, 2]}"
    assert "'inputs.seed' is an axis of the matrix" in refused(text, seeds=2)
    assert ids(read(text, seed=2)) == ["c[seed=2]"]


def test_a_check_of_seeds_is_found_again_by_its_own_options() -> None:
    for check in read(MATRIX, "loss=huber", seeds=2):
        assert check.select is not None
        sets = [check.words[i + 1] for i, word in enumerate(check.words) if word == "--set"]
        seed = int(check.words[check.words.index("--seed") + 1])
        (again,) = [one for one in read(MATRIX, *sets, seed=seed) if one.id == check.select]
        assert layer(again) == layer(check)


def test_a_config_may_not_have_too_many_checks() -> None:
    text = "form: Wx\nshapes: {N: 1, M: 1}\nchecks:\n" + "- {}\n" * 10_003
    assert (
        refused(text)
        .splitlines()[0]
        .endswith(":10004:3: error: a config may have 10,000 checks; from here on there are more")
    )


def test_nothing_set_changes_nothing() -> None:
    for path in sorted(Path("configs").glob("*.yaml")):
        text = path.read_text()
        assert read_config(text, str(path)) == read_config(text, str(path), overrides=Overrides())


def test_an_axis_of_too_many_values_is_refused_at_once() -> None:
    values = ", ".join(map(str, range(1, 40_001)))
    start = time.process_time()
    text = refused(f"form: XW\nshapes: {{N: 5, M: 3}}\nmatrix: {{shapes.n: [{values}]}}")
    assert "these are 40,000 checks" in text
    assert time.process_time() - start < 20  # it took minutes when values were compared in pairs


def test_a_matrix_of_too_many_axes_is_refused() -> None:
    axes = ", ".join(f"inputs.a{i}.scale: [1]" for i in range(17))
    assert "'matrix' has 17 axes; at most 16" in refused(f"form: XW\nmatrix: {{{axes}}}")


def test_many_checks_with_a_long_inline_array_are_read_in_the_time_of_one() -> None:
    row = ", ".join("1" for _ in range(20_000))
    seeds = ", ".join(map(str, range(500)))
    text = (
        f"form: xW\nshapes: {{M: 1}}\ninputs: {{x: [[{row}]]}}\nmatrix: {{inputs.seed: [{seeds}]}}"
    )
    start = time.process_time()
    assert len(read(text)) == 500
    assert time.process_time() - start < 10  # 25 s when every check read its own


@pytest.mark.parametrize(
    "value", ["1" * 5000, "-" + "1" * 5000, "0x" + "1" * 5000, "1e" + "9" * 5000]
)
def test_numbers_of_thousands_of_digits_cannot_be_set(value: str) -> None:
    with pytest.raises(ConfigError, match=r"at most 40 are read|too large for float64"):
        read_overrides([f"shapes.n={value}"])
