"""Which keys go together: with each kind of check, and under which other key."""

from __future__ import annotations

from gradcheck_cli.config.schema import CHECKS_KEY, MATRIX_KEY, CheckConfig
from gradcheck_cli.config.schema_parts import NumericConfig, ToleranceConfig

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
