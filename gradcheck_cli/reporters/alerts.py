"""Failures as alerts for code scanning: a rule, a level, a sentence, places, a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from msgspec import Struct

from gradcheck_cli.report import Outcome, SuiteReport
from gradcheck_cli.reporters.details import Detail, list_details
from gradcheck_cli.reporters.places import Place, list_places

# Rules for alerts without a fault of the catalogue, by the kind of the detail: id and title.
OTHER_RULES = {
    "fail": ("unexpected", "a check that is expected to fail does not, or not for a known reason"),
    "inconclusive": ("inconclusive", "the numeric gradient is not known well enough to tell"),
    "error": ("error", "a check could not be run"),
    "not run": ("not-run", "a check of Python code needs --allow-code"),
}


class Alert(Struct, frozen=True):
    """Something wrong with a gradient or a check.

    rule: the code of the fault, or one of OTHER_RULES; kind: fail, inconclusive, error or not run.
    fingerprint: stays the same until it is repaired, also if it moves in its file.
    """

    rule: str
    kind: str
    message: str
    places: list[Place]
    fingerprint: str


def list_alerts(report: SuiteReport) -> Iterator[Alert]:
    """All that is wrong, in the order of the configs."""
    for check in report.checks:
        if check.outcome != Outcome.OK:
            for detail in list_details(check):
                rule = detail.code or OTHER_RULES[detail.kind][0]
                key = (check.path, check.id, detail.symbol, rule)
                fingerprint = hashlib.sha256("\0".join(key).encode("utf-8", "replace"))
                yield Alert(
                    rule,
                    detail.kind,
                    _describe(detail),
                    list_places(detail),
                    fingerprint.hexdigest(),
                )


def _describe(detail: Detail) -> str:
    """What is wrong, in a sentence or two."""
    fault = ": ".join(filter(None, (detail.title, detail.observed)))
    said = f"{detail.lines[0]}; {fault}" if fault else detail.lines[0]
    return ": ".join(filter(None, (detail.id, detail.gradient, said)))
