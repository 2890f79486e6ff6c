"""The report as JUnit XML for CI servers: every check is a test, every config a suite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import list_details, write_headline
from gradcheck_cli.reporters.places import describe_places
from gradcheck_cli.reporters.table import render_details
from gradcheck_cli.reporters.words import group_by_path
from gradcheck_cli.text import printable, printable_lines

NAMES = {Outcome.ERROR: "error", Outcome.NOT_RUN: "skipped"}  # elements of checks that did not run
# Characters that XML 1.0 forbids.
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: SuiteReport, screen: Screen) -> str:
    """One document; a wrong or an inconclusive check is a failure."""
    root = Element("testsuites", _count_outcomes(report.checks), name="gradcheck")
    for path, checks in group_by_path(report.checks).items():
        suite = SubElement(root, "testsuite", _count_outcomes(checks), name=_escape(path))
        suite.set("timestamp", report.started.removesuffix("Z"))
        skipped = sum(check.outcome == Outcome.NOT_RUN for check in checks)
        suite.set("skipped", str(skipped))
        properties = SubElement(suite, "properties")
        for name, value in (
            ("gradcheck", report.gradcheck_version),
            ("python", report.environment.python),
            ("numpy", report.environment.numpy),
            ("seeds", " ".join(map(str, sorted({check.settings.seed for check in checks})))),
        ):
            SubElement(properties, "property", name=name, value=value)
        for check in checks:
            _add_test(suite, check)
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add_test(suite: Element, check: CheckReport) -> None:
    seconds = check.result.seconds if check.result is not None else 0.0
    name, path = _escape(check.id), _escape(check.path)
    test = SubElement(suite, "testcase", name=name, classname=path, time=f"{seconds:.3f}")
    if check.outcome == Outcome.OK:
        return
    kind = NAMES.get(check.outcome, "failure")
    message = _escape(write_headline(check))
    found = SubElement(test, kind, type=check.outcome.value, message=message)
    places = describe_places(list_details(check))
    found.text = _escape("\n".join([*places, render_details(check).strip("\n")]), lines=True)


def _count_outcomes(checks: Sequence[CheckReport]) -> dict[str, str]:
    outcomes = [check.outcome for check in checks]
    errors = outcomes.count(Outcome.ERROR)
    failures = outcomes.count(Outcome.WRONG) + outcomes.count(Outcome.INCONCLUSIVE)
    seconds = sum(check.result.seconds for check in checks if check.result is not None)
    return {
        "tests": str(len(checks)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{seconds:.3f}",
    }


def _escape(text: str, lines: bool = False) -> str:
    safe = printable_lines(text) if lines else printable(text)
    return _FORBIDDEN.sub("�", safe)
