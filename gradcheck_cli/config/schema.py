"""What a config may say: typed records, read from located nodes with every error found at once.

The same types give the JSON Schema; each key carries its description and what it expects.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gradcheck_cli.arrays import DISTRIBUTIONS
from gradcheck_cli.config.findings import MOST_FINDINGS, Finding
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.layers.own import BFLOAT16, COMPLEX, FLOAT16
from gradcheck_cli.layers.paper import DELTAS, DTYPES, REDUCTIONS
from gradcheck_cli.options import AUTO, MODES, ORDERS
from gradcheck_cli.problem import CONSTRAINTS
from gradcheck_cli.text import join_words, suggest

VERSION = 1
CHECKS_KEY, MATRIX_KEY, EXCLUDE_KEY = "checks", "matrix", "exclude"
REFUSED, ALLOWED = "refused", "allowed"
EXPECTATIONS = ("pass", "fail")


def one_of(*choices: Any, doc: str, or_code: bool = False) -> Meta:
    """A value out of a list; or_code: or code, such as layers.py:name."""
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
    """A value of the annotated type within bounds."""
    return Meta(description=doc, extra={"expected": expected}, **bounds)


Formula = Annotated[str, key("A formula.", "a formula, such as 'X.T @ delta / n'")]


INT64 = Meta(ge=-(2**63), le=2**63 - 1)


class NumericConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The numeric side."""

    scheme: Annotated[str, one_of("central", doc="The finite differences.")] = "central"
    order: Annotated[
        int | str, one_of("auto", *ORDERS, doc="The order of the stencil; auto extrapolates.")
    ] = "auto"
    step: Annotated[
        Annotated[float, Meta(gt=0)] | Literal["auto"],
        key("The step; auto finds one for every entry.", "auto or a number above 0"),
    ] = "auto"
    mode: Annotated[
        str,
        one_of(*MODES, doc="Every entry, or random directions; auto: as the size allows."),
    ] = AUTO
    locality: Annotated[
        str, one_of("auto", "off", doc="auto: of a large layer, evaluate what an entry touches.")
    ] = "auto"
    dtype: Annotated[
        str,
        one_of("auto", "same", doc="auto: low precision is differenced in float64; same: as is."),
    ] = "auto"
    sample: Annotated[
        Annotated[int, Meta(gt=0)] | None,
        key("How many entries of each gradient to measure; default: all.", "a number above 0"),
    ] = None


class ToleranceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How far analytic may be from numeric beyond its uncertainty."""

    rtol: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        key(
            "Relative; 1e-9 in float64, 1e-3 in float32, 5e-2 in float16, 1e-1 in bfloat16.",
            "a number above 0, below 1",
        ),
    ] = None
    atol: Annotated[float, key("Absolute.", "a number, 0 or more", ge=0)] = 0.0
    repeat: Annotated[
        float,
        key(
            "How far a second answer of the backward may be from its first, over the largest.",
            "a number, 0 or more",
            ge=0,
        ),
    ] = 0.0


class ArrayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """An array: its shape, and its values or how they are drawn."""

    distribution: Annotated[str, one_of(*DISTRIBUTIONS, doc="What is drawn.")] = "normal"
    scale: Annotated[float, key("Multiplies what was drawn.", "a number")] = 1.0
    offset: Annotated[float, key("Is added after that.", "a number")] = 0.0
    low: Annotated[
        Annotated[int, INT64], key("The least of the integers.", "a whole number of 64 bits")
    ] = 0
    high: Annotated[
        Annotated[int, INT64] | str,
        key(
            "What the integers stay below: a number or a size.",
            "a whole number of 64 bits or a size",
        ),
    ] = 2
    keep: Annotated[
        float, key("The probability of a 1 in a mask.", "a number from 0 to 1", ge=0, le=1)
    ] = 0.5
    shape: Annotated[
        list[Any] | None, key("A list of sizes.", "a list of sizes, such as [n, 3]")
    ] = None
    values: Annotated[Any, key("Nested lists of numbers or booleans.", "numbers")] = None


# What editors know of an array; a mapping may also nest arrays, by names of any kind.
ARRAY_SCHEMA = {
    "description": "A shape, inline numbers, a .npy or .csv file, or how it is drawn.",
    "type": ["array", "string", "number", "object"],
    "properties": msgspec.json.schema(ArrayConfig)["$defs"]["ArrayConfig"]["properties"],
}


BOUNDS_SCHEMA = {
    "type": "array",
    "items": {"type": ["number", "null"]},
    "minItems": 2,
    "maxItems": 2,
}


class CheckConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One check, or the defaults of several."""

    form: Annotated[
        str | None, one_of(*FORMS, doc="The layer: y = Wx, y = xW or, for a batch, Y = XW.")
    ] = None
    forward: Annotated[
        str | None,
        key("Your own layer: a formula, or code.", "a formula or code, such as layers.py:affine"),
    ] = None
    layer: Annotated[
        str | None,
        key("Your own layer: a class with forward and backward.", "code, such as layers.py:Linear"),
    ] = None
    value_and_grad: Annotated[
        str | None,
        key("Your own loss: returns its value and gradients.", "code, such as losses.py:svm_loss"),
    ] = None
    version: Annotated[int, one_of(VERSION, doc="Of the config's format.")] = VERSION
    name: Annotated[
        str,
        key(
            "Names the check in reports and for --select; default: the file's name.",
            "a short line of text",
            min_length=1,
            max_length=120,
            # No control character; "$" would let a newline end it.
            pattern=r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f])",
        ),
    ] = ""
    shapes: Annotated[
        dict[str, Any],
        key(
            "Sizes by letter {n: 8, N: 5, M: 3} or by array {X: [8, 5], W: [5, 3]}.",
            "a mapping, such as {n: 8, N: 5, M: 3} or {X: [8, 5], W: [5, 3]}",
        ),
    ] = {}
    bias: Annotated[bool, key("Adds b: y = Wx + b.", "true or false")] = False
    activation: Annotated[
        str, one_of(NONE, *ACTIVATIONS, doc="Is applied to every output: y = f(Wx + b).")
    ] = NONE
    reduction: Annotated[str, one_of(*REDUCTIONS, doc="L = Σ ℓ_i, or (1/n) Σ ℓ_i.")] = "sum"
    loss: Annotated[
        str,
        one_of(
            *LOSSES,
            doc="The per-sample loss ℓ; or, with forward or layer, code: a loss of the output.",
            or_code=True,
        ),
    ] = "squared-error"
    delta: Annotated[
        str, one_of(*DELTAS, doc="What δ holds: ∂L/∂y, or per sample ∂ℓ_i/∂y_i, without the 1/n.")
    ] = "total"
    gradient_reduction: Annotated[
        str | None,
        one_of(
            *REDUCTIONS, doc="How per-sample gradients of W and b combine; default: as is right."
        ),
    ] = None
    backward: Annotated[
        dict[str, Any] | str,
        key(
            "Your rules, a formula by input; or, with forward, code.",
            "a mapping from inputs to formulas, such as {W: 'X.T @ delta / n'}, or code",
        ),
    ] = {}
    gradient: Annotated[
        dict[str, Any] | str | None,
        key(
            "With a forward of one number: its gradient; the same as backward.",
            "code, such as fit.py:gradient, or a mapping from inputs to formulas",
        ),
    ] = None
    derivative: Annotated[
        str | None,
        key(
            "With forward: f′ of a function that works entry by entry.",
            "code, such as layers.py:relu_prime",
        ),
    ] = None
    jacobian: Annotated[
        bool | str,
        key(
            "Of a form: also check ∂y/∂x, ∂y/∂W and ∂y/∂b; of a forward: the code of its Jacobian.",
            "true or false or, with forward, code, such as fit.py:jac",
        ),
    ] = False
    jvp: Annotated[
        str | None,
        key("With forward: the code of its derivative along tangents.", "code, such as net.py:jvp"),
    ] = None
    hessian: Annotated[
        str | None,
        key("With a scalar forward: the code of its Hessian.", "code, such as fit.py:hessian"),
    ] = None
    hvp: Annotated[
        str | None,
        key("With a scalar forward: the code of H·v, (inputs, v).", "code, such as fit.py:hvp"),
    ] = None
    inputs: Annotated[
        dict[str, Any],
        key(
            "The seed, and where arrays come from: inline, .npy, .csv or a distribution.",
            "a mapping, such as {seed: 0, W: w.npy}",
            extra_json_schema={
                "properties": {
                    "seed": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "What all arrays are drawn with; default: 0.",
                    }
                },
                "additionalProperties": ARRAY_SCHEMA,
            },
        ),
    ] = {}
    constraint: Annotated[
        dict[str, Any] | str | None,
        key(
            "With a layer of your own: the set that an input is in, and stays in when it is moved.",
            f"a mapping from inputs to {join_words(CONSTRAINTS, 'or')}, or one word for all inputs",
            extra_json_schema={
                "anyOf": [
                    {"enum": [*CONSTRAINTS, None]},
                    {"type": "object", "additionalProperties": {"enum": list(CONSTRAINTS)}},
                ]
            },
        ),
    ] = None
    bounds: Annotated[
        dict[str, Any] | list[Any] | None,
        key(
            "With a layer of your own: the least and the largest value of an input; null: none.",
            "a mapping, such as {x: [0, null]}, or one list for all inputs",
            extra_json_schema={
                "anyOf": [
                    {"type": "null"},
                    BOUNDS_SCHEMA,
                    {"type": "object", "additionalProperties": BOUNDS_SCHEMA},
                ]
            },
        ),
    ] = None
    constants: Annotated[
        dict[str, Any],
        key(
            "What your own layer takes besides, by name: numbers, modes, labels, masks.",
            "a mapping, such as {stride: 2, y: {distribution: integers, high: 10, shape: [n]}}",
        ),
    ] = {}
    batched: Annotated[
        bool | Literal["auto"],
        key(
            "Your forward also takes an input with a leading axis of points; auto tries it.",
            "true, false or auto",
        ),
    ] = False
    slices: Annotated[
        dict[str, Any],
        key(
            "Of your forward: the axis of an input across which slices touch those of the output "
            "alone.",
            "a mapping from inputs to axes, such as {W: -1, x: 0}",
            extra_json_schema={
                "additionalProperties": {
                    "anyOf": [
                        {"type": "integer"},
                        {
                            "type": "array",
                            "items": {"type": "integer"},
                            "minItems": 2,
                            "maxItems": 2,
                        },
                    ]
                }
            },
        ),
    ] = {}
    double_backward: Annotated[
        bool,
        key(
            "Of a function of torch, jax or autograd: also check the backward of its backward.",
            "true or false",
        ),
    ] = False
    framework: Annotated[
        str | None,
        one_of("torch", "jax", "autograd", doc="What your forward is written in; else found out."),
    ] = None
    device: Annotated[
        str | None, key("Where tensors of your forward live.", "a device, such as cuda")
    ] = None
    in_place: Annotated[
        str, one_of(REFUSED, ALLOWED, doc="Whether your backward may change what it is handed.")
    ] = REFUSED
    dtype: Annotated[
        str,
        one_of(
            *DTYPES,
            FLOAT16,
            BFLOAT16,
            COMPLEX,
            doc="Of all arrays; float16 goes with own layers, bfloat16 and complex128 with code.",
        ),
    ] = "float64"
    convention: Annotated[
        str, one_of("torch", "jax", doc="Of complex gradients: ∂L/∂z̄ or its conjugate.")
    ] = "torch"
    numeric: Annotated[
        NumericConfig, key("The numeric side.", "a mapping, such as {step: 1e-5}")
    ] = NumericConfig()
    tolerance: Annotated[
        ToleranceConfig, key("What still passes.", "a mapping, such as {rtol: 1e-7}")
    ] = ToleranceConfig()
    expect: Annotated[
        str, one_of(*EXPECTATIONS, doc="fail: the check is right when the gradient is wrong.")
    ] = "pass"


