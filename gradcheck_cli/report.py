"""The report of a run: frozen records, which JSON writes as they are and other formats print."""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum, StrEnum
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.result import CheckResult, Verdict
from gradcheck_cli.text import printable_lines

SCHEMA_VERSION = 1


class Outcome(StrEnum):
    """How a check came out: its verdict compared with the one that its config expects.

    ERROR: the check could not be run; NOT_RUN: it names Python code and --allow-code is missing.
    """

    OK = "ok"
    WRONG = "wrong"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    NOT_RUN = "not run"


class ExitCode(IntEnum):
    """The exit codes of the command, each with one meaning.

    NOTHING_CHECKED: a usage error, a config that cannot be read, a check that could not be run or
    lacks --allow-code, a report that could not be written. HUNG_UP, INTERRUPTED and TERMINATED:
    128 + the number of the signal, as in shells.
    """

    OK = 0
    WRONG = 1
    NOTHING_CHECKED = 2
    INCONCLUSIVE = 3
    INTERNAL = 4
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class Settings(Struct, frozen=True):
    """The settings of a check, as far as a reader of the report needs them.

    form … gradient_reduction: for a layer of the paper, else None. forward, backward: for a layer
    of the user's own, the formula or the name of the function.
    """

    sizes: dict[str, int]
    dtype: str
    seed: int
    scheme: str
    order: int | str
    step: float | str
    sample: int | None
    form: str | None = None
    equation: str | None = None
    bias: bool | None = None
    activation: str | None = None
    loss: str | None = None
    reduction: str | None = None
    delta: str | None = None
    gradient_reduction: str | None = None
    forward: str | None = None
    backward: str | None = None


class CheckReport(Struct, frozen=True):
    """A check of a config, and how it came out.

    id: its name on the command line; path, line: where the config describes it.
    rule_lines: the lines where the config gives rules of its own, by input.
    expected: the verdict that the config expects; outcome: how the check came out against that.
    result: None where the check was not run; error then says why.
    rerun: the command that runs only this check again.
    """

    id: str
    path: str
    line: int
    rule_lines: dict[str, int]
    settings: Settings
    expected: Verdict
    outcome: Outcome
    result: CheckResult | None
    error: str
    rerun: str


class Environment(Struct, frozen=True):
    """Where the checks ran: versions, the system and its cores."""

    python: str
    numpy: str
    platform: str
    machine: str
    cores: int


class SuiteReport(Struct, frozen=True):
    """All checks of one run, in the order of their configs, and how many came out how.

    mutants: how many faults that were put into gradients had which status, where that was asked.
    interrupted: the run was stopped; not_reached: how many checks are missing, since it was, or
        since it was to end with the first failure.
    started: when, in UTC.
    exit_code: the command's, see the table of exit codes.
    """

    schema_version: int
    gradcheck_version: str
    checks: tuple[CheckReport, ...]
    counts: dict[str, int]
    seconds: float
    interrupted: bool
    exit_code: int
    environment: Environment
    started: str
    not_reached: int = 0
    mutants: dict[str, int] | None = None


Record = TypeVar("Record", bound=Struct)


def make_printable(record: Record) -> Record:
    """The record with all of its texts printable, line by line: they may come from users."""
    with suppress(UnicodeEncodeError):  # half of a character, as in a name that is not decoded
        text = msgspec.json.encode(record).decode()
        if text.isprintable() and not any(mark in text for mark in ("\\", "::", "##[")):
            return record
    return cast(Record, _make_printable(record))


def _make_printable(value: Any) -> Any:
    if type(value) is str:
        return printable_lines(value)
    if isinstance(value, Struct):
        changed = {name: _make_printable(getattr(value, name)) for name in value.__struct_fields__}
        return replace(value, **changed)
    if isinstance(value, dict):
        return {_make_printable(key): _make_printable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_make_printable, value))
    return value
