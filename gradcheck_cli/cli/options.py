"""The options that commands share, and what their texts mean."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import click

from gradcheck_cli.cli.completion import complete_configs, complete_ids
from gradcheck_cli.cli.streams import COLORS
from gradcheck_cli.config.project import Project, anchor
from gradcheck_cli.options import TIMEOUT
from gradcheck_cli.reporters import FORMATS
from gradcheck_cli.text import suggest

UNITS = {"s": 1, "m": 60, "h": 3600}  # of times, in seconds
MOST_DIGITS = 18  # of a count
LONGEST_TIMEOUT = 10.0**6  # s, which is eleven days; timers of the system end not far above

Function = TypeVar("Function", bound=Callable[..., Any])


class Given(TypedDict):
    """The options that `run` and `mutate` have in common, by name."""

    configs: tuple[str, ...]
    exclude: tuple[str, ...]
    select: tuple[str, ...]
    set: tuple[str, ...]
    seed: int | None
    seeds: int
    shard: tuple[int, int] | None
    format: str
    output: tuple[tuple[str, str], ...]
    quiet: int
    color: str
    allow_code: bool
    timeout: float
    jobs: int
    dask: str | None


class GivenToRun(Given):
    """The options of `run`."""

    last_failed: bool
    list_only: bool
    verbose: bool
    durations: int
    exit_first: bool
    exit_zero: bool
    watch: bool
    statistics: bool
    budget: float | None
    power: bool


def options(*several: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Several options as one decorator, shown in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed(several):
            function = option(function)
        return function

    return decorate


def read_jobs(text: str) -> int:
    """How many processes `--jobs` asks for."""
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count_cores()
    jobs = read_whole(text)
    if not jobs:
        raise click.BadParameter(f"'{text}' is no number of processes: give 1 or more, or auto")
    return jobs


def read_whole(text: str) -> int | None:
    """The whole number that some digits are, of no more than MOST_DIGITS."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def count_cores() -> int:
    """Of this machine."""
    return os.cpu_count() or 1


