"""PyTorch modules: their parameters have gradients, their buffers have none."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import isfunction
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from gradcheck_cli.usercode.calling.signatures import Call
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks.differentiable import Tensors, convert
from gradcheck_cli.usercode.frameworks.state import keeps_nothing, list_functions
from gradcheck_cli.usercode.frameworks.torch import (
    KEEPS_NOTHING,
    TorchFunction,
    to_array,
    working_in,
)


class TorchModule(TorchFunction):
    """A module; each of its parameters is an input with a gradient, buffers are constants."""

    def __init__(self, target: torch.nn.Module, dtype: str, seed: int, device: str | None) -> None:
        self.module = target.to(device=device, dtype=getattr(torch, dtype))
        super().__init__(target.forward, dtype, seed, device)
        self.name = type(target).__name__
        self.buffers = dict(target.named_buffers())
        self.weights = self._read_weights()
        names = {id(parameter): name for name, parameter in target.named_parameters()}
        self.paddings = {
            names[id(part.weight)]: part.padding_idx
            for part in target.modules()
            if isinstance(part, torch.nn.Embedding | torch.nn.EmbeddingBag)
            if part.padding_idx is not None and part.weight.requires_grad
        }

    def _read_weights(self) -> dict[str, Array]:
        """The parameters that require a gradient and are not empty, if they are made already."""
        return {
            name: to_array(parameter)
            for name, parameter in self.module.named_parameters()
            if not is_lazy(parameter) and parameter.requires_grad and parameter.numel()
        }

    def keeps_nothing(self) -> bool:
        """Whether no function of the module stores anything outside of it.

        What it stores in itself is in a copy, see `map_over`.
        """
        parts = [*self.module.modules()]
        kinds = {kind for part in parts for kind in type(part).__mro__}
        functions = [one for kind in kinds for one in list_functions(kind)]
        functions += [one for part in parts for one in vars(part).values() if isfunction(one)]
        return all(keeps_nothing(function, KEEPS_NOTHING) for function in functions)

    def map_over(self, function: Any, name: str) -> Any:
        """The mapped function, which has a copy of the module in each call."""
        mapped = super().map_over(function, name)

        def call(tensors: Tensors) -> Any:
            module, held = self.module, [*self.module.parameters(), *self.module.buffers()]
            self.module = copy.deepcopy(module, {id(tensor): tensor for tensor in held})
            try:
                return mapped(tensors)
            finally:
                self.module = module

        return call

    def prepare(self, call: Call, values: Mapping[str, Any]) -> None:
        """Call a lazy module once, which makes its parameters."""
        if not any(is_lazy(parameter) for parameter in self.module.parameters()):
            return
        with torch.no_grad():
            call(self.module, {name: convert(self, value) for name, value in values.items()})
        self.buffers = dict(self.module.named_buffers())
        self.weights = self._read_weights()

    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the module with these weights and copies of its buffers."""
        self.restart()
        buffers = {
            name: self.convert_floats(buffer.clone()) for name, buffer in self.buffers.items()
        }
        with working_in(self.floats):
            state = {**buffers, **weights, **self._keep_paddings(weights)}
            with _holding(self.module, state):
                return call(self.module, values)

    def _keep_paddings(self, weights: Tensors) -> dict[str, Any]:
        """The weights of embeddings with the row of a padding, which has no gradient, constant."""
        kept = {}
        for name, row in self.paddings.items():
            own = self.tensor(self.weights[name])
            padding = torch.arange(len(own), device=own.device) == row
            kept[name] = torch.where(padding[:, None], own, weights[name])
        return kept


@contextmanager
def _holding(module: torch.nn.Module, state: Mapping[str, Any]) -> Iterator[None]:
    """A block in which a module has these tensors in place of its own, wherever it has them.

    torch.func.functional_call does the same, but takes longer than a call of a small module.
    """
    own = [*module.named_parameters(), *module.named_buffers()]
    names = {id(tensor): name for name, tensor in own if name in state}
    places = [
        (holder, key, tensor)
        for part in module.modules()
        for holder in (part._parameters, part._buffers)
        for key, tensor in holder.items()
        if id(tensor) in names
    ]
    for holder, key, tensor in places:
        holder[key] = state[names[id(tensor)]]
    try:
        yield
    finally:
        for holder, key, tensor in places:
            holder[key] = tensor
