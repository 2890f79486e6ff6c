"""A layer that the user wrote in formulas; its cost is known before it is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from gradcheck_cli.arrays import ArraySpec, Drawn, Shape
from gradcheck_cli.formula import parse
from gradcheck_cli.layers.own import OwnLayer
from gradcheck_cli.layers.paper import UPSTREAM_NAMES
from gradcheck_cli.options import Numeric
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.text import printable
from gradcheck_cli.usercode.loading import Reference

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

# How often a check calls the forward: for each measured entry, for each gradient in random
# directions (with the search for what is wrong), and otherwise; and how often it calls a rule.
CALLS_OF_ENTRY, CALLS_OF_DIRECTIONS, CALLS_BESIDES, CALLS_OF_RULE = 30, 300, 10, 8
# Numbers that are kept for each output: values on both sides, their differences and their noise.
NUMBERS_OF_OUTPUT = 24


class FormulaLayer(OwnLayer, frozen=True):
    """A layer whose functions are formulas.

    forward: of the inputs. rules: ∂L/∂input, by input, which may also name delta and y.
    batched: whether the forward takes many points at once, see `from_functions`.
    """

    forward: str
    rules: Mapping[str, str]
    batched: bool | str = False

    @property
    def names(self) -> dict[str, Shape | float]:
        """The names that the forward may use: arrays by shape, numbers by value."""
        data = self.data
        inputs = {name: spec.shape for name, spec in data.inputs.items()}
        arrays = {name: c.shape for name, c in data.constants.items() if isinstance(c, ArraySpec)}
        numbers = {name: c for name, c in data.constants.items() if isinstance(c, int | float)}
        return {**data.sizes, **numbers, **arrays, **inputs}

    @property
    def rule_names(self) -> dict[str, Shape | float]:
        """The names that a rule may use: those, the output y and the upstream gradient delta."""
        shape = parse(self.forward, self.names).shape
        return {"y": shape, **dict.fromkeys(UPSTREAM_NAMES, shape), **self.names}

    def count_calls(self, numeric: Numeric) -> int:
        """Estimate how often a check calls the forward."""
        entries = [numeric.entries(size) for _, size in self.gradients]
        calls = [CALLS_OF_ENTRY * count if count else CALLS_OF_DIRECTIONS for count in entries]
        return sum(calls) + CALLS_BESIDES

    def work(self, numeric: Numeric) -> int:
        """Estimate the work of a check, see `Formula`; for every rule, y is computed again."""
        forward, names = parse(self.forward, self.names), self.rule_names
        rules = sum(parse(text, names).work for text in self.rules.values())
        calls = self.count_calls(numeric)
        return calls * forward.work + CALLS_OF_RULE * (rules + forward.work)

    @property
    def bytes(self) -> int:
        """Estimate the memory of one evaluation and of what is kept for its outputs."""
        forward = parse(self.forward, self.names)
        return 8 * (forward.elements + NUMBERS_OF_OUTPUT * prod(forward.shape))

    def problems(self) -> list[Problem]:
        """Make the problem of the gradients."""
        import numpy as np

        forward, known = parse(self.forward, self.names), self.rule_names
        rules = {name: parse(text, known) for name, text in self.rules.items()}
        fixed = {name: c for name, c in self.data.make_constants().items() if name in self.names}
        constants = {name: np.asarray(c, dtype=self.data.dtype) for name, c in fixed.items()}

        def outputs(arrays: Arrays) -> Any:
            return forward({**constants, **arrays})

        def backward(arrays: Arrays, cotangent: Any) -> dict[str, Any]:
            values = {"y": outputs(arrays), **dict.fromkeys(UPSTREAM_NAMES, cotangent)}
            return {name: rule({**values, **constants, **arrays}) for name, rule in rules.items()}

        delta = Drawn().array("delta", forward.shape, self.data.seed).astype(self.data.dtype)
        labels = {
            name: Label(f"∂L/∂{name}", printable(" ".join(text.split())))
            for name, text in self.rules.items()
        }
        arrays, numbers = self.data.make_inputs(), self.data.numbers
        problem = Problem(
            arrays,
            outputs,
            backward,
            delta,
            labels=labels,
            numbers=numbers,
            change=partial(self.change, 0),
        )
        if self.batched:
            from gradcheck_cli.usercode.batches import apply_batched

            problem = apply_batched(problem, self.batched)
        if self.data.slices:
            from gradcheck_cli.usercode.slices import claim_slices

            problem = claim_slices(problem, self.data.slices)
        return self.data.confine([problem])

    @property
    def code(self) -> tuple[Reference, ...]:
        """None: formulas run no code of the user's."""
        return ()

    def describe_settings(self) -> dict[str, Any]:
        """The settings of the layer that a report shows."""
        return {"forward": printable(self.forward), "backward": "formulas"}
