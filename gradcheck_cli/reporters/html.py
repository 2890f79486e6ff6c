"""The report as one HTML file without other files: for screens, phones and paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element, tostring

from msgspec import Struct

from gradcheck_cli.report import CheckReport, Outcome, SuiteReport
from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import (
    Detail,
    group_alike,
    name_alike,
    write_headline_of_result,
)
from gradcheck_cli.reporters.html_map import draw_map
from gradcheck_cli.reporters.html_tag import Child, tag, tag_pairs
from gradcheck_cli.reporters.notes import MOST_NOTES, describe_work, list_notes
from gradcheck_cli.reporters.places import STDIN
from gradcheck_cli.reporters.summary import FileRow, find_slowest, list_files, summarize
from gradcheck_cli.reporters.words import (
    KINDS,
    OK,
    Row,
    describe_gradient,
    describe_row,
    format_errors,
    format_number,
    group_by_path,
    list_rows,
)
from gradcheck_cli.result import CheckResult
from gradcheck_cli.text import count_of, format_shape

MOST_ROWS = 2000  # gradients with a row each; a browser draws so many at once
MOST_OPEN = 20  # articles that are not folded
MANY_ROWS = 40  # with more gradients, files in which all is as expected are folded
COLUMNS = ("check", "gradient", "shape", "abs. error", "rel. error", "error / allowed", "verdict")
FILE_COLUMNS = ("config", "checks", "gradients", *Outcome, "error / allowed", "time")
# The browser fetches and runs nothing, whatever names and formulas contain.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
# The ids and names of the switches of the table; html.css hides rows by them.
SWITCHES = {"all": "all", "only-bad": "not as expected", "only-ok": "as expected"}

Anchors = dict[tuple[str, str, str], str]  # the anchor of an article, by the key of its detail


class Wrong(Struct, frozen=True):
    """A failure and others like it; anchor: the anchor of its article."""

    anchor: str
    detail: Detail
    others: list[Detail]


def render(report: SuiteReport, screen: Screen) -> str:
    """One document: a summary, what is not as expected, the table, the rest."""
    bad = [check for check in report.checks if check.outcome != Outcome.OK]
    title = "all as expected" if not bad else f"{len(bad)} of {len(report.checks)} not as expected"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("title", f"gradcheck: {title}"),
        tag("style", files(__package__).joinpath("html.css").read_text(encoding="utf-8")),
    )
    wrong = [
        Wrong(f"f{place}", first, others)
        for place, (first, *others) in enumerate(group_alike(bad), start=1)
    ]
    anchors = {of.key: one.anchor for one in wrong for of in (one.detail, *one.others)}
    main = tag(
        "main",
        _header(report, title),
        *_list_contents(wrong),
        *(_article(one, folded=place >= MOST_OPEN) for place, one in enumerate(wrong)),
        *([] if screen.quiet else _section_of_gradients(report.checks, anchors)),
        *_more(report, screen),
        _environment(report),
    )
    page = tag("html", head, tag("body", main), lang="en")
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def render_result(result: CheckResult) -> str:
    """The result of one check for a notebook: a line that says what is wrong, and a table."""
    names = COLUMNS[1:]
    table = tag("table", tag("thead", tag("tr", *(tag("th", name) for name in names))))
    for gradient in result.gradients:
        row = describe_row("", gradient)
        texts = (describe_gradient(gradient), format_shape(gradient.shape))
        verdict = row.verdict + row.bound
        table.append(tag("tr", *_cells(names, (*texts, *format_errors(gradient), verdict))))
    wrong = write_headline_of_result(result)
    whole = tag("div", *[tag("p", tag("strong", wrong))] * bool(wrong), table)
    return tostring(whole, encoding="unicode", method="html")


def _header(report: SuiteReport, title: str) -> Element:
    line = [
        tag("span", text, class_=KINDS.get(kind, kind) or "plain") if kind else text
        for text, kind in summarize(report)
    ]
    return tag("header", tag("h1", f"gradcheck: {title}"), tag("p", *line, class_="summary"))


def _list_contents(wrong: Sequence[Wrong]) -> Iterator[Element]:
    """A list of links to all articles, if there are several."""
    if len(wrong) < 2:
        return
    links = tag("ol")
    for one in wrong:
        of = one.detail
        fault = f", {of.code} {of.title}" if of.code else ""
        text = ": ".join(filter(None, (of.symbol, of.lines[0] if of.lines else "")))
        link = tag("a", f"{of.id}", href=f"#{one.anchor}")
        alike = f", and {len(one.others)} alike" if one.others else ""
        links.append(tag("li", link, f" {text}{fault}{alike}"))
    yield tag("nav", {"aria-label": "what is not as expected"}, links)


def _article(one: Wrong, *, folded: bool) -> Element:
    """What is wrong with a check or with a gradient, as an article that can be folded."""
    of = one.detail
    kind = KINDS[of.kind]
    badge = tag("span", of.kind, class_=f"badge {kind}")
    code = tag("code", of.gradient) if of.gradient else None
    heading = tag("summary", tag("h2", badge, f" {of.id} "), code)
    opened = {} if folded else {"open": "open"}
    article = tag("details", heading, opened, id=one.anchor, class_=f"article {kind}")
    article.append(_places(of))
    article.extend(tag("p", line, class_="line") for line in of.lines)
    if of.code:
        observed = f": {of.observed}" if of.observed else ""
        bold = tag("strong", f"{of.code} {of.title}")
        article.append(tag("p", bold, observed, class_="diagnosis"))
    if of.advice:
        article.append(tag_pairs(of.advice))
    if of.worst:
        article.append(tag("h3", of.worst))
        article.append(tag_pairs(of.values, numeric=True))
    if of.where or of.map is not None:
        article.append(tag("h3", "where"))
    if of.where:
        article.append(tag("p", of.where))
    if of.map is not None:
        article.append(draw_map(of.map, of.shape, of.where))
    if not of.place.startswith(f"{STDIN}:"):  # a config on stdin cannot be run again
        article.append(tag("p", "rerun: ", tag("code", of.rerun), class_="rerun"))
    if one.others:
        article.append(tag("p", name_alike(one.others), class_="place"))
    return article


def _places(of: Detail) -> Element:
    """The place of the backward in Python, and of the config that checks it."""
    if not of.code_place:
        return tag("p", of.place, class_="place")
    name = of.source.partition(", ")[0]
    strong = tag("strong", of.code_place)
    return tag("p", strong, f" in {name}, checked by {of.place}", class_="place")


def _section_of_gradients(checks: Sequence[CheckReport], anchors: Anchors) -> Iterator[Element]:
    """A table of all gradients by file; of very many, a table of the config files."""
    count = sum(len(check.result.gradients) for check in checks if check.result is not None)
    if not count:
        return
    title = tag("h2", count_of(count, "gradient"))
    if count > MOST_ROWS:
        body = map(_file_row, list_files(checks, MOST_ROWS))
        yield tag("section", title, _table(FILE_COLUMNS, body, "files"))
        return
    by_path = group_by_path(checks)
    blocks: list[Child] = []
    for path, of_file in by_path.items():
        rows = list_rows(of_file)
        if rows:
            fold = count > MANY_ROWS and all(row.kind == OK for row in rows)
            links = [anchors.get((path, row.id, row.gradient.gradient)) for row in rows]
            body = map(_gradient_row, [None, *rows], rows, links)
            table = _table(COLUMNS, body, "gradients")
            blocks.append(table if len(by_path) == 1 else _fold_file(path, rows, table, fold))
    yield tag("section", title, *_switches(checks), *blocks)


def _switches(checks: Sequence[CheckReport]) -> Iterator[Element]:
    """What the table shows, where there is something to choose."""
    kinds = {row.kind == OK for row in list_rows(checks)}
    if len(kinds) < 2:
        return
    yield tag("span", "show ", class_="switches")
    for name, shown in SWITCHES.items():
        checked = {"checked": "checked"} if name == "all" else {}
        yield tag("input", checked, type="radio", name="show", id=name)
        yield tag("label", shown, for_=name)


def _fold_file(path: str, rows: Sequence[Row], table: Element, fold: bool) -> Element:
    bad = sum(row.kind != OK for row in rows)
    said = f"{bad} of {count_of(len(rows), 'gradient')} not as expected"
    counted = tag("span", said if bad else f"{count_of(len(rows), 'gradient')}, all as expected")
    counted.attrib["class"] = "bad" if bad else "ok"
    opened = {} if fold else {"open": "open"}
    kind = "file" if bad else "file expected"
    return tag("details", opened, tag("summary", f"{path} ", counted), table, class_=kind)


def _table(names: Sequence[str], rows: Iterator[Element], kind: str) -> Element:
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    return tag("table", head, tag("tbody", *rows), class_=kind)


def _gradient_row(last: Row | None, row: Row, anchor: str | None) -> Element:
    """The row of a gradient, linked with its article; `first` of its check where the last row is of
    another.
    """
    gradient = row.gradient
    shape = format_shape(gradient.shape)
    texts = (row.id, describe_gradient(gradient), shape, *format_errors(gradient))
    verdict = tag("span", row.verdict, class_=row.kind)
    if anchor is not None:
        verdict = tag("a", verdict, href=f"#{anchor}")
    kinds = ["first"] * (last is None or last.id != row.id) + ["expected"] * (row.kind == OK)
    cell = tag("td", {"data-label": COLUMNS[-1]}, verdict, row.bound)
    return tag("tr", {"class": " ".join(kinds)}, *_cells(COLUMNS[:-1], texts), cell)


def _file_row(file: FileRow) -> Element:
    counts = map(str, (file.checks, file.gradients, *file.outcomes.values()))
    texts = (file.name, *counts, format_number(file.worst), f"{file.seconds:.2f} s")
    return tag("tr", {"class": "first"}, *_cells(FILE_COLUMNS, texts))


def _cells(names: Sequence[str], texts: Sequence[str]) -> Iterator[Element]:
    for name, text in zip(names, texts, strict=True):
        yield tag("td", {"data-label": name}, text)


def _more(report: SuiteReport, screen: Screen) -> Iterator[Element]:
    notes = list_notes(report.checks, None if screen.verbose else MOST_NOTES)
    if notes and not screen.quiet:
        yield tag("h2", "Notes")
        yield tag("ul", *(tag("li", note.removeprefix("note: ")) for note in notes))
    slow = find_slowest(report.checks, screen.durations)
    if slow:
        yield tag("h2", "Slowest checks")
        yield tag("ul", *(tag("li", f"{seconds:.2f} s {id}") for seconds, id in slow))
    if screen.verbose:
        yield tag("h2", "Settings")
        for check in report.checks:
            yield tag("h3", check.id)
            yield tag("ul", *(tag("li", line) for line in describe_work(check)))


def _environment(report: SuiteReport) -> Element:
    of = report.environment
    pairs = (
        ("gradcheck", report.gradcheck_version),
        ("Python", of.python),
        ("NumPy", of.numpy),
        ("system", f"{of.platform}, {of.machine}, {count_of(of.cores, 'core')}"),
        ("started", report.started),
        ("exit code", str(report.exit_code)),
    )
    return tag("footer", tag("h2", "Environment"), tag_pairs(pairs))
