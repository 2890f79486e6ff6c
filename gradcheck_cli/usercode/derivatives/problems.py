"""The derivatives that can be claimed, as a table, and functions that make their problems."""

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
from gradcheck_cli.usercode.derivatives.complex_claims import split_claim
from gradcheck_cli.usercode.derivatives.jacobians import make_jacobian_problems
from gradcheck_cli.usercode.derivatives.second import make_hessian_problems, make_hvp_problems
from gradcheck_cli.usercode.derivatives.tangents import (
    make_tangent_problems,
    make_transpose_problems,
)
from gradcheck_cli.usercode.domains import Domains, find_geometries
from gradcheck_cli.usercode.problems import from_functions


class Derivative(Struct, frozen=True):
    """A derivative that can be claimed.

    along: whether the function takes tangents of the inputs, too.
    make: (claim, gradient, seed) → the problems of a claim. gradient: the problem of the gradients,
        where those are claimed, too; seed: from which tangents are drawn.
    """

    along: bool
    make: Callable[..., list[Problem]]


def _make_jacobian_problems(claim: Claim, gradient: Problem | None, seed: int) -> list[Problem]:
    return make_jacobian_problems(claim, seed)


def _make_jvp_problems(claim: Claim, gradient: Problem | None, seed: int) -> list[Problem]:
    against = [] if gradient is None else make_transpose_problems(claim, gradient, seed)
    return [*make_tangent_problems(claim, seed), *against]


# By the key that names the function in a config.
DERIVATIVES = {
    "jacobian": Derivative(along=False, make=_make_jacobian_problems),
    "jvp": Derivative(along=True, make=_make_jvp_problems),
    "hessian": Derivative(along=False, make=make_hessian_problems),
    "hvp": Derivative(along=True, make=make_hvp_problems),
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

    jacobian: takes what forward takes; returns ∂outputs/∂inputs in the shape outputs × input, or a
        matrix of both flattened, dense or of scipy.sparse. For several inputs it returns a tuple in
        their order, a dict by name, or one matrix with the columns of all. With complex inputs and
        outputs it is the J of a holomorphic function, dy = J·dz; with complex inputs and real
        outputs its rows are gradients in the convention, `torch` or `jax`.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called like this, or raise.

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
        inputs in their order, or as (inputs, tangents), two tuples. It returns the tangent of the
        outputs, or the outputs and their tangent.
    backward: if given, it is checked, too, and so is ⟨δ, J·v⟩ = ⟨Jᵀδ, v⟩, without a step.
    delta: its upstream gradient, drawn by default. convention: of its complex gradients.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called like this, or raise.

    Example: check(from_jvp(np.sin, lambda x, dx: np.cos(x) * dx, np.ones(3)))
    """
    return _add_gradient(
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
    """The problems of a function that returns a number, and of its Hessian.

    hessian: takes what forward takes; returns ∂²L/∂x∂x in the shape input × input or flattened. For
        several inputs it returns one matrix of all entries, or nested dicts or tuples of blocks.
    gradient: if given, it is checked, too. If it passes, the Hessian is measured by differences of
        it, else by second differences of the forward.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called like this, or raise.

    Example: check(from_hessian(lambda x: x @ A @ x / 2, lambda x: A, x, gradient=lambda x: A @ x))
    """
    make = gradient and partial(from_functions, forward, gradient)
    return _add_gradient({"hessian": hessian}, forward, inputs, constants, seed, make)


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
    """The problems of a function that returns a number, and of its Hessian times a vector.

    hvp: takes what forward takes, and a vector for every input, as the jvp of `from_jvp` does. It
        returns H·v; for several inputs a tuple in their order, or a dict by name.
    convention: of gradients of complex inputs, and of H·v, which is their derivative along v.
    The rest is as in `from_hessian`.
    """
    make = gradient and partial(from_functions, forward, gradient, convention=convention)
    return _add_gradient({"hvp": hvp}, forward, inputs, constants, seed, make, convention)


def _add_gradient(
    claims: Mapping[str, Function],
    forward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None,
    seed: int,
    make: Callable[..., Problem] | None,
    convention: str = TORCH,
) -> list[Problem]:
    """The problems of derivatives after that of the gradients, if there is a `make` for one."""
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
    """The problems of all derivatives that are claimed of a forward.

    claims: the functions, by keys of DERIVATIVES. backward: the problem of its gradients, if they
    are claimed, too. convention: of complex gradients.
    Raises CodeError for a Hessian of complex numbers.
    """
    problems = []
    for key, function in claims.items():
        kind = DERIVATIVES[key]
        calls = ClaimCalls(forward, function, inputs, constants, optional, kind.along)
        claim = calls.make_claim()
        outputs = np.iscomplexobj(calls.outputs[0])
        if outputs or any(np.iscomplexobj(x) for x in calls.arrays.values()):
            claim = split_claim(claim, outputs, convention, key)
        problems += _make_confinable(claim, partial(kind.make, gradient=backward, seed=seed))
    return problems


def _make_confinable(claim: Claim, make: Callable[[Claim], list[Problem]]) -> list[Problem]:
    """The problems of a claim, each with a `confine` that makes it again for inputs in domains."""

    def confine(place: int, domains: Domains) -> Problem:
        geometries = find_geometries(claim.inputs, domains, claim.complex_inputs)
        made = make(replace(claim, geometries=geometries))[place]
        return replace(made, domains=domains)

    return [
        replace(problem, confine=partial(confine, place))
        for place, problem in enumerate(make(claim))
    ]
