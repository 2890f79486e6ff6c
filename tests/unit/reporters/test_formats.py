"""Every format: what reads it can read it, and it says what the table says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
import xmlschema
import yaml

from gradcheck_cli.cli import exit_code
from gradcheck_cli.config.json_schema import render_config_schema
from gradcheck_cli.config.load import read_config
from gradcheck_cli.report import SuiteReport
from gradcheck_cli.reporters import FORMATS, Screen, render
from gradcheck_cli.reporters.github import MOST, annotate_config
from gradcheck_cli.reporters.json_schema import render_lines_schema, render_report_schema
from gradcheck_cli.reporters.plain import FIELDS
from gradcheck_cli.run import one as running
from gradcheck_cli.run import suite
from tests.support.command import DATA, ROOT

CONFIG = """\
form: XW
shapes: {n: 4, N: 3, M: 2}
checks:
- {name: "right <&> |*_`"}
- {name: wrong, backward: {W: "X.T @ delta / n"}}
- {name: part, backward: {W: "X.T @ delta * where(W > 0, 1.5, 1)"}}
- {name: as-expected, backward: {W: "-(X.T @ delta)"}, expect: fail}
- {name: unexpected, expect: fail}
- {name: "coarse, 100%", loss: cosine, numeric: {step: 0.1}}
"""


def reported(text: str = CONFIG, path: str = "dir/a: b,c%.yaml") -> SuiteReport:
    return suite.run(read_config(text, path))


@pytest.fixture(scope="module")
def report() -> SuiteReport:
    """With a check that could not be run."""
    whole = reported()
    lost = running.report_failure(read_config(CONFIG, "lost.yaml")[0], "out of \x00 memory\nindeed")
    return msgspec.structs.replace(whole, checks=(*whole.checks, lost), exit_code=1)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_text_that_ends_with_a_newline_and_names_every_failure(
    format: str, report: SuiteReport
) -> None:
    text = render(report, format, Screen())
    assert text.endswith("\n")
    for name in ("wrong", "part", "unexpected", "coarse"):
        assert name in text
    assert render(suite.run([]), format, Screen()).strip("\n") or format == "plain"


# -- plain -----------------------------------------------------------------------------------


def test_plain_is_a_line_a_gradient_with_the_same_fields(report: SuiteReport) -> None:
    lines = render(report, "plain", Screen()).splitlines()
    assert len(lines) == 6 * 2 + 1
    rows = [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in lines]
    wrong = rows[3]
    assert (wrong["outcome"], wrong["check"], wrong["gradient"]) == ("wrong", "wrong", "∂L/∂W")
    assert (wrong["verdict"], wrong["shape"], wrong["code"]) == ("fail", "3x2", "GC103")
    assert (wrong["entries"], wrong["wrong"], wrong["line"]) == ("6", "6", "5")
    gradient = report.checks[1].result.gradients[1]  # type: ignore[union-attr]
    assert float(wrong["abs. error"]) == gradient.max_abs_error
    assert float(wrong["uncertainty"]) == gradient.uncertainty
    assert (rows[-1]["outcome"], rows[-1]["gradient"], rows[-1]["bound"]) == ("error", "-", "-")


def test_a_tab_in_a_name_does_not_shift_the_fields() -> None:
    text = render(reported(path="tab\there.yaml"), "plain", Screen())
    assert {line.count("\t") for line in text.splitlines()} == {len(FIELDS) - 1}


# -- JSON ------------------------------------------------------------------------------------


SCHEMAS = {
    "config": render_config_schema,
    "report": render_report_schema,
    "lines": render_lines_schema,
}


def schema(which: str) -> Any:
    return json.loads(SCHEMAS[which]())


@pytest.mark.parametrize("which", SCHEMAS)
def test_the_command_prints_a_schema_that_is_one(
    which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["schema", which]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == schema(which)
    jsonschema.Draft202012Validator.check_schema(printed)


def refuse(constant: str) -> Any:
    raise AssertionError(f"bare {constant}")


def test_json_and_every_line_of_jsonl_fit_their_schemas(report: SuiteReport) -> None:
    whole = json.loads(render(report, "json", Screen()), parse_constant=refuse)
    jsonschema.validate(whole, schema("report"))
    lines = [
        json.loads(line, parse_constant=refuse)
        for line in render(report, "jsonl", Screen()).splitlines()
    ]
    for line in lines:
        jsonschema.validate(line, schema("lines"))
    assert [line["type"] for line in lines] == ["check"] * 7 + ["summary"]
    checks = [{k: v for k, v in line.items() if k != "type"} for line in lines[:-1]]
    assert checks == whole["checks"]
    assert {k: v for k, v in lines[-1].items() if k != "type"} == {
        k: v for k, v in whole.items() if k != "checks"
    }
    whole["checks"][0]["outcome"] = "good"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole, schema("report"))


def plain_config(path: Path) -> Any:
    from gradcheck_cli.config.yaml_tree import parse

    return parse(path.read_text(encoding="utf-8"), str(path)).plain()


def test_the_entry_of_schemastore_is_ready() -> None:
    """Its names are of configs, and what is to be sent as wrong does not fit the schema."""
    page = (ROOT / "docs" / "schemastore.md").read_text(encoding="utf-8")
    entry = json.loads(re.findall(r"```json\n(.*?)```", page, re.S)[0])
    assert set(entry) == {"name", "description", "fileMatch", "url"}
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
    for pattern in entry["fileMatch"]:
        assert re.search(hook["files"], pattern.replace("*", "layer"))
    (replaced,) = re.findall(r"sed 's\|(.*?)\|(.*?)\|'", page)
    assert re.fullmatch(replaced[0], schema("config")["$id"])
    assert replaced[1] == entry["url"]
    (wrong,) = re.findall(r"`(tests/data/errors/.*)`", page)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load((ROOT / wrong).read_text()), schema("config"))


def test_every_config_fits_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(schema("config"))
    paths = [path for folder in ("configs", "docs") for path in (ROOT / folder).rglob("*.yaml")]
    assert len(paths) > 10
    for path in paths:
        assert list(validator.iter_errors(plain_config(path))) == [], path


@pytest.mark.parametrize(
    "text",
    [
        "shapez: {n: 3}",
        "reduction: average",
        "numeric: {stepp: 1}",
        "tolerance: {rtol: 2}",
        "inputs: {seed: -1}",
        "inputs: {W: {distribution: flat}}",
        "inputs: {W: {keep: 2}}",
        "matrix: {loss: huber}",
        "matrix: {exclude: [3]}",
        "checks: []",
        "checks: [{lossy: huber}]",
        "bias: 1",
    ],
)
def test_what_editors_underline(text: str) -> None:
    from gradcheck_cli.config.yaml_tree import parse

    validator = jsonschema.Draft202012Validator(schema("config"))
    assert list(validator.iter_errors(parse(text, "c").plain()))


# -- JUnit -----------------------------------------------------------------------------------


def test_junit_fits_the_schema_of_ci_servers(report: SuiteReport) -> None:
    text = render(report, "junit", Screen())
    xmlschema.XMLSchema(DATA / "schemas" / "junit-10.xsd").validate(text)


def test_junit_has_a_test_a_check_and_says_which_failed(report: SuiteReport) -> None:
    root = ElementTree.fromstring(render(report, "junit", Screen()).encode())
    suites = root.findall("testsuite")
    assert [(one.get("tests"), one.get("failures"), one.get("errors")) for one in suites] == [
        ("6", "4", "0"),
        ("1", "0", "1"),
    ]
    tests = {test.get("name"): test for test in suites[0]}
    assert list(tests["right <&> |*_`"]) == []
    assert list(tests["as-expected"]) == []
    failure = tests["wrong"].find("failure")
    assert failure is not None
    said = "∂L/∂W: 6 of 6 entries wrong, GC103 0.25 = 1/n"
    assert failure.get("message") == said
    assert "GC103 a constant factor" in (failure.text or "")
    coarse = tests["coarse, 100%"].find("failure")
    assert coarse is not None
    assert coarse.get("type") == "inconclusive"
    (error,) = suites[1].iter("error")
    assert "\\x00" in (error.text or "")


# -- GitHub ----------------------------------------------------------------------------------


def test_annotations_point_at_the_line_and_escape_what_github_reads(
    report: SuiteReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    lines = render(report, "github", Screen()).splitlines()
    command = re.compile(r"::(error|warning) file=([^:,]*),line=(\d+),title=([^:,]*)::([^\r\n]*)")
    found = [command.fullmatch(line) for line in lines[:-1]]
    assert all(found)
    rows = [one.groups() for one in found if one]
    assert [row[0] for row in rows] == ["error"] * 4 + ["warning"] * 2
    assert rows[0][1:4] == ("dir/a%3A b%2Cc%25.yaml", "5", "gradcheck%3A wrong%3A fail")
    assert rows[-1][3] == "gradcheck%3A coarse%2C 100%25%3A inconclusive"
    assert "%0AGC103 a constant factor: it is 0.25 = 1/n" in rows[0][4]
    assert lines[-1].startswith("7 checks: ")


def test_at_most_nine_annotations_and_how_many_more() -> None:
    rule = "backward: {W: X.T @ delta / n}"
    many = CONFIG.split("checks:")[0] + "checks:\n" + f"- {{{rule}}}\n" * 12
    lines = render(reported(many), "github", Screen()).splitlines()
    assert len(lines) == MOST + 2
    assert lines[MOST] == "::error title=gradcheck::and 3 more are in the report of the job"


def test_annotations_count_paths_from_the_root_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert "file=deep/c.yaml,line=5," in render(reported(path="c.yaml"), "github", Screen())


def test_a_broken_config_is_annotated_at_its_lines() -> None:
    from gradcheck_cli.config.findings import ConfigError

    with pytest.raises(ConfigError) as caught:
        read_config("form: XW\nshapez: 3\nreduction: avg\n", "c.yaml")
    lines = annotate_config(caught.value).splitlines()
    assert lines[0].startswith("::error file=c.yaml,line=2,title=gradcheck%3A config::unknown key")
    assert "line=3" in lines[1]


# -- Markdown and HTML -----------------------------------------------------------------------


def test_names_cannot_break_a_markdown_table(report: SuiteReport) -> None:
    text = render(report, "markdown", Screen())
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == 2 + 12
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert r"right \<\&\> \|\*\_\`" in text
    assert text.count("```text") == text.count("```") / 2 == text.count("\n### ") == 6


class Page(HTMLParser):
    """The tags of a page, and those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_needs_nothing_else_and_runs_nothing(report: SuiteReport) -> None:
    text = render(report, "html", Screen())
    page = Page()
    page.feed(text)
    names = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    assert not re.search(r"https?://|url\(|@import|\bon\w+=", text)
    policy = [of for tag, of in page.tags if tag == "meta" and "http-equiv" in of]
    assert str(policy[0]["content"]).startswith("default-src 'none'")
    assert "right <&> |*_`" in page.text
    assert "<&>" not in text


def test_html_has_table_heat_maps_diagnosis_environment_and_rerun(report: SuiteReport) -> None:
    page = Page()
    page.feed(render(report, "html", Screen()))
    labels = [str(of.get("data-label")) for tag, of in page.tags if tag == "td"]
    assert labels.count("verdict") == 12
    maps = [of for tag, of in page.tags if of.get("role") == "group"]
    assert len(maps) == 2  # of each gradient that fails
    tips = [str(of["data-tip"]) for _, of in page.tags if "data-tip" in of]
    assert len(tips) >= 12
    said = r"\[\d+, \d+\] (right|relative error (\d\.\de[-+]\d+|1 or more))"
    assert all(re.fullmatch(said, tip) for tip in tips)
    for said in ("GC103 a constant factor", report.environment.numpy, "rerun: "):
        assert said in page.text
    for check in report.checks:
        if check.outcome != "ok":
            assert check.rerun in page.text
