"""What a check found out about its gradients: frozen records."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

WHOLE_FORWARDS, BY_DIRECTIONS, BY_IDENTITY = "whole forwards", "directions", "an identity"


class Verdict(StrEnum):
    """What is known of a gradient."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Zero(StrEnum):
    """Why a gradient is zero on both sides.

    INVARIANT: moving the input moves the outputs by no more than their rounding; UNSEEN: rounding
    or noise hides whatever it may be, so that the check has no power.
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
    """One entry of a gradient: both sides, their uncertainty, analytic over numeric."""

    index: tuple[int, ...]
    analytic: float
    numeric: float
    uncertainty: float
    ratio: float | None


class Diagnosis(Struct, frozen=True):
    """What is wrong with a gradient, as far as it can be told.

    code, title: of a fault in the catalogue, or that none fits; `gradcheck explain` has more.
    observation: what was seen; evidence: how well the fault explains it; cause: the usual one;
    next_step: what to look at.
    fits: max |a − explained| over the largest entry; None of a fault that does not give entries.
    factor: `0.125 = 1/n`: analytic over numeric, where that is all that is wrong; else empty.
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

    cells: log10 of the largest in each cell, None where nothing is wrong; the last axis runs
        across, all others down.
    pooled: how many entries a cell holds, down and across.
    panels: of three or more axes, the sizes of all but the last two: the rows are those of a panel
        for each of their indices, one below the other. Empty where all is one panel.
    """

    cells: tuple[tuple[float | None, ...], ...]
    pooled: tuple[int, int]
    panels: tuple[int, ...] = ()


class MutantStatus(StrEnum):
    """What a check made of a fault that was put into a right gradient.

    EQUAL: it changes nothing, whatever the arrays hold.
    """

    CAUGHT = "caught"
    SURVIVED = "survived"
    EQUAL = "equal"


class Mutant(Struct, frozen=True):
    """A fault that was put into a right gradient, and whether the check would have failed.

    gradient: which one; told: the fault in words; error: its largest relative error.
    reason, remedy: of a survivor: why it is not seen, and what to change in the config.
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
    """How much of the forward's Jacobian by one input is not zero at the inputs of a check.

    name: the input; gradient: what its gradient is called.
    entries, exercised: how many entries of the Jacobian are not zero at these inputs or at others,
        and how many at these; draws: of how many others.
    idle: the entries of the input that outputs depend on at others alone, in words.
    """

    name: str
    gradient: str
    entries: int
    exercised: int
    draws: int
    idle: str = ""


class GradientResult(Struct, frozen=True):
    """One gradient, analytic against numeric.

    name: the input it is the gradient of; gradient: its symbol, ∂L/∂W.
    rule: the analytic rule; equation: its number in the paper, None for a rule of the user's;
        source: where its code is, of a rule in Python.
    shape: of the gradient.
    entries, measured, wrong, kinks: how many entries it has, and of how many of them the numeric
        gradient was measured; of these, how many are wrong and how many are at a kink.
    max_abs_error: max |a − m| over the entries.
    max_rel_error: |a − m| / max(|a|, |m|) of the worst entry.
    max_over_allowed: max |a − m| / (u + rtol·max(|a|, |m|) + atol): the error over what is allowed,
        above 1 exactly where an entry is wrong.
    uncertainty: the largest uncertainty of an entry of the numeric gradient.
    resolution: that over the largest entry: the smallest error that can be seen.
    bound: max (|a − m| + u) over the largest entry: the analytic gradient is right to this.
    zero: why the gradient is zero on both sides, of one that passed; None of all others. By
        invariance, resolution and bound are over what the gradient could be: Σ |cotangent·output|
        over the scale of the input. Unseen, there are none.
    step: the median of the steps the values were taken at.
    method: how much of the forward was evaluated for an entry: all of it (`whole forwards`), what
        the entry touches (`slices`), or what comes after a measured response (`superposition`); or
        `an identity`, the other side of which was computed without a step; or
        `directions`: then the errors and the uncertainty are those of derivatives along them, the
        bounds are of ‖error‖/‖gradient‖, and `measured` counts the entries looked at besides.
    directions: how many random ones; 0 where entries were measured.
    reason: why the verdict is not pass, as a sentence; empty for a pass.
    worst: the entry with the largest error over what is allowed; None where values were not
        compared.
    notes: what else a reader should know.
    diagnosis: of a failure; where: the wrong entries are, as a sentence; map: as a picture.
    faulty: the lines of the backward where it goes wrong, `net.py:12`, as a sentence.
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
    """One check: its verdict, a result per gradient, the tolerance, the work it took.

    evaluations: of the forward, in all; seconds: wall-clock time.
    notes: what makes the check weaker than it looks.
    mutants: the faults that were put into its gradients; None where that was not asked for.
    exercise: besides, how much of each Jacobian its inputs exercise, of a forward of the user's.
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
        """Its verdict and those of its gradients: a result has too many numbers to print."""
        verdicts = ", ".join(f"{of.gradient} {of.verdict.value}" for of in self.gradients)
        return f"<CheckResult {self.verdict.value}: {verdicts}>"

    def _repr_html_(self) -> str:
        """The result as a table, which notebooks show."""
        from gradcheck_cli.reporters.html import render_result

        return render_result(self)
