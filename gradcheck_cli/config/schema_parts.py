"""The records of mappings inside a check: numeric, tolerance, and an array."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gradcheck_cli.arrays import DISTRIBUTIONS
from gradcheck_cli.config.keys import key, one_of
from gradcheck_cli.options import AUTO, MODES, ORDERS

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


BOUNDS_SCHEMA = {
    "type": "array",
    "items": {"type": ["number", "null"]},
    "minItems": 2,
    "maxItems": 2,
}
