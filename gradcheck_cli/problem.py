"""Problem: what a check is about. Every check is a check of a vector-Jacobian product.

L = Σ cotangent · forward(inputs); `backward` claims ∂L/∂input for every input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]
    Arrays = Mapping[str, Array]


# The sets that an input may be confined to.
CONSTRAINTS = (
    "symmetric",
    "positive-definite",
    "lower-triangular",
    "orthogonal",
    "simplex",
    "positive",
)
INFINITE = float("inf")
# Before a function is asked for anything, it is called once with its inputs times this factor. A
# function that remembers that call is then wrong by about 1e-3, which a check sees; the factor is
# close to 1, so that the inputs stay where the function is defined.
ELSEWHERE = 1.0 + 2.0**-10
TURNS = 3  # how many other values of a size or a constant a diagnosis may ask for


class Domain(Struct, frozen=True):
    """Where an input lives: in one of CONSTRAINTS, or between bounds, which belong to it."""

    constraint: str | None = None
    low: float = -INFINITE
    high: float = INFINITE

    @property
    def words(self) -> str:
        """The domain as an adjective of an input: `positive definite`, `at least 0`."""
        if self.constraint is not None:
            words = self.constraint.replace("-", " ")
            return f"in the {words}" if self.constraint == "simplex" else words
        if self.low > -INFINITE and self.high < INFINITE:
            return f"between {self.low:g} and {self.high:g}"
        return f"at least {self.low:g}" if self.low > -INFINITE else f"at most {self.high:g}"


class Label(Struct, frozen=True):
    """The names that a report uses for a gradient.

    gradient: its symbol, `∂L/∂W`; rule: the formula it is computed by, `XᵀΔ`.
    equation: the number of that rule in the paper, such as 52; None for a rule of the user's.
    source: where the code of the rule is: `affine_backward, layers.py:12`.
    by: what returns the gradient, as messages call it.
    """

    gradient: str
    rule: str = ""
    equation: int | None = None
    source: str = ""
    by: str = "the backward"


class Stage(Struct, frozen=True):
    """A first part of the forward, and the upstream gradient of what that part gives.

    forward, batched: as in a Problem, and of the same inputs: the outputs of this part.
    cotangent: ∂L/∂(these outputs) at the inputs of the problem.
    symbol: what reports call that gradient; sample_axis: its axis that counts samples.
    mistaken: wrong arrays that people use in its place, by the name of the mistake.
    precision: how far it may be off, over its largest entry, where it was measured.
    respond: only of a stage inside the forward: maps a later stage to the Jacobian of its outputs
        by the outputs of this one, both flat; nan where an entry is not known.
    move: only of such a stage: maps inputs and an array to the outputs of the whole forward when
        this array is added to the outputs of the stage.
    """

    forward: Callable[[Arrays], Any]
    cotangent: Array
    batched: bool = False
    symbol: str = "the upstream gradient"
    sample_axis: int | None = None
    mistaken: Mapping[str, Array] = field(default_factory=dict)
    precision: float = 0.0
    respond: Callable[[Stage], Any] | None = None
    move: Callable[[Arrays, Any], Any] | None = None

    @property
    def name(self) -> str:
        """What reports call the outputs of this stage."""
        return self.symbol.removeprefix("∂L/∂")


class Locality(Struct, frozen=True):
    """A claim that the forward falls into slices: z = inner(inputs), outputs = outer(z, cut).

    Slice s of z depends on slice s of an input alone, and all slices do so in the same way.

    inner: maps inputs to z. The inputs that are cut may hold any number of slices.
    at_once: how many slices a call of `inner` takes at most; 0 for any number.
    axes: for each input that can be cut, the axis that counts its slices (the first or the last),
        and the axis of z that counts them.
    outer: maps z, which may have leading axes, to the outputs. It is also handed a function `cut`:
        an array of the shape of z that `outer` uses must go through it, and comes back with only
        the slices that this z has.
    samples: the axis of z that counts samples, each of which has an output of its own; None where
        z is the outputs.
    sums: whether every output is a sum over the slices along the other axis of z.
    """

    inner: Callable[[Arrays], Any]
    axes: Mapping[str, tuple[int, int]]
    outer: Callable[[Any, Callable[[Any], Any]], Any]
    samples: int | None
    sums: bool
    at_once: int = 0


class Stack(Struct, frozen=True):
    """A way to evaluate the forward at many points of one input in one call.

    evaluate: maps points (K, *input), for any K, to outputs (K, *outputs).
    scatter: how far rounding may move an output when other points are in the same call; of the
        outputs' shape.
    size: how many points one call of the user's function takes.
    """

    evaluate: Callable[[Any], Any]
    scatter: Any
    size: int


class Stackable(Struct, frozen=True):
    """A forward that takes one point, and may also have a way to evaluate many in one call.

    stack: takes the inputs, the name of one of them and the number of points to come; returns a
        Stack, or None where none agrees with the forward or so few points are not worth it.
    """

    forward: Callable[[Arrays], Any]
    stack: Callable[[Arrays, str, int], Stack | None]

    def __call__(self, inputs: Arrays) -> Any:
        """The outputs at one point."""
        return self.forward(inputs)

    def watched(self, watch: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Stackable:
        """The same forward with every call wrapped; watch: wraps a function."""

        def stack(inputs: Arrays, name: str, points: int) -> Stack | None:
            found: Stack | None = watch(self.stack)(inputs, name, points)
            return None if found is None else replace(found, evaluate=watch(found.evaluate))

        return Stackable(watch(self.forward), stack)


def no_stages(inputs: Arrays) -> Sequence[Stage]:
    """No stages: a diagnosis can look at the whole forward only."""
    return ()


class Problem(Struct, frozen=True):
    """A differentiable function at a point, and the backward pass that is to be checked.

    The function and the claim about it:
    inputs: named float arrays of any shape; all of them are differentiated.
    forward: maps such inputs to one float array, the outputs. It must not change them. It may be
        `Stackable`.
    backward: maps (inputs, cotangent) to the gradient of L for every input, by name.
    cotangent: of the outputs' shape; L = Σ cotangent · outputs. None stands for every basis
        vector in turn: then the gradients are Jacobians, of shape outputs × input.

    What a reader of the result should know:
    labels: the names of each gradient in a report; `∂L/∂name` where one is missing.
    notes: sentences about the problem; late_notes: called when the check is done, for those that
        are known only then.

    How the functions may behave:
    in_place: whether the backward may change the arrays it is handed.
    other_changes: names of what else the last call of the backward changed, such as its cache.
    batched: forward also accepts one of its inputs with a leading axis of K points, and then
        returns K outputs along a leading axis.
    locality: a claim by which the numeric side may evaluate less, once probes have confirmed it.

    What a diagnosis may ask for:
    stages: maps inputs to the parts of the forward that a diagnosis looks at, where the upstream
        gradient in the rules is not the cotangent, as in a layer below a loss.
    numbers: sizes and constants, by the names with which a report writes a factor: `1/n`.
    change: maps a name and a value to the same problem with another value of a size or a numeric
        constant; the third argument says which of TURNS other values. None where there is none.
    parts: the sizes of the outputs, where the forward has several that were joined into one.
    origins: gives for each input the line of the user's code that computed its wrong gradient:
        `f, a.py:12`.
    backward_passes: gives for each input the user's own backward passes between the outputs and
        it, by their place in the graph: `Square, a.py:12`.

    Complex numbers and low precision:
    complex_inputs: the inputs whose last axis holds the real and the imaginary part of complex
        numbers; complex_outputs: whether that of the outputs does.
    narrow: where this problem was widened to float64 for the numeric side, the problem as it was.
    precision: there, how far rounding may move the backward, over the largest entry; else 0.
    working_type: "bfloat16" where the functions work in that type, which NumPy lacks: inputs are
        then float32 arrays of numbers rounded to it, and are converted for each call; else empty.
    cast_line: the line of the forward that turns float64 into low precision, as a clause.

    Domains of the inputs:
    domains: of the inputs that have one; an array near such an input is first moved into it.
    room: how far their entries can be moved before they come near the boundary.
    edges: for entries at a bound the direction that leads inside, 1 or −1; 0 for all others.
    confine: maps domains to the same problem with inputs confined to them, where the inputs of
        this one are not those that the user named, as in a check of second derivatives.

    Problems related to this one:
    identity: gives what the one gradient must equal, computed in another way, and how far rounding
        may have moved that; where there is one, nothing is differenced.
    fallback: what is checked instead where the first problem of the check did not pass, whose
        gradients this one would difference.
    make_double_backward: makes the problem of the derivative of the gradients, where a framework
        has one.

    Source: the cotangent is the paper's δ = ∂L/∂y (8), and for a batch its Δ = ∂L/∂Y (39).
    """

    inputs: Arrays
    forward: Callable[[Arrays], Any]
    backward: Callable[[Arrays, Any], Mapping[str, Any]]
    cotangent: Array | None = None

    labels: Mapping[str, Label] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    late_notes: Callable[[], tuple[str, ...]] = tuple

    in_place: bool = False
    other_changes: Callable[[], Sequence[str]] = tuple
    batched: bool = False
    locality: Locality | None = None

    stages: Callable[[Arrays], Sequence[Stage]] = no_stages
    numbers: Mapping[str, float] = field(default_factory=dict)
    change: Callable[[str, float, int], Problem | None] | None = None
    parts: tuple[int, ...] = ()
    origins: Callable[[], Mapping[str, str]] = dict
    backward_passes: Callable[[], Mapping[str, Mapping[int, str]]] = dict

    complex_inputs: frozenset[str] = frozenset()
    complex_outputs: bool = False
    narrow: Problem | None = None
    precision: float = 0.0
    working_type: str = ""
    cast_line: str = ""

    domains: Mapping[str, Domain] = field(default_factory=dict)
    room: Mapping[str, Array] = field(default_factory=dict)
    edges: Mapping[str, Array] = field(default_factory=dict)
    confine: Callable[[Mapping[str, Domain]], Problem] | None = None

    identity: Callable[[], tuple[Array, Array]] | None = None
    fallback: Problem | None = None
    make_double_backward: Callable[[], Problem] | None = None

    def copy_inputs(self) -> dict[str, Array]:
        """Copies of the inputs, which the function that gets them may change."""
        return {name: x.copy() for name, x in self.inputs.items()}

    def evaluate_backward(self) -> Mapping[str, Any]:
        """What the backward returns at the inputs; it is handed copies."""
        cotangent = None if self.cotangent is None else self.cotangent.copy()
        return self.backward(self.copy_inputs(), cotangent)

    def label(self, name: str) -> Label:
        """The label of the gradient of input `name`."""
        return self.labels.get(name) or Label(f"∂L/∂{name}")

    @property
    def claimant(self) -> str:
        """What messages call the function that returns the gradients: `the backward`."""
        return self.label(next(iter(self.inputs))).by
