"""The page of a family: what it shows, what it weighs, its figures by mouse, keyboard and touch, and on paper."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_extras import N_MISTAKES
from website.synthetic_run import N_IMAGES, make_run
from website.test_website_browser import served, watched

from leaflineage.records import AtlasFamily, AtlasSpecimen
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.context import Site
from leaflineage.website.figures import N_CROPS, N_OVERLAYS, make_picture, make_small_picture
from leaflineage.website.reading import read_family, read_index
from leaflineage.website.view_family import view_family
from leaflineage.website.words import Words

PAGE = links.family_page("betulaceae")
HTML, COMPRESSED, ABOVE_THE_FOLD = 80_000, 15_000, 300_000  # bytes a family's page may have
N_TEN = 10
Made = tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a family of ten named concepts."""
    return bake(make_run(tmp_path_factory.mktemp("ten"), n_concepts=N_TEN, n_crops=6, named=True)).site


@pytest.fixture(scope="module")
def made(run_folder: Path) -> Made:
    index = read_index(run_folder)
    family, specimens = read_family(run_folder, "betulaceae")
    pages = [links.FAMILIES, links.METHOD, links.COMPARE]
    for each in index.families:
        pages += [links.family_page(each.slug), *(links.concept_page(concept.id) for concept in each.concepts)]
    pages += [links.specimen_page(name) for name in specimens]
    statics = [
        links.asset(path.relative_to(find_resource("static")).as_posix()) for path in find_resource("static").rglob("*")
    ]
    plan = frozenset([links.HOME, links.SCRIPT_WORDS, *pages, *statics])
    return Site(index, Words.load(find_resource("locale") / "en"), plan, None, None), family, specimens


def read_part(text: str, name: str) -> str:
    """The section of a page that the heading of that id stands over."""
    return text.partition(f'aria-labelledby="{name}"')[2].partition("</section>")[0]


# --- what the page says --------------------------------------------------------------------------------------


def test_a_family_of_ten_concepts_stays_within_its_bytes_and_without_a_defect(ten: Path) -> None:
    assert [str(problem) for problem in check_site(ten) if problem.page == PAGE] == []
    page = (ten / PAGE).read_bytes()
    assert len(page) < HTML
    assert len(gzip.compress(page, 9)) < COMPRESSED
    assert page.count(b"<details class=concept ") == N_TEN
    assert b" style=" not in page


def test_figures_are_numbered_without_a_gap_in_the_order_in_which_they_stand(ten: Path) -> None:
    numbers = [int(number) for number in re.findall(r"<b>Fig\. (\d+)\.</b>", (ten / PAGE).read_text())]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == 5


def test_every_chart_has_its_values_in_a_table_beside_it(ten: Path) -> None:
    text = (ten / PAGE).read_text()
    assert text.count('<svg class="chart"') == text.count('<table class="value-table">') == 3
    assert 'class="spread-table"' in text.replace("plain-table ", "")
    bars = read_part(text, "balance")
    assert bars.count("<tr") == 1 + N_TEN + 1  # the head, the concepts, the rest


def test_each_concept_opens_to_crops_and_maps_that_lead_to_its_page(ten: Path) -> None:
    text = (ten / PAGE).read_text()
    for number in range(1, N_TEN + 1):
        name = f"concept-{number:02d}"
        drawer = text.partition(f"id={name} ")[2].partition("</details>")[0]
        assert "stability 0.81" in drawer
        leaves = drawer.partition("data-gallery=all")[2]
        assert re.findall(r'<a (?:class="[^"]*" )?href=([^ >]+)>', leaves) == [f"{name}.html"] * (N_CROPS + N_OVERLAYS)
        assert leaves.count(f"/crops/{name}/") == N_CROPS
        assert leaves.count(f"/heatmaps/{name}/") == N_OVERLAYS
        assert leaves.count("loading=lazy") == N_CROPS + 2 * N_OVERLAYS
    told = Counter(re.findall(r'alt="([^"]+)"', text))
    assert max(told.values()) == 1


def test_a_concept_that_speaks_against_says_so_in_a_word_and_is_hatched(ten: Path, run_folder: Path) -> None:
    text = (ten / PAGE).read_text()
    cards = [part.partition("</summary>")[0] for part in text.split("<details class=concept ")[1:]]
    against = [card for card in cards if "<rect class=against " in card]
    assert 0 < len(against) < N_TEN
    assert against == [card for card in cards if ">speaks against<" in card]


