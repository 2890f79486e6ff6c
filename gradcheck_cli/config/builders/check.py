"""Build a check from its mapping in a config: find its kind, and read what all kinds share.

All errors of a config are found here, before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from gradcheck_cli.config.builders.arrays import ValueReader
from gradcheck_cli.config.builders.form import FormBuilder
from gradcheck_cli.config.findings import Finding
from gradcheck_cli.config.kinds import KINDS
from gradcheck_cli.config.read_record import read_record
from gradcheck_cli.config.schema import CheckConfig
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.layers.any_layer import AnyLayer
from gradcheck_cli.layers.code_layer import CLAIMED
from gradcheck_cli.layers.forms import FORMS
from gradcheck_cli.layers.own import BFLOAT16, COMPLEX, FLOAT16
from gradcheck_cli.options import Numeric, Tolerance
from gradcheck_cli.text import join_words

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.own import OwnBuilder
    from gradcheck_cli.config.init.template import Draft


# One of these keys is needed for complex numbers; and the keys that give a rule of the user's.
COMPLEX_GIVEN = ("backward", "jacobian", "jvp", "hvp")
GIVEN_BY = ("backward", "derivative", "layer", "value_and_grad")


class ConfigCheck(Struct, frozen=True):
    """A check of a config that is valid and ready to run; its arrays are not drawn yet.

    rule_lines: by input, the line of the config with the user's rule for it.
    id: its name, followed by the values of a matrix and of `--seeds`: `batch[n=8,seed=1]`.
    words: options with values that are not in the config, for the command that runs it again;
        select: the id for `--select` in that command, None if it is the only check of its config.
    draft: the config that was inferred from code, for a check without a config file.
    """

    path: str
    line: int
    layer: AnyLayer
    numeric: Numeric
    tolerance: Tolerance
    expect: str
    rule_lines: Mapping[str, int]
    id: str = ""
    name: str = ""
    words: tuple[str, ...] = ()
    select: str | None = None
    draft: Draft | None = None


def build(
    node: Node, path: str, values: ValueReader, findings: list[Finding], check_rules: bool
) -> ConfigCheck | None:
    """The check of a mapping node, without its name and id; None if there are findings.

    values: reads its arrays; check_rules: whether a formula that cannot be evaluated is a finding.
    """
    node = _with_backward(node, findings)
    record = read_record(node, CheckConfig, findings)
    if record is None:
        return None
    switch = node.child("jacobian")
    if isinstance(record.jacobian, str) and switch is not None and "form" in node.keys:
        message = f"'jacobian' must be true or false, got {switch.describe()}"
        findings.append(Finding(switch.mark, message))
    _check_dtype(node, record, findings)
    kind = _kind(node, findings)
    if kind is None or getattr(record, kind) is None:
        return None
    builder: FormBuilder | OwnBuilder
    layer: AnyLayer | None
    if kind == "form":
        builder = FormBuilder(node, record, values, findings)
        layer = builder.build(check_rules)
    else:
        from gradcheck_cli.config.builders.own import OwnBuilder

        builder = OwnBuilder(node, record, values, findings)
        layer = builder.build(kind, check_rules)
    if layer is None or findings:
        return None
    return ConfigCheck(
        path=path,
        line=node.mark.line,
        layer=layer,
        numeric=builder.numeric,
        tolerance=Tolerance(**asdict(record.tolerance)),
        expect=record.expect,
        rule_lines=_rule_lines(node, layer),
    )


def _with_backward(node: Node, findings: list[Finding]) -> Node:
    """The check with its `gradient`, another name for `backward`, renamed; its place stays."""
    if not isinstance(node.value, dict) or "gradient" not in node.value or "form" in node.value:
        return node
    if "backward" in node.value:
        message = "'backward' and 'gradient' say two things; keep one of them"
        findings.append(Finding(node.keys["gradient"], message))
        return node
    renamed = {"gradient": "backward"}
    return Node(
        {renamed.get(key, key): child for key, child in node.value.items()},
        node.mark,
        {renamed.get(key, key): mark for key, mark in node.keys.items()},
        node.start,
        node.shared,
    )


def _check_dtype(node: Node, record: CheckConfig, findings: list[Finding]) -> None:
    """Add a finding where the dtype does not go with the check: complex numbers need a forward in
    code with a backward, and low precision a layer of the user's own."""
    code = record.form is None and (record.forward is None or ":" in record.forward)
    fits = {
        COMPLEX: (
            "a forward in code and a backward, jacobian, jvp or hvp",
            code and record.forward and any(getattr(record, key) for key in COMPLEX_GIVEN),
        ),
        BFLOAT16: ("a layer of your own in code", code),
        FLOAT16: ("a layer of your own", record.form is None),
    }
    what, does = fits.get(record.dtype, ("", True))
    if not does:
        findings.append(Finding(node.keys["dtype"], f"'{record.dtype}' goes with {what}"))


def _rule_lines(node: Node, layer: AnyLayer) -> dict[str, int]:
    """By input, the line of the config with the rule for it, or with the code of the rule."""
    named = (node.child(key) for key in (*GIVEN_BY, *CLAIMED))
    backward = next((found for found in named if found and found.value is not True), None)
    if backward is None:
        return {}
    if isinstance(backward.value, dict):
        return {name: formula.mark.line for name, formula in backward.value.items()}
    return dict.fromkeys((name for name, _ in layer.gradients), backward.mark.line)


def _kind(node: Node, findings: list[Finding]) -> str | None:
    """The kind of the check, which is the key of KINDS that it has; None with a finding.

    Other keys that do not go with that kind are findings, too.
    """
    kinds = [kind for kind in KINDS if kind in node.keys]
    if len(kinds) != 1:
        forms = join_words(list(FORMS), "or")
        message = (
            f"the key 'form' is missing; it is {forms} (or, for a layer of your own, "
            f"{join_words(list(KINDS)[1:], 'or')})"
            if not kinds
            else f"'{kinds[0]}' and '{kinds[1]}' say two things; keep one of them"
        )
        findings.append(Finding(node.keys[kinds[1]] if kinds else node.mark, message))
        return None
    (kind,) = kinds
    for name, mark in node.keys.items():
        goes = [other for other, keys in KINDS.items() if name in keys]
        if goes and kind not in goes:
            message = f"'{name}' goes with {join_words(goes, 'or')}, not with '{kind}'"
            findings.append(Finding(mark, message))
    return kind
