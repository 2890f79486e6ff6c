"""The HTML report in a real browser, where there is one: it fits a phone and a desk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.support.command import Gradcheck

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--allow-file-access-from-files",
)
CONFIG = """\
form: XW
shapes: {n: 16, N: 40, M: 90}
checks:
- {name: a-name-that-is-rather-long-for-a-phone-but-not-for-a-desk}
- {name: slip, backward: {W: "X.T @ delta * where(W > 1.5, 1.0001, 1)"}}
- name: few
  shapes: {n: 2, N: 3, M: 2}
  inputs: {W: [[0, 0], [2, 0], [0, 0]]}
  backward: {W: "X.T @ delta * where(W > 1, 1.01, 1)"}
"""
# A page that measures another, in a frame of some width.
PROBE = """\
<iframe id="f" src="report.html" style="width:{width}px;height:900px;border:0"></iframe>
<p id="found"></p>
<script>
document.getElementById("f").onload = () => {{
  const page = document.getElementById("f").contentDocument, root = page.documentElement;
  const heads = getComputedStyle(page.querySelector("thead")).display;
  document.getElementById("found").textContent = [root.scrollWidth, heads,
    page.querySelectorAll("details.article").length, page.querySelectorAll("figure td").length];
}};
</script>
"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium")


def browse(folder: Path, *flags: str) -> str:
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.fixture
def report(gradcheck: Gradcheck, tmp_path: Path) -> Path:
    done = gradcheck("run", "-", "-o", f"html={tmp_path / 'report.html'}", stdin=CONFIG)
    assert done.returncode == 1
    return tmp_path / "report.html"


@pytest.mark.parametrize(("width", "heads"), [(360, "none"), (1200, "table-header-group")])
def test_it_fits_and_turns_into_cards_where_it_is_narrow(
    report: Path, width: int, heads: str
) -> None:
    probe = report.parent / "probe.html"
    probe.write_text(PROBE.format(width=width))
    dom = browse(report.parent, "--virtual-time-budget=4000", "--dump-dom", probe.as_uri())
    found = re.search(r'<p id="found">(\d+),([\w-]+),(\d+),(\d+)</p>', dom)
    assert found is not None, dom[-500:]
    assert int(found[1]) <= width
    assert found[2] == heads
    assert int(found[3]) == 2
    assert int(found[4]) > 100


# A page that uses another as a reader does, and says what it saw.
USE = """\
<iframe id="f" src="report.html" style="width:1100px;height:900px;border:0"></iframe>
<p id="found"></p>
<script>
document.getElementById("f").onload = () => {{
  const frame = document.getElementById("f").contentWindow, page = frame.document;
  const all = (what) => [...page.querySelectorAll(what)];
  const rows = () => all(".gradients tbody tr").filter((row) => row.offsetHeight > 0).length;
  const found = {{rows: rows()}};
  for (const id of ["only-bad", "only-ok", "all"]) {{
    page.getElementById(id).click();
    found[id] = rows();
  }}
  const links = all("a").map((link) => link.getAttribute("href").slice(1));
  found.links = links.length;
  found.broken = links.filter((id) => !page.getElementById(id)).length;
  const cell = all("td[tabindex]")[0];
  const tip = () => frame.getComputedStyle(cell, "::after").content;
  found.before = tip();
  cell.focus();
  found.after = tip();
  found.label = cell.getAttribute("aria-label");
  const summary = page.querySelector("details.article summary");
  const article = summary.parentElement, height = article.offsetHeight;
  summary.click();
  found.folded = article.offsetHeight < height / 4;
  found.wrapped = all(".gradients td:nth-child(n+4):nth-child(-n+6)")
    .filter((number) => frame.getComputedStyle(number).whiteSpace != "nowrap").length;
  document.getElementById("found").textContent = JSON.stringify(found);
}};
</script>
"""


def test_it_is_filtered_folded_linked_and_pointed_at(report: Path) -> None:
    probe = report.parent / "use.html"
    probe.write_text(USE.format())
    dom = browse(report.parent, "--virtual-time-budget=4000", "--dump-dom", probe.as_uri())
    text = re.search(r'<p id="found">(.*?)</p>', dom)
    assert text is not None, dom[-500:]
    found = json.loads(unescape(text[1]))
    assert (found["rows"], found["only-bad"], found["only-ok"], found["all"]) == (6, 2, 4, 6)
    assert (found["links"], found["broken"]) == (2 + 2, 0)  # of the contents and of the table
    assert found["before"] == "none"
    assert found["after"].strip('"') == found["label"]
    assert found["label"] == "[1, 0] relative error 1.0e-02"
    assert found["folded"]
    assert found["wrapped"] == 0


def test_it_prints_and_is_drawn(report: Path) -> None:
    pdf, png = report.parent / "r.pdf", report.parent / "r.png"
    browse(report.parent, f"--print-to-pdf={pdf}", report.as_uri())
    browse(report.parent, "--window-size=900,1200", f"--screenshot={png}", report.as_uri())
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(png.read_bytes()) > 20_000  # an empty page is a tenth of it
