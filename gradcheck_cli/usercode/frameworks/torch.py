"""PyTorch: functions of tensors and torch.autograd.Function; modules are in `torch_module`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from gradcheck_cli.usercode.calling.signatures import Call, Parameters, name_of, read_parameters
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.frameworks.differentiable import Differentiable, Tensors
from gradcheck_cli.usercode.frameworks.stacks import Sizes
from gradcheck_cli.usercode.frameworks.state import keeps_nothing
from gradcheck_cli.usercode.frameworks.torch_graph import find_backward_passes, list_nodes
from gradcheck_cli.usercode.low_precision import widen_bfloat16

ONCE = "Error"  # type of the node that a once_differentiable backward leaves in the graph
KEEPS_NOTHING = (torch.Tensor, torch.dtype, torch.device)  # values that store nothing in a call


def recognizes(target: Any) -> bool:
    """Whether this is a module, a class of modules, or a torch.autograd.Function."""
    if isinstance(target, type):
        return issubclass(target, torch.nn.Module | torch.autograd.Function)
    return isinstance(target, torch.nn.Module | torch.jit.ScriptFunction)


def is_applied(target: Any) -> bool:
    """Whether a class is applied without making an object of it: a torch.autograd.Function."""
    return isinstance(target, type) and issubclass(target, torch.autograd.Function)


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of this framework."""
    return isinstance(value, torch.Tensor)


def to_array(tensor: Any) -> Array:
    """A tensor as an array, a sparse one as dense; bfloat16, which NumPy lacks, as float32."""
    plain = tensor.detach().cpu()
    plain = plain if plain.layout == torch.strided else plain.to_dense()
    return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())


def from_array(array: Array) -> Any:
    """An array as a tensor of its type."""
    return torch.from_numpy(array)


def seed(number: int) -> None:
    """Seed the random numbers from here on."""
    torch.manual_seed(number)


def make_differentiable(target: Any, dtype: str, seed: int, device: str | None) -> Differentiable:
    """Make a `Differentiable` of a module or a function."""
    if isinstance(target, torch.nn.Module):
        from gradcheck_cli.usercode.frameworks.torch_module import TorchModule

        return TorchModule(target, dtype, seed, device)
    return TorchFunction(target, dtype, seed, device)


