"""The pytest plugin: a config is a test file, and each of its checks is a test.

pytest loads this module wherever the package is installed, so the rest of the package is imported
only when there is a config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradcheck_cli.config.builders.check import ConfigCheck
    from gradcheck_cli.result import CheckResult

CONFIGS, ALLOW_CODE = "gradcheck_configs", "gradcheck_allow_code"  # keys of the ini file
SUFFIXES = (".yaml", ".yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the keys of the ini file."""
    parser.getgroup("gradcheck").addoption(
        "--gradcheck-allow-code",
        action="store_true",
        help="Run the Python code that gradcheck configs name. Read it before.",
    )
    parser.addini(ALLOW_CODE, "the same as --gradcheck-allow-code", "bool", False)
    parser.addini(CONFIGS, "globs of the gradcheck configs that are tests", "args", ["*"])


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that all checks have."""
    config.addinivalue_line("markers", "gradcheck: a check of a gradcheck config")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ConfigFile | None:
    """Collect a YAML file as a test file if it is a config."""
    if file_path.suffix not in SUFFIXES:
        return None
    if not any(file_path.match(glob) for glob in parent.config.getini(CONFIGS)):
        return None
    from gradcheck_cli.config.kinds import KINDS
    from gradcheck_cli.config.load import is_config
    from gradcheck_cli.config.schema import CHECKS_KEY

    # These keys alone make a file a config: YAML files of other programs have our other keys, too.
    if not is_config(file_path, {*KINDS, CHECKS_KEY}):
        return None
    return ConfigFile.from_parent(parent, path=file_path)


@pytest.fixture
def gradcheck() -> Callable[..., CheckResult]:
    """`gradcheck_cli.assert_gradients`: checks a forward and its backward."""
    from gradcheck_cli import assert_gradients

    return assert_gradients


class ConfigFile(pytest.File):
    """A config; an error in it is an error of the collection."""

    def collect(self) -> Iterator[CheckItem]:
        """Make a test for each check."""
        from gradcheck_cli.config.load import load_config
        from gradcheck_cli.config.overrides import read_overrides
        from gradcheck_cli.config.project import find_project
        from gradcheck_cli.errors import GradcheckError
        from gradcheck_cli.text import format_path

        try:
            overrides = read_overrides([], project=find_project(self.config.rootpath))
            path, folders = format_path(str(self.path)), [self.config.rootpath]
            checks = load_config(path, overrides=overrides, folders=folders)
        except GradcheckError as error:
            raise self.CollectError(str(error)) from error
        for check in checks:
            yield CheckItem.from_parent(self, name=check.id, check=check)


class CheckItem(pytest.Item):
    """A check of a config as a test, named by its id."""

    def __init__(self, *, check: ConfigCheck, **given: Any) -> None:
        super().__init__(**given)
        self.check = check
        self.add_marker("gradcheck")
        self.allow_code = self.config.option.gradcheck_allow_code or self.config.getini(ALLOW_CODE)
        if check.layer.code and not self.allow_code:
            names = ", ".join(code.name for code in check.layer.code)
            reason = f"{names}: Python code, which runs with --gradcheck-allow-code only"
            self.add_marker(pytest.mark.skip(reason=reason))

    def runtest(self) -> None:
        """Run the check, and fail if it does not come out as its config expects."""
        from gradcheck_cli.options import TIMEOUT
        from gradcheck_cli.report import Outcome
        from gradcheck_cli.run.one import run_check

        report = run_check(self.check, lambda entries: None, TIMEOUT, allow_code=self.allow_code)
        if report.outcome != Outcome.OK:
            from gradcheck_cli.reporters.details import write_headline
            from gradcheck_cli.reporters.table import render_details

            pytest.fail(f"{write_headline(report)}\n{render_details(report)}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The file and the line of the check, and its name."""
        return self.path, self.check.line - 1, self.name
