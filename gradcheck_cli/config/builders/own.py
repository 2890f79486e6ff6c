"""A config of an own layer → its formulas or code."""

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
from gradcheck_cli.usercode.loading import Reference, reference

# Of a check of formulas, in multiplications of matrix products: about half a minute of one core.
MOST_WORK = 2**36


class OwnBuilder(DataBuilder):
    """Builds a formula layer or a code layer and collects what does not fit."""

    def build(self, kind: str, check_rules: bool) -> FormulaLayer | CodeLayer | None:
        """The layer, or None where something was found to be wrong with it."""
        before = len(self.findings)
        data = self.read_data()
        if len(self.findings) > before or not self.fits_memory(data):
            return None
        text = getattr(self.record, kind)
        named = self.node.child(kind)
        if named is not None and text.endswith(".py") and ":" not in text:
            self.find(named.mark, f"'{text}' is a file; say what of it '{kind}' is: {text}:NAME")
            return None
        if kind == "forward" and ":" not in text:
            return self.build_from_formulas(data, text, check_rules)
        keys = self.choose_code(kind)
        return None if keys is None else self.build_from_code(data, keys)

    def list_given(self, *keys: str) -> tuple[str, ...]:
        """The keys, of these, that the check has."""
        return tuple(key for key in keys if key in self.node.keys)

    # -- code ------------------------------------------------------------------------------

    def choose_code(self, kind: str) -> tuple[str, ...] | None:
        """The keys that name the code of a layer; None where they do not go together, as found."""
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
            self.find(backward.mark, "forward is code, so backward must be code, too")
            return None
        return ("forward", *loss, "backward")

    def has_backward(self) -> bool:
        """Whether there is a backward, and no derivative beside it; if not, that is found."""
        keys = self.node.keys
        if self.node.child("backward") is None:
            self.find(
                keys["forward"],
                "a forward needs a backward: formulas by input, or code such as layers.py:backward"
                "; f′ of a function that works entry by entry goes under derivative",
            )
        elif "derivative" in keys:
            message = "'backward' and 'derivative' say two things; keep one of them"
            self.find(keys["derivative"], message)
        else:
            return True
        return False

    def build_from_code(self, data: Data, keys: tuple[str, ...]) -> CodeLayer | None:
        """A layer in Python: the code that each of these keys names, and its framework."""
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
        """The code that a key names; its file must be there."""
        node, folder = self.node.child(key), self.values.folder
        assert node is not None
        code = reference(text, folder)
        return self.find_code(node, code, f"'{key}'")

    # -- formulas --------------------------------------------------------------------------

    def build_from_formulas(
        self, data: Data, text: str, check_rules: bool
    ) -> FormulaLayer | CodeLayer | None:
        """A layer of a forward and rules as formulas: each must be there, and can be evaluated."""
        for key in self.list_given(*CLAIMED)[:1]:
            message = f"'{key}' goes with a forward in code, such as layers.py:{key}"
            self.find(self.node.keys[key], message)
        backward = self.node.child("backward")
        if backward is None and "derivative" in self.node.keys:
            return self.build_from_code(data, ("forward", "derivative"))
        if not self.has_backward():
            return None
        assert backward is not None
        if "loss" in self.node.keys:
            message = "'loss' goes with a forward in code; a formula can hold its loss itself"
            self.find(self.node.keys["loss"], message)
        if not isinstance(backward.value, dict):
            self.find(
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
                self.find(
                    self.node.keys["backward"],
                    f"backward has no rule for '{name}'; give one, or put it under constants",
                )
        layer = FormulaLayer(data, text, rules, self.record.batched)
        return self.check_layer(layer, check_rules)

    def check_layer(self, layer: FormulaLayer, check_rules: bool) -> FormulaLayer | None:
        """The layer, if its forward can be evaluated; what is wrong with its rules is found."""
        node = self.node.child("forward")
        assert node is not None
        try:
            names = layer.rule_names
        except FormulaError as error:
            self.find(mark_inside(node, error), error.message)
            return None
        if check_rules:
            before = len(self.findings)
            self.check_rules(layer.rules, names)
            if len(self.findings) == before:
                self.bound_work(layer, node)
        return layer

    def bound_work(self, layer: FormulaLayer, node: Node) -> None:
        """Have what takes too long measured in random directions; what still does is found."""
        arrays = f"the arrays of '{shorten(layer.forward)}'"
        if not self.fits(arrays, layer.bytes, "checking them"):
            return
        if layer.work(self.numeric) > MOST_WORK and self.numeric.mode == AUTO:
            self.numeric = replace(self.numeric, mode=DIRECTIONS)
        work, calls = layer.work(self.numeric), layer.count_calls(self.numeric)
        if work > MOST_WORK:
            self.find(
                node.mark,
                f"{calls:,} calls of the formulas take the work of {work:.0e} multiplications; at "
                f"most {MOST_WORK:.0e} are allowed; use smaller arrays",
            )
