"""Build a layer of the user's own from formulas or code."""

from __future__ import annotations

from msgspec.structs import replace

from gradcheck_cli.config.builders.builder import mark_inside
from gradcheck_cli.config.builders.data import DataBuilder
from gradcheck_cli.config.schema import ALLOWED
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import FormulaError
from gradcheck_cli.layers.code_layer import CLAIMED, CodeLayer
from gradcheck_cli.layers.formula_layer import FormulaLayer
from gradcheck_cli.layers.own import Data
from gradcheck_cli.options import AUTO, DIRECTIONS
from gradcheck_cli.text import shorten, suggest
from gradcheck_cli.usercode.loading import Reference, read_reference

# The work of a check of formulas, in multiplications of matrix products: half a minute of a core.
MOST_WORK = 2**36


class OwnBuilder(DataBuilder):
    """Builds a layer of formulas or of code, and collects findings."""

    def build(self, kind: str, check_rules: bool) -> FormulaLayer | CodeLayer | None:
        """The layer; None if there are findings."""
        before = len(self.findings)
        data = self.read_data()
        if len(self.findings) > before or not self.fits_memory(data):
            return None
        text = getattr(self.record, kind)
        named = self.node.child(kind)
        if named is not None and text.endswith(".py") and ":" not in text:
            self.report(named.mark, f"'{text}' is a file; say what of it '{kind}' is: {text}:NAME")
            return None
        if kind == "forward" and ":" not in text:
            return self.build_from_formulas(data, text, check_rules)
        keys = self.choose_code(kind)
        return None if keys is None else self.build_from_code(data, keys)

    def list_given(self, *keys: str) -> tuple[str, ...]:
        """Those of the keys that the check has."""
        return tuple(key for key in keys if key in self.node.keys)

    # -- code ------------------------------------------------------------------------------

    def choose_code(self, kind: str) -> tuple[str, ...] | None:
        """The keys that name the code of a layer; None with a finding where they conflict."""
        claims, loss = self.list_given(*CLAIMED), self.list_given("loss")
        if kind != "forward":
            return (kind, *loss, *claims)
        if claims:
            return ("forward", *loss, *self.list_given("backward"), *claims)
        backward = self.node.child("backward")
        if backward is None and "derivative" in self.node.keys:
            return ("forward", "derivative")
        if backward is None and not loss:
            return ("forward",)
        if not self.has_backward():
            return None
        assert backward is not None
        if not isinstance(backward.value, str):
            self.report(backward.mark, "forward is code, so backward must be code, too")
            return None
        return ("forward", *loss, "backward")

    def has_backward(self) -> bool:
        """Whether there is a backward and no derivative beside it; if not, this is a finding."""
        keys = self.node.keys
        if self.node.child("backward") is None:
            self.report(
                keys["forward"],
                "a forward needs a backward: formulas by input, or code such as layers.py:backward"
                "; f′ of a function that works entry by entry goes under derivative",
            )
        elif "derivative" in keys:
            message = "'backward' and 'derivative' say two things; keep one of them"
            self.report(keys["derivative"], message)
        else:
            return True
        return False

    def build_from_code(self, data: Data, keys: tuple[str, ...]) -> CodeLayer | None:
        """A layer of the code that these keys name; None with findings."""
        found = {key: self.read_code(key, str(getattr(self.record, key))) for key in keys}
        functions = {key: code for key, code in found.items() if code is not None}
        if len(functions) < len(keys):
            return None
        record = self.record
        return CodeLayer(
            data,
            functions,
            record.batched,
            record.framework,
            record.device,
            in_place=record.in_place == ALLOWED,
            convention=record.convention,
            double=record.double_backward,
        )

    def read_code(self, key: str, text: str) -> Reference | None:
        """The code that a key names; None with a finding if its file does not exist."""
        node, folder = self.node.child(key), self.values.folder
        assert node is not None
        code = read_reference(text, folder)
        return self.check_code(node, code, f"'{key}'")

    # -- formulas --------------------------------------------------------------------------

    def build_from_formulas(
        self, data: Data, text: str, check_rules: bool
    ) -> FormulaLayer | CodeLayer | None:
        """A layer whose forward is a formula, with a rule for every input; None with findings.

        With a derivative in place of a backward, it is a layer of code.
        """
        for key in self.list_given(*CLAIMED)[:1]:
            message = f"'{key}' goes with a forward in code, such as layers.py:{key}"
            self.report(self.node.keys[key], message)
        backward = self.node.child("backward")
        if backward is None and "derivative" in self.node.keys:
            return self.build_from_code(data, ("forward", "derivative"))
        if not self.has_backward():
            return None
        assert backward is not None
        if "loss" in self.node.keys:
            message = "'loss' goes with a forward in code; a formula can hold its loss itself"
            self.report(self.node.keys["loss"], message)
        if not isinstance(backward.value, dict):
            self.report(
                backward.mark,
                "forward is a formula, so backward must give a formula for each input, such as "
                "{W: 'x.T @ delta'}",
            )
            return None
        rules = self.read_rules(
            backward.value,
            "x.T @ delta",
            data.inputs,
            lambda name: (
                f"there is no input '{name}'"
                + suggest(name.removeprefix("d"), data.inputs, "the inputs are")
            ),
        )
        for name in data.inputs:
            if name not in backward.value:
                self.report(
                    self.node.keys["backward"],
                    f"backward has no rule for '{name}'; give one, or put it under constants",
                )
        layer = FormulaLayer(data, text, rules, self.record.batched)
        return self.check_layer(layer, check_rules)

    def check_layer(self, layer: FormulaLayer, check_rules: bool) -> FormulaLayer | None:
        """The layer; None with a finding if its forward cannot be evaluated.

        check_rules: whether rules that cannot be evaluated are findings.
        """
        node = self.node.child("forward")
        assert node is not None
        try:
            names = layer.rule_names
        except FormulaError as error:
            self.report(mark_inside(node, error), error.message)
            return None
        if check_rules:
            before = len(self.findings)
            self.check_rules(layer.rules, names)
            if len(self.findings) == before:
                self.bound_work(layer, node)
        return layer

    def bound_work(self, layer: FormulaLayer, node: Node) -> None:
        """Measure random directions where a check would take too long; if it still would, or needs
        too much memory, add a finding."""
        arrays = f"the arrays of '{shorten(layer.forward)}'"
        if not self.fits(arrays, layer.bytes, "checking them"):
            return
        if layer.work(self.numeric) > MOST_WORK and self.numeric.mode == AUTO:
            self.numeric = replace(self.numeric, mode=DIRECTIONS)
        work, calls = layer.work(self.numeric), layer.count_calls(self.numeric)
        if work > MOST_WORK:
            self.report(
                node.mark,
                f"{calls:,} calls of the formulas take the work of {work:.0e} multiplications; at "
                f"most {MOST_WORK:.0e} are allowed; use smaller arrays",
            )
