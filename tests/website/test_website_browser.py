"""Chromium opens the site from a folder and over http: keyboard, search with a typo, no scripts, no other host."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leaflineage.errors import SiteError
from leaflineage.website.serve import make_server

BASE = "/LeafLineage/"


@contextmanager
def served(site: Path, base_path: str = BASE) -> Iterator[str]:
    server = make_server(site, port=0, base_path=base_path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{base_path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Watched:
    """A page that remembers every complaint and every request."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1024, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self.note_failure)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def note_failure(self, request: Any) -> None:
        """Remember a request that failed, unless the test itself went on to the next page before it was answered."""
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url} {request.failure}")


@contextmanager
def watched(browser: Any, **options: Any) -> Iterator[Watched]:
    window = Watched(browser, **options)
    try:
        yield window
    finally:
        window.context.close()


ONE_OF_EACH = [
    "index.html",
    "families/index.html",
    "families/betulaceae/index.html",
    "families/platanaceae/index.html",
    "families/betulaceae/concept-01.html",
    "specimens/unknown--1.html",
    "method.html",
    "data.html",
    "404.html",
]


def find_divided(site: Path) -> str:
    """The page of the concept of Betulaceae that holds others."""
    folder = site / "families" / "betulaceae"
    page = next(path for path in sorted(folder.glob("concept-*.html")) if 'id="inside"' in path.read_text())
    return page.relative_to(site).as_posix()