def test_what_the_classifier_gets_wrong_stands_with_its_picture_its_scores_and_as_what(made: Made) -> None:
    site, family, specimens = made
    mistakes = view_family(site, family, specimens, (None, None)).mistakes
    assert len(mistakes.shown) == N_MISTAKES
    for view, mistake in zip(mistakes.shown, family.mistakes, strict=True):
        assert view.family.text == mistake.family
        assert view.sentence == f"classifier score {mistake.score:.2f}; {mistake.own_score:.2f} for Betulaceae"
        assert view.note == ("not used in training" if mistake.held_out else "used in training")
        assert view.href == links.relative(PAGE, links.specimen_page(mistake.specimen))
        assert f"taken for {mistake.family}" in view.picture.alt
    assert [view.note for view in mistakes.shown] == ["not used in training", "used in training"]
    assert "A score is no probability." in mistakes.sentence
    assert [(link.text, n) for link, n, _ in mistakes.counts] == [
        (site.families[each.slug].name, each.n) for each in family.confused_with
    ]
    for (_, _, compare), confusion in zip(mistakes.counts, family.confused_with, strict=True):
        assert compare is not None
        assert compare.href == f"../../compare/index.html#betulaceae+{confusion.slug}"


def test_a_mistake_whose_specimen_is_withheld_is_counted_and_not_shown(made: Made) -> None:
    site, family, specimens = made
    first = family.mistakes[0].specimen
    withheld = {**specimens, first: specimens[first].model_copy(update={"withheld": True})}
    mistakes = view_family(site, family, withheld, (None, None)).mistakes
    assert len(mistakes.shown) == N_MISTAKES - 1
    assert all(first not in (view.href or "") + view.picture.src for view in mistakes.shown)


def test_a_family_without_mistakes_says_so(made: Made) -> None:
    site, family, specimens = made
    right = family.model_copy(update={"mistakes": [], "confused_with": []})
    mistakes = view_family(site, right, specimens, (None, None)).mistakes
    assert (mistakes.shown, mistakes.counts) == ((), ())
    assert mistakes.sentence == "None of its counted specimens was taken for another family."


def test_near_families_stand_with_their_picture_and_lead_to_a_comparison(made: Made) -> None:
    site, family, specimens = made
    near = view_family(site, family, specimens, (None, None)).neighbours
    assert near
    for each in near:
        assert each.picture is not None
        assert each.compare is not None
        assert each.compare.text == f"Compare with {each.family.text}"
    alone = Site(site.index, site.words, site.plan - {links.COMPARE}, None, None)
    assert all(each.compare is None for each in view_family(alone, family, specimens, (None, None)).neighbours)


def test_the_smallest_copy_that_is_large_enough_is_taken() -> None:
    def choose(wanted: int) -> tuple[str, int, int]:
        picture = make_small_picture(PAGE, "a/b.webp", 400, 800, "a leaf", [100, 200], wanted)
        return picture.src.rpartition("/")[2], picture.width, picture.height

    assert choose(200) == ("b-100.webp", 100, 200)
    assert choose(201) == ("b-200.webp", 200, 400)
    assert choose(401) == ("b.webp", 400, 800)
    whole = make_picture(PAGE, "a/b.webp", 400, 800, "a leaf", [100])
    assert whole.srcset == "../../media/a/b-100.webp 100w, ../../media/a/b.webp 400w"


# --- in a browser --------------------------------------------------------------------------------------------


def open_drawer(page: Any) -> Any:
    """Open the first concept and return the links of its crops and maps."""
    page.locator("details.concept summary").first.click()
    return page.locator("details.concept[open] [data-gallery] a")


