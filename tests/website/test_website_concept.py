"""A concept's page: crops of each kind, whole leaves, where on the leaf, other families, and the way to the numbers."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.records import AtlasConcept, FamilyRecord, Index, ZoneShare
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.context import Site, number_of
from leaflineage.website.leaves import shorten_species, view_zones
from leaflineage.website.view_concept import GRADES
from leaflineage.website.words import Words

ENGLISH = find_resource("locale") / "en"


@pytest.fixture(scope="module")
def record(run_folder: Path) -> FamilyRecord:
    return FamilyRecord.model_validate_json((run_folder / "families" / "betulaceae" / "family.json").read_text())


def page_of(site: Path, concept: AtlasConcept) -> str:
    return (site / links.concept_page(concept.id)).read_text()


def cut(text: str, start: str, end: str) -> str:
    """The part of a page from one mark to the next of another."""
    assert start in text
    return start + text.partition(start)[2].partition(end)[0]


def test_only_the_strongest_crops_stand_in_the_strip_and_on_whole_leaves(site: Path, record: FamilyRecord) -> None:
    for concept in record.family.concepts:
        top = [crop for crop in concept.crops if crop.kind == "top"]
        assert 0 < len(top) < len(concept.crops)
        text = page_of(site, concept)
        strip, leaves = cut(text, 'class="crops ten"', "</ul>"), cut(text, 'class="leaves"', "</ul>")
        assert re.findall(r'<img src="[./]+/media/([^"]+)"', strip) == [crop.image for crop in top]
        heats = re.findall(r'"heat pencil"[^>]*><image id=\S+ href="[./]+/media/([^"]+)"', leaves)
        assert heats == [crop.heatmap for crop in top]


def test_crops_from_strong_to_absent_stand_under_their_own_heading(site: Path, record: FamilyRecord) -> None:
    concept = record.family.concepts[0]
    grades = re.findall(r'<div class="grade">.*?</ul>', page_of(site, concept), re.DOTALL)
    headings = ("99th percentile", "90th percentile", "50th percentile", "Counter-examples")
    assert len(grades) == len(GRADES)
    for kind, heading, text in zip(GRADES, headings, grades, strict=True):
        assert f"<h3>{heading}<" in text
        assert re.findall(r'src="[./]+/media/([^"]+)"', text) == [c.image for c in concept.crops if c.kind == kind]


def test_under_every_crop_and_every_whole_leaf_stands_the_way_to_its_specimen(site: Path, record: FamilyRecord) -> None:
    for concept in record.family.concepts:
        owners = {path: crop.specimen for crop in concept.crops for path in (crop.image, crop.heatmap)}
        text = page_of(site, concept)
        lists = re.findall(r'<ul class="(?:crops|leaves)[^>]*>.*?</ul>', text, re.DOTALL)
        items = [item for each in lists for item in re.findall(r"<li>.*?</li>", each, re.DOTALL)]
        assert len(items) == len(concept.crops) + sum(crop.kind == "top" for crop in concept.crops)
        for item in items:
            pictures = re.findall(r'(?:src|image id=\S+ href)="[./]+/media/([^"]+)"', item)
            owner = next(owners[path] for path in pictures if path in owners)
            assert f'<p><a href="../../specimens/{owner}.html">' in item
            assert f'href="../../media/{pictures[0]}"' in item


def test_the_pointer_leads_to_the_concept_in_the_data(site: Path) -> None:
    atlas = json.loads((site / links.ATLAS_DATA).read_text())
    pages = sorted(site.glob("families/*/concept-*.html"))
    assert len(pages) == 9
    for page in pages:
        pointer = re.findall(r"<code>(/[^<]+)</code>", page.read_text())
        found: Any = atlas
        for step in pointer[0].split("/")[1:]:
            found = found[int(step) if step.isdigit() else step]
        assert found["id"] == f"{page.parent.name}/{page.stem}"
        assert f'href="../../{links.ATLAS_DATA}"' in page.read_text()


def test_the_table_behind_the_histogram_counts_every_image_once(site: Path, record: FamilyRecord) -> None:
    for concept in record.family.concepts:
        text = page_of(site, concept)
        rows = re.findall(r"<td>(\d+)</td>", cut(text, 'class="as-table"', "</details>"))
        bars = re.findall(r'y="-6">(\d+)</text>', cut(text, 'class="histogram"', "</figure>"))
        assert sum(map(int, rows)) == len(concept.image_importances)
        assert [count for count in rows if count != "0"] == bars


def test_what_it_says_of_other_families_begins_with_its_own_and_falls(site: Path, record: FamilyRecord) -> None:
    concept = record.family.concepts[0]
    table = cut(page_of(site, concept), 'class="balance others"', "</table>")
    names = re.findall(r'<a href="[^"]+" lang="la">([^<]+)</a>', table)
    values = [float(text.replace("\u2212", "-")) for text in re.findall(r'<td class="n">([+\u2212]?[\d.]+)', table)]
    assert names[0] == record.family.name
    assert table.count('class="own"') == 1
    assert values[1:] == sorted(values[1:], reverse=True)
    assert len(values) == len(concept.contributions)


def test_a_similar_concept_shows_its_picture_and_leads_to_it(site: Path, record: FamilyRecord) -> None:
    concept = next(each for each in record.family.concepts if each.similar)
    part = cut(page_of(site, concept), 'class="similar"', "</ul>")
    other = concept.similar[0].id
    assert f'href="../{other}.html"' in part
    assert f"/media/families/{other.replace('/', '/visualizations/')}" in part
    assert "0.71" in part


def test_a_run_without_graded_crops_has_no_empty_heading(tmp_path: Path) -> None:
    site = bake(make_run(tmp_path, n_concepts=2, n_crops=1, bare=True)).site
    for page in (site / "families" / "betulaceae").glob("concept-*.html"):
        text = page.read_text()
        assert 'id="grades"' not in text
        assert 'id="where"' not in text
        assert "None" not in text


def test_a_concept_page_is_small(tmp_path: Path) -> None:
    site = bake(make_run(tmp_path, n_concepts=10, n_crops=10)).site
    for page in (site / "families" / "betulaceae").glob("concept-*.html"):
        assert len(page.read_bytes()) < 48_000
        assert len(gzip.compress(page.read_bytes())) < 8_000


def test_a_species_is_shortened_as_botanists_do() -> None:
    assert shorten_species("Betula pendula") == "B. pendula"
    assert shorten_species("Betula") == "Betula"


# --- where on the leaf ---------------------------------------------------------------------------------------


@pytest.fixture
def bare_site(run_folder: Path) -> Site:
    index = Index.model_validate_json((run_folder / "index.json").read_text())
    return Site(index, Words.load(ENGLISH), frozenset(), None, None)


def share(zone: str, part: float, *interval: float) -> ZoneShare:
    low, high = interval
    return ZoneShare(
        zone=zone, share=part, share_interval=(part, part), enrichment=(low + high) / 2, interval=(low, high)
    )


def test_the_zones_with_most_of_it_for_their_area_have_bars_and_the_ground_a_sentence(
    bare_site: Site, record: FamilyRecord
) -> None:
    zones = [
        share("background", 0.7, 1.0, 1.2),
        share("blade", 0.15, 0.4, 0.6),
        share("base", 0.08, 3, 4),
        share("petiole", 0.05, 5, 9),
        share("apex", 0.004, 8, 9),
        share("foreign", 0.02, 0.5, 1.5),
    ]
    concept = record.family.concepts[0].model_copy(update={"zones": zones, "off_leaf_share": 0.72})
    found = view_zones(bare_site, links.concept_page(concept.id), concept)
    assert found is not None
    assert [(bar.label, bar.times, bar.share) for bar in found.bars] == [
        ("petiole", "7.0 (5.0–9.0)", 0.05),
        ("base", "3.5 (3.0–4.0)", 0.08),
        ("foreign object", "1.0 (0.5–1.5)", 0.02),
    ]
    assert [bar.bar.length for bar in found.bars] == pytest.approx([7 / 9.18, 3.5 / 9.18, 1 / 9.18])
    assert found.even == pytest.approx(1 / 9.18)
    assert found.bars[0].reach is not None
    assert found.bars[0].reach.high == pytest.approx(9 / 9.18)
    assert "72\u202f% of it lies beside the leaf" in found.note


def test_without_zones_there_is_no_leaf(bare_site: Site, record: FamilyRecord) -> None:
    concept = record.family.concepts[0].model_copy(update={"zones": [], "leaf": None})
    assert view_zones(bare_site, links.concept_page(concept.id), concept) is None
    beside = concept.model_copy(update={"zones": [share("background", 1.0, 1.0, 1.1)]})
    assert view_zones(bare_site, links.concept_page(concept.id), beside) is None


def test_the_same_small_leaf_stands_on_the_card_and_on_the_concepts_page(site: Path, record: FamilyRecord) -> None:
    family = (site / links.family_page(record.family.slug)).read_text()
    for concept in record.family.concepts:
        assert concept.leaf is not None
        for text in (family, page_of(site, concept)):
            (found,) = re.findall(
                rf'<img class=zone-leaf src="[./]+/media/{re.escape(concept.leaf.image)}"[^>]*>', text
            )
            assert f"width={concept.leaf.width // 2} height={concept.leaf.height // 2} loading=lazy" in found
            assert f'alt="Concept {number_of(concept)} on a leaf: ' in found


def test_who_named_a_concept_stands_on_a_label_that_tells_persons_from_programs(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=1)
    for path in (run / "index.json", run / "families" / "betulaceae" / "family.json"):
        data = json.loads(path.read_text())
        families = data["families"] if "families" in data else [data["family"]]
        first, second = next(each for each in families if each["slug"] == "betulaceae")["concepts"]
        first["name"] = {
            "text": "toothed margin",
            "source": "expert",
            "author": "A. <b>",
            "date": "2026",
        }
        second["name"] = {"text": "blade", "source": "suggested", "confidence": 0.7}
        second["zones"] = []
        path.write_text(json.dumps(data))
    site = bake(run).site
    concepts = FamilyRecord.model_validate_json(path.read_text()).family.concepts
    one, two = (page_of(site, concept) for concept in concepts)
    assert '<p class="det person"><i>det.</i> A. &lt;b&gt;, 2026</p>' in one
    assert 'class="where"' in one
    assert '<p class="det"><i>det.</i> by a program: a suggestion, confidence 0.70</p>' in two
    assert 'class="where"' not in two
    assert f"concept {number_of(concepts[0])} of 2" in one


# --- in a browser --------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_crop_opens_large_with_scripts_and_alone_without(site: Path, browser: Any) -> None:
    address = (site / "families" / "betulaceae" / "concept-01.html").as_uri()
    for scripted in (True, False):
        context = browser.new_context(viewport={"width": 1024, "height": 900}, java_script_enabled=scripted)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message, found=complaints: found.append(message.text))
        page.goto(address)
        crop = page.locator(".crops.ten li").nth(1)
        picture = Path(crop.locator("img").get_attribute("src")).name
        crop.locator("img").click()
        if scripted:
            assert page.locator("dialog[open] img").get_attribute("src").endswith(picture)
            page.keyboard.press("Escape")
            assert page.locator("dialog[open]").count() == 0
        else:
            page.wait_for_url(f"**/{picture}")
            page.go_back()
        crop.locator("p a").click()
        page.wait_for_url("**/specimens/*.html")
        assert complaints == []
        context.close()