class TorchFunction(Differentiable):
    """A function of tensors, or a torch.autograd.Function, which is applied.

    dtype: of all floats. seed: of torch's random numbers in every call. device: where tensors are;
    None: torch's default.
    """

    # A call by vmap takes as long as a dozen plain ones; with 64 points, as long as thirty.
    sizes = Sizes(many=64, few=8, worth=64)
    mapper = "torch.func.vmap"

    def __init__(self, target: Any, dtype: str, seed: int, device: str | None) -> None:
        super().__init__(target, dtype)
        if is_applied(target):
            self.function, self.takes = target.apply, _without_context(target)
        self.seed = seed
        self.device = device

    def tensor(self, array: Array) -> Any:
        """An array as a tensor; floats get the dtype of the check, or float64."""
        made = torch.as_tensor(np.array(widen_bfloat16(array)), device=self.device)
        return self.convert_floats(made)

    def convert_floats(self, tensor: Any) -> Any:
        """A tensor of floats in the type of the check; any other as it is."""
        return tensor.to(getattr(torch, self.floats)) if tensor.is_floating_point() else tensor

    def apply(self, call: Call, values: Mapping[str, Any], weights: Tensors) -> Any:
        """Call the function, on one thread, with the same random state as every other call."""
        self.restart()
        with working_in(self.floats):
            return call(self.function, values)

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function directly, with tensors."""
        with working_in(self.floats):
            return self.function(*arguments, **keywords)

    def restart(self) -> None:
        """Seed the random numbers again, so that every call draws the same."""
        torch.default_generator.manual_seed(self.seed)
        if self.device is not None and self.device.startswith("cuda"):
            torch.cuda.manual_seed_all(self.seed)

    def list_outputs(self, returned: Any) -> list[Any]:
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
        """The gradients of Σ cotangent · output, by torch.autograd.grad."""
        leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
        found = self._differentiate(function, leaves, list(map(self.tensor, cotangents)))
        return {
            name: None if gradient is None else to_array(gradient)
            for name, gradient in found.items()
        }

    def gradients(
        self, function: Any, tensors: Tensors, cotangents: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The gradients of Σ cotangent · output with a graph, to be differentiated again."""
        return self._differentiate(function, tensors, cotangents, graph=True)

    def _differentiate(
        self, function: Any, leaves: Tensors, cotangents: Sequence[Any], *, graph: bool = False
    ) -> Mapping[str, Any]:
        # grad_outputs is not used: its first call imports SymPy, which takes 0.8 s in each process.
        parts = [
            (output * cotangent.to(output.dtype)).sum()
            for output, cotangent in zip(function(leaves), cotangents, strict=True)
            if output.requires_grad
        ]
        if not parts:
            return dict.fromkeys(leaves)
        with working_in(self.floats):
            found = torch.autograd.grad(
                sum(parts), list(leaves.values()), allow_unused=True, create_graph=graph
            )
        return dict(zip(leaves, found, strict=True))

    def zeros_like(self, tensor: Any) -> Any:
        """A tensor of zeros."""
        return torch.zeros_like(tensor)

    def find_backward_passes(self, function: Any, tensors: Tensors) -> dict[str, dict[int, str]]:
        """The torch.autograd.Functions between the outputs and each leaf of the graph."""
        leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
        return find_backward_passes(function(leaves), leaves)

    def keeps_nothing(self) -> bool:
        """Whether a call stores nothing outside, as far as the function's code shows."""
        target = self.function
        owner: Any = getattr(target, "__self__", None)
        if is_applied(owner):
            target = owner.forward  # `target` is the apply of an autograd.Function
        return keeps_nothing(target, KEEPS_NOTHING)

    def map_over(self, function: Any, name: str) -> Any:
        """The function mapped over points by torch.func.vmap, which refuses random draws."""

        def of_one(tensor: Any, others: Tensors) -> Any:
            return function({**others, name: tensor})

        mapped = torch.func.vmap(of_one, in_dims=(0, None))

        def call(tensors: Tensors) -> Any:
            others = {other: tensor for other, tensor in tensors.items() if other != name}
            with warnings.catch_warnings():  # about operations that vmap runs in a loop
                warnings.simplefilter("ignore")
                return mapped(tensors[name], others)

        return call

    def is_cut_off(self, gradient: Any) -> bool:
        """Whether a gradient has no graph, though the upstream gradient has one, or a graph with
        the node that a once_differentiable backward leaves."""
        if gradient is None or gradient.grad_fn is None:
            return gradient is not None
        return any(type(node).__name__ == ONCE for node in list_nodes(gradient.grad_fn))

    def explain(self, error: BaseException) -> str:
        """Advice where types do not fit."""
        text = str(error).casefold()
        if "not implemented for 'double'" in text:
            return "this op has no double: set dtype: float32"
        if "float" in text and "double" in text:
            return (
                "float32 parameters or constants meet float64 inputs: make them in the type of the "
                "inputs, as by .to(x.dtype), or set dtype: float32"
            )
        return ""


@contextmanager
def working_in(floats: str) -> Iterator[None]:
    """A block in which new tensors, such as the zeros of a first state, have this type.

    It runs on one thread: with small tensors, several only wait for each other.
    """
    threads, default = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, floats))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(default)


def _without_context(target: Any) -> Parameters:
    """The parameters of an autograd.Function's apply: those of its forward without ctx."""
    takes = read_parameters(target.forward)
    split = target.setup_context is not torch.autograd.Function.setup_context
    positional = takes.positional if split else takes.positional[1:]
    return Parameters(
        function=name_of(target),
        positional=positional,
        keyword=takes.keyword,
        required=takes.required & {*positional, *takes.keyword},
        has_args=takes.has_args,
        has_kwargs=takes.has_kwargs,
    )


def _is_record(value: Any) -> bool:
    """Whether a value is an object that holds tensors, such as a dataclass of outputs."""
    plain = isinstance(value, torch.Tensor | tuple | list | dict)
    return not plain and hasattr(value, "__dict__")