@pytest.mark.browser
def test_pictures_open_large_by_keyboard_and_focus_comes_back(site: Path, browser: Any) -> None:
    with watched(browser, reduced_motion="reduce") as window:
        page = window.page
        page.goto((site / PAGE).as_uri())
        items = open_drawer(page)
        assert items.count() == 6  # the made-up run has three crops
        items.nth(1).focus()
        page.keyboard.press("Enter")
        dialog = page.locator("dialog.lightbox")
        count, caption = dialog.locator(".lightbox-count"), dialog.locator(".lightbox-caption")
        assert dialog.is_visible()
        assert count.inner_text() == "2 of 6"
        assert caption.inner_text() == items.nth(1).locator("img").get_attribute("alt")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert count.inner_text() == "6 of 6"
        leaf = dialog.locator(".stack img").first.bounding_box()
        assert leaf["height"] > 400
        for heat in dialog.locator(".stack img.heat").all():
            assert heat.bounding_box() == pytest.approx(leaf, abs=1)
        page.keyboard.press("Home")
        assert count.inner_text() == "1 of 6"
        assert dialog.locator(".lightbox-stage > img").count() == 1
        for button in dialog.locator("button").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 44
        dialog.locator(".lightbox-next").click()
        assert count.inner_text() == "2 of 6"
        for _ in range(6):
            page.keyboard.press("Tab")
            assert page.evaluate("!document.hasFocus() || document.activeElement.closest('dialog, body') !== null")
        assert page.evaluate("document.getAnimations().length") == 0
        page.keyboard.press("Escape")
        assert dialog.is_hidden()
        assert items.nth(1).evaluate("link => link === document.activeElement")
        assert page.locator("details.concept[open]").count() == 1
        page.keyboard.press("Escape")
        assert page.locator("details.concept[open]").count() == 0
        assert window.complaints == []


@pytest.mark.browser
def test_a_finger_opens_pictures_and_swipes_from_one_to_the_next(site: Path, browser: Any) -> None:
    with watched(browser, has_touch=True) as window:
        page = window.page
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto((site / PAGE).as_uri())
        open_drawer(page).nth(0).tap()
        count = page.locator(".lightbox-count")
        finger = window.context.new_cdp_session(page)

        def swipe(x0: int, y0: int, x1: int, y1: int) -> None:
            steps = [[{"x": x0 + (x1 - x0) * i / 4, "y": y0 + (y1 - y0) * i / 4}] for i in range(5)]
            for kind, points in (
                ("touchStart", steps[0]),
                *(("touchMove", each) for each in steps[1:]),
                ("touchEnd", []),
            ):
                finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        swipe(300, 400, 80, 410)
        assert count.inner_text() == "2 of 6"
        swipe(80, 400, 300, 410)
        swipe(80, 400, 300, 410)
        assert count.inner_text() == "6 of 6"
        swipe(200, 300, 170, 500)
        assert count.inner_text() == "6 of 6"
        page.locator(".lightbox-previous").tap()
        assert count.inner_text() == "5 of 6"
        page.locator(".lightbox-close").tap()
        assert page.locator("dialog.lightbox").is_hidden()
        assert window.complaints == []


@pytest.mark.browser
def test_leaves_of_the_figure_are_one_stop_of_the_tab_key_and_arrows_go_from_one_to_the_next(
    site: Path, browser: Any
) -> None:
    with watched(browser) as window:
        page = window.page
        page.goto((site / PAGE).as_uri())
        leaves, card = page.locator("#cluster .leaf"), page.locator(".leaf-card")
        assert leaves.count() == N_IMAGES
        assert page.locator('#cluster .leaf[tabindex="0"]').count() == 1
        labels = leaves.evaluate_all("leaves => leaves.map((leaf) => leaf.getAttribute('aria-label'))")
        assert len(set(labels)) == N_IMAGES
        marked = leaves.evaluate_all("leaves => leaves.filter((leaf) => leaf.querySelector('.mark')).length")
        assert marked == N_IMAGES
        page.locator("#neighbours").evaluate("heading => { heading.tabIndex = -1; heading.focus(); }")
        while not page.evaluate("document.activeElement.matches('.leaf')"):
            page.keyboard.press("Tab")
        assert card.is_visible()
        where = "document.activeElement.querySelector('.ground').getBoundingClientRect().toJSON()"
        before = page.evaluate(where)
        for key, sign in (("ArrowRight", 1), ("ArrowLeft", -1)):
            page.keyboard.press(key)
            after = page.evaluate(where)
            assert (after["x"] - before["x"]) * sign > 0
            before = after
        page.keyboard.press("ArrowDown")
        assert page.evaluate(where)["y"] > before["y"]
        told = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert card.locator(".leaf-name").inner_text() == told.split(", ")[0]
        assert re.search(r"total Sobol index \d\.\d\d on this image", card.inner_text())
        page.keyboard.press("Escape")
        assert card.is_hidden()
        assert page.evaluate("document.activeElement.matches('.leaf[tabindex=\"0\"]')")
        page.keyboard.press("Tab")
        assert not page.evaluate("document.activeElement.matches('.leaf')")
        assert window.complaints == []


