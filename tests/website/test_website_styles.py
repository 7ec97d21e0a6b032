"""Each page waits for one style sheet and one small script, and its lines stay where they are when the faces come."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from website.page_types import PATTERNS, find_page

from leaflineage.resources import find_resource
from leaflineage.website.serve import make_server
from leaflineage.website.styles import SHEETS, list_sheets, make_sheet, shorten

RULES = """text => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return [...sheet.cssRules].map(rule => rule.cssText.replace(/\\s+/g, " ").replace(/ ?([,;{}:]) ?/g, "$1"));
}"""
WATCH = """
window.shifted = 0;
new PerformanceObserver(list => {
  for (const each of list.getEntries()) window.shifted += each.value;
}).observe({ type: "layout-shift", buffered: true });
"""
STAND_IN = """document.fonts.load('18px "LeafLineage DejaVu"', "a").then(() => true, () => false)"""
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100))))"


def test_each_page_waits_for_one_style_sheet_and_one_small_script(site: Path) -> None:
    for kind in PATTERNS.keys() - {"not found"}:
        head = (site / find_page(site, kind)).read_text().partition("</head>")[0]
        sheets = re.findall(r'<link rel="stylesheet" href="(?:\.\./)*([^"]+)">', head)
        assert len(sheets) == 1, kind
        assert sheets[0] in list_sheets().values(), kind
        assert re.findall(r'<script src="(?:\.\./)*([^"]+)">', head) == ["assets/js/theme.js"], kind


def test_every_source_of_styles_stands_in_a_sheet_and_none_in_the_site() -> None:
    sources = {path.stem for path in (find_resource("static") / "css").glob("*.css")} - {"404"}
    assert {name for names in SHEETS.values() for name in names} == sources


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("a { b: c; /* d */ e: f }\n", "a{b:c;e:f}"),
        ('a::after { content: "  /* kept; */  " }', 'a::after{content:"  /* kept; */  "}'),
        ("a :hover > b + c, d { margin: calc(1px + 2px) 0 }", "a :hover > b + c,d{margin:calc(1px + 2px) 0}"),
        ("@media (max-width: 9px) {\n  a { b: c; }\n}\n", "@media (max-width:9px){a{b:c}}"),
        ("/* a */", ""),
    ],
)
def test_a_style_sheet_loses_comments_and_white_space_and_nothing_else(long: str, short: str) -> None:
    assert shorten(long) == short


@pytest.mark.browser
@pytest.mark.parametrize("kind", list(SHEETS))
def test_a_sheet_says_what_its_sources_say(browser: Any, kind: str) -> None:
    folder = find_resource("static") / "css"
    sources = "\n".join((folder / f"{name}.css").read_text(encoding="utf-8") for name in SHEETS[kind])
    page = browser.new_page()
    rules = page.evaluate(RULES, sources)
    assert len(rules) > len(SHEETS[kind])
    assert page.evaluate(RULES, make_sheet(kind)) == rules
    page.close()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = make_server(site, port=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["home", "family", "concept", "map"])
def test_lines_stay_where_they_are_when_the_faces_come(address: str, site: Path, browser: Any, kind: str) -> None:
    context = browser.new_context(viewport={"width": 412, "height": 823}, is_mobile=True, reduced_motion="reduce")
    page = context.new_page()
    page.add_init_script(WATCH)
    faces: list[Any] = []
    page.route("**/*.woff2", lambda route: faces.append(route))
    page.goto(address + find_page(site, kind), wait_until="domcontentloaded")
    if not page.evaluate(STAND_IN):
        pytest.skip("none of the faces that stand in is known to be here (DejaVu Serif)")
    page.evaluate(SETTLED)
    assert faces
    for face in faces:
        face.continue_()
    page.evaluate("document.fonts.ready.then(() => true)")
    assert page.evaluate("""document.fonts.check('18px "LeafLineage Serif"')""")
    page.evaluate(SETTLED)
    assert page.evaluate("shifted") < 0.02
    context.close()