class CheckItem(CheckConfig, frozen=True, forbid_unknown_fields=True):
    """A check of a config, or one for every combination of a matrix."""

    matrix: Annotated[
        dict[str, list[Any]],
        key(
            "A check for every combination of the values of dotted keys; exclude: not for these.",
            "a mapping from keys to lists",
            extra_json_schema={
                "properties": {
                    EXCLUDE_KEY: {
                        "description": "Combinations that are left out, as mappings.",
                        "items": {"type": "object"},
                    }
                }
            },
        ),
    ] = {}


class ConfigFile(CheckItem, frozen=True, forbid_unknown_fields=True):
    """A config: one check, or what several have in common.

    It describes the file to editors; `expand` and `matrix` read these keys, with their places.
    """

    checks: Annotated[
        list[CheckItem],
        key("Several checks; the keys above the list are their defaults.", "a list", min_length=1),
    ] = []


# What a check can be of: the key that says so, and the keys that go with it alone.
FORM_KEYS = (
    "bias",
    "activation",
    "loss",
    "reduction",
    "delta",
    "gradient_reduction",
    "jacobian",
    "backward",
)
FRAMEWORK_KEYS = ("double_backward", "framework", "device")
DOMAIN_KEYS = ("constraint", "bounds")
KINDS: dict[str, tuple[str, ...]] = {
    "form": FORM_KEYS,
    "forward": (
        "backward",
        "gradient",
        "derivative",
        "loss",
        "jacobian",
        "jvp",
        "hessian",
        "hvp",
        *DOMAIN_KEYS,
        "batched",
        "slices",
        "convention",
        "constants",
        *FRAMEWORK_KEYS,
        "in_place",
    ),
    "layer": ("loss", *DOMAIN_KEYS, "slices", "constants", *FRAMEWORK_KEYS, "in_place"),
    "value_and_grad": ("hessian", "hvp", *DOMAIN_KEYS, "constants", "in_place"),
}

