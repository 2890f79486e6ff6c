"""A config of one of the paper's forms → its layer: sizes solved, formulas parsed, arrays read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gradcheck_cli.arrays import Drawn, Given, Source, inline_shape, read_file
from gradcheck_cli.config.builder import ARRAY_FILES, Builder, inside, numeric_of
from gradcheck_cli.config.findings import Finding, Mark
from gradcheck_cli.config.schema import CheckConfig, DrawConfig, read, shown
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import ArrayError, FormulaError
from gradcheck_cli.formula import parse
from gradcheck_cli.formula.checker import shortened
from gradcheck_cli.layers.forms import FORMS, Form
from gradcheck_cli.layers.losses import LOSSES, Loss
from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.text import format_shape, join_words, suggest


class _Size(Struct, frozen=True):
    """A size that is known, and which part of the config said so."""

    value: int
    said_by: str


class FormBuilder(Builder):
    """Builds one layer and collects what does not fit."""

    def __init__(
        self, node: Node, record: CheckConfig, folder: Path, findings: list[Finding]
    ) -> None:
        super().__init__(node, record, folder, findings)
        form = FORMS[record.form or ""]
        self.form: Form = form.extended(record.bias, record.activation)
        self.loss: Loss = LOSSES[record.loss]
        self.sizes: dict[str, _Size] = {}
        self.symbols = {**self.form.shapes, self.loss.target: self.form.output}

    def miss(self, name: str, known: Iterable[str], what: str) -> str:
        """What may be meant by an array that the form does not have."""
        if name == "b" and "b" not in self.form.arrays:
            return "; bias: true adds one"
        return suggest(name, known, what)

    def layer(self, check_rules: bool) -> Layer | None:
        """The layer, or None where its sizes could not be found."""
        before = len(self.findings)
        self.read_shapes()
        sources, seed = self.read_inputs()
        missing = [size for size in self.form.sizes if size not in self.sizes]
        if missing and not self.findings:
            self.missing_sizes(missing)
        own_rules = self.own_rules()
        if "W" in own_rules and self.record.gradient_reduction is not None:
            self.find(
                self.node.keys["gradient_reduction"],
                "gradient_reduction combines the paper's rule for W, but backward gives W a rule "
                "of its own; leave one out",
            )
        if missing or len(self.findings) > before:
            return None
        layer = Layer(
            form=self.form,
            sizes={size: self.sizes[size].value for size in self.form.sizes},
            loss=self.loss,
            reduction=self.record.reduction,
            delta=self.record.delta,
            gradient_reduction=self.record.gradient_reduction,
            own_rules=own_rules,
            jacobian=self.record.jacobian,
            sources=sources,
            seed=seed,
            dtype=self.record.dtype,
        )
        what = "checking their Jacobians" if layer.jacobian else "checking them"
        if (
            self.fits(f"sizes {_listed(layer.sizes)}", layer.bytes(numeric_of(self.record)), what)
            and check_rules
        ):
            self.check_rules(layer)
        return layer

    # -- sizes -----------------------------------------------------------------------------

    def read_shapes(self) -> None:
        """Both notations of `shapes`: sizes by letter, and shapes by array."""
        shapes = self.node.child("shapes")
        if shapes is None or not isinstance(shapes.value, dict):
            return
        for name, node in shapes.value.items():
            if name in self.form.sizes:
                if self.is_size(name, node):
                    self.learn(name, int(node.plain()), f"{name}: {node.plain()}", node.mark)
            elif name in self.symbols:
                self.read_array_shape(name, node)
            else:
                known = [*self.form.sizes, *self.symbols]
                message = f"unknown size or array '{name}'"
                if ":" in name:
                    message, known = f"'{name}' needs a space after the colon", []
                if name == "n":
                    message = f"'n' does not belong to form {self.form.name}, which has one sample"
                    known = []
                mark = shapes.keys.get(name, node.mark)
                self.find(mark, message + self.miss(name, known, f"{self.form.name} has"))

    def read_array_shape(self, name: str, node: Node) -> None:
        """The sizes that the shape of an array gives."""
        symbols = self.symbols[name]
        if not isinstance(node.value, list) or len(node.value) != len(symbols):
            got = shortened(str(node.plain())) if isinstance(node.value, list) else shown(node)
            message = f"'{name}' must be a list of two sizes, {'×'.join(symbols)}, got {got}"
            if isinstance(node.value, list) and len(node.value) == 1 and "1" in symbols:
                size = node.value[0].plain()
                message += f"; write {[1 if symbol == '1' else size for symbol in symbols]}"
            self.find(node.mark, message)
        else:
            fit = [self.is_size(name, size) for size in node.value]
            if not all(fit):
                return
            self.learn_shape(name, tuple(node.plain()), f"{name}: {node.plain()}", node.mark)

    def learn_shape(self, name: str, shape: tuple[int, ...], said_by: str, mark: Mark) -> None:
        """Take the sizes that an array's shape tells, or find where it contradicts."""
        symbols = self.symbols[name]
        wanted = "×".join(symbols)
        if len(shape) != len(symbols):
            message = f"'{name}' must be {wanted} in form {self.form.name}, got {said_by}"
            if len(shape) == 1 and symbols[0] == "1":
                message += "; write it as one row, [[1, 2, 3]]"
            elif len(shape) == 1 and symbols[1] == "1":
                message += "; write it as a column, [[1], [2], [3]]"
            self.find(mark, message)
            return
        for symbol, size in zip(symbols, shape, strict=True):
            if symbol == "1":
                if size != 1:
                    self.find(mark, f"'{name}' is {wanted} in form {self.form.name}, but {said_by}")
            else:
                self.learn(symbol, size, said_by, mark)

    def learn(self, symbol: str, value: int, said_by: str, mark: Mark) -> None:
        """Take a size, or find where it contradicts what is known of it."""
        known = self.sizes.setdefault(symbol, _Size(value, said_by))
        if known.value != value:
            self.find(
                mark,
                f"{symbol} is {value} by '{said_by}' but {known.value} by '{known.said_by}'; "
                "make them agree",
            )

    def missing_sizes(self, missing: list[str]) -> None:
        """Say which sizes nothing gives."""
        shapes = self.node.child("shapes")
        mark = self.node.keys.get("shapes") or (shapes or self.node).mark
        example = ", ".join(
            f"{size}: {value}"
            for size, value in zip("nNM", (8, 5, 3), strict=True)
            if size in self.form.sizes
        )
        names = join_words(missing)
        self.find(mark, f"shapes must give {names}; write shapes: {{{example}}}")

    # -- inputs ----------------------------------------------------------------------------

    def read_inputs(self) -> tuple[dict[str, Source], int]:
        """The sources of the arrays that `inputs` names, and the seed."""
        sources: dict[str, Source] = {}
        seed = 0
        inputs = self.node.child("inputs")
        if inputs is None or not isinstance(inputs.value, dict):
            return sources, seed
        allowed = [*self.form.arrays, self.loss.target]
        for name, node in inputs.value.items():
            if name == "seed":
                seed = self.read_seed(node)
            elif name not in allowed:
                message = f"unknown input '{name}'"
                miss = self.miss(name, ["seed", *allowed], "inputs may give")
                self.find(inputs.keys.get(name, node.mark), message + miss)
            else:
                source = self.read_source(name, node)
                if source is not None:
                    sources[name] = source
        return sources, seed

    def read_source(self, name: str, node: Node) -> Source | None:
        """An array: a mapping draws it, a text is a file, numbers are its values."""
        if isinstance(node.value, dict):
            drawn = read(node, DrawConfig, self.findings)
            if drawn is None or not isinstance(drawn.high, int):
                return None
            return Drawn(**msgspec.structs.asdict(drawn))
        try:
            if isinstance(node.value, str):
                return self.read_array_file(name, node)
            values = node.plain()
            shape = inline_shape(values)
        except ArrayError as error:
            self.find(node.mark, f"'{name}': {error}")
            return None
        if shape:
            self.learn_shape(name, shape, f"inputs.{name} of {format_shape(shape)}", node.mark)
        return Given(values, "inline")

    def read_array_file(self, name: str, node: Node) -> Source:
        """An array in a file; its shape tells sizes."""
        text = str(node.value)
        if not text.lower().endswith(ARRAY_FILES):
            raise ArrayError(
                f"expected numbers, a {' or '.join(ARRAY_FILES)} file, or a mapping such as "
                f"{{distribution: normal, scale: 10}}, got {shown(node)}"
            )
        values: Any = read_file(self.folder / text)
        self.learn_shape(name, values.shape, f"{text} of {format_shape(values.shape)}", node.mark)
        return Given(values, text)

    # -- rules -----------------------------------------------------------------------------

    def own_rules(self) -> dict[str, str]:
        """The user's formulas by input; numbers are formulas too."""
        rules: dict[str, str] = {}
        backward = self.node.child("backward")
        if backward is None:
            return rules
        if not isinstance(backward.value, dict):
            self.find(
                backward.mark,
                "'backward' of a form must be a mapping from inputs to formulas, such as "
                f"{{W: 'X.T @ delta / n'}}, got {shown(backward)}",
            )
            return rules
        for name, node in backward.value.items():
            if name not in self.form.arrays:
                message = f"form {self.form.name} has no input '{name}'"
                miss = self.miss(name.removeprefix("d"), self.form.arrays, "its inputs are")
                if not name.isidentifier():
                    miss = "; put a formula with commas or colons in quotes"
                self.find(backward.keys.get(name, node.mark), message + miss)
            elif isinstance(node.value, str | int | float) and not isinstance(node.value, bool):
                rules[name] = str(node.value)
            else:
                self.find(
                    node.mark,
                    f"'{name}' must be a formula, such as 'X.T @ delta / n', got {shown(node)}; "
                    "put a formula with commas or colons in quotes",
                )
        return rules

    def check_rules(self, layer: Layer) -> None:
        """Parse the user's formulas with this layer's shapes: what cannot be evaluated is found.

        A formula of the wrong shape is no error of the config: it is a wrong gradient.
        """
        for name, text in layer.own_rules.items():
            try:
                parse(text, layer.names)
            except FormulaError as error:
                node = self.node.child("backward", name)
                assert node is not None
                self.find(inside(node, error), error.message)


def _listed(sizes: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in sizes.items())
