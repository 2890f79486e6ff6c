"""PyTorch modules: parameters that have gradients, buffers that have none."""

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
    """A module: every parameter has a gradient of its own, buffers are constants."""

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
        """The parameters that are trained and not empty; of lazy modules, once they are made."""
        return {
            name: to_array(parameter)
            for name, parameter in self.module.named_parameters()
            if not is_lazy(parameter) and parameter.requires_grad and parameter.numel()
        }

    def keeps_nothing(self) -> bool:
        """The same of all parts of the module; what it keeps in itself goes with a copy of it."""
        parts = [*self.module.modules()]
        kinds = {kind for part in parts for kind in type(part).__mro__}
        functions = [one for kind in kinds for one in list_functions(kind)]
        functions += [one for part in parts for one in vars(part).values() if isfunction(one)]
        return all(keeps_nothing(function, KEEPS_NOTHING) for function in functions)

    def map_over(self, function: Any, name: str) -> Any:
        """The same with a copy of the module in each call."""
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
        """The weights of embeddings with a padding, whose row has no gradient, as a constant."""
        kept = {}
        for name, row in self.paddings.items():
            own = self.tensor(self.weights[name])
            padding = torch.arange(len(own), device=own.device) == row
            kept[name] = torch.where(padding[:, None], own, weights[name])
        return kept


@contextmanager
def _holding(module: torch.nn.Module, state: Mapping[str, Any]) -> Iterator[None]:
    """A module that holds these tensors in place of its own, wherever it holds one of them.

    As torch.func.functional_call does, which takes longer than a small module's own call.
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
