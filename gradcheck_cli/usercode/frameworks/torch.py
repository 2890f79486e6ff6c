"""PyTorch: modules, functions of tensors and torch.autograd.Function."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import isfunction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from gradcheck_cli.usercode.calling.signatures import Call, Parameters, name_of, parameters
from gradcheck_cli.usercode.frameworks.differentiable import Differentiable, Tensors, convert
from gradcheck_cli.usercode.frameworks.stacks import Sizes
from gradcheck_cli.usercode.frameworks.state import keeps_nothing, list_functions
from gradcheck_cli.usercode.frameworks.torch_graph import find_passed, list_nodes
from gradcheck_cli.usercode.low_precision import held

Array = NDArray[Any]
ONCE = "Error"  # the type of the node of a graph that a once_differentiable backward leaves
PLAIN = (torch.Tensor, torch.dtype, torch.device)  # values that keep nothing of a call
TRAINING = "training"  # the constant that says whether a module is trained or evaluated


def recognizes(target: Any) -> bool:
    """Whether this is a module, a class of modules, or a torch.autograd.Function."""
    if isinstance(target, type):
        return issubclass(target, torch.nn.Module | torch.autograd.Function)
    return isinstance(target, torch.nn.Module | torch.jit.ScriptFunction)


def is_called(target: Any) -> bool:
    """Whether a class is applied as it is, and never made: a torch.autograd.Function."""
    return isinstance(target, type) and issubclass(target, torch.autograd.Function)


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of this framework."""
    return isinstance(value, torch.Tensor)


def to_array(tensor: Any) -> Array:
    """A tensor as an array; bfloat16, which NumPy lacks, as float32."""
    plain = tensor.detach().cpu()
    return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())


def from_array(array: Array) -> Any:
    """An array as a tensor of its type."""
    return torch.from_numpy(array)


def seed(number: int) -> None:
    """Make what is drawn from here on the same in every run."""
    torch.manual_seed(number)


def differentiable(target: Any, dtype: str, seed: int, device: str | None) -> Differentiable:
    """A module or a function as the check sees it."""
    if isinstance(target, torch.nn.Module):
        return TorchModule(target, dtype, seed, device)
    return TorchFunction(target, dtype, seed, device)


