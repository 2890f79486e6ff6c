"""The result of a check and its parts: frozen records."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

WHOLE_FORWARDS, BY_DIRECTIONS, BY_IDENTITY = "whole forwards", "directions", "an identity"


class Verdict(StrEnum):
    """Whether a gradient, or all gradients of a check, are right, wrong or not known."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Zero(StrEnum):
    """Why a gradient is zero on both sides.

    INVARIANT: moving the input moves the outputs by no more than their rounding.
    UNSEEN: rounding or noise may hide a gradient that is not zero, so that the check has no power.
    """

    INVARIANT = "invariant"
    UNSEEN = "unseen"


class Code(StrEnum):
    """What can be wrong with a gradient: the codes of the catalogue of faults."""

    NO_KNOWN_FAULT = "GC100"
    GRADIENT_OF_ANOTHER = "GC101"
    ZEROS = "GC102"
    FACTOR = "GC103"
    OTHER_REDUCTION = "GC104"
    TRANSPOSED = "GC105"
    INPUT_TRANSPOSED = "GC106"
    INDEX_SWAPPED = "GC107"
    ELEMENTWISE_PRODUCT = "GC108"
    PART_SCALED = "GC109"
    SLICES_MOVED = "GC110"
    FEW_ENTRIES = "GC111"
    CLIPPED = "GC112"
    ROUNDED = "GC113"
    FLOAT32 = "GC114"
    NOISE = "GC115"
    TERM_ADDED = "GC116"
    INPUT_STALE = "GC117"
    INPUT_UPDATED = "GC118"
    OTHER_INPUT = "GC119"
    INPUT_LEFT_OUT = "GC120"
    UPSTREAM_LEFT_OUT = "GC121"
    UPSTREAM_DISTORTED = "GC122"
    SAMPLES_LEFT_OUT = "GC123"
    SAMPLES_REORDERED = "GC124"
    UPSTREAM_AVERAGED = "GC125"
    OUTPUTS_LEFT_OUT = "GC126"
    UPSTREAM_TRANSPOSED = "GC127"
    OTHER_UPSTREAM = "GC128"
    DIAGONAL_ALONE = "GC129"
    SLICES_SCALED = "GC130"
    SLOPE_MISSING = "GC131"
    SLOPE_MISPLACED = "GC132"
    SLOPE_TWICE = "GC133"
    SLOPE_MIRRORED = "GC134"
    FUNCTION_FOR_SLOPE = "GC135"
    OTHER_SLOPE = "GC136"
    OTHER_PARAMETER = "GC137"
    TRIANGLE = "GC138"
    OVERWRITTEN = "GC139"
    SMALL_DIFFERENCE = "GC140"
    NOT_SUMMED = "GC141"
    SUMMED = "GC142"
    RESHAPED = "GC143"
    OTHER_SHAPE = "GC144"
    BRANCH = "GC145"
    EXCHANGED = "GC146"
    OTHER_MASK = "GC147"
    FLAT = "GC148"
    NOT_RETURNED = "GC151"
    NOT_FINITE = "GC152"
    NOT_REAL = "GC153"
    CHANGES_ARGUMENTS = "GC154"
    ANSWERS_DIFFERENTLY = "GC155"
    OTHER_PATTERN = "GC161"
    CONTRADICTION = "GC162"
    CONJUGATE = "GC163"
    FLATTENED = "GC164"


class Refusal(Struct, frozen=True):
    """Why a gradient is wrong whatever its values are: a code of the catalogue and a sentence."""

    code: Code
    sentence: str


class Entry(Struct, frozen=True):
    """One entry of a gradient: its index, both values, the uncertainty of the numeric one, and the
    ratio analytic / numeric (None where the numeric value is 0)."""

    index: tuple[int, ...]
    analytic: float
    numeric: float
    uncertainty: float
    ratio: float | None


class Diagnosis(Struct, frozen=True):
    """What is wrong with a gradient, as far as that is known.

    code, title: the fault of the catalogue that explains it, or that none does; `gradcheck explain`
        says more about each.
    observation: what was seen; evidence: how well the fault explains it; cause: what usually
        causes it; next_step: what to look at.
    fits: the largest |analytic − explained| over the largest entry; None if the fault does not say
        what the entries are.
    factor: `0.125 = 1/n`: analytic / numeric, if the gradient is wrong by a factor; else empty.
    """

    code: str
    title: str
    observation: str
    evidence: str
    cause: str
    next_step: str
    fits: float | None = None
    factor: str = ""


class ErrorMap(Struct, frozen=True):
    """The relative errors of a gradient as a picture.

    cells: rows of log10 of the largest error in each cell, None where nothing is wrong. The last
        axis of the gradient runs across, the others run down.
    pooled: how many entries a cell stands for, down and across.
    panels: for a gradient of three or more axes, the sizes of all but the last two. There is a
        panel for each of their indices, and the rows of all panels follow each other. Empty where
        there is one panel.
    """

    cells: tuple[tuple[float | None, ...], ...]
    pooled: tuple[int, int]
    panels: tuple[int, ...] = ()


