"""The first page: outlines on a leaf, a still map, how far to trust it, citation; and the foot of every page."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from website.synthetic_run import make_run

from leaflineage.records import Index
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.outlines import enlarge, find_middle, measure_area, trace
from leaflineage.website.papers import cite_atlas, escape_tex, list_datasets


def draw_disc(side: int, x: float, y: float, radius: float) -> Any:
    rows, columns = np.mgrid[:side, :side]
    return radius - np.hypot((columns + 0.5) / side - x, (rows + 0.5) / side - y) + 0.5


def test_the_outline_of_a_disc_is_its_circle() -> None:
    (line,) = trace(draw_disc(64, 0.4, 0.55, 0.2), 0.5)
    assert measure_area(line) == pytest.approx(math.pi * 0.04, rel=0.01)
    assert find_middle(line) == pytest.approx((0.4, 0.55), abs=0.005)
    assert all(math.hypot(x - 0.4, y - 0.55) == pytest.approx(0.2, abs=0.005) for x, y in line)


def test_an_outline_closes_at_the_picture_s_edge_and_stays_inside() -> None:
    (line,) = trace(np.ones((3, 5)), 0.5)
    assert measure_area(line) == pytest.approx(1, rel=0.05)
    assert {min(x for x, _ in line), max(x for x, _ in line)} == {0.0, 1.0}


def test_two_places_give_two_outlines_the_largest_first_and_crumbs_none() -> None:
    heat = np.zeros((20, 20))
    heat[2:8, 2:8] = heat[12:17, 12:17] = heat[18, 1] = 1
    lines = trace(heat, 0.5)
    assert [
        find_middle(line) == pytest.approx(middle, abs=0.02)
        for line, middle in zip(lines, [(0.25, 0.25), (0.725, 0.725)], strict=True)
    ]
    assert measure_area(lines[0]) > measure_area(lines[1])


def test_corners_that_touch_are_outlined_apart() -> None:
    heat = np.zeros((4, 4))
    heat[1, 1] = heat[2, 2] = 1
    assert len(trace(heat, 0.75)) == 2


def test_a_map_is_enlarged_between_the_middles_of_its_cells() -> None:
    large = enlarge(np.array([[0.0, 0.0], [0.0, 1.0]]), 2)
    assert large.shape == (48, 48)
    assert np.unravel_index(large.argmax(), large.shape)[0] > 30
    assert large == pytest.approx(large.T)


@pytest.fixture(scope="module")
def home(site: Path) -> str:
    return (site / links.HOME).read_text(encoding="utf-8")


def test_the_living_example_has_as_many_letters_in_words_as_on_the_leaf(home: str) -> None:
    opening = home.partition('class="block band how"')[0]
    on_leaf = re.findall(r'<text class="letter"[^>]*>([a-z])</text>', opening)
    in_words = re.findall(r'<i class="letter">([a-z])</i>', opening)
    assert on_leaf == in_words
    assert on_leaf == list("abc"[: len(on_leaf)])
    assert len(on_leaf) >= 1
    assert opening.count('<path class="outline"') == len(on_leaf)
    told = opening.partition("<ol>")[2]
    assert told.count("of the logit’s variance under masking") == told.count("<li>") == 3
    for text in re.findall(r'd="(M[^"]*)"', opening):
        assert all(0 <= float(number) <= 100 for number in re.findall(r"[\d.]+", text))


def test_the_four_pictures_and_the_four_families_are_there(home: str, run_folder: Path) -> None:
    how = home.partition('aria-labelledby="how"')[2].partition("</section>")[0]
    assert how.count("<h3>") == 4
    index = Index.model_validate_json((run_folder / "index.json").read_bytes())
    rows, columns = index.classifier.map_size
    assert how.count('<line class="cell"') == rows + columns + 2
    starts = home.partition('aria-labelledby="starts"')[2].partition("</section>")[0]
    assert starts.count("<li>") == min(4, sum(bool(family.concepts) for family in index.families))


def test_the_figure_of_trust_and_its_table_tell_the_same(home: str) -> None:
    trust = home.partition('aria-labelledby="trust"')[2].partition("</section>")[0]
    n = trust.count('<circle class="own" cy=')
    assert n == 3
    assert trust.count('<circle class="floor" cy=') == n
    assert trust.partition("<tbody>")[2].count("<tr>") == n
    assert "shuffled" in trust
    assert "probability" not in home


def test_a_run_without_the_new_records_has_a_first_page_all_the_same(tmp_path: Path) -> None:
    page = (bake(make_run(tmp_path, n_crops=1, bare=True)).site / links.HOME).read_text(encoding="utf-8")
    assert 'class="block teaser"' not in page
    assert page.count('<i class="letter">') == page.count('<text class="letter"')
    assert "None" not in page


def test_the_atlas_is_cited_with_what_is_known_of_it() -> None:
    index = Index.model_construct(
        title="Leaves & {veins}",
        version="1.0",
        doi="10.5281/zenodo.1",
        date="2026-03-01",
        authors=["A. Botanist", "B_C"],
        generator={},
    )
    cited = cite_atlas(index, "https://example.org/", "Version 1.0")
    assert cited.href == "https://doi.org/10.5281/zenodo.1"
    for line in (
        r"title   = {{Leaves \& \{veins\}}}",
        r"author  = {{A. Botanist} and {B\_C}}",
        "year    = {2026}",
        "version = {1.0}",
        "doi     = {10.5281/zenodo.1}",
    ):
        assert line in cited.bibtex
    bare = cite_atlas(index.model_copy(update={"doi": None, "version": None, "date": None, "authors": []}), None, "")
    assert bare.href == ""
    assert "doi" not in bare.bibtex
    assert "year" not in bare.bibtex


def test_a_backslash_and_braces_mean_nothing_to_tex() -> None:
    assert escape_tex("a\\b{c}~") == r"a\textbackslash{}b\{c\}\textasciitilde{}"


def test_known_sources_are_cited_and_unknown_ones_named(run_folder: Path) -> None:
    index = Index.model_validate_json((run_folder / "index.json").read_bytes())
    papers, unknown = list_datasets(index)
    assert {paper.anchor for paper in papers} == {"bibtex-flavia", "bibtex-swedish"}
    assert unknown == []
    families = [family.model_copy(update={"source_shares": {"A drawer": 1.0}}) for family in index.families]
    assert list_datasets(index.model_copy(update={"families": families})) == ((), ["A drawer"])
    assert list_datasets(index.model_copy(update={"drawn": True}))[0][0].anchor == "bibtex-herbarium"


def test_every_page_says_at_its_foot_whose_the_pictures_are_and_leads_to_all_pages(site: Path) -> None:
    for path in sorted(site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        if path.name == links.NOT_FOUND:
            continue
        foot = text.partition('<footer class="foot">')[2]
        assert "No licence is stated for the pictures" in foot, path
        listed = re.findall(r'<a href="([^"]+)"', text.partition("<header")[2].partition("</header>")[0])
        assert all(f'href="{href}"' in foot for href in listed if not href.startswith("http")), path


@pytest.mark.browser
def test_the_first_page_copies_citations_and_has_one_search_box(site: Path, browser: Any) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    page.goto((site / links.HOME).as_uri())
    assert page.locator("#search").count() == 1
    assert page.locator(".opening #search").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator('[data-copy="bibtex-craft"]').click()
    page.locator("[data-copied]", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("@inproceedings{fel2023craft")
    page.locator("[data-copy~=bibtex-atlas][data-copy~=bibtex-craft]").click()
    page.locator("[data-copy~=bibtex-craft][data-copy~=bibtex-atlas]", has_text="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.count("@") >= 5
    context.close()


@pytest.mark.browser
def test_the_head_fits_a_phone_and_never_hides_what_has_the_focus(site: Path, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto((site / links.FAMILIES).as_uri())
    links_of_head = page.locator(".top nav a")
    tops = {round(each.bounding_box()["y"]) for each in links_of_head.all()}
    assert len(tops) == 1
    assert all(each.bounding_box()["height"] >= 24 for each in links_of_head.all())
    assert page.locator('.top nav [aria-current="page"]').inner_text() == "Families"
    page.set_viewport_size({"width": 1280, "height": 420})
    page.locator(".foot a").last.focus()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        hidden = page.evaluate(
            "() => { const head = document.querySelector('.top'), at = document.activeElement;"
            " if (head.contains(at) || at === document.body || at.className === 'skip') return false;"
            " return at.getBoundingClientRect().bottom <= head.getBoundingClientRect().bottom; }"
        )
        assert not hidden, page.evaluate("document.activeElement.outerHTML")
    context.close()