def read_seconds(text: str | None) -> float | None:
    """The seconds in `10s`, `2m`, `1h` or `10`."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise click.BadParameter(f"'{text}' is no time: give seconds such as 10s, or 2m or 1h")
    return seconds


def bound_timeout(seconds: float) -> float:
    """The seconds, if a timer can take them; NaN, which click lets through, it cannot."""
    if not seconds <= LONGEST_TIMEOUT:
        raise click.BadParameter(f"{seconds:g} is no time: give seconds, at most 1,000,000")
    return seconds


def read_shard(text: str | None) -> tuple[int, int] | None:
    """Which of how many in `2/4`."""
    if text is None:
        return None
    which, slash, count = text.partition("/")
    part, parts = read_whole(which), read_whole(count)
    if slash and part and parts and part <= parts:
        return part, parts
    raise click.BadParameter(f"'{text}' is no shard: give K/N with K from 1 to N, such as 2/4")


def read_output(text: str, formats: tuple[str, ...]) -> tuple[str, str]:
    """Format and path in `junit=report.xml`."""
    format, equals, path = text.partition("=")
    if not equals or not path:
        raise click.BadParameter(f"'{text}' must be FORMAT=PATH, such as junit=report.xml")
    if format not in formats:
        miss = suggest(format, formats, "there are")
        raise click.BadParameter(f"there is no format '{format}'{miss}")
    return format, path


def choose_configs(
    context: click.Context, parameter: click.Parameter, configs: tuple[str, ...]
) -> tuple[str, ...]:
    """The configs of the command line; without any, those of the project, which `select` narrows.

    The argument is eager, so that this comes before the options are read.
    """
    project = context.find_object(Project)
    if configs:
        return configs
    if project is None or not project.paths:
        raise click.MissingParameter(
            "Name configs or folders of configs, or put paths under [tool.gradcheck] in "
            "pyproject.toml.",
            context,
            parameter,
        )
    context.default_map = {**(context.default_map or {}), "select": project.select}
    return project.paths


CONFIGS = click.argument(
    "configs",
    nargs=-1,
    is_eager=True,
    callback=choose_configs,
    metavar="[CONFIG|DIR|-]...",
    shell_complete=complete_configs,
)
EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    callback=lambda context, option, values: tuple(anchor(value, Path()) for value in values),
    help="Leave files and folders of this name or path out of every DIR; may be given again.",
)
SELECT = click.option(
    "-k",
    "--select",
    multiple=True,
    metavar="ID",
    shell_complete=complete_ids,
    help="Only checks of this id; * and ? are wild, the id of a matrix means all of it, and "
    "not, and, or and parentheses join ids.",
)
SET = click.option(
    "-s",
    "--set",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a dotted key of every check, such as shapes.n=8; of a matrix, keep that value only.",
)
SEED = click.option(
    "--seed",
    type=click.IntRange(min=0, max=2**63 - 1),
    metavar="N",
    help="Draw the arrays with this seed: --set inputs.seed=N.",
)
SEEDS = click.option(
    "--seeds",
    type=click.IntRange(min=1, max=10_000),
    default=1,
    metavar="K",
    help="Run every check with K seeds, from its own on.",
)
SHARD = click.option(
    "--shard",
    metavar="K/N",
    callback=lambda context, option, value: read_shard(value),
    help="Only part K of N of the checks; the N parts together are all of them.",
)
LAST_FAILED = click.option(
    "--last-failed",
    "--lf",
    is_flag=True,
    help="Only checks that did not come out as expected when they were last run from here.",
)
LIST = click.option(
    "--list",
    "list_only",
    is_flag=True,
    help="Print the id of every check that would be run, a tab and its place; run nothing.",
)
QUIET = click.option(
    "-q",
    "--quiet",
    count=True,
    help="Only what is wrong, and the summary; twice: nothing, the exit code says it.",
)
VERBOSE = click.option(
    "-v", "--verbose", is_flag=True, help="Also settings, steps and times of every check."
)
COLOR = click.option(
    "--color",
    type=click.Choice(COLORS),
    default="auto",
    help="Of the table; auto: as NO_COLOR, FORCE_COLOR and the terminal say.",
)
DURATIONS = click.option(
    "--durations",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also the N slowest checks.",
)
EXIT_FIRST = click.option(
    "-x", "--exitfirst", "exit_first", is_flag=True, help="Stop at the first check that fails."
)
STATISTICS = click.option(
    "--statistics",
    is_flag=True,
    help="Also the most frequent faults, and the slowest file; a long report has them anyway.",
)
EXIT_ZERO = click.option(
    "--exit-zero",
    is_flag=True,
    help="Exit with 0 though a gradient is wrong or a check inconclusive, to look and not to stop.",
)
WATCH = click.option(
    "--watch",
    is_flag=True,
    help="Stay, and run the checks that a change of their config, code or arrays touches.",
)
ALLOW_CODE = click.option(
    "--allow-code", is_flag=True, help="Run the Python code that configs name. Read it before."
)
JOBS = click.option(
    "--jobs",
    default="1",
    metavar="N",
    callback=lambda context, option, value: read_jobs(value),
    help="How many processes to use, or auto: as many as there are cores.",
)
DASK = click.option(
    "--dask", metavar="ADDRESS", help="Run the checks on the cluster of this Dask scheduler."
)
BUDGET = click.option(
    "--budget",
    metavar="TIME",
    callback=lambda context, option, value: read_seconds(value),
    help="For the entries of a gradient, such as 10s; beyond it, random directions.",
)
TIME = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    callback=lambda context, option, value: bound_timeout(value),
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long one call of such code may take.",
)
POWER = click.option(
    "--power",
    is_flag=True,
    help="Also inject common bugs, and tell how many each check would have caught.",
)


def format_option(formats: tuple[str, ...]) -> Callable[[Function], Function]:
    """`--format`, one of these."""
    return click.option(
        "--format",
        type=click.Choice(formats),
        default="table",
        show_default=True,
        metavar="FORMAT",
        help=f"Of the report on stdout: {', '.join(formats)}.",
    )


def output_option(formats: tuple[str, ...]) -> Callable[[Function], Function]:
    """`--output`, in one of these."""
    return click.option(
        "-o",
        "--output",
        multiple=True,
        metavar="FORMAT=PATH",
        callback=lambda context, option, values: tuple(
            read_output(value, formats) for value in values
        ),
        help="Also write the report to a file, such as junit=report.xml; may be given again.",
    )


FORMAT, OUTPUT = format_option(FORMATS), output_option(FORMATS)
