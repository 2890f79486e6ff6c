"""Turn a problem with inputs in domains into one with free inputs, each mapped into its domain.

So the forward is differenced along curves that stay in the domain. Claimed gradients are projected
onto the tangents of these curves; their other components have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from gradcheck_cli.arrays.domains import Geometry, find_fault, geometry_of
from gradcheck_cli.errors import CodeError
from gradcheck_cli.problem import CONSTRAINTS, Domain, Problem
from gradcheck_cli.text import suggest

if TYPE_CHECKING:
    from gradcheck_cli.problem import Array, Arrays

Domains = Mapping[str, Domain]
Geometries = Mapping[str, Geometry]

NOT_CUT = "slices: whole forwards were evaluated, since inputs are kept in their domains"


def constrained(
    problems: Problem | Sequence[Problem],
    constraint: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
) -> list[Problem]:
    """The problems with inputs that stay in their domains when the forward is differenced.

    constraint: for each input, one of symmetric, positive-definite, lower-triangular, orthogonal,
        simplex and positive. Matrices are along the last two axes, a simplex is along the last one.
        Gradients are compared along the tangents of that set.
    bounds: for each input, the least and the largest value of its entries, None for no bound; both
        belong to the domain. At a bound, differences are one-sided.
    Raises CodeError where an input is not in its domain.

    Example: check(constrained(from_functions(logdet, logdet_backward, A), {"A": "symmetric"}))
    """
    for name, word in (constraint or {}).items():
        if word not in CONSTRAINTS:
            known = suggest(word, CONSTRAINTS, "the constraints are")
            raise CodeError(f"{name} cannot be '{word}'{known}")
        if name in (bounds or {}):
            raise CodeError(f"{name} has a constraint and bounds; keep one of them")
    domains = {name: Domain(word) for name, word in (constraint or {}).items()}
    for name, (low, high) in (bounds or {}).items():
        least, largest = -np.inf if low is None else low, np.inf if high is None else high
        if low is None and high is None:
            raise CodeError(f"the bounds of {name} say nothing: give one of them")
        if not least < largest:
            raise CodeError(f"the bounds of {name} must rise; they are {low} and {high}")
        domains[name] = Domain(low=least, high=largest)
    listed = [problems] if isinstance(problems, Problem) else problems
    names = dict.fromkeys(name for problem in listed for name in problem.inputs)
    for name in domains:
        if name not in names:
            raise CodeError(f"there is no input '{name}'{suggest(name, names, 'the inputs are')}")
    return [keep_in_domains(problem, domains) for problem in listed]


def keep_in_domains(problem: Problem, domains: Domains) -> Problem:
    """The problem with these inputs kept in their domains; others are free.

    Raises CodeError where an input is not in its domain, or is complex.
    """
    if problem.confine is not None:
        return problem.confine(domains)
    geometries = find_geometries(problem.inputs, domains, problem.complex_inputs)
    return replace(confine(problem, geometries), domains=domains) if geometries else problem


def confine(problem: Problem, geometries: Geometries) -> Problem:
    """The problem with inputs that move in their domains, and gradients projected to tangents."""
    inputs = problem.inputs

    def backward(arrays: Arrays, cotangent: Any) -> Mapping[str, Any]:
        point = move_in(inputs, geometries, arrays)[0][1]
        return project(inputs, geometries, problem.backward(point, cotangent))

    points = {name: inputs[name].astype(np.float64) for name in geometries}
    return replace(
        problem,
        forward=map_inputs(problem.forward, inputs, geometries, batched=problem.batched),
        backward=backward,
        notes=(*problem.notes, *describe(geometries), *[NOT_CUT] * (problem.locality is not None)),
        locality=None,
        room={name: geometry.room(points[name]) for name, geometry in geometries.items()},
        edges={name: geometry.edge(points[name]) for name, geometry in geometries.items()},
    )


def find_geometries(inputs: Arrays, domains: Domains, unfit: frozenset[str]) -> dict[str, Geometry]:
    """The geometries of the domains of these inputs; names that are no inputs are skipped.

    unfit: inputs that cannot have a domain, since they are complex.
    Raises CodeError where an input is not in its domain.
    """
    found = {}
    for name, domain in domains.items():
        if name not in inputs:
            continue
        if name in unfit:
            raise CodeError(f"{name} is complex; constraint and bounds are for real numbers")
        geometry = geometry_of(domain)
        fault = find_fault(geometry, inputs[name])
        if fault:
            raise CodeError(f"{name} is not {domain.constraint or 'within its bounds'}: {fault}")
        found[name] = geometry
    return found


def describe(geometries: Geometries) -> Iterator[str]:
    """Notes on the domains of inputs, and on how their gradients are compared."""
    for name, geometry in geometries.items():
        yield f"{name} is {geometry.words}, and so is where it is moved to; {geometry.compared}"


def map_inputs(
    forward: Callable[[Arrays], Any], inputs: Arrays, geometries: Geometries, batched: bool = False
) -> Callable[[Arrays], Any]:
    """The forward as a function of free arrays near the inputs, which it maps into the domains.

    batched: whether one of the arrays may have a leading axis of points.
    """

    def at_point(arrays: Arrays) -> Any:
        points = move_in(inputs, geometries, arrays)
        if len(points) == 1:
            return forward(points[0][1])
        return sum(weight * np.asarray(forward(point)) for weight, point in points)

    def at_points(arrays: Arrays) -> Any:
        for name, x in inputs.items():
            if arrays[name].ndim > x.ndim:
                return np.stack([at_point({**arrays, name: point}) for point in arrays[name]])
        return at_point(arrays)

    return at_points if batched else at_point


def move_in(
    inputs: Arrays, geometries: Geometries, arrays: Arrays
) -> list[tuple[float, dict[str, Array]]]:
    """Map free arrays near the inputs into the domains, as weights and points.

    The forward there is Σ weight · forward(point). An array that equals its input is not mapped.
    """
    ways: list[list[tuple[float, Array]]] = []
    for name, array in arrays.items():
        ways.append([(1.0, array)])
        if name in geometries and not np.array_equal(array, inputs[name]):
            ways[-1] = move_one(geometries[name], inputs[name], array)
    return [
        (
            prod(weight for weight, _ in one),
            dict(zip(arrays, (point for _, point in one), strict=True)),
        )
        for one in product(*ways)
    ]


def move_one(geometry: Geometry, x: Array, array: Array) -> list[tuple[float, Array]]:
    """Map a free array near x into the domain of x, as weights and points."""
    here = x.astype(np.float64)
    step = geometry.tangent(here, array.astype(np.float64) - here)
    return [(weight, point.astype(array.dtype)) for weight, point in geometry.move(here, step)]


def project(
    inputs: Arrays, geometries: Geometries, claimed: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Project the gradients to the tangents of the domains; one of another shape stays as it is."""
    if not isinstance(claimed, Mapping):
        return claimed
    found = dict(claimed)
    for name, geometry in geometries.items():
        gradient, x = np.asarray(claimed.get(name)), inputs[name]
        fits = gradient.dtype.kind == "f" and gradient.shape[gradient.ndim - x.ndim :] == x.shape
        if fits and gradient.ndim >= x.ndim and np.isfinite(gradient).all():
            along = geometry.tangent(x.astype(np.float64), gradient)
            found[name] = along.astype(gradient.dtype)
    return found