@pytest.mark.browser
def test_leaves_of_the_figure_are_shown_large_under_the_mouse_and_the_finger(site: Path, browser: Any) -> None:
    with watched(browser, has_touch=True) as window:
        page = window.page
        page.goto((site / PAGE).as_uri())
        card = page.locator(".leaf-card")
        page.locator("#cluster .ground").nth(7).hover()
        assert card.is_visible()
        thumbnail = page.locator("#cluster .thumbnail").nth(7).bounding_box()
        assert card.locator(".mount").bounding_box()["width"] > 2 * thumbnail["width"]
        card.hover()  # what is shown on hover can be gone over
        assert card.is_visible()
        page.keyboard.press("Escape")
        assert card.is_hidden()
        page.locator("#cluster .ground").nth(60).tap()
        assert card.is_visible()
        page.locator("#spread").tap()
        assert card.is_hidden()
        assert window.complaints == []


@pytest.mark.browser
def test_a_leaf_with_a_page_leads_there_and_one_gone_wrong_says_as_what(site: Path, browser: Any) -> None:
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', (site / PAGE).read_text())[0])
    kinds = [int(data["marks"][i]) for i in range(5, len(data["marks"]), 6)]
    place = next(n for n, kind in enumerate(kinds) if kind & 1)
    with watched(browser) as window:
        page = window.page
        page.goto((site / PAGE).as_uri())
        for wrong, sentence in data["wrong"].items():
            assert sentence in page.locator("#cluster .leaf").nth(int(wrong)).get_attribute("aria-label")
        page.locator("#cluster .ground").nth(place).click()
        assert page.locator(".leaf-card a").is_visible()
        page.keyboard.press("Enter")
        page.wait_for_url("**/specimens/*.html")
        assert page.locator("h1").count() == 1
        assert window.complaints == []


@pytest.mark.browser
def test_without_scripts_thumbnails_and_table_stand_and_links_lead_on(site: Path, browser: Any) -> None:
    with watched(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto((site / PAGE).as_uri())
        assert page.locator("#cluster img.thumbnails").is_visible()
        assert page.locator(".spread-table tbody tr").count() >= 3
        page.locator("details.more > summary").click()
        assert page.locator(".chart").first.is_visible()
        open_drawer(page).first.click()
        page.wait_for_url("**/families/betulaceae/concept-*.html")
        assert window.complaints == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_family_prints_as_one_sheet(ten: Path, browser: Any, tmp_path: Path, scheme: str) -> None:
    with watched(browser, color_scheme=scheme) as window:
        page = window.page
        page.goto((ten / PAGE).as_uri())
        open_drawer(page)
        pdf = page.pdf(path=tmp_path / "sheet.pdf", prefer_css_page_size=True, print_background=True)
        assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) == 1
        page.emulate_media(media="print", color_scheme=scheme)
        for shown in ("h1", ".determination", "svg.importance", "#balance", "#caveats"):
            assert page.locator(shown).is_visible(), shown
        assert page.locator(".concept summary:visible .plate-number:visible").count() == N_TEN
        assert page.locator(".card-name:visible").count() == N_TEN
        for hidden in (
            ".top",
            ".foot",
            ".crumbs",
            ".drawer",
            "#spread",
            "#mistakes",
            "#trust",
            "#whole",
            "#neighbours",
        ):
            assert not page.locator(hidden).first.is_visible(), hidden
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.browser
def test_what_is_loaded_before_a_reader_scrolls_is_light(ten: Path, browser: Any) -> None:
    with served(ten) as root, watched(browser) as window:
        page = window.page
        loaded: list[int] = []
        page.on("response", lambda response: loaded.append(len(response.body())))
        page.goto(f"{root}{PAGE}", wait_until="networkidle")
        assert len(loaded) > 5
        assert sum(loaded) < ABOVE_THE_FOLD
        assert not any("/crops/" in address or "/heatmaps/" in address for address in window.requests)
