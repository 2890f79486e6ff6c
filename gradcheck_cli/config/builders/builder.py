"""The base of all builders of checks: findings, sizes, the seed, formulas, memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from gradcheck_cli.config.builders.arrays import ValueReader
from gradcheck_cli.config.findings import Finding, Mark
from gradcheck_cli.config.schema import CheckConfig
from gradcheck_cli.config.schema_parts import NumericConfig
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import FormulaError
from gradcheck_cli.formula import Shape, parse
from gradcheck_cli.options import AUTO, Numeric

MAX_MEMORY = 4 * 2**30  # bytes of a check
Miss = Callable[[str], str]


class Builder:
    """Builds a check from its record.

    node: of the check, with places; record: its keys; values: reads the values of arrays;
    findings: a list to which errors are added.
    """

    def __init__(
        self, node: Node, record: CheckConfig, values: ValueReader, findings: list[Finding]
    ) -> None:
        self.node = node
        self.record = record
        self.values = values
        self.findings = findings
        self.numeric = make_numeric(record.numeric)
        self.sizes: dict[str, int] = {}

    def report(self, mark: Mark, message: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(mark, message))

    def mark_of(self, section: str, name: str) -> Mark:
        """The place of a key of a mapping of the config, such as `W` of `inputs`."""
        node = self.node.child(section)
        return node.keys.get(name, node.mark) if node is not None else self.node.mark

    def read_seed(self, node: Node) -> int:
        """The seed; 0 with a finding if it is not a whole number of 0 or more."""
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
        self.report(node.mark, f"'seed' must be a whole number of 0 or more, got {node.describe()}")
        return 0

    def read_rules(
        self, backward: Mapping[str, Node], example: str, inputs: Collection[str], miss: Miss
    ) -> dict[str, str]:
        """The formulas of `backward` by input; a number is a formula, too.

        example: of a formula, for errors; miss: the error for a name that is not in `inputs`.
        """
        rules = {}
        for name, node in backward.items():
            if name not in inputs:
                self.report(self.mark_of("backward", name), miss(name))
            elif isinstance(node.value, str | int | float) and not isinstance(node.value, bool):
                rules[name] = str(node.value)
            else:
                self.report(
                    node.mark,
                    f"'{name}' must be a formula, such as '{example}', got {node.describe()}; "
                    "put a formula with commas or colons in quotes",
                )
        return rules

    def check_rules(self, rules: Mapping[str, str], names: Mapping[str, Shape | float]) -> None:
        """Parse the user's formulas; one that cannot be evaluated is a finding.

        rules: by input; names: those that formulas may use. A formula whose value has the wrong
        shape is not an error of the config, but a wrong gradient.
        """
        for name, text in rules.items():
            try:
                parse(text, names)
            except FormulaError as error:
                node = self.node.child("backward", name)
                assert node is not None
                self.report(mark_inside(node, error), error.message)

    def fits(self, sizes: str, need: int, what: str) -> bool:
        """Whether a check that needs so many bytes fits into memory; if not, this is a finding.

        sizes: the arrays, and what: the work that needs the memory, for the error.
        """
        if need <= MAX_MEMORY:
            return True
        mark = self.node.keys.get("shapes", self.node.mark)
        self.report(
            mark,
            f"{sizes} are too large for memory: {what} takes {_gigabytes(need)}; "
            f"at most {_gigabytes(MAX_MEMORY)} are allowed",
        )
        return False


def make_numeric(config: NumericConfig) -> Numeric:
    """The options of the numeric gradient in a config."""
    return Numeric(
        order=None if isinstance(config.order, str) else config.order,
        step=None if isinstance(config.step, str) else config.step,
        sample=config.sample,
        mode=config.mode,
        locality=config.locality == AUTO,
        widen=config.dtype == AUTO,
    )


def mark_inside(node: Node, error: FormulaError) -> Mark:
    """The place in the file of an error in a formula."""
    if node.start is None:
        return node.mark
    column = node.start.column + error.offset
    return Mark(node.start.line, column, error.length, node.start.argument)


def _gigabytes(count: int) -> str:
    if count < 2**50:
        return f"{count / 2**30:,.0f} GiB"
    return f"{count / 2**30:.0e} GiB" if count < 2**100 else f"over {2**70:.0e} GiB"
