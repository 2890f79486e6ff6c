"""Read the inputs and constants of the user's own layer: arrays, lists, mappings and objects."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import cycle
from math import prod
from typing import Any

from gradcheck_cli.arrays import ARRAY_FILES, ArraySpec, Drawn, Shape
from gradcheck_cli.config.builders.arrays import read_array, read_shape, read_size
from gradcheck_cli.config.builders.builder import Builder
from gradcheck_cli.config.builders.domains import read_domains
from gradcheck_cli.config.builders.slices import read_slices
from gradcheck_cli.config.builders.value_nodes import (
    as_list,
    describes_array,
    holds_arrays,
    is_flat_list,
    list_parts,
    list_size_names,
    lists_shapes,
)
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.layers.own import CodeValue, Data, specs
from gradcheck_cli.layers.paper import BYTES_OF_ARRAYS, BYTES_OF_ENTRIES
from gradcheck_cli.text import format_shape, join_words, name_part, suggest
from gradcheck_cli.usercode.loading import Reference, read_reference

# A name such as W, or the path of an attribute such as layers[0].W.
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*|\[\d+\])*")
DIFFERENT = (4, 5, 3, 6, 7, 2, 8, 9)  # sizes, all different: a transposed array does not fit
EXAMPLE = "inputs: {x: [n, N], W: [N, M]}"
EXPECTED_ARRAY = (
    "a shape such as [n, 3], numbers, a .npy or .csv file, or a mapping such as "
    "{shape: [n], scale: 10}"
)


class DataBuilder(Builder):
    """Reads the arguments of the functions of an own layer, and collects findings."""

    def read_data(self) -> Data:
        """Read sizes, inputs and constants; errors in them are findings."""
        declared = self.read_shapes()
        self.report_missing_sizes()
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
                self.report(node.mark, f"'{name}' is an input already; a constant has no gradient")
            elif self.is_name(name, node):
                constants[name] = self.read_constant(name, node, declared.pop(name, None))
        inputs |= {name: ArraySpec(shape, Drawn()) for name, shape in declared.items()}
        if not inputs and not self.findings and not self.is_code:  # a module has its parameters
            self.report(self.node.mark, f"a layer needs an input with a gradient; write {EXAMPLE}")
        shared = {name for key in ("inputs", "constants") for name in self.find_shared(key)}
        shapes = {} if self.findings else {name: spec.shape for name, spec in specs(inputs)}
        domains = read_domains(self.node, self.record, shapes, self.findings) if shapes else {}
        slices = read_slices(self.node, shapes, self.findings) if shapes else {}
        return Data(
            inputs,
            constants,
            self.sizes,
            seed,
            self.record.dtype,
            frozenset(shared),
            domains,
            slices,
        )

    def find_shared(self, key: str) -> Collection[str]:
        """The names of inputs or constants that the check inherits from the top of its file.

        key: `inputs` or `constants`.
        """
        node = self.node.child(key)
        if node is None or not isinstance(node.value, dict):
            return ()
        return node.value if key in self.node.shared else node.shared

    def is_name(self, name: str, node: Node) -> bool:
        """Whether an input can have this name; if not, this is a finding."""
        if _NAME.fullmatch(name):
            return True
        self.report(node.mark, f"'{name}' is not a name that a function could take")
        return False

    def read_shapes(self) -> dict[str, Shape]:
        """Read `shapes`: store the sizes by letter, and return the shapes of arrays."""
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

    def report_missing_sizes(self) -> None:
        """If there is no `shapes`, add one finding for all sizes that inputs name, and give each a
        value, so that no further errors follow."""
        inputs = self.node.child("inputs")
        if inputs is None or self.record.shapes:
            return
        named = list(dict.fromkeys(list_size_names(inputs)))
        self.sizes |= dict(zip(named, cycle(DIFFERENT), strict=False))
        if named:
            example = ", ".join(f"{name}: {self.sizes[name]}" for name in named)
            what = f"the size{'s' * (len(named) > 1)} {join_words(named)}"
            message = f"nothing gives {what}; write shapes: {{{example}}}"
            self.report(self.node.keys.get("inputs", inputs.mark), message)

    def read_shape(self, name: str, node: Node) -> Shape | None:
        """The shape that a list of sizes gives."""
        return read_shape(name, node, self.sizes, self.findings)

    @property
    def is_code(self) -> bool:
        """Whether the layer is Python code and not a formula."""
        forward = self.record.forward
        return forward is None or ":" in forward or self.record.derivative is not None

    def read_input(self, name: str, node: Node, declared: Shape | None) -> Any:
        """Read an input: an array, or a list or mapping of inputs.

        declared: the shape that `shapes` gives it, if any.
        """
        if holds_arrays(node):
            if not self.is_code:
                self.report(
                    node.mark, f"'{name}' holds several arrays; a formula knows one by name"
                )
                return None
            assert isinstance(node.value, dict)
            return as_list(
                {
                    key: self.read_input(name_part(name, key), part, None)
                    for key, part in list_parts(node.value)
                }
            )
        if self.is_code and lists_shapes(node):
            assert isinstance(node.value, list)
            return [
                self.read_input(name_part(name, place), part, None)
                for place, part in enumerate(node.value)
            ]
        if is_flat_list(node):
            shape = self.read_shape(name, node)
            spec = None if shape is None else ArraySpec(shape, Drawn())
            return self.check_shape(name, node, spec, declared)
        return self.read_array(name, node, declared)

    def read_array(
        self, name: str, node: Node, declared: Shape | None, *, booleans: bool = False
    ) -> ArraySpec | None:
        """Read an array from its values, a file, or a mapping that describes it."""
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
            self.report(node.mark, f"'{name}' needs a shape, such as {{shape: [n, 3]}}")
            return None
        return self.check_shape(name, node, ArraySpec(shape, source), declared)

    def check_shape(
        self, name: str, node: Node, spec: ArraySpec | None, declared: Shape | None
    ) -> ArraySpec | None:
        """The array; None with a finding if its shape is not the one that `shapes` gives."""
        if spec is None or declared is None or declared == spec.shape:
            return spec
        self.report(
            node.mark,
            f"'{name}' is {format_shape(spec.shape)} here, but {format_shape(declared)} by shapes",
        )
        return None

    def read_constant(self, name: str, node: Node, declared: Shape | None) -> Any:
        """Read a constant: an array if a mapping describes it or it is a file, else a plain value.

        The name of a size gives the size, and the path of code gives the function it names.
        """
        value = node.value
        file = isinstance(value, str) and value.lower().endswith(ARRAY_FILES)
        if describes_array(node) or file or declared is not None:
            return self.read_array(name, node, declared, booleans=True)
        if isinstance(value, dict) and "call" in value and self.is_code:
            return self.read_object(name, value)
        if isinstance(value, dict):
            parts = list_parts(value)
            return as_list(
                {key: self.read_constant(name_part(name, key), part, None) for key, part in parts}
            )
        if isinstance(value, list) and self.sizes and self.is_code:
            items = enumerate(value)
            return [self.read_constant(name_part(name, key), part, None) for key, part in items]
        if not isinstance(value, str):
            return self.values.read_plain(node)
        code = read_reference(value, self.values.folder) if self.is_code else None
        if code is not None and code.file is not None and code.file.is_file():
            return CodeValue(code)
        return self.sizes.get(value, value)

    def read_object(self, name: str, value: Mapping[str, Node]) -> CodeValue | None:
        """Read a constant that a call makes: {call: FILE:NAME, ARGUMENT: VALUE, ...}."""
        node = value["call"]
        code = (
            read_reference(node.value, self.values.folder) if isinstance(node.value, str) else None
        )
        code = self.check_code(node, code, "'call'")
        arguments = {
            key: self.read_constant(name_part(name, key), part, None)
            for key, part in value.items()
            if key != "call"
        }
        return CodeValue(code, arguments, called=True) if code is not None else None

    def fits_memory(self, data: Data) -> bool:
        """Whether a check of these arrays fits into memory; if not, this is a finding."""
        shapes = {name: spec.shape for name, spec in specs({**data.inputs, **data.constants})}
        entries = sum(self.numeric.entries(size) for _, size in data.gradients)
        need = BYTES_OF_ARRAYS * sum(map(prod, shapes.values())) + BYTES_OF_ENTRIES * entries
        listed = ", ".join(f"{name} of {format_shape(shape)}" for name, shape in shapes.items())
        return self.fits(f"inputs {listed}", need, "checking them")

    def check_code(self, node: Node, code: Reference | None, what: str) -> Reference | None:
        """The code, if there is some and its file exists; else None with a finding."""
        folder = self.values.folder
        if code is None:
            self.report(
                node.mark,
                f"{what} must be code, such as layers.py:name or package.module:name, "
                f"got {node.describe()}",
            )
        elif code.file is not None and not code.file.is_file():
            files = [path.name for path in folder.glob("*.py")] if folder.is_dir() else []
            self.report(node.mark, f"no such file: '{code.place}'{suggest(code.where, files)}")
            return None
        return code
