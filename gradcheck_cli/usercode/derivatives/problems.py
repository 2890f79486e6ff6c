"""The derivatives that can be claimed, as a table, and the problems of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.problem import Problem
from gradcheck_cli.usercode.calling.pairs import Function
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.complex_numbers import TORCH
from gradcheck_cli.usercode.derivatives.claims import Claim, ClaimCalls
from gradcheck_cli.usercode.derivatives.complex_claims import in_parts
from gradcheck_cli.usercode.derivatives.jacobians import check_jacobian
from gradcheck_cli.usercode.derivatives.second import check_hessian, check_hvp
from gradcheck_cli.usercode.derivatives.tangents import check_along, check_transpose
from gradcheck_cli.usercode.domains import Domains, find_geometries
from gradcheck_cli.usercode.problems import from_functions


class Derivative(Struct, frozen=True):
    """A derivative that can be claimed.

    along: whether the function takes tangents of the inputs, too.
    check: (claim, gradient, seed) → the problems of a claim beside that of the gradients, where
        those are claimed; what is drawn is drawn from a seed.
    """

    along: bool
    check: Callable[..., list[Problem]]


def _check_jacobian(claim: Claim, gradient: Problem | None, seed: int) -> list[Problem]:
    return check_jacobian(claim, seed)


def _check_jvp(claim: Claim, gradient: Problem | None, seed: int) -> list[Problem]:
    against = [] if gradient is None else check_transpose(claim, gradient, seed)
    return [*check_along(claim, seed), *against]


# By the key of a config that names the function.
DERIVATIVES = {
    "jacobian": Derivative(along=False, check=_check_jacobian),
    "jvp": Derivative(along=True, check=_check_jvp),
    "hessian": Derivative(along=False, check=check_hessian),
    "hvp": Derivative(along=True, check=check_hvp),
}


def from_jacobian(
    forward: Function,
    jacobian: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    convention: str = TORCH,
) -> list[Problem]:
    """The problem of a function and its Jacobian, such as residuals for least squares.

    jacobian: takes what forward takes; returns ∂outputs/∂inputs, outputs × inputs: of the shape
        outputs × input, or a matrix of both flattened, dense or of scipy.sparse; of several inputs
        a tuple in their order, a dict by name, or one matrix with the columns of all. Of complex
        inputs and outputs it is that of a holomorphic function, dy = J·dz; of complex inputs and
        real outputs its rows are gradients in the convention, `torch` or `jax`.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called so, or raise.

    Example: check(from_jacobian(residual, jac, [1.0, 2.0]))
    """
    claims = {"jacobian": jacobian}
    return derive(claims, forward, inputs, constants, seed=seed, convention=convention)


def from_jvp(
    forward: Function,
    jvp: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    backward: Function | None = None,
    delta: Array | None = None,
    seed: int = 0,
    convention: str = TORCH,
) -> list[Problem]:
    """The problems of a function and its derivative along tangents (a Jacobian-vector product).

    jvp: takes what forward takes, and a tangent for every input: by name (dx, x_dot), after the
        inputs in their order, or as (inputs, tangents), two tuples. Returns the tangent of the
        outputs, or the outputs and their tangent.
    backward: where it is given, it is checked, too, and one against the other without a step:
        ⟨δ, J·v⟩ = ⟨Jᵀδ, v⟩; delta: its upstream gradient, drawn by default; convention: of its
        gradients, where they are complex.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called so, or raise.

    Example: check(from_jvp(np.sin, lambda x, dx: np.cos(x) * dx, np.ones(3)))
    """
    return _beside(
        {"jvp": jvp},
        forward,
        inputs,
        constants,
        seed,
        backward
        and partial(
            from_functions, forward, backward, delta=delta, seed=seed, convention=convention
        ),
        convention,
    )


def from_hessian(
    forward: Function,
    hessian: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    gradient: Function | None = None,
    seed: int = 0,
) -> list[Problem]:
    """The problems of a function that gives a number and its Hessian.

    hessian: takes what forward takes; returns ∂²L/∂x∂x, of the shape input × input or flattened;
        of several inputs one matrix of all entries, or nested dicts or tuples of blocks.
    gradient: where it is given, it is checked, too, and once it has passed the Hessian is measured
        by differencing it; else by second differences of the forward.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called so, or raise.

    Example: check(from_hessian(lambda x: x @ A @ x / 2, lambda x: A, x, gradient=lambda x: A @ x))
    """
    make = gradient and partial(from_functions, forward, gradient)
    return _beside({"hessian": hessian}, forward, inputs, constants, seed, make)


def from_hvp(
    forward: Function,
    hvp: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    gradient: Function | None = None,
    seed: int = 0,
    convention: str = TORCH,
) -> list[Problem]:
    """The problems of a function that gives a number and the product of its Hessian and a vector.

    hvp: takes what forward takes, and a vector for every input, as the jvp of `from_jvp` does;
        returns H·v, of several inputs a tuple in their order or a dict by name.
    convention: of gradients of complex inputs, and of H·v, which is their derivative along v.
    The rest is as in `from_hessian`.
    """
    make = gradient and partial(from_functions, forward, gradient, convention=convention)
    return _beside({"hvp": hvp}, forward, inputs, constants, seed, make, convention)


def _beside(
    claims: Mapping[str, Function],
    forward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None,
    seed: int,
    make: Callable[..., Problem] | None,
    convention: str = TORCH,
) -> list[Problem]:
    """The problems of derivatives, after that of the gradients where `make` makes one."""
    if make is None:
        return derive(claims, forward, inputs, constants, seed=seed, convention=convention)
    base = make(inputs, None, optional=constants)
    derived = derive(
        claims,
        forward,
        inputs,
        optional=constants,
        seed=seed,
        backward=base,
        convention=convention,
    )
    return [base, *derived]


def derive(
    claims: Mapping[str, Function],
    forward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    seed: int = 0,
    backward: Problem | None = None,
    convention: str = TORCH,
) -> list[Problem]:
    """The problems of all derivatives that are claimed of a forward, by the keys of the table.

    backward: the problem of its gradients, where those are claimed; convention: of complex ones.
    Raises CodeError for a Hessian of complex numbers.
    """
    problems = []
    for key, function in claims.items():
        kind = DERIVATIVES[key]
        calls = ClaimCalls(forward, function, inputs, constants, optional, kind.along)
        claim = calls.claim()
        outputs = np.iscomplexobj(calls.outputs[0])
        if outputs or any(np.iscomplexobj(x) for x in calls.arrays.values()):
            claim = in_parts(claim, outputs, convention, key)
        problems += _confinable(claim, partial(kind.check, gradient=backward, seed=seed))
    return problems


def _confinable(claim: Claim, check: Callable[[Claim], list[Problem]]) -> list[Problem]:
    """The problems of a claim, each of which can be made anew with inputs in domains."""

    def confine(place: int, domains: Domains) -> Problem:
        geometries = find_geometries(claim.inputs, domains, claim.complex_inputs)
        made = check(replace(claim, geometries=geometries))[place]
        return replace(made, domains=domains)

    return [
        replace(problem, confine=partial(confine, place))
        for place, problem in enumerate(check(claim))
    ]
