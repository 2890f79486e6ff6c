"""A config of an own layer → its formulas or code, its inputs and its constants."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from gradcheck_cli.arrays import Drawn, Given, Shape, inline_shape, read_file
from gradcheck_cli.config.builder import ARRAY_FILES, Builder, inside, numeric_of
from gradcheck_cli.config.schema import ArrayConfig, read, shown
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import ArrayError, FormulaError
from gradcheck_cli.formula import parse
from gradcheck_cli.layers.own import ArraySpec, CodeLayer, Data, FormulaLayer, specs
from gradcheck_cli.layers.paper import BYTES_OF_ARRAYS, BYTES_OF_ENTRIES
from gradcheck_cli.text import format_shape, suggest
from gradcheck_cli.usercode.loading import Reference, reference

EXAMPLE = "inputs: {x: [n, N], W: [N, M]}"


class OwnBuilder(Builder):
    """Builds a formula layer or a code layer."""

    def layer(self, kind: str, check_rules: bool) -> FormulaLayer | CodeLayer | None:
        """The layer, or None where something was found to be wrong."""
        before = len(self.findings)
        data = self.data()
        if len(self.findings) > before or not self.fits_data(data):
            return None
        text = getattr(self.record, kind)
        if kind != "forward":
            code = self.code(kind, text)
            return CodeLayer(data, kind, (code,)) if code else None
        backward = self.node.child("backward")
        if backward is None:
            self.find(
                self.node.keys["forward"],
                "a forward needs a backward: formulas by input, or code such as layers.py:backward",
            )
            return None
        if ":" in text:
            return self.functions(data, text, backward)
        return self.formulas(data, text, backward, check_rules)

    # -- code ------------------------------------------------------------------------------

    def functions(self, data: Data, text: str, backward: Node) -> CodeLayer | None:
        """A forward and a backward in Python."""
        if not isinstance(backward.value, str):
            self.find(backward.mark, "forward is code, so backward must be code, too")
            return None
        found = [self.code("forward", text), self.code("backward", backward.value)]
        codes = tuple(code for code in found if code is not None)
        return CodeLayer(data, "functions", codes, self.record.batched) if len(codes) == 2 else None

    def code(self, key: str, text: str) -> Reference | None:
        """The code that a key names; its file must be there."""
        node = self.node.child(key)
        assert node is not None
        code = reference(text, self.folder)
        if code is None:
            self.find(
                node.mark,
                f"'{key}' must be code, such as layers.py:name or package.module:name, "
                f"got {shown(node)}",
            )
        elif code.file is not None and not code.file.is_file():
            files = [path.name for path in self.folder.glob("*.py")] if self.folder.is_dir() else []
            self.find(node.mark, f"no such file: '{code.file}'{suggest(code.where, files)}")
            return None
        return code

    # -- formulas --------------------------------------------------------------------------

    def formulas(
        self, data: Data, text: str, backward: Node, check_rules: bool
    ) -> FormulaLayer | None:
        """A forward and rules as formulas: each must be there, and can be evaluated."""
        if not isinstance(backward.value, dict):
            self.find(
                backward.mark,
                "forward is a formula, so backward must give a formula for each input, such as "
                "{W: 'x.T @ delta'}",
            )
            return None
        rules = self.rules(data, backward)
        for name in data.inputs:
            if name not in rules and name not in backward.value:
                self.find(
                    self.node.keys["backward"],
                    f"backward has no rule for '{name}'; give one, or put it under constants",
                )
        layer = FormulaLayer(data, text, rules, self.record.batched)
        node = self.node.child("forward")
        assert node is not None
        try:
            names = layer.rule_names
        except FormulaError as error:
            self.find(inside(node, error), error.message)
            return None
        for name, rule in rules.items():
            try:
                parse(rule, names)
            except FormulaError as error:
                if check_rules:
                    self.find(inside(backward.value[name], error), error.message)
        return layer

    def rules(self, data: Data, backward: Node) -> dict[str, str]:
        """The formulas of backward by input; numbers are formulas, too."""
        rules = {}
        assert isinstance(backward.value, dict)
        for name, node in backward.value.items():
            if name not in data.inputs:
                miss = suggest(name.removeprefix("d"), data.inputs, "the inputs are")
                self.find(backward.keys.get(name, node.mark), f"there is no input '{name}'{miss}")
            elif isinstance(node.value, str | int | float) and not isinstance(node.value, bool):
                rules[name] = str(node.value)
            else:
                self.find(
                    node.mark,
                    f"'{name}' must be a formula, such as 'x.T @ delta', got {shown(node)}; "
                    "put a formula with commas or colons in quotes",
                )
        return rules

    # -- inputs and constants --------------------------------------------------------------

    def data(self) -> Data:
        """Sizes, inputs and constants; what is wrong with them is found."""
        self.sizes: dict[str, int] = {}
        declared = self.read_shapes()
        seed, inputs = 0, {}
        for name, node in self.children("inputs"):
            if name == "seed":
                seed = self.read_seed(node)
            elif self.is_name(name, node):
                spec = self.input(name, node, declared.pop(name, None))
                if spec is not None:
                    inputs[name] = spec
        constants = {}
        for name, node in self.children("constants"):
            if name in inputs:
                self.find(node.mark, f"'{name}' is an input already; a constant has no gradient")
            elif self.is_name(name, node):
                constants[name] = self.constant(name, node, declared.pop(name, None))
        drawn = Drawn()
        inputs |= {name: ArraySpec(shape, drawn) for name, shape in declared.items()}
        if not inputs and not self.findings:
            self.find(self.node.mark, f"a layer needs an input with a gradient; write {EXAMPLE}")
        return Data(inputs, constants, self.sizes, seed, self.record.dtype)

    def children(self, key: str) -> list[tuple[str, Node]]:
        """The entries of a mapping of the config."""
        node = self.node.child(key)
        return list(node.value.items()) if node and isinstance(node.value, dict) else []

    def is_name(self, name: str, node: Node) -> bool:
        """Whether an input can be called so."""
        if name.isidentifier():
            return True
        self.find(node.mark, f"'{name}' is not a name that a function could take")
        return False

    def read_shapes(self) -> dict[str, Shape]:
        """Sizes by letter are learned; the shapes of arrays are returned."""
        arrays = []
        for name, node in self.children("shapes"):
            if isinstance(node.value, list):
                arrays.append((name, node))
            elif self.is_size(name, node):
                self.sizes[name] = int(node.plain())
        shapes = {name: self.shape(name, node) for name, node in arrays}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def shape(self, name: str, node: Node) -> Shape | None:
        """The shape a list of sizes gives: whole numbers and letters of `shapes`."""
        assert isinstance(node.value, list)
        sizes = []
        for item in node.value:
            size = item.value
            if isinstance(size, str):
                if size not in self.sizes:
                    miss = suggest(size, self.sizes, "shapes gives")
                    hint = miss or f"; write shapes: {{{size}: 4}}"
                    self.find(item.mark, f"the shape of '{name}' has no size '{size}'{hint}")
                    return None
                sizes.append(self.sizes[size])
            elif isinstance(size, int | float) and not isinstance(size, int):
                self.find(
                    node.mark,
                    f"a flat list is a shape, so '{name}' needs whole numbers or sizes; "
                    "write its values as {values: [0.5, 1]}",
                )
                return None
            elif self.is_size(name, item):
                sizes.append(int(item.plain()))
            else:
                return None
        return tuple(sizes)

    def input(self, name: str, node: Node, declared: Shape | None) -> Any:
        """An input: an array, or a mapping of them, as a function takes it."""
        drawn = isinstance(node.value, dict) and any(
            key in ArrayConfig.__struct_fields__ and not isinstance(part.value, list | dict)
            for key, part in node.value.items()
        )
        if isinstance(node.value, dict) and node.value and not (drawn or _is_array(node)):
            if self.record.form is None and ":" not in (self.record.forward or ":"):
                self.find(node.mark, f"'{name}' holds several arrays; a formula knows one by name")
                return None
            return {
                key: self.input(f"{name}.{key}", part, None) for key, part in node.value.items()
            }
        return self.array(name, node, declared, flat_is_shape=True)

    def array(
        self, name: str, node: Node, declared: Shape | None, *, flat_is_shape: bool
    ) -> ArraySpec | None:
        """An array: a shape that is drawn, values, a file, or a mapping that says either."""
        if isinstance(node.value, dict):
            return self.described(name, node, declared)
        nested = isinstance(node.value, list) and any(
            isinstance(item.value, list) for item in node.value
        )
        if isinstance(node.value, list) and flat_is_shape and not nested:
            shape = self.shape(name, node)
            return None if shape is None else self.agreed(name, node, shape, declared, Drawn())
        return self.valued(name, node, declared)

    def described(self, name: str, node: Node, declared: Shape | None) -> ArraySpec | None:
        """An array by a mapping."""
        record = read(node, ArrayConfig, self.findings)
        if record is None:
            return None
        values, sizes = node.child("values"), node.child("shape")
        shape = self.shape(name, sizes) if sizes is not None and record.shape is not None else None
        if sizes is not None and shape is None:
            return None
        if values is not None:
            return self.valued(name, values, shape or declared)
        if shape is None and declared is None:
            self.find(node.mark, f"'{name}' needs a shape, such as {{shape: [n, 3]}}")
            return None
        high = self.sizes.get(record.high) if isinstance(record.high, str) else record.high
        place = node.child("high") or node
        if high is None:
            miss = suggest(str(record.high), self.sizes, "shapes gives")
            self.find(place.mark, f"'{name}' has no size '{record.high}'{miss}")
            return None
        if high <= record.low:
            self.find(place.mark, f"'{name}' needs high above low, which is {record.low}")
            return None
        source = Drawn(
            record.distribution, record.scale, record.offset, record.low, high, record.keep
        )
        return self.agreed(name, node, declared if shape is None else shape, declared, source)

    def valued(self, name: str, node: Node, declared: Shape | None) -> ArraySpec | None:
        """An array given by numbers or by a file of them."""
        try:
            if isinstance(node.value, str):
                if not node.value.lower().endswith(ARRAY_FILES):
                    raise ArrayError(
                        f"expected a shape such as [n, 3], numbers, a {' or '.join(ARRAY_FILES)} "
                        f"file, or a mapping such as {{shape: [n], scale: 10}}, got {shown(node)}"
                    )
                values: Any = read_file(self.folder / node.value)
                return self.agreed(name, node, values.shape, declared, Given(values, node.value))
            values = node.plain()
            shape = inline_shape(values)
        except ArrayError as error:
            self.find(node.mark, f"'{name}': {error}")
            return None
        if not shape and declared is not None:
            shape = declared
        return self.agreed(name, node, shape, declared, Given(values, "inline"))

    def agreed(
        self, name: str, node: Node, shape: Shape | None, declared: Shape | None, source: Any
    ) -> ArraySpec | None:
        """The array, if what shapes says of it, where it does, is so."""
        assert shape is not None
        if declared is not None and declared != shape:
            self.find(
                node.mark,
                f"'{name}' is {format_shape(shape)} here, but {format_shape(declared)} by shapes",
            )
            return None
        return ArraySpec(shape, source)

    def constant(self, name: str, node: Node, declared: Shape | None) -> Any:
        """A constant: an array where its mapping or its file says so; any other value as it is.

        The name of a size stands for the size.
        """
        value = node.value
        file = isinstance(value, str) and value.lower().endswith(ARRAY_FILES)
        if _is_array(node) or file or declared is not None:
            return self.array(name, node, declared, flat_is_shape=False)
        if isinstance(value, dict):
            return {key: self.constant(f"{name}.{key}", part, None) for key, part in value.items()}
        return self.sizes.get(value, value) if isinstance(value, str) else node.plain()

    def fits_data(self, data: Data) -> bool:
        """Whether a check of these arrays fits into memory."""
        shapes = {name: spec.shape for name, spec in specs({**data.inputs, **data.constants})}
        entries = sum(numeric_of(self.record).entries(size) for _, size in data.gradients)
        need = BYTES_OF_ARRAYS * sum(map(prod, shapes.values())) + BYTES_OF_ENTRIES * entries
        return self.fits(f"inputs {_listed(shapes)}", need, "checking them")


def _is_array(node: Node) -> bool:
    """Whether a mapping describes an array, and is not one that a function takes."""
    described = {"distribution", "values", "shape"}
    return isinstance(node.value, dict) and not described.isdisjoint(node.value)


def _listed(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} of {format_shape(shape)}" for name, shape in shapes.items())