def all_pages(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


@pytest.mark.browser
def test_every_page_opens_from_a_folder_without_complaint_or_another_host(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        for page in all_pages(site):
            window.page.goto((site / page).as_uri())
            assert window.page.locator("h1").count() == 1, page
        assert window.complaints == []
        assert [url for url in window.requests if not url.startswith(("file://", "data:"))] == []


@pytest.mark.browser
def test_pictures_styles_and_fonts_load_from_a_folder(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        window.page.goto((site / "families/betulaceae/index.html").as_uri())
        assert window.page.evaluate(
            "document.fonts.ready.then(() => document.fonts.check('18px \"LeafLineage Serif\"'))"
        )
        assert (
            window.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(244, 243, 236)"
        )
        assert window.page.evaluate("document.querySelector('.sheet img').naturalWidth") > 0


@pytest.mark.browser
def test_search_forgives_a_typo_and_goes_by_keyboard(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        page = window.page
        page.goto((site / "families/fagaceae/concept-01.html").as_uri())
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
        page.keyboard.type("Betulacae")
        first = page.locator("#search-results [role=option]").first
        assert first.inner_text().startswith("Betulaceae")
        assert first.get_attribute("aria-selected") == "true"
        page.keyboard.press("ArrowDown")
        assert first.get_attribute("aria-selected") == "false"
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.wait_for_url("**/families/betulaceae/index.html")
        assert window.complaints == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("typed", "title", "address"),
    [
        ("Quercis", "Quercus", "families/fagaceae/index.html"),
        ("carpinus betulus", "Carpinus betulus", "families/betulaceae/index.html"),
        ("fagaceae concept 2", "Concept 2", "families/fagaceae/concept-02.html"),
        ("platan", "Platanaceae", "families/platanaceae/index.html"),
    ],
)
def test_search_knows_families_genera_species_and_concepts(
    site: Path, browser: Any, typed: str, title: str, address: str
) -> None:
    with watched(browser) as window:
        window.page.goto((site / "index.html").as_uri())
        window.page.locator("#search").fill(typed)
        link = window.page.locator("#search-results a").first
        assert link.inner_text().startswith(title)
        assert link.get_attribute("href") == address


@pytest.mark.browser
def test_a_hostile_name_is_only_text_in_the_search(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        page = window.page
        page.on("dialog", lambda dialog: window.complaints.append("a dialog opened"))
        page.goto((site / "index.html").as_uri())
        page.locator("#search").fill("img onerror")
        page.locator("#search-results a").first.wait_for()
        assert page.locator('#search-results img[src="x"]').count() == 0
        page.keyboard.press("Escape")
        assert page.locator("#search-results").is_hidden()
        assert window.complaints == []


@pytest.mark.browser
def test_nothing_found_is_said(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        window.page.goto((site / "index.html").as_uri())
        window.page.locator("#search").fill("xyzzyxyzzy")
        assert "Nothing found" in window.page.locator("#search-results").inner_text()


@pytest.mark.browser
def test_the_keyboard_opens_a_concept_in_place_and_escape_closes_it(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        page = window.page
        page.goto((site / "families/betulaceae/index.html").as_uri())
        plates = page.locator("details.concept")
        assert plates.count() == 3
        plates.first.locator("summary").focus()
        page.keyboard.press("Enter")
        drawer = plates.first.locator(".drawer")
        assert drawer.is_visible()
        assert drawer.locator(".strip.crops a > img").count() == 3
        assert drawer.locator("img.heat.pencil").count() == 3
        specimen = drawer.locator(".stack").first.locator("img").first.bounding_box()
        heat = drawer.locator("img.heat.pencil").first.bounding_box()
        assert heat == pytest.approx(specimen, abs=1)
        plates.nth(1).locator("summary").click()
        assert drawer.is_hidden()
        page.keyboard.press("Escape")
        assert plates.nth(1).locator(".drawer").is_hidden()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert window.complaints == []


@pytest.mark.browser
def test_an_address_with_a_concept_opens_its_plate(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        window.page.goto((site / "families/betulaceae/index.html").as_uri() + "#concept-02")
        assert window.page.locator("details#concept-02 .drawer").is_visible()


@pytest.mark.browser
def test_the_theme_is_switched_and_remembered(site: Path, browser: Any) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    with served(site) as root, watched(browser) as window:
        window.page.goto(root)
        light = window.page.evaluate(ground)
        window.page.locator("button.theme").click()
        dark = window.page.evaluate(ground)
        assert light != dark
        window.page.goto(f"{root}method.html")
        assert window.page.evaluate(ground) == dark


@pytest.mark.browser
def test_the_filter_narrows_the_list_and_random_leads_to_a_family(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        page = window.page
        page.goto((site / "families/index.html").as_uri())
        assert page.locator("#family-list tbody tr:visible").count() == 4
        page.locator("#filter").fill("quercus")
        assert page.locator("#family-list tbody tr:visible").count() == 1
        page.goto((site / "index.html").as_uri())
        page.locator("a[data-random]").click()
        page.wait_for_url("**/families/*/index.html")
        assert window.complaints == []


@pytest.mark.browser
def test_without_scripts_everything_but_search_is_reachable(site: Path, browser: Any) -> None:
    with watched(browser, java_script_enabled=False) as window:
        page = window.page
        seen: set[str] = set()
        ahead = [(site / "index.html").as_uri()]
        while ahead:
            address = ahead.pop()
            if address in seen:
                continue
            seen.add(address)
            page.goto(address)
            assert page.locator(".search").is_hidden()
            for link in page.locator("a[href]").all():
                target = (link.get_attribute("href") or "").partition("#")[0]
                if target.endswith(".html") and "//" not in target:
                    ahead.append((Path(address.removeprefix("file://")).parent / target).resolve().as_uri())
        reached = {Path(address.removeprefix("file://")).relative_to(site.resolve()).as_posix() for address in seen}
        assert set(all_pages(site)) - reached == {"404.html"}
        page.goto((site / "families/betulaceae/index.html").as_uri())
        page.locator("details.concept summary").first.click()
        assert page.locator("details.concept .drawer").first.is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1024, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_window(site: Path, browser: Any, width: int, scheme: str) -> None:
    with watched(browser, color_scheme=scheme) as window:
        window.page.set_viewport_size({"width": width, "height": 900})
        for page in [*ONE_OF_EACH, find_divided(site)]:
            window.page.goto((site / page).as_uri())
            assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
            height = window.page.evaluate("document.querySelector('.top')?.clientHeight ?? 0")  # the 404 page has none
            assert height <= (64 if width >= 900 else 120), page


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_every_image_of_a_family_has_a_square_of_its_own_that_a_finger_can_hit(
    site: Path, browser: Any, width: int
) -> None:
    with watched(browser) as window:
        window.page.set_viewport_size({"width": width, "height": 900})
        window.page.goto((site / "families/betulaceae/index.html").as_uri())
        frame = window.page.locator("svg.spread").bounding_box()
        marks = window.page.evaluate(
            "[...document.querySelectorAll('svg.spread .ground')].map((mark) => mark.getBoundingClientRect().toJSON())"
        )
        assert len(marks) == 120
        assert len({(round(mark["x"]), round(mark["y"])) for mark in marks}) == 120
        assert min(mark["width"] for mark in marks) >= 24
        for mark in marks:
            assert mark["width"] > 0
            assert frame["x"] - 1 <= mark["left"] < mark["right"] <= frame["x"] + frame["width"] + 1
            assert frame["y"] - 1 <= mark["top"] < mark["bottom"] <= frame["y"] + frame["height"] + 1
        assert window.complaints == []


@pytest.mark.browser
def test_a_curve_begins_and_ends_where_its_figures_say(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        window.page.goto((site / "families/betulaceae/index.html").as_uri())
        window.page.locator("details.more > summary").click()
        chart = window.page.locator(".charts svg.chart").first
        frame, zero = chart.bounding_box(), chart.locator("path.zero").bounding_box()
        places = chart.locator("polyline.contribution").evaluate(
            "line => [...line.points].map((point) => { const { x, y } = point.matrixTransform(line.getScreenCTM());"
            " return [x, y]; })"
        )
        across, down = [x for x, _ in places], [y for _, y in places]
        assert across == pytest.approx([frame["x"] + frame["width"] * i / 3 for i in range(4)], abs=1)
        assert down == sorted(down)
        assert frame["y"] < down[0] < zero["y"] < down[-1] < frame["y"] + frame["height"]


@pytest.mark.browser
def test_both_maps_of_a_leaf_lie_over_it(site: Path, browser: Any) -> None:
    with watched(browser) as window:
        window.page.goto((site / "families/betulaceae/concept-01.html").as_uri())
        stacks = window.page.locator(".pair .stack")
        assert stacks.count() == 4
        for stack in stacks.all():
            stack.scroll_into_view_if_needed()
            leaf = stack.locator("img").first.bounding_box()
            assert stack.locator(".pencil").bounding_box() == pytest.approx(leaf, abs=1)


@pytest.mark.browser
def test_an_address_leads_to_a_concept_inside_a_concept(site: Path, browser: Any) -> None:
    page = find_divided(site)
    with watched(browser) as window:
        window.page.goto(f"{(site / page).as_uri()}#{Path(page).stem}-02")
        inside = window.page.locator(f"#{Path(page).stem}-02")
        assert inside.evaluate("element => element.matches(':target')")
        assert 0 <= inside.bounding_box()["y"] < 900


@pytest.mark.browser
def test_the_site_works_under_a_base_path(site: Path, browser: Any) -> None:
    with served(site) as root, watched(browser) as window:
        page = window.page
        page.goto(f"{root}families/fagaceae/index.html")
        page.keyboard.press("/")
        page.keyboard.type("Betulacae")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{root}families/betulaceae/index.html")
        assert window.complaints == []
        assert [url for url in window.requests if not url.startswith(root)] == []


def test_the_server_answers_under_its_base_path_only(site: Path) -> None:
    with served(site) as root:
        with urllib.request.urlopen(root) as answer:
            assert b"<h1>" in answer.read()
        for wrong in (root + "nowhere.html", root + "media/", root.removesuffix(BASE) + "/other.html"):
            with pytest.raises(urllib.error.HTTPError) as missing:
                urllib.request.urlopen(wrong)
            assert missing.value.code == 404
            assert b"There is no such page" in missing.value.read()
            missing.value.close()
        with urllib.request.urlopen(root.rstrip("/")) as answer:
            assert answer.url == root


def test_a_folder_without_a_site_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="Bake it first"):
        make_server(tmp_path, port=0)
