"""Make the problem of a framework's function, module or class, whose reverse mode is checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import Problem
from gradcheck_cli.usercode.calling.signatures import name_inputs, name_of, read_parameters
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.closures import from_closure
from gradcheck_cli.usercode.frameworks import list_loaded, load_framework, recognize, to_arrays
from gradcheck_cli.usercode.frameworks.double_backward import DoubleBackward
from gradcheck_cli.usercode.frameworks.framework_problem import FrameworkProblem
from gradcheck_cli.usercode.loading import Loader, Reference
from gradcheck_cli.usercode.low_precision import widen_bfloat16
from gradcheck_cli.usercode.slices import NOT_CUT, Cuts, claim_slices


def from_torch(
    function: Any,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    delta: Array | None = None,
    seed: int = 0,
    dtype: str = "float64",
    device: str | None = None,
) -> Problem:
    """The problem of a torch module, torch.autograd.Function or function of tensors.

    inputs: by name, or in the order of the parameters; arrays or tensors, also nested in dicts,
        lists and tuples. Floats are differentiated; labels and masks are passed on as they are.
        Every parameter of a module is an input, too, by its name, such as fc1.weight.
    constants: values without a gradient, by the names of parameters.
    delta: the upstream gradient, in the output's shape. By default it is 1 for a single number, and
        else drawn from `seed`, which also seeds the function's own random numbers in every call.
    dtype: the type of all floats; the parameters of a module are converted to it, too.
    device: where tensors are, such as cuda; None: torch's default.
    Raises CodeError where the function cannot be called like this, or raises.

    Example: check(from_torch(torch.nn.Linear(3, 2), torch.randn(4, 3)))
    """
    drawn: dict[str, Any] = {"delta": delta, "seed": seed, "dtype": dtype}
    return from_framework(function, inputs, constants, framework="torch", device=device, **drawn)


def from_jax(
    function: Any,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    delta: Array | None = None,
    seed: int = 0,
    dtype: str = "float64",
) -> Problem:
    """The problem of a jax function: plain, jitted, custom_vjp or custom_jvp.

    The arguments are those of `from_torch`; inputs may be pytrees. The function is evaluated with
    jax_enable_x64.

    Example: check(from_jax(jax.nn.softplus, numpy.linspace(-3, 3, 7)))
    """
    drawn: dict[str, Any] = {"delta": delta, "seed": seed, "dtype": dtype}
    return from_framework(function, inputs, constants, framework="jax", **drawn)


def from_autograd(
    function: Any,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    delta: Array | None = None,
    seed: int = 0,
    dtype: str = "float64",
) -> Problem:
    """The problem of a function of autograd.numpy, or of a primitive with defvjp.

    The arguments are those of `from_torch`.

    Example: check(from_autograd(autograd.numpy.tanh, numpy.linspace(-3, 3, 7)))
    """
    drawn: dict[str, Any] = {"delta": delta, "seed": seed, "dtype": dtype}
    return from_framework(function, inputs, constants, framework="autograd", **drawn)


def double_backward(problem: Problem) -> list[Problem]:
    """The problem of a framework's function, and that of its double backward.

    The second checks the gradients of M = Σ v · ∂L/∂input with a random v: one for every input and
    one for the upstream gradient δ. They are compared with differences of the first backward.
    Raises CodeError for a problem that is not of a framework's function.

    Example: check(double_backward(from_torch(torch.nn.Tanh(), torch.randn(4, 3))))
    """
    if problem.make_double_backward is None:
        raise CodeError(
            "double_backward is of a function of torch, jax or autograd, whose reverse mode can be "
            "differentiated; this backward is written by hand"
        )
    return [problem, problem.make_double_backward()]


def from_framework(
    target: Any,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    framework: str | None = None,
    delta: Array | None = None,
    seed: int = 0,
    dtype: str = "float64",
    device: str | None = None,
    slices: Cuts = NOT_CUT,
) -> Problem:
    """The problem of a function that a framework differentiates, with arguments as in `from_torch`.

    optional: constants that the function need not take. framework: its name; None: it is
    recognized. slices: as in `from_functions`.
    Raises CodeError where no framework is recognized.
    """
    adapter = recognize(target, framework)
    if adapter is None:
        refusal = CodeError(
            f"{name_of(target)} belongs to none of torch, jax and autograd, so it needs a "
            "backward; if it is a function of tensors, say so with framework: torch"
        )
        if not inspect.isroutine(target):
            raise refusal
        known = {"optional": optional, "delta": delta, "seed": seed, "slices": slices}
        return from_closure(target, inputs, constants, refusal, **known)
    constants = dict(to_arrays(constants or {}))
    if "training" in constants and hasattr(target, "train"):
        target.train(bool(constants.pop("training")))
    function = adapter.make_differentiable(target, dtype, seed, device)
    named = name_inputs(widen_bfloat16(to_arrays(inputs)), function.takes)
    if not isinstance(inputs, Mapping):
        named = {name: np.asarray(one) if np.isscalar(one) else one for name, one in named.items()}
    first = FrameworkProblem(function, named, constants, optional)
    made = first.problem(delta, seed)
    upstream = made.cotangent
    assert upstream is not None
    made = replace(
        made, make_double_backward=lambda: DoubleBackward(first, upstream, seed).problem()
    )
    return claim_slices(made, slices)


def load_target(code: Reference, loader: Loader, inputs: Mapping[str, Any], seed: int) -> Any:
    """Load the function or object that a framework differentiates.

    A function that takes none of the inputs is called to make it, with random numbers from `seed`.
    """
    loader.import_module(code)
    for name in list_loaded():
        load_framework(name).seed(seed)
    target = loader.load(code)
    if inspect.isfunction(target) and _is_factory(target, inputs, loader.values):
        return loader.load(code, makes=True)
    return target


def _is_factory(target: Any, inputs: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a function makes what is checked: it takes no input, and its parameters are known."""
    takes = read_parameters(target)
    return takes.required <= set(values) - set(inputs) and not {*takes.names} & {*inputs}
