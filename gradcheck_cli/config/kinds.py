"""Tables of the keys that each kind of check may have, and of keys that belong under others."""

from __future__ import annotations

from gradcheck_cli.config.schema import CHECKS_KEY, MATRIX_KEY, CheckConfig
from gradcheck_cli.config.schema_parts import NumericConfig, ToleranceConfig

# The kinds of checks, by the key that makes a check one, with the other keys that the kind may
# have. Keys in none of these lists go with all kinds.
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


# A YAML file in a directory counts as a config if it has one of these keys at its top. Keys that
# workflows, compose files and others use are left out. One key suffices, so that files with a typo
# in another key still count.
OWN_KEYS = frozenset(CheckConfig.__struct_fields__) - {
    "version",
    "name",
    "inputs",
} | {CHECKS_KEY, MATRIX_KEY}


# Keys that belong under another key, for errors where they are at the top.
HOMES = {
    **dict.fromkeys(("n", "N", "M", "X", "x", "W", "b"), "shapes"),
    **dict.fromkeys(NumericConfig.__struct_fields__, "numeric"),
    **dict.fromkeys(ToleranceConfig.__struct_fields__, "tolerance"),
    "seed": "inputs",
}


def name_whole_key(word: str) -> str | None:
    """The dotted key of a check that a word is, or is the end of: for `step`, numeric.step; else
    None."""
    if word in CheckConfig.__struct_fields__:
        return word
    return f"{HOMES[word]}.{word}" if word in HOMES else None
