"""SARIF, code quality of GitLab and annotations point at the code that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gradcheck_cli.faults.catalogue import FAULTS
from tests.support.command import DATA, Gradcheck

SARIF = json.loads((DATA / "schemas" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
CODE = """\
def square(x):
    return x * x


def square_backward(delta, x):
    return delta * x
"""
CONFIG = """\
checks:
- {name: own, forward: "my layers.py:square", backward: "my layers.py:square_backward",
   inputs: {x: [3]}}
- {name: formula, form: XW, shapes: {n: 8, N: 5, M: 3}, backward: {W: X.T @ delta / n}}
- {name: right, form: XW, shapes: {n: 8, N: 5, M: 3}}
- {name: coarse, form: XW, shapes: {n: 4, N: 3, M: 2}, loss: cosine,
   numeric: {order: 2, step: 0.1}}
- {name: unexpected, form: XW, shapes: {n: 8, N: 5, M: 3}, expect: fail}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my layers.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def run(gradcheck: Gradcheck, folder: Path, format: str, *words: str) -> str:
    words = words or ("--allow-code", "c.yaml")
    return gradcheck("run", *words, "--format", format, cwd=folder).stdout


def results(gradcheck: Gradcheck, folder: Path, *words: str) -> list[dict[str, Any]]:
    document = json.loads(run(gradcheck, folder, "sarif", *words))
    jsonschema.Draft4Validator(SARIF).validate(document)
    (of_run,) = document["runs"]
    ids = [rule["id"] for rule in of_run["tool"]["driver"]["rules"]]
    assert set(FAULTS) < set(ids)
    for result in of_run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    return list(of_run["results"])


def places(locations: list[dict[str, Any]]) -> list[tuple[str, int]]:
    physical = [location["physicalLocation"] for location in locations]
    return [(of["artifactLocation"]["uri"], of["region"]["startLine"]) for of in physical]


def test_sarif_fits_its_schema_and_points_at_the_code(gradcheck: Gradcheck, folder: Path) -> None:
    found = {
        result["message"]["text"].split(":")[0]: result for result in results(gradcheck, folder)
    }
    own, formula = found["own"], found["formula"]
    assert (own["ruleId"], own["level"]) == ("GC103", "error")
    assert places(own["locations"]) == [("my%20layers.py", 6)]
    assert places(own["relatedLocations"]) == [("c.yaml", 2)]
    assert "0.5 = 1/2" in own["message"]["text"]
    assert places(formula["locations"]) == [("c.yaml", 4)]
    assert formula["relatedLocations"] == []
    assert (found["coarse"]["ruleId"], found["coarse"]["level"]) == ("inconclusive", "warning")
    assert (found["unexpected"]["ruleId"], found["unexpected"]["level"]) == ("unexpected", "error")
    assert "right" not in found


def test_what_was_not_run_is_a_note(gradcheck: Gradcheck, folder: Path) -> None:
    first = results(gradcheck, folder, "c.yaml")[0]
    assert (first["ruleId"], first["level"]) == ("not-run", "note")


def test_a_fingerprint_stays_where_lines_move(gradcheck: Gradcheck, folder: Path) -> None:
    def fingerprints() -> list[str]:
        found = results(gradcheck, folder)
        return [result["partialFingerprints"]["gradcheck/v1"] for result in found]

    before = fingerprints()
    assert len(set(before)) == len(before)
    (folder / "c.yaml").write_text(f"# a comment\n\n{CONFIG}", encoding="utf-8")
    (folder / "my layers.py").write_text(f"\n\n{CODE}", encoding="utf-8")
    assert fingerprints() == before


def test_code_quality_of_gitlab_has_the_same_places(gradcheck: Gradcheck, folder: Path) -> None:
    alerts = json.loads(run(gradcheck, folder, "gitlab"))
    keys = {"description", "check_name", "fingerprint", "severity", "location"}
    assert [set(alert) == keys for alert in alerts] == [True] * len(results(gradcheck, folder))
    assert alerts[0]["location"] == {"path": "my layers.py", "lines": {"begin": 6}}
    assert alerts[1]["location"] == {"path": "c.yaml", "lines": {"begin": 4}}
    assert {alert["severity"] for alert in alerts} <= {"info", "minor", "major", "critical"}


def test_a_config_on_stdin_is_no_place(gradcheck: Gradcheck) -> None:
    text = "form: XW\nshapes: {n: 8, N: 5, M: 3}\nbackward: {W: X.T @ delta / n}\n"
    done = gradcheck("run", "-", "--format", "sarif", stdin=text)
    (result,) = json.loads(done.stdout)["runs"][0]["results"]
    assert result["locations"] == []
    assert gradcheck("run", "-", "--format", "gitlab", stdin=text).stdout == "[]\n"


def test_an_annotation_points_at_the_code_and_names_the_config(
    gradcheck: Gradcheck, folder: Path
) -> None:
    first = run(gradcheck, folder, "github").splitlines()[0]
    assert first.startswith("::error file=my layers.py,line=6,title=gradcheck%3A own%3A fail::")
    assert "%0Aconfig: c.yaml:2%0A" in first


@pytest.mark.parametrize("root", ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"])
def test_places_are_seen_from_the_root_of_the_checkout(
    gradcheck: Gradcheck, folder: Path, root: str
) -> None:
    words = ("run", "--allow-code", "c.yaml", "--format", "gitlab")
    done = gradcheck(*words, cwd=folder, env={root: str(folder.parent)})
    assert json.loads(done.stdout)[0]["location"]["path"] == f"{folder.name}/my layers.py"


@pytest.mark.parametrize("format", ["junit", "markdown"])
def test_what_people_read_points_at_the_code_and_at_the_config(
    gradcheck: Gradcheck, folder: Path, format: str
) -> None:
    lines = run(gradcheck, folder, format).splitlines()
    own = [line for line in lines if line.endswith("my layers.py:6, checked by c.yaml:2")]
    assert len(own) == 1
    assert any(line.endswith("c.yaml:4") for line in lines)  # a formula is in its config


def test_html_points_at_the_code_and_at_the_config(gradcheck: Gradcheck, folder: Path) -> None:
    page = run(gradcheck, folder, "html")
    said = "<strong>my layers.py:6</strong> in square_backward, checked by c.yaml:2"
    assert page.count(said) == 1


def test_a_config_on_stdin_has_no_place(gradcheck: Gradcheck, folder: Path) -> None:
    config = "form: XW\nshapes: {n: 8, N: 5, M: 3}\nbackward: {W: X.T @ delta / n}\n"
    for format in ("html", "markdown", "junit"):
        text = gradcheck("run", "-", "--format", format, stdin=config, cwd=folder).stdout
        assert "checked by" not in text
        assert format != "html" or "rerun: " not in text