class MutantStatus(StrEnum):
    """Whether a check would have failed for a fault that was put into a right gradient.

    EQUAL: the fault does not change the gradient, whatever the arrays hold.
    """

    CAUGHT = "caught"
    SURVIVED = "survived"
    EQUAL = "equal"


class Mutant(Struct, frozen=True):
    """A fault that was put into a right gradient, and whether the check would have failed.

    gradient: the symbol of the gradient; told: the fault in words; error: the largest relative
        error that it makes.
    reason, remedy: why a survivor is not caught, and what to change in the config.
    """

    code: str
    title: str
    gradient: str
    told: str
    status: MutantStatus
    error: float | None
    reason: str = ""
    remedy: str = ""


class Exercise(Struct, frozen=True):
    """How much of the forward's Jacobian by one input is nonzero at the inputs of a check.

    name: the input; gradient: the symbol of its gradient.
    entries: how many entries of the Jacobian are nonzero at these inputs or at other random ones;
        exercised: how many of them are nonzero at these; draws: how many other inputs were drawn.
    idle: the entries of the input on which no output depends here, though some do elsewhere.
    """

    name: str
    gradient: str
    entries: int
    exercised: int
    draws: int
    idle: str = ""


class GradientResult(Struct, frozen=True):
    """The result of one gradient: analytic value a, numeric value m, its uncertainty u.

    name: the input; gradient: the symbol of its gradient, ∂L/∂W; shape: of the gradient.
    rule: the analytic rule; equation: its number in the paper, None for a rule of the user's;
        source: where the code of a rule in Python is.
    reason: why the verdict is not pass, as a sentence; empty for a pass.
    entries: how many entries the gradient has; measured: how many of them have a numeric value;
        wrong, kinks: how many of those are wrong, and are at a kink.
    max_abs_error: the largest |a − m|.
    max_rel_error: |a − m| / max(|a|, |m|) of the worst entry.
    max_over_allowed: the largest |a − m| / (u + rtol·max(|a|, |m|) + atol), the error over what is
        allowed: above 1 exactly where an entry is wrong.
    uncertainty: the largest u.
    resolution: that over the largest entry: the smallest error that can be seen.
    bound: the largest |a − m| + u over the largest entry: the analytic gradient is right to this.
    zero: if the gradient passed and is zero on both sides, why; else None. If it is zero by
        invariance, resolution and bound are over what it could be, Σ |cotangent·output| over the
        scale of the input; if it is unseen, they are None.
    step: the median of the steps at which entries were measured.
    method: how the numeric gradient was measured. By entries: `whole forwards`, `slices` (only the
        part of the forward that an entry affects), or `superposition` (only what follows the
        measured response to an entry). `an identity`: computed in another way, without a step.
        `directions`: along random directions; then errors and uncertainty are those of directional
        derivatives, resolution and bound are relative to ‖gradient‖, and `measured` counts the
        entries that were measured besides.
    directions: how many random directions; 0 where entries were measured.
    worst: the entry with the largest error over what is allowed; None where values were not
        compared.
    notes: what else a reader should know.
    diagnosis: of a failure; where: in words, where the wrong entries are; map: the same as a
        picture.
    faulty: in words, the lines of the backward where it goes wrong: `net.py:12`.
    """

    name: str
    gradient: str
    rule: str
    equation: int | None
    shape: tuple[int, ...]
    verdict: Verdict
    entries: int
    measured: int = 0
    reason: str = ""
    wrong: int = 0
    kinks: int = 0
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    max_over_allowed: float | None = None
    uncertainty: float | None = None
    resolution: float | None = None
    bound: float | None = None
    zero: Zero | None = None
    step: float | None = None
    worst: Entry | None = None
    notes: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
    where: str = ""
    map: ErrorMap | None = None
    source: str = ""
    faulty: str = ""
    method: str = ""
    directions: int = 0


class CheckResult(Struct, frozen=True):
    """The result of a check: its verdict, a result for each gradient, and the tolerance.

    evaluations: how often the forward was evaluated; seconds: wall-clock time.
    notes: what makes the check weaker than it looks.
    mutants: the faults that were put into its gradients; None where that was not asked for.
    exercise: with mutants, and for a forward of the user's own, how much of each Jacobian is
        nonzero at the inputs.
    """

    verdict: Verdict
    gradients: tuple[GradientResult, ...]
    rtol: float
    atol: float
    evaluations: int
    seconds: float
    notes: tuple[str, ...] = ()
    mutants: tuple[Mutant, ...] | None = None
    exercise: tuple[Exercise, ...] = ()

    def __repr__(self) -> str:
        """The verdicts alone: a result has too many numbers to print."""
        verdicts = ", ".join(f"{of.gradient} {of.verdict.value}" for of in self.gradients)
        return f"<CheckResult {self.verdict.value}: {verdicts}>"

    def _repr_html_(self) -> str:
        """The result as a table, which notebooks show."""
        from gradcheck_cli.reporters.html import render_result

        return render_result(self)
