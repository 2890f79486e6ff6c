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


# Sets that an input may be confined to.
CONSTRAINTS = (
    "symmetric",
    "positive-definite",
    "lower-triangular",
    "orthogonal",
    "simplex",
    "positive",
)
INFINITE = float("inf")
# How far another point is to call functions at, before they are asked for anything: what they
# remember of that call is wrong by this share, and stays inside their domain.
ELSEWHERE = 1.0 + 2.0**-10
TURNS = 3  # other values of a size or a constant that a problem may be had for


class Domain(Struct, frozen=True):
    """Where an input lives: in one of CONSTRAINTS, or between bounds, which belong to it."""

    constraint: str | None = None
    low: float = -INFINITE
    high: float = INFINITE

    @property
    def words(self) -> str:
        """What an input of it is: `positive definite`, `at least 0`."""
        if self.constraint is not None:
            words = self.constraint.replace("-", " ")
            return f"in the {words}" if self.constraint == "simplex" else words
        if self.low > -INFINITE and self.high < INFINITE:
            return f"between {self.low:g} and {self.high:g}"
        return f"at least {self.low:g}" if self.low > -INFINITE else f"at most {self.high:g}"


class Label(Struct, frozen=True):
    """How a gradient is called in a report: `∂L/∂W`, its rule `XᵀΔ` and where that stands.

    equation: the paper's number, 52; None for a rule that is not the paper's.
    source: where the code of the rule is: `affine_backward, layers.py:12`.
    by: what gives the gradient, in messages.
    """

    gradient: str
    rule: str = ""
    equation: int | None = None
    source: str = ""
    by: str = "the backward"


