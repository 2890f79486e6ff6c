"""The double backward: a framework's derivatives of its own gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck_cli.arrays import Drawn
from gradcheck_cli.problem import Label, Problem
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks.differentiable import Tensors
from gradcheck_cli.usercode.frameworks.framework_problem import FrameworkProblem
from gradcheck_cli.usercode.low_precision import BFLOAT16, round_to_bfloat16

UPSTREAM = "δ"  # name of the upstream gradient among the inputs, which no parameter will have


class DoubleBackward:
    """The problem of M = Σ v · ∂L/∂inputs, a function of the inputs and of the upstream gradient.

    first: the problem whose backward is differenced. delta: its upstream gradient. seed: from which
    v is drawn. cut: the inputs whose gradient has lost its graph.
    """

    def __init__(self, first: FrameworkProblem, delta: Array, seed: int) -> None:
        self.first = first
        self.function = first.function
        self.inputs = {**first.arrays, UPSTREAM: delta}
        self.sizes = tuple(array.size for array in first.arrays.values())
        v = Drawn().array("v", (sum(self.sizes),), seed)
        self.working_type = BFLOAT16 if first.function.working_type == BFLOAT16 else ""
        v = round_to_bfloat16(v) if self.working_type else v
        self.cotangent = v.astype(np.result_type(*first.arrays.values()))
        self.cut: dict[str, None] = {}

    def forward(self, arrays: Mapping[str, Array]) -> Array:
        """The gradients of the first backward, as one flat array."""
        inputs = {name: arrays[name] for name in self.first.arrays}
        found = self.first.backward(inputs, arrays[UPSTREAM], fast=True)
        return np.concatenate([gradient.ravel() for gradient in found.values()])

    def _gradients(self, tensors: Tensors) -> list[Any]:
        """The same gradients as tensors that can be differentiated; zeros for unused inputs."""
        inputs = {name: tensors[name] for name in self.first.arrays}
        upstream = self.first.split(tensors[UPSTREAM])
        found = self.function.gradients(self.first.run, inputs, upstream)
        self.cut |= dict.fromkeys(
            name for name in inputs if self.function.is_cut_off(found.get(name))
        )
        return [
            self.function.zeros_like(inputs[name]) if found.get(name) is None else found[name]
            for name in inputs
        ]

    def backward(self, arrays: Mapping[str, Array], v: Array) -> dict[str, Array]:
        """The gradients of M by the framework."""
        ends = np.cumsum(self.sizes)[:-1]
        shapes = [array.shape for array in self.first.arrays.values()]
        cotangents = [
            part.reshape(shape) for part, shape in zip(np.split(v, ends), shapes, strict=True)
        ]
        found = self.first.pull_back_arrays(self._gradients, arrays, cotangents)
        return {
            name: np.zeros_like(array) if (gradient := found.get(name)) is None else gradient
            for name, array in arrays.items()
        }

    def notes(self) -> tuple[str, ...]:
        """Notes on gradients that cannot be differentiated."""
        return tuple(
            f"the backward of {self.function.name} gives a ∂L/∂{name} that is cut off from what it "
            "was computed of, as by once_differentiable, .detach() or NumPy: its derivatives count "
            "as zero"
            for name in self.cut
        )

    def problem(self) -> Problem:
        """Make the problem, with a row for every input and one for the upstream gradient."""
        name = self.function.name
        return Problem(
            inputs=self.inputs,
            forward=self.forward,
            backward=self.backward,
            cotangent=self.cotangent,
            labels={
                of: Label(f"∂(v·∇L)/∂{of}", source=name, by=f"the double backward of {name}")
                for of in self.inputs
            },
            late_notes=self.notes,
            parts=self.sizes if len(self.sizes) > 1 else (),
            working_type=self.working_type,
        )
