"""Read what the default, the annotation and the docstring of a function say of a parameter."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from gradcheck_cli.config.init.inference.axes import Axis
from gradcheck_cli.config.init.inference.interpreter import Interpreter
from gradcheck_cli.config.init.inference.sizes import Sizes
from gradcheck_cli.config.init.inference.values import ARRAY, RECORD, Value
from gradcheck_cli.config.init.names import is_filter, is_samples
from gradcheck_cli.config.init.syntax import (
    Function,
    annotations_of,
    field_names,
    find_documented_shape,
    find_unpacked_shape,
    is_vector,
    parameter_defaults,
    parameter_names,
    read_attributes,
    read_keys,
)

# Code with these transposes the matrices of a batch.
BATCHES = re.compile(r"transpose\(0, 2, 1\)|swapaxes\(-[12], -[12]\)")


def plain_parameter(name: str) -> Value:
    """A parameter of which only the name is known."""
    return Value(name=name, is_parameter=True)


class DeclaredParameters:
    """The parameters of a function; text: of its class if it is a method, else of itself."""

    def __init__(
        self, function: Function, text: ast.AST, sizes: Sizes, interpreter: Interpreter
    ) -> None:
        self.function = function
        self.text = text
        self.sizes = sizes
        self.interpreter = interpreter
        self.doc = ast.get_docstring(function) or ""
        self.defaults = parameter_defaults(function)

    def read(self, name: str) -> Value:
        """What is known of a parameter before the function is followed."""
        default = self.defaults.get(name)
        if isinstance(default, ast.Constant) and default.value is not None:
            return self.interpreter.evaluate(default, {})
        made = plain_parameter(name)
        if {*parameter_names(self.function)} == {"a", "b"}:
            made.name = "a"  # where there are a and b, b is not a bias
        if name == "V" and {"Q", "K"} <= {*parameter_names(self.function)}:
            made.name = "values"  # the values of an attention, and not a weight
        fields = self.record_fields(name)
        if fields:
            made.kind, made.fields = RECORD, {key: plain_parameter(key) for key in fields}
            return made
        if is_vector(self.function, name, self.text):
            made.kind, made.axes = ARRAY, [Axis()]
        elif is_samples(name) and BATCHES.search(ast.unparse(self.text)):
            made.kind, made.axes = ARRAY, [Axis(), Axis(), Axis()]
        keys = read_keys(self.function, name)
        documented = () if keys else find_documented_shape(self.doc, name)
        made.is_documented = bool(documented)
        shape = documented or find_unpacked_shape(self.function, name) or self.helper_shape(name)
        if shape:
            made.kind, made.axes = ARRAY, [self.axis(one) for one in shape]
            for axis in made.axes if is_filter(name) else ():
                axis.small = True
        return made

    def helper_shape(self, name: str) -> Sequence[str]:
        """The sizes that a helper unpacks from the shape of a parameter that it is handed.

        The helper is a method that is called with x or x @ W, and starts with B, T, D = x.shape.
        """
        methods = {one.name: one for one in ast.walk(self.text) if isinstance(one, ast.FunctionDef)}
        for node in ast.walk(self.function):
            if not isinstance(node, ast.Call) or len(node.args) != 1:
                continue
            helper = methods.get(ast.unparse(node.func).removeprefix("self."))
            handed = node.args[0]
            first = handed.left if isinstance(handed, ast.BinOp) else handed
            if helper is not None and parameter_names(helper) and ast.unparse(first) == name:
                return find_unpacked_shape(helper, parameter_names(helper)[0])
        return ()

    def record_fields(self, name: str) -> Sequence[str]:
        """The fields of a parameter that is a record.

        Its class is in the file: the one that annotates the parameter, or else the first that has
        all attributes that the function reads from it.
        """
        records = {
            key: field_names(made)
            for key, made in self.interpreter.known.items()
            if isinstance(made, ast.ClassDef)
        }
        annotated = annotations_of(self.function).get(name)
        if annotated in records:
            return records[annotated]
        read = read_attributes(self.function, name)
        fitting = (fields for fields in records.values() if read and read <= {*fields})
        return next(fitting, [])

    def axis(self, text: str) -> Axis:
        """An axis as it is written in a docstring: N, 3, 4H or 2 * N."""
        times = re.fullmatch(r"(\d+)\s*\*?\s*([A-Za-z_]\w*)", text)
        if times is None:
            return self.sizes.named(text)
        count, of = int(times[1]), self.sizes.named(times[2])
        return Axis(calculate=lambda: count * of.size(self.sizes.allocate))