class TorchFunction(Differentiable):
    """A function of tensors, or a torch.autograd.Function, which is applied.

    dtype: of all floats; seed: what is drawn inside is drawn from it in every call; device: where
    tensors live, None for the default.
    """

    # A call of vmap takes as long as a dozen plain ones, one of 64 points as long as thirty.
    sizes = Sizes(many=64, few=8, worth=64)
    mapper = "torch.func.vmap"

    def __init__(self, target: Any, dtype: str, seed: int, device: str | None) -> None:
        super().__init__(target, dtype)
        if is_called(target):
            self.function, self.takes = target.apply, _without_context(target)
        self.seed = seed
        self.device = device

    def tensor(self, array: Array) -> Any:
        """An array as a tensor; floats get the dtype of the check, or float64."""
        made = torch.as_tensor(np.array(held(array)), device=self.device)
        return self._typed(made)

    def _typed(self, tensor: Any) -> Any:
        return tensor.to(getattr(torch, self.floats)) if tensor.is_floating_point() else tensor

    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the function, on one thread, with the same random state as every other call."""
        self.restart()
        with _one_thread():
            return call(self.function, values)

    def restart(self) -> None:
        """Make what the function draws the same in every call."""
        torch.default_generator.manual_seed(self.seed)
        if self.device is not None and self.device.startswith("cuda"):
            torch.cuda.manual_seed_all(self.seed)

    def outputs(self, returned: Any) -> list[Any]:
        """The tensors of floats in a tensor, a tuple, a dict or an object of them."""
        found = pytree.tree_leaves(
            getattr(returned, "__dict__", returned) if _is_record(returned) else returned
        )
        return [one for one in found if is_tensor(one) and one.is_floating_point()]

    def array(self, tensor: Any) -> Array:
        """A tensor as an array."""
        return to_array(tensor)

    def pull_back(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Array]
    ) -> Mapping[str, Array | None]:
        """By torch.autograd.grad of Σ cotangent · output."""
        leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
        found = self._differentiate(function, leaves, list(map(self.tensor, cotangents)))
        return {
            name: None if gradient is None else to_array(gradient)
            for name, gradient in found.items()
        }

    def gradients(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The same with a graph."""
        return self._differentiate(function, tensors, cotangents, graph=True)

    def _differentiate(
        self, function: Any, leaves: Tensors, cotangents: Sequence[Any], *, graph: bool = False
    ) -> Mapping[str, Any]:
        # Not by grad_outputs: the first call with them imports SymPy, for 0.8 s in every process.
        parts = [
            (output * cotangent.to(output.dtype)).sum()
            for output, cotangent in zip(function(leaves), cotangents, strict=True)
            if output.requires_grad
        ]
        if not parts:
            return dict.fromkeys(leaves)
        with _one_thread():
            found = torch.autograd.grad(
                sum(parts), list(leaves.values()), allow_unused=True, create_graph=graph
            )
        return dict(zip(leaves, found, strict=True))

    def zeros_like(self, tensor: Any) -> Any:
        """A tensor of zeros."""
        return torch.zeros_like(tensor)

    def find_passed(self, function: Any, tensors: Tensors) -> dict[str, dict[int, str]]:
        """The torch.autograd.Functions between the outputs and each leaf of the graph."""
        leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
        return find_passed(function(leaves), leaves)

    def keeps_nothing(self) -> bool:
        """As far as the text of the function tells."""
        target = self.function
        owner: Any = getattr(target, "__self__", None)
        if is_called(owner):
            target = owner.forward  # of an autograd.Function, which is applied
        return keeps_nothing(target, PLAIN)

    def map_over(self, function: Any, name: str) -> Any:
        """By torch.func.vmap; what draws at random is refused by it."""

        def of_one(tensor: Any, others: Tensors) -> Any:
            return function({**others, name: tensor})

        mapped = torch.func.vmap(of_one, in_dims=(0, None))

        def call(tensors: Tensors) -> Any:
            others = {other: tensor for other, tensor in tensors.items() if other != name}
            with warnings.catch_warnings():  # of operations that it loops over
                warnings.simplefilter("ignore")
                return mapped(tensors[name], others)

        return call

    def is_cut_off(self, gradient: Any) -> bool:
        """Whether a gradient has no graph, though the upstream gradient it depends on has one; or
        one with the node that a once_differentiable backward leaves."""
        if gradient is None or gradient.grad_fn is None:
            return gradient is not None
        return any(type(node).__name__ == ONCE for node in list_nodes(gradient.grad_fn))

    def explain(self, error: BaseException) -> str:
        """What to do where types do not fit."""
        text = str(error).casefold()
        if "not implemented for 'double'" in text:
            return "this op has no double: set dtype: float32"
        if "float" in text and "double" in text:
            return (
                "float32 parameters or constants meet float64 inputs: make them in the type of the "
                "inputs, as by .to(x.dtype), or set dtype: float32"
            )
        return ""


class TorchModule(TorchFunction):
    """A module: every parameter has a gradient of its own, buffers are constants."""

    def __init__(self, target: torch.nn.Module, dtype: str, seed: int, device: str | None) -> None:
        self.module = target.to(device=device, dtype=getattr(torch, dtype))
        super().__init__(target.forward, dtype, seed, device)
        self.name = type(target).__name__
        self.buffers = dict(target.named_buffers())
        self.weights = self._read_weights()

    def _read_weights(self) -> dict[str, Array]:
        """The parameters that are trained, by name; those of lazy modules once they are made."""
        return {
            name: to_array(parameter)
            for name, parameter in self.module.named_parameters()
            if not is_lazy(parameter) and parameter.requires_grad
        }

    def keeps_nothing(self) -> bool:
        """What is kept in the module itself is kept in a copy of it, which is thrown away."""
        parts = [*self.module.modules()]
        kinds = {kind for part in parts for kind in type(part).__mro__}
        functions = [one for kind in kinds for one in list_functions(kind)]
        functions += [one for part in parts for one in vars(part).values() if isfunction(one)]
        return all(keeps_nothing(function, PLAIN) for function in functions)

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
        buffers = {name: self._typed(buffer.clone()) for name, buffer in self.buffers.items()}
        with _one_thread(), _holding(self.module, {**buffers, **weights}):
            return call(self.module, values)


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


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for a call: two only wait for each other where tensors are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _without_context(target: Any) -> Parameters:
    """What an autograd.Function is applied to: its forward's parameters but for ctx."""
    takes = parameters(target.forward)
    split = target.setup_context is not torch.autograd.Function.setup_context
    positional = takes.positional if split else takes.positional[1:]
    return Parameters(
        function=name_of(target),
        positional=positional,
        keyword=takes.keyword,
        required=takes.required & {*positional, *takes.keyword},
        rest=takes.rest,
        others=takes.others,
    )


def _is_record(value: Any) -> bool:
    """Whether a value is an object that holds tensors, such as a dataclass of outputs."""
    plain = isinstance(value, torch.Tensor | tuple | list | dict)
    return not plain and hasattr(value, "__dict__")