# A YAML file in a directory is taken for a config if one of these stands at its top: keys that
# other files (workflows, compose files) do not use are enough, so typos elsewhere are still found.
OWN_KEYS = frozenset(CheckConfig.__struct_fields__) - {
    "version",
    "name",
    "inputs",
} | {CHECKS_KEY, MATRIX_KEY}

# Keys that belong under another one, for those who write them at the top.
HOMES = {
    **dict.fromkeys(("n", "N", "M", "X", "x", "W", "b"), "shapes"),
    **dict.fromkeys(NumericConfig.__struct_fields__, "numeric"),
    **dict.fromkeys(ToleranceConfig.__struct_fields__, "tolerance"),
    "seed": "inputs",
}


def name_whole_key(word: str) -> str | None:
    """The dotted key of a check that this word is, or ends: `step` is numeric.step."""
    if word in CheckConfig.__struct_fields__:
        return word
    return f"{HOMES[word]}.{word}" if word in HOMES else None


def documentation(key: str) -> str:
    """What a key of a check says, and what it may be, in a line."""
    hint = _hints(CheckConfig)[key]
    doc = next(one.description for one in hint.__metadata__ if isinstance(one, Meta))
    choices = _meta(hint).get("choices")
    return f"{doc} ({_meta(hint)['expected']})" if choices and len(choices) > 1 else str(doc)


