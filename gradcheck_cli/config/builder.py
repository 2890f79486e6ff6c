"""What building any kind of check has in common: findings, sizes, the seed, memory."""

from __future__ import annotations

from pathlib import Path

from gradcheck_cli.config.findings import Finding, Mark
from gradcheck_cli.config.schema import CheckConfig, shown
from gradcheck_cli.config.yaml_tree import Node
from gradcheck_cli.errors import FormulaError
from gradcheck_cli.options import Numeric

MAX_MEMORY = 4 * 2**30  # bytes of a check
ARRAY_FILES = (".npy", ".csv")


class Builder:
    """A config's record and the place of its parts, and what was found wrong with it."""

    def __init__(
        self, node: Node, record: CheckConfig, folder: Path, findings: list[Finding]
    ) -> None:
        self.node = node
        self.record = record
        self.folder = folder
        self.findings = findings

    def find(self, mark: Mark, message: str) -> None:
        """Report something wrong at a place."""
        self.findings.append(Finding(mark, message))

    def is_size(self, name: str, node: Node) -> bool:
        """Whether a node is a size; if not, that is found."""
        value = node.plain()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return True
        self.find(node.mark, f"'{name}' must be a whole number of 1 or more, got {shown(node)}")
        return False

    def read_seed(self, node: Node) -> int:
        """The seed; 0 where there is none that could be used."""
        value = node.plain()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
        self.find(node.mark, f"'seed' must be a whole number of 0 or more, got {shown(node)}")
        return 0

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


def numeric_of(record: CheckConfig) -> Numeric:
    """What a record says of the numeric side."""
    order, step = record.numeric.order, record.numeric.step
    return Numeric(
        order=None if isinstance(order, str) else order,
        step=None if isinstance(step, str) else step,
        sample=record.numeric.sample,
        mode=record.numeric.mode,
        locality=record.numeric.locality == "auto",
    )


def inside(node: Node, error: FormulaError) -> Mark:
    """The place of a formula's error in the file."""
    if node.start is None:
        return node.mark
    column = node.start.column + error.offset
    return Mark(node.start.line, column, error.length, node.start.argument)


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:,.0f} GiB" if count < 2**50 else f"{count / 2**30:.0e} GiB"
