"""The report for GitLab's code quality, which shows failures in the diff of a merge request."""

from __future__ import annotations

import msgspec

from gradcheck_cli.report import SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.alerts import list_alerts

SEVERITIES = {"fail": "major", "inconclusive": "minor", "error": "critical", "not run": "info"}


def render(report: SuiteReport, screen: Screen) -> str:
    """A list of alerts; those of a config on stdin are left out, since they have no place."""
    alerts = [
        {
            "description": alert.message,
            "check_name": alert.rule,
            "fingerprint": alert.fingerprint,
            "severity": SEVERITIES[alert.kind],
            "location": {"path": place.path, "lines": {"begin": place.line}},
        }
        for alert in list_alerts(report)
        for place in alert.places[:1]
    ]
    return msgspec.json.format(msgspec.json.encode(alerts), indent=2).decode() + "\n"
