"""The report as one HTML file that needs nothing else: for a phone, paper, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element, tostring

from gradcheck_cli.reporters import Screen
from gradcheck_cli.reporters.details import Detail, list_details, write_headline_of_result
from gradcheck_cli.reporters.error_map import SHADES, describe_pooling, find_shade
from gradcheck_cli.reporters.notes import MOST_NOTES, describe_work, list_notes
from gradcheck_cli.reporters.summary import FileRow, find_slowest, list_files, summarize
from gradcheck_cli.reporters.words import (
    KINDS,
    Row,
    describe_gradient,
    describe_row,
    format_errors,
    format_number,
    list_rows,
)
from gradcheck_cli.result import CheckResult, ErrorMap, Outcome, SuiteReport
from gradcheck_cli.text import count_of, format_shape, printable, printable_lines

MOST_ROWS = 2000  # of the table; a browser draws so many at once
COLUMNS = ("check", "gradient", "shape", "abs. error", "rel. error", "error / allowed", "verdict")
FILE_COLUMNS = ("config", "checks", "gradients", *Outcome, "error / allowed", "time")
# Nothing is fetched and nothing is run, whatever names and formulas hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
CELL = 12  # of a map, in pixels


def render(report: SuiteReport, screen: Screen) -> str:
    """One document."""
    bad = [check for check in report.checks if check.outcome != Outcome.OK]
    title = "all as expected" if not bad else f"{len(bad)} of {len(report.checks)} not as expected"
    head = _tag(
        "head",
        _tag("meta", charset="utf-8"),
        _tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _tag("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        _tag("title", f"gradcheck: {title}"),
        _tag("style", files(__package__).joinpath("html.css").read_text(encoding="utf-8")),
    )
    main = _tag(
        "main",
        _header(report, title),
        *(_article(detail) for check in bad for detail in list_details(check)),
        *([] if screen.quiet else _table(report)),
        *_more(report, screen),
        _environment(report),
    )
    page = _tag("html", head, _tag("body", main), lang="en")
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def render_result(result: CheckResult) -> str:
    """The result of one check as a table alone, for a notebook; above it what is wrong."""
    names = COLUMNS[1:]
    table = _tag("table", _tag("thead", _tag("tr", *(_tag("th", name) for name in names))))
    for gradient in result.gradients:
        row = describe_row("", gradient)
        texts = (describe_gradient(gradient), format_shape(gradient.shape))
        verdict = row.verdict + row.bound
        table.append(_tag("tr", *_cells(names, (*texts, *format_errors(gradient), verdict))))
    wrong = write_headline_of_result(result)
    whole = _tag("div", *[_tag("p", _tag("strong", wrong))] * bool(wrong), table)
    return tostring(whole, encoding="unicode", method="html")


def _tag(
    kind: str, /, *children: Element | str | dict[str, str] | None, **attributes: str
) -> Element:
    """An element; texts and elements are its content, dicts and keywords its attributes."""
    element = Element(kind, {key.rstrip("_"): value for key, value in attributes.items()})
    last: Element | None = None
    for child in children:
        if isinstance(child, dict):
            element.attrib.update(child)
        elif isinstance(child, Element):
            element.append(child)
            last = child
        elif child is not None:
            text = child if kind == "style" else printable_lines(child)
            if last is None:
                element.text = (element.text or "") + text
            else:
                last.tail = (last.tail or "") + text
    return element


def _header(report: SuiteReport, title: str) -> Element:
    line = [
        _tag("span", text, class_=KINDS.get(kind, kind) or "plain") if kind else text
        for text, kind in summarize(report)
    ]
    return _tag("header", _tag("h1", f"gradcheck: {title}"), _tag("p", *line, class_="summary"))


def _article(detail: Detail) -> Element:
    """What is wrong with a check or with a gradient."""
    kind = KINDS[detail.kind]
    heading = _tag("h2", _tag("span", detail.kind, class_=f"badge {kind}"), f" {detail.id}")
    article = _tag("article", heading, class_=kind)
    if detail.gradient:
        article.append(_tag("p", _tag("code", detail.gradient)))
    article.append(_tag("p", detail.place, class_="place"))
    article.extend(_tag("p", line, class_="line") for line in detail.lines)
    if detail.code:
        observed = f": {detail.observed}" if detail.observed else ""
        bold = _tag("strong", f"{detail.code} {detail.title}")
        article.append(_tag("p", bold, observed, class_="diagnosis"))
    if detail.advice:
        article.append(_pairs(detail.advice))
    if detail.worst:
        article.append(_tag("h3", detail.worst))
        article.append(_pairs(detail.values, numeric=True))
    if detail.where or detail.map is not None:
        article.append(_tag("h3", "where"))
    if detail.where:
        article.append(_tag("p", detail.where))
    if detail.map is not None:
        article.append(_map(detail.map, detail.where))
    article.append(_tag("p", "rerun: ", _tag("code", detail.rerun), class_="rerun"))
    return article


def _pairs(pairs: tuple[tuple[str, str], ...], *, numeric: bool = False) -> Element:
    found = _tag("dl", class_="numbers" if numeric else "advice")
    for name, value in pairs:
        found.append(_tag("dt", name))
        found.append(_tag("dd", value.strip()))
    return found


def _map(of: ErrorMap, where: str) -> Element:
    """The relative errors as a picture, with its legend."""
    height, width = len(of.cells), max(map(len, of.cells))
    size = {"viewBox": f"0 0 {width * CELL} {height * CELL}", "width": str(width * CELL)}
    label = f"the relative errors of the gradient{': ' * bool(where)}{where}"
    drawing = _tag("svg", size, {"role": "img", "aria-label": printable(label)})
    for i, row in enumerate(of.cells):
        for j, cell in enumerate(row):
            square = {"x": str(j * CELL), "y": str(i * CELL)}
            square |= {"width": str(CELL - 1), "height": str(CELL - 1)}
            value = "right" if cell is None else f"relative error {10.0**cell:.1e}"
            place = "" if describe_pooling(of) else f"[{i}, {j}] "
            drawing.append(
                _tag("rect", square, _tag("title", place + value), _shade(find_shade(cell)))
            )
    legend = _tag("figcaption", "relative error: ")
    for level, shade in enumerate(SHADES):
        swatch = _tag("svg", {"viewBox": "0 0 12 12", "width": "12", "aria-hidden": "true"})
        swatch.append(_tag("rect", {"width": "12", "height": "12"}, _shade(level)))
        legend.append(_tag("span", swatch, f" {shade.name}", class_="key"))
    if describe_pooling(of):
        legend.append(_tag("span", describe_pooling(of)))
    return _tag("figure", _tag("div", drawing, class_="wide"), legend)


def _shade(level: int) -> dict[str, str]:
    return {"class": f"s{level}"}


def _table(report: SuiteReport) -> Iterator[Element]:
    """A row a gradient, of very many a row a config file; on a narrow screen, a card."""
    rows = list_rows(report.checks)
    if not rows:
        return
    if len(rows) > MOST_ROWS:
        names, body = FILE_COLUMNS, map(_file_row, list_files(report.checks, MOST_ROWS))
    else:
        names, body = COLUMNS, map(_gradient_row, [None, *rows], rows)
    head = _tag("thead", _tag("tr", *(_tag("th", name, scope="col") for name in names)))
    yield _tag("h2", count_of(len(rows), "gradient"))
    yield _tag("table", head, _tag("tbody", *body))


def _gradient_row(last: Row | None, row: Row) -> Element:
    """The row of a gradient; `first` of its check where the last row is of another."""
    gradient = row.gradient
    shape = format_shape(gradient.shape)
    texts = (row.id, describe_gradient(gradient), shape, *format_errors(gradient))
    verdict = _tag("span", row.verdict, class_=row.kind)
    first = {"class": "first"} if last is None or last.id != row.id else {}
    cell = _tag("td", {"data-label": COLUMNS[-1]}, verdict, row.bound)
    return _tag("tr", first, *_cells(COLUMNS[:-1], texts), cell)


def _file_row(file: FileRow) -> Element:
    counts = map(str, (file.checks, file.gradients, *file.outcomes.values()))
    texts = (file.name, *counts, format_number(file.worst), f"{file.seconds:.2f} s")
    return _tag("tr", {"class": "first"}, *_cells(FILE_COLUMNS, texts))


def _cells(names: Sequence[str], texts: Sequence[str]) -> Iterator[Element]:
    for name, text in zip(names, texts, strict=True):
        yield _tag("td", {"data-label": name}, text)


def _more(report: SuiteReport, screen: Screen) -> Iterator[Element]:
    notes = list_notes(report.checks, None if screen.verbose else MOST_NOTES)
    if notes and not screen.quiet:
        yield _tag("h2", "Notes")
        yield _tag("ul", *(_tag("li", note.removeprefix("note: ")) for note in notes))
    slow = find_slowest(report.checks, screen.durations)
    if slow:
        yield _tag("h2", "Slowest checks")
        yield _tag("ul", *(_tag("li", f"{seconds:.2f} s {id}") for seconds, id in slow))
    if screen.verbose:
        yield _tag("h2", "Settings")
        for check in report.checks:
            yield _tag("h3", check.id)
            yield _tag("ul", *(_tag("li", line) for line in describe_work(check)))


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
    return _tag("footer", _tag("h2", "Environment"), _pairs(pairs))
