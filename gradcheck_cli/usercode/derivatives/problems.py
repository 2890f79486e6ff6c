"""The derivatives that can be claimed, as a table, and the problems of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gradcheck_cli.problem import Problem
from gradcheck_cli.usercode.calls import Array, Function
from gradcheck_cli.usercode.derivatives.claims import Claim, ClaimCalls
from gradcheck_cli.usercode.derivatives.jacobians import check_jacobian
from gradcheck_cli.usercode.derivatives.tangents import check_along, check_transpose
from gradcheck_cli.usercode.problems import from_functions


class Derivative(Struct, frozen=True):
    """A derivative that can be claimed.

    along: whether the function takes tangents of the inputs, too.
    check: the problems of a claim, with what is drawn for them drawn from a seed.
    """

    along: bool
    check: Callable[[Claim, int], list[Problem]]


# By the key of a config that names the function.
DERIVATIVES = {
    "jacobian": Derivative(along=False, check=check_jacobian),
    "jvp": Derivative(along=True, check=check_along),
}


def from_jacobian(
    forward: Function,
    jacobian: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
) -> list[Problem]:
    """The problem of a function and its Jacobian, such as residuals for least squares.

    jacobian: takes what forward takes; returns ∂outputs/∂inputs, outputs × inputs: of the shape
        outputs × input, or a matrix of both flattened, dense or of scipy.sparse; of several inputs
        a tuple in their order, a dict by name, or one matrix with the columns of all.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called so, or raise.

    Example: check(from_jacobian(residual, jac, [1.0, 2.0]))
    """
    return derive({"jacobian": jacobian}, forward, inputs, constants, seed=seed)


def from_jvp(
    forward: Function,
    jvp: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    backward: Function | None = None,
    delta: Array | None = None,
    seed: int = 0,
) -> list[Problem]:
    """The problems of a function and its derivative along tangents (a Jacobian-vector product).

    jvp: takes what forward takes, and a tangent for every input: by name (dx, x_dot), after the
        inputs in their order, or as (inputs, tangents), two tuples. Returns the tangent of the
        outputs, or the outputs and their tangent.
    backward: where it is given, it is checked, too, and one against the other without a step:
        ⟨δ, J·v⟩ = ⟨Jᵀδ, v⟩; delta: its upstream gradient, drawn by default.
    inputs, constants: as in `from_functions`.
    Raises CodeError where the functions cannot be called so, or raise.

    Example: check(from_jvp(np.sin, lambda x, dx: np.cos(x) * dx, np.ones(3)))
    """
    if backward is None:
        return derive({"jvp": jvp}, forward, inputs, constants, seed=seed)
    base = from_functions(
        forward, backward, inputs, None, optional=constants, delta=delta, seed=seed
    )
    others = derive(
        {"jvp": jvp}, forward, inputs, None, optional=constants, seed=seed, backward=base
    )
    return [base, *others]


def derive(
    claims: Mapping[str, Function],
    forward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    seed: int = 0,
    backward: Problem | None = None,
) -> list[Problem]:
    """The problems of all derivatives that are claimed of a forward, by the keys of the table.

    backward: the problem of its gradients, where those are claimed.
    """
    problems = []
    for key, function in claims.items():
        kind = DERIVATIVES[key]
        calls = ClaimCalls(forward, function, inputs, constants, optional, kind.along)
        claim = calls.claim()
        problems += kind.check(claim, seed)
        if kind.along and backward is not None:
            problems += check_transpose(claim, backward, seed)
    return problems
