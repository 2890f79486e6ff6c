"""Cases that know the structure of what they break: configs, formulas, array files, options.

Each is made of a seed and a number alone, so that it can be made again.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
from msgspec import Struct

from gradcheck_cli.arrays import DISTRIBUTIONS
from gradcheck_cli.cli.main import cli
from gradcheck_cli.formula import FUNCTIONS
from gradcheck_cli.layers.activations import ACTIVATIONS
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.reporters import FORMATS

CONFIGS = Path(__file__).parent.parent.parent / "configs"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(CONFIGS.glob("*.yaml"))]
NAMES: dict[str, tuple[int, ...] | float] = {
    **{"X": (4, 5), "W": (5, 3), "delta": (4, 3), "y": (4, 3), "x": (5,), "s": ()},
    **{"n": 4, "N": 5, "M": 3, "half": 0.5},
}
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**40, 10**4000),
    *(0.0, -0.0, 1e-308, 1e308, 5e-324, math.inf, -math.inf, math.nan),
    *("", " ", "\0", "\n", "\x1b[31m", "\x9b", "\u202e", "::error::x", "##[group]", "\udc80"),
    *("a\0.csv", "../../etc/passwd", "/dev/zero", "/dev/stdin", "~", "-", "nan", "auto"),
    *("x" * 3000, "९", "ﬁ", "1e999", "010", "1:30", "*a", "&a", "!!python/object:os.system"),
    *([], {}, [[]], [[[]]], {"": None}, [1, "a", None], {"a": {"b": {"c": {}}}}),
]


class Case(Struct, frozen=True):
    """What is fed to the program. kind: a key of KINDS; what: the text, the bytes or the words."""

    kind: str
    what: Any


def make_case(seed: int, number: int) -> Case:
    """The case of this number."""
    random = Random(f"{seed}/{number}")
    (kind,) = random.choices(list(KINDS), SHARES)
    return Case(kind, KINDS[kind](random))


# -- configs --------------------------------------------------------------------------------


def make_config(random: Random) -> str:
    """A config with some of its nodes replaced, or the text of a config with some of it cut."""
    if random.random() < 0.2:
        return break_text(random, random.choice(TEXTS))
    tree = make_tree(random)
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        tree = break_tree(random, tree)
    text = json.dumps(tree, ensure_ascii=False).replace("NaN", ".nan").replace("Infinity", ".inf")
    text = text.encode("utf-8", "replace").decode()[:LONGEST]
    return break_text(random, text) if random.random() < 0.2 else text


def make_tree(random: Random) -> dict[str, Any]:
    """A config that is right, but for its formulas."""

    def size() -> int:
        return random.choice((1, 1, 2, 3, 4))

    common = {
        "dtype": random.choice(("float64", "float32")),
        "numeric": {
            "order": random.choice(("auto", 2, 4, 6)),
            "step": random.choice(("auto", 1e-5, 1e-300, 1e10)),
            "mode": random.choice(("auto", "entries", "directions")),
            "sample": random.choice((1, 2, 10**9)),
        },
        "tolerance": {"rtol": random.choice((1e-9, 1e-3)), "atol": random.choice((0, 1, 1e300))},
        "expect": random.choice(("pass", "fail")),
        "matrix": {"inputs.seed": [0, 1], "dtype": ["float64", "float32"]},
        "checks": [{"name": "a"}, {"name": "b", "expect": "fail"}],
    }
    extra = {key: common[key] for key in random.sample(list(common), random.choice((0, 1, 2)))}
    array = {
        "distribution": random.choice(list(DISTRIBUTIONS)),
        "scale": random.choice((1, 0, -1, 1e-300, 1e300)),
        "offset": random.choice((0, 1e16)),
    }
    if random.random() < 0.5:
        return {
            "form": random.choice(list(FORMS)),
            "shapes": {"n": size(), "N": size(), "M": size()},
            "loss": random.choice(list(LOSSES)),
            "activation": random.choice(list(ACTIVATIONS)),
            "bias": random.choice((True, False)),
            "jacobian": random.choice((True, False)),
            "reduction": random.choice(("sum", "mean")),
            "delta": random.choice(("total", "per-sample")),
            "inputs": {"seed": random.choice((0, 7)), "W": array},
            "backward": {"W": make_formula(random)},
            **extra,
        }
    shape = [size() for _ in range(random.choice((0, 1, 2, 3)))]
    return {
        "forward": make_formula(random, 2),
        "backward": {"x": make_formula(random, 2), "W": make_formula(random, 2)},
        "inputs": {"x": shape, "W": {"shape": [size(), size()], **array}},
        "shapes": {"n": size(), "N": size(), "M": size()},
        "constants": {"s": 2.0, "mask": {"shape": shape, "distribution": "mask"}},
        **extra,
    }


def break_tree(random: Random, node: Any) -> Any:
    """The tree with one node, somewhere, replaced, dropped, doubled, renamed or buried."""
    if isinstance(node, dict) and node and random.random() < 0.85:
        key = random.choice(list(node))
        changed = dict(node)
        action = random.random()
        if action < 0.75:
            changed[key] = break_tree(random, node[key])
        elif action < 0.85:
            del changed[key]
        else:
            changed[str(random.choice(HOSTILE))] = changed.pop(key)
        return changed
    if isinstance(node, list) and node and random.random() < 0.6:
        place = random.randrange(len(node))
        return [*node[:place], break_tree(random, node[place]), *node[place + 1 :]]
    if random.random() < 0.1:
        for _ in range(random.choice((1, 5, 30))):
            node = [node] if random.random() < 0.5 else {"a": node}
        return node
    if random.random() < 0.1:
        return [node] * random.choice((2, 20, 200))
    return random.choice(HOSTILE)


def break_text(random: Random, text: str) -> str:
    """The text with a part cut, doubled, moved or overwritten."""
    for _ in range(random.choice((1, 1, 2, 4))):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 1, 1, 3, 10, 100)))
        part = text[start:end]
        new = random.choice(("", part * 2, part[::-1], random.choice('[]{}:,#&*!|>%@`"\n\t\0\x1b')))
        text = text[:start] + new + text[end:]
    return text


# -- formulas -------------------------------------------------------------------------------


def make_formula(random: Random, depth: int = 4) -> str:
    """A formula of the language, most often of the right shapes by chance only."""
    text = _make_term(random, random.randrange(depth + 1))
    return break_text(random, text) if random.random() < 0.1 else text


def _make_term(random: Random, depth: int) -> str:
    if depth == 0:
        numbers = ("0", "1", "2", "1e308", "2**62", "10**9", "0.5", "-1", "1_000", "0x10", "1j")
        return random.choice((*NAMES, *NAMES, *numbers))

    def term() -> str:
        return _make_term(random, depth - 1)

    kind = random.random()
    if kind < 0.4:
        operation = random.choice(("+", "-", "*", "/", "**", "@", ">", "==", "//", "and"))
        return f"({term()} {operation} {term()})"
    if kind < 0.5:
        return f"{random.choice('-+~')}{term()}"
    if kind < 0.55:
        return f"{term()}.T"
    name = random.choice(list(FUNCTIONS))
    if name == "einsum":
        subscripts = random.choice(("ij,jk->ik", "ij->", "ii", "...i", "i,i,i->i", "ij->ji"))
        return f"einsum('{subscripts}', {term()}{f', {term()}' * random.choice((0, 1))})"
    arguments = [term() for _ in range(random.choice((1, 1, 2, 3)))]
    arguments += random.choice(([], [], ["axis=0"], ["axis=-1", "keepdims=True"], ["axis=(0, 1)"]))
    repeat = random.choice((1, 1, 1, 60)) if len(arguments) == 1 else 1
    return f"{name}(" * repeat + ", ".join(arguments) + ")" * repeat


# -- arrays, options ------------------------------------------------------------------------


def make_array_file(random: Random) -> tuple[str, bytes]:
    """The suffix and the bytes of an array file, some of them overwritten."""
    shape = [random.choice((0, 1, 2, 3)) for _ in range(random.choice((0, 1, 2, 2, 3)))]
    values = np.zeros(shape) + random.choice((0.0, 1.0, math.nan, math.inf, 1e308))
    if random.random() < 0.5:
        lines = [",".join(map(repr, row)) for row in np.atleast_2d(values).tolist()[:3]]
        text = break_text(random, "\n".join(lines) + "\n") if random.random() < 0.7 else ""
        return ".csv", text.encode("utf-8", "replace")
    file = io.BytesIO()
    kinds = ("<f8", ">f4", "<i8", "?", "<c16", "<f2", "O", "U3", "M8[s]")
    with np.errstate(all="ignore"):
        np.save(file, values.astype(random.choice(kinds[:6])), allow_pickle=False)
    data = file.getvalue().replace(b"<f8", random.choice(kinds).encode())
    if random.random() < 0.7:
        place = random.randrange(len(data))
        junk = bytes(random.randrange(256) for _ in range(random.choice((0, 1, 4))))
        data = data[:place] + junk + data[place + random.choice((0, 1, 4, 1000)) :]
    return ".npy", data


HELP = click.Option(["--help"], is_flag=True)  # which every command has


def make_words(random: Random) -> list[str]:
    """A command line with options of any kind and values that they do not expect."""
    name = random.choice(list(cli.commands))
    words = [name]
    for _ in range(random.choice((0, 1, 2, 4))):
        option = random.choice([*cli.commands[name].params, HELP])
        if not option.opts[0].startswith("-"):
            continue
        words.append(random.choice(option.opts))
        if not getattr(option, "is_flag", False) and not getattr(option, "count", False):
            deep = ("not " * 3000 + "a", "(" * 3000 + "a" + ")" * 3000)
            values = (
                *HOSTILE,
                *deep,
                "1",
                "2/4",
                "inputs.seed=3",
                "W=1",
                "json=/dev/null",
                *FORMATS,
            )
            words.append(str(random.choice(values)))
    words += [str(random.choice((*HOSTILE, *CONFIGS.glob("*.yaml")))) for _ in range(2)]
    # Nothing is run here, nor written.
    idle = {"run": ["--list"], "mutate": ["-k", "none"], "steps": ["-k", "none"]}
    return [*words, *idle.get(name, [])]


KINDS: dict[str, Callable[[Random], Any]] = {
    "config": make_config,
    "formula": make_formula,
    "array": make_array_file,
    "options": make_words,
    "run": make_config,
}
LONGEST = 200_000  # characters of a config; the program reads 4 MiB, in some seconds
SHARES = (30, 45, 10, 12, 3)  # in percent: what runs checks takes the longest
