"""The keys of a config as typed records, each with its description and its valid values.

The JSON Schema is made from the same types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gradcheck_cli.config.keys import find_meta, key, list_hints, one_of
from gradcheck_cli.config.schema_parts import BOUNDS_SCHEMA, NumericConfig, ToleranceConfig
from gradcheck_cli.layers.activations import ACTIVATIONS, NONE
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.losses import LOSSES
from gradcheck_cli.layers.own import BFLOAT16, COMPLEX, FLOAT16
from gradcheck_cli.layers.paper import DELTAS, DTYPES, REDUCTIONS
from gradcheck_cli.problem import CONSTRAINTS
from gradcheck_cli.text import join_words

VERSION = 1
CHECKS_KEY, MATRIX_KEY, EXCLUDE_KEY = "checks", "matrix", "exclude"
REFUSED, ALLOWED = "refused", "allowed"
EXPECTATIONS = ("pass", "fail")


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
                # json_schema.py adds what an array may be.
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


def documentation(key: str) -> str:
    """The description of a key of a check, and its choices if it has some, in a line."""
    hint = list_hints(CheckConfig)[key]
    doc = next(one.description for one in hint.__metadata__ if isinstance(one, Meta))
    choices = find_meta(hint).get("choices")
    return f"{doc} ({find_meta(hint)['expected']})" if choices and len(choices) > 1 else str(doc)