class Stage(Struct, frozen=True):
    """The forward up to some outputs, and the upstream gradient there: ∂L/∂outputs at the inputs.

    forward, batched: as those of a Problem, of the same inputs.
    symbol: what reports call the upstream gradient; sample_axis: its axis that counts samples.
    mistaken: what people take for it, by what they got wrong.
    precision: how far it may be off, over its largest entry, where it was measured.
    respond: of a stage inside the forward, how the outputs of a later one change with its own:
        outputs of that × its own, both flat; not a number where that is not known.
    move: of such a stage, the outputs of all of the forward at some inputs, where its own are
        others by so much.
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
        """What reports call its outputs."""
        return self.symbol.removeprefix("∂L/∂")


class Locality(Struct, frozen=True):
    """A claim that the forward falls into slices: outputs = outer(z), z = inner(inputs).

    inner: of inputs to z. It may be handed arrays that hold any number of slices; at_once: of those
        in a call, 0 where more take no longer.
    axes: of each input the axis across which it is cut, its first or last one, and that of z: slice
        s of z depends on slice s of this input alone, all slices in the same way.
    outer: of z, with any leading axes, to the outputs; what else it uses of the shape of z it takes
        through `cut`, which is handed to it and leaves the slices that z has.
    samples: the axis of z each slice of which has an output of its own; where `sums`, the outputs
        are sums over the slices across the other axis. None: z is what the outputs are.
    """

    inner: Callable[[Arrays], Any]
    axes: Mapping[str, tuple[int, int]]
    outer: Callable[[Any, Callable[[Any], Any]], Any]
    samples: int | None
    sums: bool
    at_once: int = 0


class Stack(Struct, frozen=True):
    """Many points of one input in one call, to roundings.

    evaluate: of points (K, *input), any number of them, to the outputs (K, *outputs).
    scatter: how far an output may be off by what else is in the call, in the outputs' shape.
    size: points that a call takes; more take several.
    """

    evaluate: Callable[[Any], Any]
    scatter: Any
    size: int


class Stackable(Struct, frozen=True):
    """A forward of one point, with a way to evaluate many points of an input in one call.

    stack: of the inputs, the name of one and how many points there will be; None where it has no
        way that gives the same as the forward, or that is worth it for so few.
    """

    forward: Callable[[Arrays], Any]
    stack: Callable[[Arrays, str, int], Stack | None]

    def __call__(self, inputs: Arrays) -> Any:
        """The outputs at one point."""
        return self.forward(inputs)

    def watched(self, watch: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Stackable:
        """The same with something done around every call; watch: gives a function that does it."""

        def stack(inputs: Arrays, name: str, points: int) -> Stack | None:
            found: Stack | None = watch(self.stack)(inputs, name, points)
            return None if found is None else replace(found, evaluate=watch(found.evaluate))

        return Stackable(watch(self.forward), stack)


def no_stages(inputs: Arrays) -> Sequence[Stage]:
    """The forward is all there is to look at."""
    return ()


class Problem(Struct, frozen=True):
    """A differentiable function at a point, and the backward pass that is to be checked.

    The function and what is claimed of it:
    inputs: named float arrays of any shape; all of them are differentiated.
    forward: maps such inputs to one float array, the outputs. It must not change them. It may be
        `Stackable`.
    backward: maps (inputs, cotangent) to the gradient of L for every input, by name.
    cotangent: of the outputs' shape; L = Σ cotangent · outputs. None stands for every basis
        vector in turn: then the gradients are Jacobians, of shape outputs × input.

    What a reader of the result should know:
    labels: how each gradient is called in a report; `∂L/∂name` where one is missing.
    notes: of the problem; observed: is asked for more of them when the check is done.

    How the functions may behave:
    in_place: whether the backward may change what it is handed; changed: what else than its inputs
        its last call changed, by name.
    batched: forward also accepts one of its inputs with a leading axis of K points, and then
        returns K outputs along a leading axis.
    locality: what the numeric side may use to evaluate less, once it has probed it.

    What a diagnosis may ask:
    stages: where the upstream gradient that the rules work with is not the cotangent, as in a layer
        below a loss: the parts of the forward that the diagnosis looks at, at some inputs.
    numbers: what a factor may be called by: sizes, constants.
    change: the same problem where a size, or a constant that is a number, is another than it is:
        of its name and value, which may be that of an axis; turn: which of TURNS others; None where
        that cannot be.
    parts: the sizes of several outputs that the forward gives as one.
    origins: is asked, where gradients are wrong, after which lines of the user's they are there, by
        name: `f, a.py:12`.
    passed: is asked, where gradients are wrong, which backward passes of the user's own are between
        the outputs and each input, by name: `Square, a.py:12`, each place in the graph by itself.

    Complex numbers, and low precision:
    complex_inputs, complex_outputs: the inputs that are real and imaginary parts of complex numbers
        along their last axis, and whether the outputs are.
    narrow: where the backward works in another type than the inputs', the same problem with all of
        it in that type; precision: how far the backward may be off by the rounding of that type,
        over the largest entry of a gradient; else 0.
    low: the type that the functions work in where NumPy has none of that name, bfloat16: inputs are
        then in float32, rounded to it, and the functions are handed that type of these alone.
    lost: the line of the forward that makes low precision of float64, as a clause.

    Domains of the inputs:
    domains: of the inputs that have one: their points near the inputs lead into it; room: how far
        their entries can be moved before they come near its end; edges: which way is in for those
        at a bound, 1 or −1, and 0 for others.
    inside: makes the same problem with some inputs in domains, where its inputs stand for others.

    Problems beside this one:
    identity: the other side of an identity that the one gradient is a side of, and how far rounding
        may have moved it: then nothing is differenced.
    otherwise: what is checked instead where the first problem of a check, whose gradients this one
        differences, did not pass.
    twice: makes the problem of the derivative of its gradients, where a framework has one.

    Source: the cotangent is the paper's δ = ∂L/∂y (8), of a batch its Δ = ∂L/∂Y (39).
    """

    inputs: Arrays
    forward: Callable[[Arrays], Any]
    backward: Callable[[Arrays, Any], Mapping[str, Any]]
    cotangent: Array | None = None

    labels: Mapping[str, Label] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    observed: Callable[[], tuple[str, ...]] = tuple

    in_place: bool = False
    changed: Callable[[], Sequence[str]] = tuple
    batched: bool = False
    locality: Locality | None = None

    stages: Callable[[Arrays], Sequence[Stage]] = no_stages
    numbers: Mapping[str, float] = field(default_factory=dict)
    change: Callable[[str, float, int], Problem | None] | None = None
    parts: tuple[int, ...] = ()
    origins: Callable[[], Mapping[str, str]] = dict
    passed: Callable[[], Mapping[str, Mapping[int, str]]] = dict

    complex_inputs: frozenset[str] = frozenset()
    complex_outputs: bool = False
    narrow: Problem | None = None
    precision: float = 0.0
    low: str = ""
    lost: str = ""

    domains: Mapping[str, Domain] = field(default_factory=dict)
    room: Mapping[str, Array] = field(default_factory=dict)
    edges: Mapping[str, Array] = field(default_factory=dict)
    inside: Callable[[Mapping[str, Domain]], Problem] | None = None

    identity: Callable[[], tuple[Array, Array]] | None = None
    otherwise: Problem | None = None
    twice: Callable[[], Problem] | None = None

    def copy_inputs(self) -> dict[str, Array]:
        """The inputs as copies, which a function that is handed them may change."""
        return {name: x.copy() for name, x in self.inputs.items()}

    def evaluate_backward(self) -> Mapping[str, Any]:
        """What the backward gives at the inputs; it is handed copies."""
        cotangent = None if self.cotangent is None else self.cotangent.copy()
        return self.backward(self.copy_inputs(), cotangent)

    def label(self, name: str) -> Label:
        """The label of the gradient of input `name`."""
        return self.labels.get(name) or Label(f"∂L/∂{name}")

    @property
    def claimant(self) -> str:
        """What gives the gradients, in messages: the backward, or another function."""
        return self.label(next(iter(self.inputs))).by
