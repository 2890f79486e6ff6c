"""The report as SARIF 2.1.0, for code scanning by GitHub and others."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from gradcheck_cli.faults.catalogue import FAULTS
from gradcheck_cli.faults.explanation import explain_fault
from gradcheck_cli.report import SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.alerts import OTHER_RULES, Alert, list_alerts
from gradcheck_cli.reporters.places import Place

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
LEVELS = {"fail": "error", "inconclusive": "warning", "error": "error", "not run": "note"}
FINGERPRINT = "gradcheck/v1"


def render(report: SuiteReport, screen: Screen) -> str:
    """One document; its rules are the catalogue of faults."""
    rules = [_describe_fault(code) for code in FAULTS]
    rules += [_describe_rule(id, title, title) for id, title in OTHER_RULES.values()]
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "gradcheck",
                "semanticVersion": report.gradcheck_version,
                "rules": rules,
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not report.interrupted,
                "exitCode": report.exit_code,
                "startTimeUtc": report.started,
            }
        ],
        "results": [_describe_alert(alert, numbers[alert.rule]) for alert in list_alerts(report)],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _describe_fault(code: str) -> dict[str, Any]:
    return _describe_rule(code, FAULTS[code].title, explain_fault(code))


def _describe_rule(id: str, title: str, help: str) -> dict[str, Any]:
    return {
        "id": id,
        "shortDescription": {"text": title},
        "help": {"text": help},
    }


def _describe_alert(alert: Alert, number: int) -> dict[str, Any]:
    locations = [_describe_place(place) for place in alert.places]
    related = [
        {"id": number, **location, "message": {"text": "the config of the check"}}
        for number, location in enumerate(locations[1:], start=1)
    ]
    return {
        "ruleId": alert.rule,
        "ruleIndex": number,
        "level": LEVELS[alert.kind],
        "message": {"text": alert.message},
        "locations": locations[:1],
        "relatedLocations": related,
        "partialFingerprints": {FINGERPRINT: alert.fingerprint},
    }


def _describe_place(place: Place) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(place.path)},
            "region": {"startLine": place.line},
        }
    }
