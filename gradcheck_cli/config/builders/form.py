"""Build the layer of a form of the paper: find its sizes, read its arrays, parse its formulas."""

from __future__ import annotations

from collections.abc import Iterable

from gradcheck_cli.arrays import Shape, Source
from gradcheck_cli.config.builders.arrays import ValueReader, read_array, read_size
from gradcheck_cli.config.builders.builder import Builder
from gradcheck_cli.config.findings import Finding, Mark
from gradcheck_cli.config.schema import CheckConfig
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.layers.forms import FORMS, Form
from gradcheck_cli.layers.losses import LOSSES, Loss
from gradcheck_cli.layers.paper import Layer
from gradcheck_cli.text import format_shape, join_words, shorten, suggest

EXPECTED_ARRAY = (
    "numbers, a .npy or .csv file, or a mapping such as {distribution: normal, scale: 10}"
)


class FormBuilder(Builder):
    """Builds a layer of the paper and collects findings.

    sizes: n, N and M as far as they are known; given_by: the part of the config that gave each.
    symbols: the symbolic shape of every array.
    """

    def __init__(
        self, node: Node, record: CheckConfig, values: ValueReader, findings: list[Finding]
    ) -> None:
        super().__init__(node, record, values, findings)
        self.form: Form = FORMS[record.form or ""].extend(record.bias, record.activation)
        self.loss: Loss = LOSSES.get(record.loss, LOSSES["squared-error"])
        if record.loss not in LOSSES:
            self.report(
                node.keys["loss"],
                f"'loss' of a form must be {join_words(list(LOSSES), 'or')}; "
                "code goes with forward",
            )
        self.given_by: dict[str, str] = {}
        self.symbols = {**self.form.shapes, self.loss.target: self.form.output}

    def build(self, check_rules: bool) -> Layer | None:
        """The layer; None if there are findings."""
        before = len(self.findings)
        self.read_shapes()
        sources, seed = self.read_inputs()
        missing = [size for size in self.form.sizes if size not in self.sizes]
        if missing and not self.findings:
            self.report_missing_sizes(missing)
        own_rules = self.read_own_rules()
        if missing or len(self.findings) > before:
            return None
        layer = Layer(
            form=self.form,
            sizes={size: self.sizes[size] for size in self.form.sizes},
            loss=self.loss,
            reduction=self.record.reduction,
            delta=self.record.delta,
            gradient_reduction=self.record.gradient_reduction,
            own_rules=own_rules,
            jacobian=self.record.jacobian is True,
            sources=sources,
            seed=seed,
            dtype=self.record.dtype,
        )
        if self.fits_memory(layer) and check_rules:
            self.check_rules(layer.own_rules, layer.names)
        return layer

    def suggest_array(self, name: str, known: Iterable[str], what: str) -> str:
        """The end of an error about an array that the form does not have: what may be meant."""
        if name == "b" and "b" not in self.form.arrays:
            return "; bias: true adds one"
        return suggest(name, known, what)

    def fits_memory(self, layer: Layer) -> bool:
        """Whether a check of the layer fits into memory; if not, this is a finding."""
        sizes = ", ".join(f"{name}={size}" for name, size in layer.sizes.items())
        what = "checking their Jacobians" if layer.jacobian else "checking them"
        return self.fits(f"sizes {sizes}", layer.bytes(self.numeric), what)

    # -- sizes -----------------------------------------------------------------------------

    def read_shapes(self) -> None:
        """Read `shapes`, which gives sizes by letter or shapes by array."""
        for name, node in self.record.shapes.items():
            if name in self.form.sizes:
                size = read_size(name, node, self.findings)
                if size is not None:
                    self.learn(name, size, f"{name}: {size}", node.mark)
            elif name in self.symbols:
                self.read_array_shape(name, node)
            else:
                self.report_unknown_shape(name)

    def report_unknown_shape(self, name: str) -> None:
        """Add a finding for a key of `shapes` that is no size or array of the form."""
        message, known = f"unknown size or array '{name}'", [*self.form.sizes, *self.symbols]
        if ":" in name:
            message, known = f"'{name}' needs a space after the colon", []
        if name == "n":
            message = f"'n' does not belong to form {self.form.name}, which has one sample"
            known = []
        miss = self.suggest_array(name, known, f"{self.form.name} has")
        self.report(self.mark_of("shapes", name), message + miss)

    def read_array_shape(self, name: str, node: Node) -> None:
        """Read the shape of an array under `shapes`, and learn the sizes in it."""
        symbols = self.symbols[name]
        if not isinstance(node.value, list) or len(node.value) != len(symbols):
            got = shorten(str(node.plain())) if isinstance(node.value, list) else node.describe()
            message = f"'{name}' must be a list of two sizes, {'×'.join(symbols)}, got {got}"
            if isinstance(node.value, list) and len(node.value) == 1 and "1" in symbols:
                size = node.value[0].plain()
                message += f"; write {[1 if symbol == '1' else size for symbol in symbols]}"
            self.report(node.mark, message)
            return
        sizes = [read_size(name, size, self.findings) for size in node.value]
        shape = tuple(size for size in sizes if size is not None)
        if len(shape) == len(sizes):
            self.learn_shape(name, shape, f"{name}: {list(shape)}", node.mark)

    def learn_shape(self, name: str, shape: Shape, given_by: str, mark: Mark) -> None:
        """Learn the sizes in the shape of an array; a shape that does not fit is a finding."""
        symbols = self.symbols[name]
        wanted = "×".join(symbols)
        if len(shape) != len(symbols):
            message = f"'{name}' must be {wanted} in form {self.form.name}, got {given_by}"
            if len(shape) == 1 and symbols[0] == "1":
                message += "; write it as one row, [[1, 2, 3]]"
            elif len(shape) == 1 and symbols[1] == "1":
                message += "; write it as a column, [[1], [2], [3]]"
            self.report(mark, message)
            return
        for symbol, size in zip(symbols, shape, strict=True):
            if symbol != "1":
                self.learn(symbol, size, given_by, mark)
            elif size != 1:
                self.report(mark, f"'{name}' is {wanted} in form {self.form.name}, but {given_by}")

    def learn(self, symbol: str, value: int, given_by: str, mark: Mark) -> None:
        """Learn a size; one that contradicts a known size is a finding."""
        known = self.sizes.setdefault(symbol, value)
        before = self.given_by.setdefault(symbol, given_by)
        if known != value:
            message = f"{symbol} is {value} by '{given_by}' but {known} by '{before}'"
            self.report(mark, f"{message}; make them agree")

    def report_missing_sizes(self, missing: list[str]) -> None:
        """Add a finding for the sizes that the config does not give."""
        shapes = self.node.child("shapes")
        mark = self.node.keys.get("shapes") or (shapes or self.node).mark
        example = ", ".join(
            f"{size}: {value}"
            for size, value in zip("nNM", (8, 5, 3), strict=True)
            if size in self.form.sizes
        )
        names = join_words(missing)
        self.report(mark, f"shapes must give {names}; write shapes: {{{example}}}")

    # -- inputs ----------------------------------------------------------------------------

    def read_inputs(self) -> tuple[dict[str, Source], int]:
        """The sources of the arrays that `inputs` names, and the seed."""
        sources: dict[str, Source] = {}
        seed = 0
        allowed = [*self.form.arrays, self.loss.target]
        # Drawn arrays come last: they may use a size that is learned from another array.
        for name, node in sorted(self.record.inputs.items(), key=lambda item: _is_drawn(item[1])):
            if name == "seed":
                seed = self.read_seed(node)
            elif name not in allowed:
                miss = self.suggest_array(name, ["seed", *allowed], "inputs may give")
                self.report(self.mark_of("inputs", name), f"unknown input '{name}'{miss}")
            else:
                source = self.read_source(name, node)
                if source is not None:
                    sources[name] = source
        return sources, seed

    def read_source(self, name: str, node: Node) -> Source | None:
        """The source of an array; the sizes in its shape are learned, if it has one."""
        array = read_array(name, node, self.sizes, self.values, self.findings, EXPECTED_ARRAY)
        if array is None:
            return None
        source, shape = array
        if shape:
            origin = node.value if isinstance(node.value, str) else f"inputs.{name}"
            self.learn_shape(name, shape, f"{origin} of {format_shape(shape)}", node.mark)
        return source

    # -- rules -----------------------------------------------------------------------------

    def read_own_rules(self) -> dict[str, str]:
        """The user's formulas by input, which replace the paper's rules."""
        backward = self.record.backward
        if isinstance(backward, str):
            node = self.node.child("backward")
            assert node is not None
            self.report(
                node.mark,
                "'backward' of a form must be a mapping from inputs to formulas, such as "
                f"{{W: 'X.T @ delta / n'}}, got {node.describe()}",
            )
            return {}
        rules = self.read_rules(
            backward, "X.T @ delta / n", self.form.arrays, self.describe_unknown_input
        )
        if "W" in rules and self.record.gradient_reduction is not None:
            self.report(
                self.node.keys["gradient_reduction"],
                "gradient_reduction combines the paper's rule for W, but backward gives W a rule "
                "of its own; leave one out",
            )
        return rules

    def describe_unknown_input(self, name: str) -> str:
        """The error for a rule for an input that the form does not have."""
        miss = self.suggest_array(name.removeprefix("d"), self.form.arrays, "its inputs are")
        if not name.isidentifier():
            miss = "; put a formula with commas or colons in quotes"
        return f"form {self.form.name} has no input '{name}'{miss}"


def _is_drawn(node: Node) -> bool:
    """Whether a mapping gives neither the values nor the shape of an array."""
    return isinstance(node.value, dict) and node.value.keys().isdisjoint(("shape", "values"))
