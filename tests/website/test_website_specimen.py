"""A specimen's page: which specimens have one, what the classifier makes of the leaf, why, and what is near it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.records import AtlasSpecimen, FamilyRecord, Index
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.context import Site, list_all_crops
from leaflineage.website.facts import RecordFacts, look_through
from leaflineage.website.reading import read_index
from leaflineage.website.rights import Rights
from leaflineage.website.shown import FEWEST_PAGES, list_shown
from leaflineage.website.view_specimen import view_specimen
from leaflineage.website.words import Words

MINUS = "\u2212"


def read_records(run: Path) -> list[FamilyRecord]:
    return [FamilyRecord.model_validate_json(path.read_text()) for path in sorted(run.glob("families/*/family.json"))]


@pytest.fixture(scope="module")
def record(run_folder: Path) -> FamilyRecord:
    return FamilyRecord.model_validate_json((run_folder / "families" / "betulaceae" / "family.json").read_text())


@pytest.fixture(scope="module")
def whole_site(run_folder: Path, site: Path) -> Site:
    index = Index.model_validate_json((run_folder / "index.json").read_text())
    plan = frozenset(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    return Site(index, Words.load(find_resource("locale") / "en"), plan, None, None)


def page_of(site: Path, specimen: str) -> str:
    return (site / links.specimen_page(specimen)).read_text()


def find_mistaken(record: FamilyRecord) -> AtlasSpecimen:
    wanted = record.family.mistakes[0].specimen
    return next(each for each in record.specimens if each.id == wanted)


def test_pages_exist_for_queries_and_for_specimens_that_some_page_shows(site: Path, run_folder: Path) -> None:
    index = Index.model_validate_json((run_folder / "index.json").read_text())
    wanted = {query.id for query in index.queries}
    for record in read_records(run_folder):
        family = record.family
        wanted |= {crop.specimen for concept in family.concepts for crop in list_all_crops(concept)}
        wanted |= {each.specimen for each in family.mistakes} | {str(family.representative)}
    found = {path.stem for path in (site / "specimens").glob("*.html")}
    assert found == wanted


def test_a_withheld_specimen_has_no_page_and_no_link(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_concepts=2, n_crops=2)
    path = run / "families" / "betulaceae" / "family.json"
    data = json.loads(path.read_text())
    hidden = data["family"]["mistakes"][0]["specimen"]
    next(each for each in data["specimens"] if each["id"] == hidden)["withheld"] = True
    path.write_text(json.dumps(data))
    site = bake(run).site
    assert not (site / links.specimen_page(hidden)).exists()
    for page in site.rglob("*.html"):
        assert f"{hidden}.html" not in page.read_text(), page


def test_a_mistake_is_told_with_both_sides(site: Path, record: FamilyRecord) -> None:
    specimen = find_mistaken(record)
    text = page_of(site, specimen.id)
    taken, own = specimen.predicted[0], record.family
    lead = re.sub(r"<[^>]+>", "", text.partition('<p class="lead">')[2].partition("</p>")[0])
    assert lead.startswith(f"A leaf of {own.name} that the classifier takes for ")
    assert "classifier score 0.70, against 0.20 for Betulaceae" in lead
    anchors = re.findall(r'<h2 id="for-([^"]+)">', text)
    assert len(anchors) == 2
    assert anchors[1] == own.slug
    assert taken.family != own.name
    maps = re.findall(r'<image id=(\S+) href="data:image/webp;base64,', text)
    assert len(maps) == len(set(maps)) == len(specimen.heatmaps)


def test_bars_and_bias_sum_to_what_the_page_says(site: Path, record: FamilyRecord) -> None:
    specimen = next(each for each in record.specimens if each.predicted[0].family == record.family.name)
    text = page_of(site, specimen.id)
    table = text.partition('<table class="balance bars spots')[2].partition("</table>")[0]
    logits = re.findall(r"</svg></td><td>([+\u2212]?[\d.]+)</td>", table)
    bias, total = re.findall(r"With the bias, (\S+), the bars sum to that logit, (\S+)\.", text)[0]
    assert len(logits) == len(record.family.concepts) + 1
    assert f"+{specimen.contributions['betulaceae/bias']:.2f}" == bias
    exact = sum(specimen.contributions.values())
    assert f"{exact:+.2f}".replace("-", MINUS) == total


def weaken(specimen: AtlasSpecimen, n: int) -> AtlasSpecimen:
    """The leaf, its last concepts adding next to nothing."""
    concepts = sorted(key for key in specimen.contributions if "/concept-" in key)
    small = {key: (-1) ** place * 1e-3 * (place + 1) for place, key in enumerate(concepts[len(concepts) - n :])}
    others = dict.fromkeys(concepts[: len(concepts) - n], 0.5)
    return specimen.model_copy(update={"contributions": {**specimen.contributions, **others, **small}})


def test_concepts_that_hardly_count_share_a_row_and_the_bars_sum_all_the_same(
    whole_site: Site, record: FamilyRecord
) -> None:
    specimen = next(each for each in record.specimens if each.predicted[0].family == record.family.name)
    n = len(record.family.concepts)
    for n_weak, n_rows in ((0, n), (1, n), (2, n - 1)):
        leaf = weaken(specimen, n_weak)
        (found,) = view_specimen(whole_site, leaf).explanations
        assert len(found.rows) == n_rows + 1  # the rest
        exact = sum(value for key, value in leaf.contributions.items() if not key.endswith("/bias"))
        assert sum(row.logits for row in found.rows) == pytest.approx(exact)
        assert ("share a row" in found.gathered) == (n_weak > 1)
        assert (found.rows[-2].label == f"{n_weak} other concepts") == (n_weak > 1)
        assert all(row.heat for row in found.rows[:-2])
    (whole,) = view_specimen(whole_site, weaken(specimen, 2).model_copy(update={"role": "query"})).explanations
    assert len(whole.rows) == n + 1
    assert whole.gathered == ""


def test_a_plain_rest_is_the_own_familys_and_nobody_elses(whole_site: Site, record: FamilyRecord) -> None:
    specimen = find_mistaken(record)
    plain = {"betulaceae/rest": "rest", "betulaceae/bias": "bias"}
    values = {plain.get(key, key): value for key, value in specimen.contributions.items()}
    other = next(key for key in values if key.endswith("/rest"))
    del values[other]
    page = view_specimen(whole_site, specimen.model_copy(update={"contributions": values}))
    theirs, own = page.explanations
    assert [row.bar.fill for row in own.rows].count("rest") == 1
    assert [row.bar.fill for row in theirs.rows].count("rest") == 0
    assert own.total is not None
    assert theirs.total is None


def test_scores_are_never_called_probabilities(site: Path) -> None:
    allowed = ("Score, not probability: the network must choose", "They are not calibrated, and no probabilities.")
    for page in (site / "specimens").glob("*.html"):
        text = page.read_text()
        assert "lassifier score" in text
        for sentence in allowed:
            assert sentence in text
            text = text.replace(sentence, "")
        assert "probab" not in text
        assert "An identification needs a person and a publication." in text


def test_near_specimens_show_their_squares_and_the_same_leaf_is_marked(site: Path, record: FamilyRecord) -> None:
    sheet = record.family.thumbnails
    assert sheet is not None
    marked = 0
    for specimen in record.specimens:
        page = site / links.specimen_page(specimen.id)
        if not page.is_file():
            continue
        items = re.findall(r"<li>.*?</li>", page.read_text().partition('class="near-leaves"')[2], re.DOTALL)
        for near, item in zip(specimen.neighbours, items[: len(specimen.neighbours)], strict=True):
            assert near.place is not None
            row, column = divmod(near.place, sheet.columns)
            assert f'viewBox="{column * sheet.side} {row * sheet.side} {sheet.side} {sheet.side}"' in item
            assert f"/media/families/{near.family}/thumbnails" in item
            assert ("the same leaf" in item) == near.same_group
            has_page = (site / links.specimen_page(near.id)).is_file()
            assert (f'href="{near.id}.html"' in item) == has_page
            marked += near.same_group
    assert marked > 0


def test_the_label_says_whose_the_picture_is_or_that_nobody_stated_it(site: Path, record: FamilyRecord) -> None:
    stated = set()
    for specimen in record.specimens:
        page = site / links.specimen_page(specimen.id)
        if page.is_file():
            label = page.read_text().partition('<dl class="label-facts">')[2].partition("</dl>")[0]
            assert f'<dd><i lang="la">{specimen.genus} {specimen.species}</i></dd>' in label
            assert f"<dd>{specimen.licence or 'not stated'}</dd>" in label
            assert f"<dd>{specimen.credit or 'not stated'}</dd>" in label
            assert f"<dd>{specimen.catalogue_number}</dd>" in label
            assert ("not trained on" in label) == (specimen.split == "held-out")
            stated.add(specimen.licence)
    assert stated == {None, "CC BY 4.0"}


def test_a_query_is_explained_for_each_candidate_with_its_own_files_of_maps(site: Path, run_folder: Path) -> None:
    query = Index.model_validate_json((run_folder / "index.json").read_text()).queries[0]
    text = page_of(site, query.id)
    assert "<h1>Query unknown--1</h1>" in text
    assert text.count('<table class="balance bars spots') == 2
    for heatmap in query.heatmaps:
        assert f'href="../media/{heatmap.heatmap}"' in text
        assert (site / links.media(heatmap.heatmap)).is_file()


def test_a_leaf_without_scores_maps_or_neighbours_is_shown_all_the_same(whole_site: Site, record: FamilyRecord) -> None:
    bare = {"predicted": [], "contributions": {}, "importances": {}, "heatmaps": [], "neighbours": [], "genus": None}
    page = view_specimen(whole_site, record.specimens[0].model_copy(update={**bare, "species": None}))
    assert (page.predicted, page.explanations, page.neighbours, page.heat_caption) == ((), (), (), "")
    assert page.sentence == "The classifier’s scores of this leaf were not computed."
    assert page.title == "LL 000"
    assert not page.latin


# --- in a browser --------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_maps_lie_over_the_small_leaves_and_the_page_fits_a_phone(
    site: Path, record: FamilyRecord, browser: Any
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto((site / links.specimen_page(find_mistaken(record).id)).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    leaves = page.locator(".spots td:first-child svg")
    assert leaves.count() == len(find_mistaken(record).heatmaps)
    for leaf in leaves.all():
        box = leaf.bounding_box()
        assert min(box["width"], box["height"]) > 40
        for part in leaf.locator("use, image").all():
            assert part.bounding_box() == pytest.approx(box, abs=1)
    drawn = page.evaluate(
        "[...document.querySelectorAll('.near-leaves image')].every((each) => each.getBoundingClientRect().width > 0)"
    )
    assert drawn
    assert complaints == []
    context.close()


def test_a_site_of_many_families_has_pages_of_the_specimens_that_tell_most(
    run_folder: Path, record: FamilyRecord
) -> None:
    facts = {slug: look_through(run_folder, slug, None) for slug in ("betulaceae", "fagaceae")}
    families = {family.slug: family for family in read_index(run_folder).families}
    mistaken = [each.specimen for each in record.family.mistakes]
    assert facts["betulaceae"].named[: len(mistaken)] == mistaken
    everybody = list_shown(facts, families, Rights())
    crowd = {**facts, **{f"family-{i:04d}": RecordFacts.pack("0" * 64, [], [], []) for i in range(1_000)}}
    fewer = list_shown(crowd, families, Rights())
    assert set(fewer) <= set(everybody)
    assert set(mistaken) <= set(fewer)
    for slug, found in facts.items():
        shown = [name for name, each in fewer.items() if each.slug == slug]
        assert set(shown) == set(found.named[:FEWEST_PAGES])
