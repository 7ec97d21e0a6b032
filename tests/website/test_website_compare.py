"""Two families compared: the ranking, the sums, the pages of pairs, and the page on which any two are chosen."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from reference import list_partings
from website.synthetic_run import make_run
from website.test_website_browser import BASE, served, watched

from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.comparing import (
    FEW_PAIRS,
    ComparedConcept,
    ComparedFamily,
    dump_compared,
    find_shared,
    list_pairs,
    parse_compared,
    rank_partings,
    weigh,
)
from leaflineage.website.reading import read_index
from leaflineage.website.view_compare import MOST_TICKS, make_ticks
from leaflineage.website.words import Words

FAMILIES = ("betulaceae", "fagaceae", "ulmaceae")
HOSTILE = "img-src-x-onerror-alert-1"


def make_family(
    slug: str, *, seed: int, n_concepts: int = 6, similar: tuple[tuple[str, float], ...] = ()
) -> ComparedFamily:
    dice = random.Random(seed)

    def column() -> tuple[float, ...]:
        return tuple(round(dice.gauss(0, 0.4), 4) for _ in FAMILIES)

    return ComparedFamily(
        slug=slug,
        name=slug.title(),
        address=links.family_page(slug),
        n_counted=20,
        held_out=True,
        picture=None,
        compared=FAMILIES,
        concepts=tuple(
            ComparedConcept(
                id=f"{slug}/concept-{n:02d}",
                title=f"Concept {n}",
                inside=f"concept {n}",
                address=links.concept_page(f"{slug}/concept-{n:02d}"),
                share="10 %",
                unstable=n == n_concepts,
                picture=None,
                to=column(),
                similar=similar if n == 1 else (),
            )
            for n in range(1, n_concepts + 1)
        ),
        rest=column(),
        bias=column(),
        confused={"fagaceae": 2},
    )


def to_dict(family: ComparedFamily) -> dict[str, dict[str, float]]:
    return {
        each.id: {slug: value for slug, value in zip(family.compared, each.to, strict=True) if value is not None}
        for each in family.concepts
    }


@pytest.mark.parametrize("seed", range(5))
def test_concepts_stand_by_the_difference_of_their_contributions(seed: int) -> None:
    first, second = make_family("betulaceae", seed=seed), make_family("fagaceae", seed=seed + 100)
    found = rank_partings(first, second)
    assert found is not None
    expected = list_partings(to_dict(first), to_dict(second), first.slug, second.slug)
    assert [(each.concept.id, each.difference) for each in found] == expected


def test_the_order_of_the_two_changes_nothing_but_the_sign() -> None:
    first, second = (
        make_family("betulaceae", seed=1, similar=(("fagaceae/concept-02", 0.6),)),
        make_family("fagaceae", seed=2),
    )
    one, other = rank_partings(first, second), rank_partings(second, first)
    assert one is not None
    assert other is not None
    assert [(each.concept.id, each.difference, each.shared) for each in one] == [
        (each.concept.id, -each.difference, each.shared) for each in other
    ]
    assert [(a.id, b.id, value) for a, b, value in find_shared(first, second)] == [
        (a.id, b.id, value) for b, a, value in find_shared(second, first)
    ]
    assert weigh(first, second) != weigh(second, first)


def test_equal_differences_go_by_id() -> None:
    first, second = make_family("betulaceae", seed=1), make_family("fagaceae", seed=1)
    found = rank_partings(first, second)
    assert found is not None
    assert [each.concept.id for each in found[:2]] == sorted(each.concept.id for each in found[:2])
    assert found[0].difference == found[1].difference


def test_a_concept_is_shared_whichever_family_says_so() -> None:
    said = make_family("betulaceae", seed=1, similar=(("fagaceae/concept-02", 0.6), ("ulmaceae/concept-01", 0.9)))
    other = make_family("fagaceae", seed=2)
    assert [(a.id, b.id, value) for a, b, value in find_shared(other, said)] == [
        ("fagaceae/concept-02", "betulaceae/concept-01", 0.6)
    ]
    found = rank_partings(other, said)
    assert found is not None
    assert {each.concept.id for each in found if each.shared} == {"fagaceae/concept-02", "betulaceae/concept-01"}


def test_what_parts_two_families_sums_to_the_difference_of_their_logits() -> None:
    own, other = make_family("betulaceae", seed=3), make_family("fagaceae", seed=4)
    balance = weigh(own, other)
    assert balance is not None
    columns = [*(each.to for each in own.concepts), own.rest, own.bias]
    logits = [sum(column[place] or 0.0 for column in columns) for place in (0, 1)]
    assert balance.total == pytest.approx(logits[0] - logits[1])
    unstable = own.concepts[-1].to
    assert unstable[0] is not None
    assert unstable[1] is not None
    assert balance.unstable == pytest.approx(unstable[0] - unstable[1])


def test_what_is_not_known_is_not_compared() -> None:
    own, other = make_family("betulaceae", seed=3), make_family("platanaceae", seed=4)
    assert rank_partings(own, other) is None
    assert weigh(own, other) is None


def test_a_family_survives_its_script() -> None:
    family = make_family("betulaceae", seed=3, similar=(("fagaceae/concept-02", 0.6),))
    assert parse_compared(dump_compared(family)) == family


@pytest.mark.parametrize("axis", [(-0.3, 1.2), (-0.021, 0.04), (-30.0, 2.0), (-0.04, 1.04)])
def test_ticks_are_round_few_and_on_the_axis(axis: tuple[float, float]) -> None:
    ticks = list(make_ticks(axis))
    assert 2 <= len(ticks) <= MOST_TICKS + 1
    assert all(0 <= tick.at <= 1 for tick in ticks)
    assert sum(tick.text.lstrip("0.") == "" for tick in ticks) == 1


# --- the pages -------------------------------------------------------------------------------------------------


def test_confused_pairs_have_pages_and_the_page_of_all_lists_them(site: Path, run_folder: Path) -> None:
    pairs = list_pairs(run_folder, read_index(run_folder))
    assert pairs.baked[0] == ("betulaceae", HOSTILE)
    assert pairs.confused[pairs.baked[0]] == 6
    text = (site / links.COMPARE).read_text()
    for first, second in pairs.baked:
        assert (site / links.compare_page(first, second)).is_file()
        assert f'href="{first}--{second}.html"' in text
    assert 'aria-current="page"' in text  # of the navigation


def test_a_pair_is_compared_without_scripts_and_names_do_no_harm(site: Path) -> None:
    text = (site / links.compare_page("betulaceae", HOSTILE)).read_text()
    assert "<img src=x" not in text
    assert "What separates these two for this network." in text
    assert text.count("<tr") - text.count('<tr class="unstable"') >= 5
    assert "<img src=x" not in (site / links.compare_file(HOSTILE)).read_text()


def test_an_older_run_compares_near_families_and_one_without_contributions_none(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", n_families=2, bare=True)
    site = bake(run).site
    assert check_site(site) == []
    text = (site / links.compare_page("betulaceae", HOSTILE)).read_text()
    assert 'id="compare-balance" hidden' in text
    for path in run.glob("families/*/family.json"):
        record = json.loads(path.read_text())
        for concept in record["family"]["concepts"]:
            concept["contributions"] = {}
        path.write_text(json.dumps(record))
    site = bake(run).site
    assert not (site / "compare").exists()
    assert not (site / "assets/compare").exists()
    assert "Compare" not in (site / links.HOME).read_text()
    assert check_site(site) == []


def test_few_confusions_leave_room_for_near_families(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", n_families=3)
    path = run / "index.json"
    index = json.loads(path.read_text())
    for family in index["families"]:
        family["confused_with"] = []
    path.write_text(json.dumps(index))
    baked = list_pairs(run, read_index(run)).baked
    assert 0 < len(baked) <= FEW_PAIRS
    assert all(first < second for first, second in baked)


def wait_for(page: Any, heading: str) -> None:
    page.locator("h1", has_text=re.compile(heading)).wait_for()


@pytest.mark.parametrize(
    ("link", "is_dead"),
    [
        (links.compare_pair("betulaceae", "fagaceae"), False),
        (links.compare_pair("betulaceae", "nobody"), True),
        (links.map_family("fagaceae"), False),
        (links.map_family("nobody"), True),
    ],
)
def test_the_check_knows_what_an_address_may_choose(site_copy: Path, link: str, is_dead: bool) -> None:
    page = site_copy / links.METHOD
    page.write_text(page.read_text().replace("</main>", f'<a href="{link}">x</a></main>'))
    assert [each.rule for each in check_site(site_copy)] == ["dead-anchor"] * is_dead


def test_every_word_of_the_script_is_used() -> None:
    words = Words.load(find_resource("locale") / "en")
    script = (find_resource("static") / "js/compare.js").read_text()
    counted = {f"{key}_{n}" for key in ("shares", "confused", "confused_held") for n in ("none", "one", "other")}
    assert set(re.findall(r"\bsaid\.([a-z_]+)", script)) == set(words.table("compare.script")) - counted


PARTS = ("lead", "leaves", "ticks", "rows", "shared", "none", "sums", "balance", "trouble")
SHAPE = """(parts) => {
  const tell = (element) => [element.localName, ...[...element.attributes].map(({ name, value }) =>
    name + "=" + (name === "href" || name === "src" ? new URL(value, location.href).href : value)).sort()].join(" ");
  return [document.querySelector("h1").innerText, ...parts.map((part) => {
    const holder = document.getElementById("compare-" + part);
    const inside = part === "balance" ? [] : [...holder.querySelectorAll("*")];
    const texts = [holder, ...inside].map((element) => element.textContent.replace(/\\s+/g, " ").trim());
    return [holder.hidden, inside.map(tell), part === "balance" ? "" : texts.map((text) => text.replace(/ /g, ""))];
  })];
}"""


@pytest.mark.browser
def test_any_two_families_are_compared_as_their_own_page_compares_them(site: Path, browser: Any) -> None:
    address = (site / links.COMPARE).as_uri()
    with watched(browser) as window:
        page = window.page
        page.goto((site / links.compare_page("betulaceae", HOSTILE)).as_uri())
        baked = page.evaluate(SHAPE, PARTS)
        page.goto(f"{address}#{HOSTILE}+betulaceae")
        wait_for(page, r"^<img")
        turned = page.evaluate(SHAPE, PARTS)
        assert turned != baked
        page.get_by_role("button", name="Swap the two").click()
        wait_for(page, "^Betulaceae")
        assert page.url.endswith(f"#betulaceae+{HOSTILE}")
        assert page.evaluate(SHAPE, PARTS) == baked

        page.locator("#choose-second").select_option("fagaceae")
        wait_for(page, "Fagaceae$")
        assert page.url.endswith("#betulaceae+fagaceae")
        assert page.title().startswith("Betulaceae and Fagaceae")
        assert page.locator("#compare-status").text_content() == "Betulaceae and Fagaceae compared."
        page.locator("#choose-first").select_option("fagaceae")  # the other one: they change places
        wait_for(page, "^Fagaceae")
        assert page.locator("#choose-second").input_value() == "betulaceae"
        page.go_back()
        wait_for(page, "^Betulaceae")

        shown = page.locator("#compare-rows tr:visible").count()
        page.get_by_label("Unstable concepts too").focus()
        page.keyboard.press("Space")
        assert page.locator("#compare-rows tr:visible").count() == shown + 2
        assert window.complaints == []
        assert [url for url in window.requests if not url.startswith(("file://", "data:"))] == []


@pytest.mark.browser
def test_comparing_works_without_scripts_under_a_base_path_and_on_a_phone(site: Path, browser: Any) -> None:
    with served(site) as address, watched(browser) as window:
        window.page.set_viewport_size({"width": 390, "height": 800})
        window.page.goto(f"{address}{links.compare_pair('fagaceae', 'betulaceae')}")
        wait_for(window.page, "^Fagaceae")
        assert window.page.evaluate("document.documentElement.scrollWidth") == 390
        assert all(BASE in url for url in window.requests)
        assert window.complaints == []
    with watched(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto((site / links.COMPARE).as_uri())
        assert page.locator("#choose-first").is_hidden()
        assert page.locator("#compare-rows tr:visible").count() == 4
        page.locator("#unstable").check()
        assert page.locator("#compare-rows tr:visible").count() == 6
        page.locator(".pairs a").first.click()
        assert page.url.endswith(links.compare_page("betulaceae", HOSTILE))
