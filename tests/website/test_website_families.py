"""The list of families: sorted, filtered, as a table or as plates; the page of a family without concepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.records import Index
from leaflineage.website import links
from leaflineage.website.bake import bake

NAMES = (
    "[...document.querySelectorAll('#family-list tbody tr:not([hidden])')]"
    ".map((row) => row.querySelector('th a').textContent)"
)


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    """A site of six families of three orders, whose numbers differ."""
    run = make_run(tmp_path_factory.mktemp("ordered"), n_families=6, n_crops=1, orders=True, named=True)
    index = Index.model_validate_json((run / "index.json").read_bytes())
    families = []
    for place, family in enumerate(index.families):
        accuracy = family.accuracy.model_copy(update={"top1": 0.2 + 0.1 * (place * 5 % 7)}) if family.accuracy else None
        families.append(family.model_copy(update={"accuracy": accuracy, "n_specimens": 100 + place * 3 % 7}))
    text = index.model_copy(update={"families": families}).model_dump_json(by_alias=True, indent=1)
    (run / "index.json").write_text(text + "\n", encoding="utf-8")
    return bake(run).site


def test_without_scripts_families_stand_by_order_and_name_those_without_an_order_last(ordered: Path) -> None:
    text = (ordered / links.FAMILIES).read_text(encoding="utf-8")
    rows = re.findall(r"<tr data-terms.*?</tr>", text, re.DOTALL)
    keys = [
        (
            re.search(r'class="order"><span lang="la">([^<]*)', row)[1].replace("–", "\uffff"),
            re.search(r'lang="la">([^<]*)</a>', row)[1],
        )
        for row in rows
    ]  # type: ignore[index]
    assert keys == sorted(keys)
    assert sum("new-order" in row.split(">", 1)[0] for row in rows) == len({order for order, _ in keys})
    assert "<button" not in text.partition("<thead>")[2].partition("</thead>")[0]


def test_values_to_sort_by_are_those_that_are_shown(ordered: Path) -> None:
    text = (ordered / links.FAMILIES).read_text(encoding="utf-8")
    for row in re.findall(r"<tr data-terms.*?</tr>", text, re.DOTALL):
        specimens, accuracy, explained, share = re.search(r'data-values="([^"]*)"', row)[1].split()  # type: ignore[index]
        if "no-page" in row:
            assert (explained, share) == ("-", "-")
            continue
        assert f">{specimens}</td>" in row
        assert f">{float(accuracy):.2f} " in row
        assert f"{round(float(explained) * 100)}\u202f%" in row
        assert f"{round(float(share) * 100)}\u202f%" in row


@pytest.mark.browser
def test_the_table_is_sorted_by_keyboard_and_says_so(ordered: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((ordered / links.FAMILIES).as_uri())
    first = page.evaluate(NAMES)
    head = page.locator('th[data-sort="accuracy"]')
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("[aria-sort]").count() == 1
    values = page.evaluate(
        "[...document.querySelectorAll('#family-list tbody tr')].map((row) => row.dataset.values.split(' ')[1])"
    )
    known = [float(value) for value in values if value != "-"]
    assert known == sorted(known, reverse=True)
    assert values[len(known) :] == ["-"] * (len(values) - len(known))
    assert page.url.endswith("#sort=accuracy.down")
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#sort").input_value() == "accuracy"
    page.locator("#sort").select_option("order")
    assert page.evaluate(NAMES) == first
    assert "#" not in page.url
    page.locator("#direction").click()
    assert page.locator('th[data-sort="order"]').get_attribute("aria-sort") == "descending"
    page.close()


@pytest.mark.browser
def test_filter_order_and_plates_stand_in_the_address_and_come_back_from_it(ordered: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((ordered / links.FAMILIES).as_uri())
    page.locator("#filter").fill("Quercus")
    assert page.evaluate(NAMES) == ["Fagaceae"]
    assert "1 of 7" in page.locator("#family-count").inner_text()
    page.locator("#filter").fill("xyzzy")
    assert page.locator("#family-none").is_visible()
    assert page.locator("#family-list").is_hidden()
    page.locator("#filter").fill("")
    page.locator("#filter-order").select_option("Rosales")
    chosen = page.evaluate(NAMES)
    assert 0 < len(chosen) < 7
    page.locator("[name=view][value=plates]").check()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    address = page.url
    assert address.endswith("#view=plates&order=Rosales")
    page.goto("about:blank")
    page.goto(address)
    assert page.evaluate(NAMES) == chosen
    assert page.locator("[name=view][value=plates]").is_checked()
    pictures = page.locator("#family-list tbody tr:not([hidden]) .thumb .mount").all()
    assert all(each.bounding_box()["width"] > 120 for each in pictures)
    assert page.evaluate("localStorage.length") == 0
    page.close()


@pytest.mark.browser
def test_the_first_row_that_is_left_of_an_order_names_it(ordered: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((ordered / links.FAMILIES).as_uri() + "#filter=toothed")
    rows = page.locator("#family-list tbody tr:not([hidden])").all()
    assert rows
    last = ""
    for row in rows:
        order = row.locator(".order").text_content()
        assert ("new-order" in (row.get_attribute("class") or "")) == (order != last)
        last = order
    page.close()


@pytest.mark.browser
def test_without_scripts_no_tool_that_does_nothing_is_shown(ordered: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((ordered / links.FAMILIES).as_uri())
    assert page.locator(".tools").is_hidden()
    assert page.locator("#family-list tbody tr:visible").count() == 7
    context.close()


def test_a_family_without_concepts_says_why_and_leads_on(site: Path) -> None:
    text = (site / "families" / "platanaceae" / "index.html").read_text(encoding="utf-8")
    assert "4 specimens where 10 are needed" in text
    assert 'href="../index.html"' in text


def test_leaves_without_a_family_are_listed_with_the_family_that_scores_highest(site: Path) -> None:
    text = (site / links.FAMILIES).read_text(encoding="utf-8").partition('id="queries"')[2]
    assert "../specimens/unknown--1.html" in text
    assert "highest classifier score: Betulaceae, 0.62" in text
