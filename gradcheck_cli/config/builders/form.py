"""A config of one of the paper's forms → its layer: sizes solved, formulas parsed, arrays read."""

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
    """Builds one layer and collects what does not fit.

    sizes: n, N and M as far as they are known; said_by: which part of the config said so.
    symbols: the symbolic shape of every array.
    """

    def __init__(
        self, node: Node, record: CheckConfig, values: ValueReader, findings: list[Finding]
    ) -> None:
        super().__init__(node, record, values, findings)
        self.form: Form = FORMS[record.form or ""].extend(record.bias, record.activation)
        self.loss: Loss = LOSSES.get(record.loss, LOSSES["squared-error"])
        if record.loss not in LOSSES:
            self.find(
                node.keys["loss"],
                f"'loss' of a form must be {join_words(list(LOSSES), 'or')}; "
                "code goes with forward",
            )
        self.said_by: dict[str, str] = {}
        self.symbols = {**self.form.shapes, self.loss.target: self.form.output}

    def build(self, check_rules: bool) -> Layer | None:
        """The layer, or None where something was found to be wrong with it."""
        before = len(self.findings)
        self.read_shapes()
        sources, seed = self.read_inputs()
        missing = [size for size in self.form.sizes if size not in self.sizes]
        if missing and not self.findings:
            self.find_missing_sizes(missing)
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
        """What may be meant by an array that the form does not have."""
        if name == "b" and "b" not in self.form.arrays:
            return "; bias: true adds one"
        return suggest(name, known, what)

    def fits_memory(self, layer: Layer) -> bool:
        """Whether a check of the layer fits into memory; if not, that is found."""
        sizes = ", ".join(f"{name}={size}" for name, size in layer.sizes.items())
        what = "checking their Jacobians" if layer.jacobian else "checking them"
        return self.fits(f"sizes {sizes}", layer.bytes(self.numeric), what)

    # -- sizes -----------------------------------------------------------------------------

    def read_shapes(self) -> None:
        """Both notations of `shapes`: sizes by letter, and shapes by array."""
        for name, node in self.record.shapes.items():
            if name in self.form.sizes:
                size = read_size(name, node, self.findings)
                if size is not None:
                    self.learn(name, size, f"{name}: {size}", node.mark)
            elif name in self.symbols:
                self.read_array_shape(name, node)
            else:
                self.find_unknown_shape(name)

    def find_unknown_shape(self, name: str) -> None:
        """Say of a key of `shapes` that the form has no such size or array."""
        message, known = f"unknown size or array '{name}'", [*self.form.sizes, *self.symbols]
        if ":" in name:
            message, known = f"'{name}' needs a space after the colon", []
        if name == "n":
            message = f"'n' does not belong to form {self.form.name}, which has one sample"
            known = []
        miss = self.suggest_array(name, known, f"{self.form.name} has")
        self.find(self.mark_of("shapes", name), message + miss)

    def read_array_shape(self, name: str, node: Node) -> None:
        """The sizes that the shape of an array gives."""
        symbols = self.symbols[name]
        if not isinstance(node.value, list) or len(node.value) != len(symbols):
            got = shorten(str(node.plain())) if isinstance(node.value, list) else node.describe()
            message = f"'{name}' must be a list of two sizes, {'×'.join(symbols)}, got {got}"
            if isinstance(node.value, list) and len(node.value) == 1 and "1" in symbols:
                size = node.value[0].plain()
                message += f"; write {[1 if symbol == '1' else size for symbol in symbols]}"
            self.find(node.mark, message)
            return
        sizes = [read_size(name, size, self.findings) for size in node.value]
        shape = tuple(size for size in sizes if size is not None)
        if len(shape) == len(sizes):
            self.learn_shape(name, shape, f"{name}: {list(shape)}", node.mark)

    def learn_shape(self, name: str, shape: Shape, said_by: str, mark: Mark) -> None:
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
            if symbol != "1":
                self.learn(symbol, size, said_by, mark)
            elif size != 1:
                self.find(mark, f"'{name}' is {wanted} in form {self.form.name}, but {said_by}")

    def learn(self, symbol: str, value: int, said_by: str, mark: Mark) -> None:
        """Take a size, or find where it contradicts what is known of it."""
        known = self.sizes.setdefault(symbol, value)
        before = self.said_by.setdefault(symbol, said_by)
        if known != value:
            message = f"{symbol} is {value} by '{said_by}' but {known} by '{before}'"
            self.find(mark, f"{message}; make them agree")

    def find_missing_sizes(self, missing: list[str]) -> None:
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
        allowed = [*self.form.arrays, self.loss.target]
        # What is drawn comes last: it may name a size that the shape of another array tells.
        for name, node in sorted(self.record.inputs.items(), key=lambda item: _is_drawn(item[1])):
            if name == "seed":
                seed = self.read_seed(node)
            elif name not in allowed:
                miss = self.suggest_array(name, ["seed", *allowed], "inputs may give")
                self.find(self.mark_of("inputs", name), f"unknown input '{name}'{miss}")
            else:
                source = self.read_source(name, node)
                if source is not None:
                    sources[name] = source
        return sources, seed

    def read_source(self, name: str, node: Node) -> Source | None:
        """Where an array comes from; its shape, where it has one, tells sizes."""
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
        """The user's formulas by input, which stand in the place of the paper's rules."""
        backward = self.record.backward
        if isinstance(backward, str):
            node = self.node.child("backward")
            assert node is not None
            self.find(
                node.mark,
                "'backward' of a form must be a mapping from inputs to formulas, such as "
                f"{{W: 'X.T @ delta / n'}}, got {node.describe()}",
            )
            return {}
        rules = self.read_rules(
            backward, "X.T @ delta / n", self.form.arrays, self.describe_unknown_input
        )
        if "W" in rules and self.record.gradient_reduction is not None:
            self.find(
                self.node.keys["gradient_reduction"],
                "gradient_reduction combines the paper's rule for W, but backward gives W a rule "
                "of its own; leave one out",
            )
        return rules

    def describe_unknown_input(self, name: str) -> str:
        """What is said of a rule for an input that the form does not have."""
        miss = self.suggest_array(name.removeprefix("d"), self.form.arrays, "its inputs are")
        if not name.isidentifier():
            miss = "; put a formula with commas or colons in quotes"
        return f"form {self.form.name} has no input '{name}'{miss}"


def _is_drawn(node: Node) -> bool:
    """Whether an array's values and shape are not given."""
    return isinstance(node.value, dict) and node.value.keys().isdisjoint(("shape", "values"))