# What other programs call a choice of ours.
SYNONYMS = {
    "mse": "squared-error",
    "l2": "squared-error",
    "cross-entropy": "softmax-cross-entropy",
    "ce": "softmax-cross-entropy",
    "bce": "logistic",
    "smooth-l1": "huber",
    "average": "mean",
    "avg": "mean",
    "total": "sum",
    "swish": "silu",
    "identity": "none",
    "double": "float64",
    "float": "float32",
    "single": "float32",
    "half": "float16",
}

Record = TypeVar("Record", bound=Struct)


def read(node: Node, kind: type[Record], findings: list[Finding]) -> Record | None:
    """The record in a mapping node, and findings of what does not fit.

    Every key is read by itself, and one that does not fit keeps its default, so that one error
    does not hide another. None where there is no mapping.
    """
    if not isinstance(node.value, dict):
        several = "; several checks go under 'checks:'" if isinstance(node.value, list) else ""
        message = f"expected a mapping of keys, got {shown(node)}{several}"
        findings.append(Finding(node.mark, message))
        return None
    hints = _hints(kind)
    values: dict[str, Any] = {}
    for name, child in node.value.items():
        if name not in hints:
            home = HOMES.get(name) if kind is CheckConfig else None
            belongs = f"; it belongs under '{home}'" if home else ""
            if kind is ArrayConfig and name in DOMAIN_KEYS:
                belongs = f"; it stands beside inputs, by input: {name}: {{x: …}}"
            # Looking for near misses takes its time, and nobody sees more findings than these.
            few = len(findings) < MOST_FINDINGS
            belongs = belongs or (suggest(name, hints, "the keys are") if few else "")
            message = f"unknown key '{name}'{belongs}"
            findings.append(Finding(node.keys.get(name, child.mark), message))
            continue
        before = len(findings)
        value = _value(name, child, hints[name], findings)
        if len(findings) == before:
            values[name] = value
    return kind(**values)


@cache
def _hints(kind: type[Struct]) -> dict[str, Any]:
    """The types of a record's fields, with what `one_of` and `key` say of them."""
    return get_type_hints(kind, include_extras=True)


def _meta(hint: Any) -> dict[str, Any]:
    """What `one_of` or `key` said of a type."""
    if get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, Meta) and extra.extra:
                return dict(extra.extra)
    return {}


def _value(name: str, node: Node, hint: Any, findings: list[Finding]) -> Any:
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    meta = _meta(hint)
    if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(node.value, dict):
        return read(node, inner, findings)
    containers = [get_origin(part) for part in (inner, *get_args(inner))]
    if inner is Any or type(node.value) in containers:
        return node.value  # what is in it keeps its places: builders read it
    value = node.plain()
    choices = meta.get("choices")
    if choices is not None:
        code = bool(meta.get("or_code")) and isinstance(value, str) and ":" in value
        known = any(type(value) is type(choice) and value == choice for choice in choices)
        if not (known or code):
            did = suggest_choice(value, choices) if isinstance(value, str) else ""
            message = f"'{name}' must be {meta['expected']}, got {shown(node)}{did}"
            findings.append(Finding(node.mark, message))
        return value
    try:
        return msgspec.convert(value, type=hint)
    except msgspec.ValidationError:
        message = f"'{name}' must be {meta.get('expected', 'of another type')}, got {shown(node)}"
        findings.append(Finding(node.mark, message))
        return None


def suggest_choice(word: str, choices: Collection[Any]) -> str:
    """`; did you mean 'squared-error'?` of mse, or of a near miss."""
    meant = SYNONYMS.get(word.lower().replace("_", "-"), "")
    return suggest(meant if meant in choices else word, map(str, choices))


def shown(node: Node) -> str:
    """A value as an error shows it: what it is, and its text where that is short."""
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if len(str(value)) <= 40 else str(value)[:39] + "…"
    return f"'{text}'" if isinstance(value, str) else text
