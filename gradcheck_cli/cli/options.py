"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import click

from gradcheck_cli.cli.completion import complete_configs, complete_ids
from gradcheck_cli.cli.option_values import (
    bound_timeout,
    choose_configs,
    read_jobs,
    read_output,
    read_seconds,
    read_shard,
)
from gradcheck_cli.cli.streams import COLORS
from gradcheck_cli.config.project import anchor
from gradcheck_cli.options import TIMEOUT
from gradcheck_cli.reporters import FORMATS

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
    """A decorator that adds several options; the help lists them in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed(several):
            function = option(function)
        return function

    return decorate


CONFIGS = click.argument(
    "configs",
    nargs=-1,
    is_eager=True,
    callback=choose_configs,
    metavar="[CONFIG|DIR|FILE.py|-]...",
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
    """The option `--format`, which takes one of these formats."""
    return click.option(
        "--format",
        type=click.Choice(formats),
        default="table",
        show_default=True,
        metavar="FORMAT",
        help=f"Of the report on stdout: {', '.join(formats)}.",
    )


def output_option(formats: tuple[str, ...]) -> Callable[[Function], Function]:
    """The option `--output`, which takes one of these formats and a path."""
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
