"""The derivatives that can be claimed, as a table, and the problems of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gradcheck_cli.problem import Problem
from gradcheck_cli.usercode.calls import Function
from gradcheck_cli.usercode.derivatives.claims import Claim, ClaimCalls
from gradcheck_cli.usercode.derivatives.jacobians import check_jacobian


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


def derive(
    claims: Mapping[str, Function],
    forward: Function,
    inputs: Any,
    constants: Mapping[str, Any] | None = None,
    *,
    optional: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> list[Problem]:
    """The problems of all derivatives that are claimed of a forward, by the keys of the table."""
    problems = []
    for key, function in claims.items():
        kind = DERIVATIVES[key]
        calls = ClaimCalls(forward, function, inputs, constants, optional, kind.along)
        problems += kind.check(calls.claim(), seed)
    return problems
