"""axe-core finds nothing on any type of page, light or dark, wide or narrow; nothing speaks on the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from website.page_types import PATTERNS, find_page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RULES = {
    "resultTypes": ["violations"],
    "preload": False,  # of style sheets, which a page opened from a folder may not fetch
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
LOOKS = [("light", 1280), ("dark", 390)]

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("node_modules/axe-core is not there: make test installs it (npm ci)")
    return AXE.read_text(encoding="utf-8")


def run_axe(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("options => axe.run(document, options)", RULES)
    return [
        f"{rule['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()})"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("kind", list(PATTERNS))
def test_axe_finds_nothing_on_a_page_of_each_type(browser: Any, site: Path, axe: str, kind: str) -> None:
    found = {}
    for scheme, width in LOOKS:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.goto((site / find_page(site, kind)).as_uri())
        for each in page.query_selector_all("main details:not([open]) > summary"):
            each.click()
        found[scheme] = [*run_axe(page, axe), *said]
        context.close()
    assert found == {scheme: [] for scheme, _ in LOOKS}
