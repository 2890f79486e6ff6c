"""What building any kind of check has in common: findings, sizes, the seed, memory."""

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
    """The record of a check and the places of its parts, and what was found wrong with it.

    node, record: of the check; values: reads what it gives of arrays; findings: are added to.
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

    def find(self, mark: Mark, message: str) -> None:
        """Report something wrong at a place."""
        self.findings.append(Finding(mark, message))

    def mark_of(self, section: str, name: str) -> Mark:
        """The place of a key of a mapping of the config, such as `W` of `inputs`."""
        node = self.node.child(section)
        return node.keys.get(name, node.mark) if node is not None else self.node.mark

    def read_seed(self, node: Node) -> int:
        """The seed; 0, with a finding, where it is no whole number of 0 or more."""
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
        self.find(node.mark, f"'seed' must be a whole number of 0 or more, got {node.describe()}")
        return 0

    def read_rules(
        self, backward: Mapping[str, Node], example: str, inputs: Collection[str], miss: Miss
    ) -> dict[str, str]:
        """The formulas of `backward` by input; numbers are formulas, too.

        example: of a formula; miss: what is said of an input that is not among `inputs`.
        """
        rules = {}
        for name, node in backward.items():
            if name not in inputs:
                self.find(self.mark_of("backward", name), miss(name))
            elif isinstance(node.value, str | int | float) and not isinstance(node.value, bool):
                rules[name] = str(node.value)
            else:
                self.find(
                    node.mark,
                    f"'{name}' must be a formula, such as '{example}', got {node.describe()}; "
                    "put a formula with commas or colons in quotes",
                )
        return rules

    def check_rules(self, rules: Mapping[str, str], names: Mapping[str, Shape | float]) -> None:
        """Parse the user's formulas, by input, with the names that they may use.

        What cannot be evaluated is found; a formula of the wrong shape is no error of the config:
        it is a wrong gradient.
        """
        for name, text in rules.items():
            try:
                parse(text, names)
            except FormulaError as error:
                node = self.node.child("backward", name)
                assert node is not None
                self.find(mark_inside(node, error), error.message)

    def fits(self, sizes: str, need: int, what: str) -> bool:
        """Whether a check that needs so many bytes fits into memory."""
        if need <= MAX_MEMORY:
            return True
        mark = self.node.keys.get("shapes", self.node.mark)
        self.find(
            mark,
            f"{sizes} are too large for memory: {what} takes {_gigabytes(need)}; "
            f"at most {_gigabytes(MAX_MEMORY)} are allowed",
        )
        return False


def make_numeric(config: NumericConfig) -> Numeric:
    """The options of the numeric side that a config gives."""
    return Numeric(
        order=None if isinstance(config.order, str) else config.order,
        step=None if isinstance(config.step, str) else config.step,
        sample=config.sample,
        mode=config.mode,
        locality=config.locality == AUTO,
        widen=config.dtype == AUTO,
    )


def mark_inside(node: Node, error: FormulaError) -> Mark:
    """The place of a formula's error in the file."""
    if node.start is None:
        return node.mark
    column = node.start.column + error.offset
    return Mark(node.start.line, column, error.length, node.start.argument)


def _gigabytes(count: int) -> str:
    if count < 2**50:
        return f"{count / 2**30:,.0f} GiB"
    return f"{count / 2**30:.0e} GiB" if count < 2**100 else f"over {2**70:.0e} GiB"
