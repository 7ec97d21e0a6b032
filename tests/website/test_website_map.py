"""The map of concepts and families: its data, the still map, and the map itself by mouse, keyboard and touch."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from website.synthetic_run import make_run
from website.test_website_browser import BASE, served, watched

from leaflineage.resources import find_resource
from leaflineage.website import links, view_map
from leaflineage.website.bake import bake
from leaflineage.website.context import is_built, number_of
from leaflineage.website.reading import read_index
from leaflineage.website.view_map import SPAN, find_middle
from leaflineage.website.words import Words

CALM = {"reduced_motion": "reduce"}
TEN_FRAMES = """async () => {
  const asked = [];
  for (let i = 0; i < 10; i += 1) {
    await new Promise(window.next_frame);
    asked.push(window.frames_asked);
  }
  return asked;
}"""


def read_data(site: Path) -> dict[str, list[list[Any]]]:
    text = (site / links.MAP_DATA).read_text()
    data: dict[str, list[list[Any]]] = json.loads(text.removeprefix("const LEAFLINEAGE_MAP = ").rstrip(";\n"))
    return data


def test_the_data_hold_every_concept_with_a_place(site: Path, run_folder: Path) -> None:
    data = read_data(site)
    index = read_index(run_folder)
    families = {row[0]: row for row in data["families"]}
    expected = {
        each.id: (each.position, "unstable" in each.flags)
        for family in index.families
        if is_built(family)
        for each in family.concepts
    }
    found = {f"{data['families'][row[0]][0]}/concept-{row[1]:02d}": row for row in data["concepts"]}
    assert found.keys() == expected.keys()
    for name, (position, unstable) in expected.items():
        assert position is not None
        assert (found[name][3] / SPAN, found[name][4] / SPAN) == pytest.approx(position, abs=1 / SPAN)
        assert found[name][5] == int(unstable)
        assert (site / "media/families" / name.partition("/")[0] / "visualizations" / found[name][6]).is_file()
    assert [row[1] for row in data["families"]] == sorted(row[1] for row in data["families"])
    assert "platanaceae" not in families
    assert "<" not in (site / links.MAP_DATA).read_text()


def test_a_name_stands_where_its_concepts_lie_closest_together() -> None:
    dice = random.Random(3)
    places = [(dice.random(), dice.random()) for _ in range(9)]
    means = [sum(math.hypot(x - u, y - v) for u, v in places) / 8 for x, y in places]
    place, spread = find_middle(places)
    assert place == places[means.index(min(means))]
    assert spread == pytest.approx(min(means))
    assert find_middle([(0.2, 0.4)]) == ((0.2, 0.4), 0.0)
    assert find_middle([]) == (None, 0.0)


def test_the_still_map_links_concepts_and_of_many_families_alone(
    run_folder: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (site / links.MAP).read_text()
    svg = text[text.index('<svg class="map-still"') : text.index("</svg>", text.index('<svg class="map-still"'))]
    assert svg.count("<circle") == 9
    assert svg.count('class="open"') == 3
    assert 'href="families/betulaceae/concept-01.html"' in svg
    assert "<img src=x" not in text
    monkeypatch.setattr(view_map, "MOST_LINKED", 8)
    monkeypatch.setattr(view_map, "MOST_LISTED", 8)
    text = (bake(run_folder, tmp_path / "site").site / links.MAP).read_text()
    assert "<circle" not in text[: text.index('<canvas class="map-canvas')].partition('<svg class="map-still"')[2]
    assert len(re.findall(r"M\d+ \d+h0", text)) == 6 + 2 * 3  # the hollow ones are drawn twice
    assert "families/betulaceae/concept-01.html" not in text
    assert 'href="families/betulaceae/index.html"' in text


def test_a_run_without_places_has_no_map(tmp_path: Path) -> None:
    site = bake(make_run(tmp_path / "run", n_families=2, bare=True)).site
    assert not (site / links.MAP).exists()
    assert not (site / links.MAP_DATA).exists()
    assert ">Map<" not in (site / links.HOME).read_text()


def test_every_word_of_the_script_is_used() -> None:
    words = Words.load(find_resource("locale") / "en")
    script = (find_resource("static") / "js/map.js").read_text()
    assert set(re.findall(r"\bsaid\.([a-z_]+)", script)) == set(words.table("map.script"))


# --- in a browser ----------------------------------------------------------------------------------------------


def view_of(page: Any) -> dict[str, float]:
    asked = parse_qs(urlsplit(page.url).fragment)
    return {name: float(asked[name][0]) for name in ("x", "y", "z")}


def wait_for_view(page: Any, is_there: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    def fits(url: str) -> bool:
        asked = parse_qs(urlsplit(url).fragment)
        return "z" in asked and is_there({name: float(asked[name][0]) for name in ("x", "y", "z")})

    page.wait_for_url(fits)
    return view_of(page)


def wait_until_drawn(page: Any) -> None:
    """Wait until the map has its size: before that nothing lies under the pointer."""
    page.wait_for_function("document.querySelector('canvas').width !== 300")  # a canvas's own


def wait_for_whole(page: Any) -> None:
    page.wait_for_url(lambda url: "z=" not in url)


def count_of(page: Any, text: str) -> None:
    page.locator("[data-count]", has_text=re.compile(f"^{text}$")).wait_for()


@pytest.mark.browser
def test_the_map_goes_by_buttons_keys_wheel_and_drag(site: Path, run_folder: Path, browser: Any) -> None:
    concept = next(each for each in read_index(run_folder).families if each.slug == "fagaceae").concepts[0]
    assert concept.position is not None
    x, y = concept.position
    with watched(browser, **CALM) as window:
        page = window.page
        page.add_init_script(
            "window.next_frame = requestAnimationFrame.bind(window); window.frames_asked = 0;"
            "window.requestAnimationFrame = (call) => { window.frames_asked += 1; return next_frame(call); };"
        )
        page.goto((site / links.MAP).as_uri())
        count_of(page, "9 of 9")
        canvas = page.locator("#map")

        page.get_by_role("button", name="Zoom in").click()
        assert wait_for_view(page, lambda view: view["z"] > 1.5)["z"] == pytest.approx(1.6)
        canvas.focus()
        page.keyboard.press("+")
        wait_for_view(page, lambda view: view["z"] == pytest.approx(2.56))
        page.keyboard.press("-")
        before = wait_for_view(page, lambda view: view["z"] == pytest.approx(1.6))
        page.keyboard.press("ArrowLeft")
        left = wait_for_view(page, lambda view: view["x"] < before["x"])
        page.get_by_role("button", name="Move down").click()
        wait_for_view(page, lambda view: view["y"] > left["y"])
        page.get_by_role("button", name="All").click()
        wait_for_whole(page)

        box = canvas.bounding_box()
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.move(*middle)
        page.wait_for_timeout(600)  # clicking may have scrolled the page, and a wheel that follows goes on scrolling it
        page.mouse.wheel(0, -200)
        before = wait_for_view(page, lambda view: view["z"] > 1.2)
        page.mouse.down()
        page.mouse.move(middle[0] + 80, middle[1], steps=4)
        page.mouse.up()
        wait_for_view(page, lambda view: view["x"] < before["x"])
        assert urlsplit(page.url).path.endswith("/map.html")  # a drag opens nothing
        page.mouse.move(0, 0)
        page.wait_for_load_state("networkidle")
        asked = page.evaluate(TEN_FRAMES)
        assert asked[0] == asked[-1]  # it is drawn on change alone

        page.goto(f"{(site / links.MAP).as_uri()}#x={x:.4f}&y={y:.4f}&z=4")
        canvas.focus()
        page.keyboard.press("+")
        page.keyboard.press("-")
        page.locator("#map-card", has_text="Fagaceae").wait_for()
        page.keyboard.press("Escape")
        assert page.locator("#map-card").is_hidden()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{links.concept_page(concept.id)}")
        page.go_back()
        wait_until_drawn(page)
        wait_for_view(page, lambda view: view["z"] == pytest.approx(4, abs=0.01))
        page.mouse.click(*middle)
        page.wait_for_url(f"**/{links.concept_page(concept.id)}")
        assert window.complaints == []
        assert [url for url in window.requests if not url.startswith(("file://", "data:"))] == []


@pytest.mark.browser
def test_the_list_follows_the_map_and_its_filters(site: Path, run_folder: Path, browser: Any) -> None:
    first = next(each for each in read_index(run_folder).families if each.slug == "betulaceae").concepts[0]
    assert first.position is not None
    with watched(browser, **CALM) as window:
        page = window.page
        page.goto((site / links.MAP).as_uri())
        count_of(page, "9 of 9")
        page.get_by_label("Name", exact=True).fill("bétul")
        count_of(page, "3 of 9")
        assert page.locator("#map-list .whose").all_inner_texts() == ["Betulaceae"]
        page.wait_for_url("**#name=b%C3%A9tul")
        page.get_by_label("Name", exact=True).fill("nothing of the kind")
        page.get_by_text("Nothing is called that.").wait_for()
        page.get_by_label("Name", exact=True).fill("")
        page.locator("#map-family").select_option("fagaceae")
        page.wait_for_url("**#family=fagaceae*")
        count_of(page, "3 of 9")
        assert page.locator("#map-list .whose").all_inner_texts() == ["Fagaceae"]
        page.goto(f"{(site / links.MAP).as_uri()}#x={first.position[0]:.4f}&y={first.position[1]:.4f}&z=10")
        page.locator("#map-list a", has_text=f"Concept {number_of(first)}").wait_for()
        assert "9 of 9" not in page.locator("[data-count]").inner_text()
        page.goto(f"{(site / links.MAP).as_uri()}#map=families")
        count_of(page, "3 of 3")
        page.get_by_label("concepts", exact=True).check()
        count_of(page, "9 of 9")
        link = page.locator("#map-list ul a").first
        link.focus()
        assert page.locator("#map-card").is_visible()
        link.click()
        page.wait_for_url("**/families/**/concept-*.html")
        assert window.complaints == []


@pytest.mark.browser
def test_fingers_scroll_the_page_until_two_or_the_reader_ask_for_the_map(site: Path, browser: Any) -> None:
    with served(site) as address, watched(browser, has_touch=True, is_mobile=True, **CALM) as window:
        page = window.page
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(f"{address}{links.MAP}")
        count_of(page, "9 of 9")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.locator("#map").scroll_into_view_if_needed()
        box = page.locator("#map").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        fingers = window.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            spots = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

        def swipe(end: str) -> None:
            touch("touchStart", (x, y))
            for step in range(1, 8):
                touch("touchMove", (x - 10 * step, y - 14 * step))
            touch(end)

        top = page.evaluate("scrollY")
        page.evaluate(
            "() => { window.moved = new Promise((done) => addEventListener('scroll', done, { once: true })); }"
        )
        swipe("touchCancel")  # what is cancelled does not coast on
        page.evaluate("window.moved.then(() => true)")
        assert page.evaluate("scrollY") > top
        assert "z=" not in page.url
        page.evaluate(f"scrollTo(0, {top})")
        touch("touchStart", (x - 40, y), (x + 40, y))
        for step in range(1, 8):
            touch("touchMove", (x - 40 - 6 * step, y), (x + 40 + 6 * step, y))
        touch("touchEnd")
        wait_for_view(page, lambda view: view["z"] > 1.5)
        assert page.evaluate("scrollY") == top
        page.get_by_role("button", name="All").tap()
        wait_for_whole(page)
        page.get_by_role("button", name="Move with one finger").tap()
        page.locator("#map").scroll_into_view_if_needed()
        page.evaluate(f"scrollTo(0, {top})")
        swipe("touchEnd")
        wait_for_view(page, lambda view: view["z"] == pytest.approx(1))
        assert page.evaluate("scrollY") == top
        assert all(BASE in url for url in window.requests)
        assert window.complaints == []


@pytest.mark.browser
def test_without_scripts_the_map_stands_still_and_the_list_holds_all(site: Path, browser: Any) -> None:
    with watched(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto((site / links.MAP).as_uri())
        assert page.locator("#map").is_hidden()
        assert page.locator(".map-filter").is_hidden()
        assert page.locator("#map-list ul a").count() == 9
        page.locator(".map-still circle").first.click()
        page.wait_for_url("**/concept-*.html")
