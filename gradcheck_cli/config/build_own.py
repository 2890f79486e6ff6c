"""A config of an own layer → its formulas or code, its inputs and its constants."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from math import prod
from typing import Any

from msgspec.structs import replace

from gradcheck_cli.arrays import ARRAY_FILES, ArraySpec, Drawn, Shape
from gradcheck_cli.config.builder import Builder, mark_inside
from gradcheck_cli.config.read_array import read_array, read_shape, read_size
from gradcheck_cli.config.read_domains import read_domains
from gradcheck_cli.config.schema import ALLOWED, ArrayConfig, shown
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import FormulaError
from gradcheck_cli.formula import parse
from gradcheck_cli.formula.checker import shortened
from gradcheck_cli.layers.code_layer import CLAIMED, CodeLayer
from gradcheck_cli.layers.formula_layer import FormulaLayer
from gradcheck_cli.layers.own import CodeValue, Data, specs
from gradcheck_cli.layers.paper import BYTES_OF_ARRAYS, BYTES_OF_ENTRIES
from gradcheck_cli.options import AUTO, DIRECTIONS
from gradcheck_cli.text import format_shape, name_part, suggest
from gradcheck_cli.usercode.loading import Reference, reference

# Of a check of formulas, in multiplications of matrix products: about half a minute of one core.
MOST_WORK = 2**36
# W, or where an object keeps it: layers[0].W.
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*|\[\d+\])*")
EXAMPLE = "inputs: {x: [n, N], W: [N, M]}"
EXPECTED_ARRAY = (
    "a shape such as [n, 3], numbers, a .npy or .csv file, or a mapping such as "
    "{shape: [n], scale: 10}"
)


class OwnBuilder(Builder):
    """Builds a formula layer or a code layer and collects what does not fit."""

    def build(self, kind: str, check_rules: bool) -> FormulaLayer | CodeLayer | None:
        """The layer, or None where something was found to be wrong with it."""
        before = len(self.findings)
        data = self.read_data()
        if len(self.findings) > before or not self.fits_memory(data):
            return None
        text = getattr(self.record, kind)
        claims = tuple(key for key in CLAIMED if key in self.node.keys)
        if claims and kind == "forward":
            found = self.build_with_claims(data, text, claims)
            if ":" in text:
                return found
        loss = ("loss",) if "loss" in self.node.keys else ()
        if kind != "forward":
            return self.build_from_code(data, (kind, *loss, *claims))
        backward = self.node.child("backward")
        if "derivative" in self.node.keys and backward is None:
            return self.build_from_code(data, ("forward", "derivative"))
        if backward is None and ":" in text and not loss:
            return self.build_from_code(data, ("forward",))
        if backward is None:
            self.find(
                self.node.keys["forward"],
                "a forward needs a backward: formulas by input, or code such as layers.py:backward"
                "; f′ of a function that works entry by entry goes under derivative",
            )
            return None
        if "derivative" in self.node.keys:
            self.find(
                self.node.keys["derivative"],
                "'backward' and 'derivative' say two things; keep one of them",
            )
            return None
        if ":" not in text and loss:
            message = "'loss' goes with a forward in code; a formula can hold its loss itself"
            self.find(self.node.keys["loss"], message)
        if ":" not in text:
            return self.build_from_formulas(data, text, backward, check_rules)
        if not isinstance(backward.value, str):
            self.find(backward.mark, "forward is code, so backward must be code, too")
            return None
        return self.build_from_code(data, ("forward", *loss, "backward"))

    # -- code ------------------------------------------------------------------------------

    def build_with_claims(self, data: Data, text: str, claims: tuple[str, ...]) -> CodeLayer | None:
        """A layer in Python of which other derivatives are claimed besides its backward."""
        if ":" not in text:
            mark, key = self.node.keys[claims[0]], claims[0]
            self.find(mark, f"'{key}' goes with a forward in code, such as layers.py:{key}")
            return None
        beside = tuple(key for key in ("loss", "backward") if key in self.node.keys)
        return self.build_from_code(data, ("forward", *beside, *claims))

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

    def find_code(self, node: Node, code: Reference | None, what: str) -> Reference | None:
        """The code, if it is some and its file is there; if not, that is found."""
        folder = self.values.folder
        if code is None:
            self.find(
                node.mark,
                f"{what} must be code, such as layers.py:name or package.module:name, "
                f"got {shown(node)}",
            )
        elif code.file is not None and not code.file.is_file():
            files = [path.name for path in folder.glob("*.py")] if folder.is_dir() else []
            self.find(node.mark, f"no such file: '{code.file}'{suggest(code.where, files)}")
            return None
        return code

    # -- formulas --------------------------------------------------------------------------

    def build_from_formulas(
        self, data: Data, text: str, backward: Node, check_rules: bool
    ) -> FormulaLayer | None:
        """A layer of a forward and rules as formulas: each must be there, and can be evaluated."""
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
        node = self.node.child("forward")
        assert node is not None
        try:
            names = layer.rule_names
        except FormulaError as error:
            self.find(mark_inside(node, error), error.message)
            return None
        if check_rules:
            before = len(self.findings)
            for name, rule in rules.items():
                try:
                    parse(rule, names)
                except FormulaError as error:
                    self.find(mark_inside(backward.value[name], error), error.message)
            if len(self.findings) == before:
                self.bound_work(layer, node)
        return layer

    def bound_work(self, layer: FormulaLayer, node: Node) -> None:
        """Have what takes too long measured in random directions; what still does is found."""
        arrays = f"the arrays of '{shortened(layer.forward)}'"
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

    # -- inputs and constants --------------------------------------------------------------

    def read_data(self) -> Data:
        """Sizes, inputs and constants; what is wrong with them is found."""
        declared = self.read_shapes()
        seed, inputs = 0, {}
        for name, node in self.record.inputs.items():
            if name == "seed":
                seed = self.read_seed(node)
            elif self.is_name(name, node):
                spec = self.read_input(name, node, declared.pop(name, None))
                if spec is not None:
                    inputs[name] = spec
        constants = {}
        for name, node in self.record.constants.items():
            if name in inputs:
                self.find(node.mark, f"'{name}' is an input already; a constant has no gradient")
            elif self.is_name(name, node):
                constants[name] = self.read_constant(name, node, declared.pop(name, None))
        inputs |= {name: ArraySpec(shape, Drawn()) for name, shape in declared.items()}
        if not inputs and not self.findings and not self.is_code:  # a module has its parameters
            self.find(self.node.mark, f"a layer needs an input with a gradient; write {EXAMPLE}")
        shared = {name for key in ("inputs", "constants") for name in self.find_shared(key)}
        shapes = {} if self.findings else {name: spec.shape for name, spec in specs(inputs)}
        domains = read_domains(self.node, self.record, shapes, self.findings) if shapes else {}
        return Data(
            inputs, constants, self.sizes, seed, self.record.dtype, frozenset(shared), domains
        )

    def find_shared(self, key: str) -> Collection[str]:
        """The inputs, or the constants, that stand above the checks of a file, for all of them."""
        node = self.node.child(key)
        if node is None or not isinstance(node.value, dict):
            return ()
        return node.value if key in self.node.shared else node.shared

    def is_name(self, name: str, node: Node) -> bool:
        """Whether an input can be called so."""
        if _NAME.fullmatch(name):
            return True
        self.find(node.mark, f"'{name}' is not a name that a function could take")
        return False

    def read_shapes(self) -> dict[str, Shape]:
        """Sizes by letter are learned; the shapes of arrays are returned."""
        arrays = {}
        for name, node in self.record.shapes.items():
            if isinstance(node.value, list):
                arrays[name] = node
                continue
            size = read_size(name, node, self.findings)
            if size is not None:
                self.sizes[name] = size
        shapes = {name: self.read_shape(name, node) for name, node in arrays.items()}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def read_shape(self, name: str, node: Node) -> Shape | None:
        """The shape that a list of sizes gives."""
        return read_shape(name, node, self.sizes, self.findings)

    @property
    def is_code(self) -> bool:
        """Whether the layer is Python code, and no formula."""
        forward = self.record.forward
        return forward is None or ":" in forward or self.record.derivative is not None

    def read_input(self, name: str, node: Node, declared: Shape | None) -> Any:
        """An input: an array, or a mapping of them, as a function takes it."""
        if _holds_arrays(node):
            if not self.is_code:
                self.find(node.mark, f"'{name}' holds several arrays; a formula knows one by name")
                return None
            assert isinstance(node.value, dict)
            return _as_list(
                {
                    key: self.read_input(name_part(name, key), part, None)
                    for key, part in _by_key(node.value)
                }
            )
        if self.is_code and _lists_shapes(node):
            assert isinstance(node.value, list)
            return [
                self.read_input(name_part(name, place), part, None)
                for place, part in enumerate(node.value)
            ]
        if _is_flat(node):
            shape = self.read_shape(name, node)
            spec = None if shape is None else ArraySpec(shape, Drawn())
            return self.agree(name, node, spec, declared)
        return self.read_array(name, node, declared)

    def read_array(
        self, name: str, node: Node, declared: Shape | None, *, booleans: bool = False
    ) -> ArraySpec | None:
        """An array by its values, a file, or a mapping that says what it is."""
        sizes, findings = self.sizes, self.findings
        array = read_array(
            name, node, sizes, self.values, findings, EXPECTED_ARRAY, booleans=booleans
        )
        if array is None:
            return None
        source, shape = array
        # A single number fills any shape.
        shape = shape or declared or shape
        if shape is None:
            self.find(node.mark, f"'{name}' needs a shape, such as {{shape: [n, 3]}}")
            return None
        return self.agree(name, node, ArraySpec(shape, source), declared)

    def agree(
        self, name: str, node: Node, spec: ArraySpec | None, declared: Shape | None
    ) -> ArraySpec | None:
        """The array, if what `shapes` says of it, where it does, is so."""
        if spec is None or declared is None or declared == spec.shape:
            return spec
        self.find(
            node.mark,
            f"'{name}' is {format_shape(spec.shape)} here, but {format_shape(declared)} by shapes",
        )
        return None

    def read_constant(self, name: str, node: Node, declared: Shape | None) -> Any:
        """A constant: an array where its mapping or its file says so; any other value as it is.

        The name of a size stands for the size.
        """
        value = node.value
        file = isinstance(value, str) and value.lower().endswith(ARRAY_FILES)
        if _is_array(node) or file or declared is not None:
            return self.read_array(name, node, declared, booleans=True)
        if isinstance(value, dict) and "call" in value and self.is_code:
            return self.read_object(name, value)
        if isinstance(value, dict):
            parts = _by_key(value)
            return _as_list(
                {key: self.read_constant(name_part(name, key), part, None) for key, part in parts}
            )
        if isinstance(value, list) and self.sizes and self.is_code:
            items = enumerate(value)
            return [self.read_constant(name_part(name, key), part, None) for key, part in items]
        if not isinstance(value, str):
            return self.values.read_plain(node)
        code = reference(value, self.values.folder) if self.is_code else None
        if code is not None and code.file is not None and code.file.is_file():
            return CodeValue(code)
        return self.sizes.get(value, value)

    def read_object(self, name: str, value: Mapping[str, Node]) -> CodeValue | None:
        """A constant that code makes: {call: FILE:NAME, ARGUMENT: VALUE, ...}."""
        node = value["call"]
        code = reference(node.value, self.values.folder) if isinstance(node.value, str) else None
        code = self.find_code(node, code, "'call'")
        arguments = {
            key: self.read_constant(name_part(name, key), part, None)
            for key, part in value.items()
            if key != "call"
        }
        return CodeValue(code, arguments, called=True) if code is not None else None

    def fits_memory(self, data: Data) -> bool:
        """Whether a check of these arrays fits into memory; if not, that is found."""
        shapes = {name: spec.shape for name, spec in specs({**data.inputs, **data.constants})}
        entries = sum(self.numeric.entries(size) for _, size in data.gradients)
        need = BYTES_OF_ARRAYS * sum(map(prod, shapes.values())) + BYTES_OF_ENTRIES * entries
        listed = ", ".join(f"{name} of {format_shape(shape)}" for name, shape in shapes.items())
        return self.fits(f"inputs {listed}", need, "checking them")


def _by_key(mapping: Mapping[str, Node]) -> Iterator[tuple[str | int, Node]]:
    """The values of a mapping that a function takes; keys that are whole numbers are numbers."""
    yield from ((int(key) if key.isdecimal() else key, node) for key, node in mapping.items())


def _as_list(mapping: dict[str | int, Any]) -> Any:
    """A mapping from 0, 1, 2 … as a list; any other as it is."""
    numbered = mapping and list(mapping) == list(range(len(mapping)))
    return list(mapping.values()) if numbered else mapping


def _is_array(node: Node) -> bool:
    """Whether a mapping describes an array, and is not one that a function takes."""
    described = {"distribution", "values", "shape"}
    return isinstance(node.value, dict) and not described.isdisjoint(node.value)


def _holds_arrays(node: Node) -> bool:
    """Whether an input is a mapping from names to arrays, and not the description of one."""
    if not isinstance(node.value, dict) or not node.value or _is_array(node):
        return False
    return not any(
        key in ArrayConfig.__struct_fields__ and not isinstance(part.value, list | dict)
        for key, part in node.value.items()
    )


def _lists_shapes(node: Node) -> bool:
    """Whether an input is a list of arrays: of shapes, or of mappings that describe arrays.

    Numbers that are no sizes make it one array, as [[0.5, 1], [2, -1]].
    """
    if not isinstance(node.value, list) or _is_flat(node):
        return False
    return all(_could_be_shape(part) for part in node.value)


def _could_be_shape(node: Node) -> bool:
    """Whether all that stands in lists here are sizes; a mapping describes an array."""
    if isinstance(node.value, list):
        return bool(node.value) and all(_could_be_shape(part) for part in node.value)
    whole = isinstance(node.value, int) and not isinstance(node.value, bool) and node.value > 0
    return whole or isinstance(node.value, str | dict)


def _is_flat(node: Node) -> bool:
    """Whether an input is a list without lists in it, which is a shape."""
    return isinstance(node.value, list) and not any(
        isinstance(item.value, list | dict) for item in node.value
    )
