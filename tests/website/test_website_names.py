"""Names and the shortcut alarm on the pages: who named a concept, what its words mean, what looks past the leaf."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_extras import FLAGGED
from website.synthetic_run import make_run

from leaflineage.records import AtlasConcept, FamilyRecord, Index
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.context import Site
from leaflineage.website.search import make_search_index
from leaflineage.website.words import Words

HOSTILE = "<img src=x onerror=alert(1)>"
NAMES: dict[int, dict[str, Any]] = {
    0: {
        "text": "Petiole + base",
        "plain": "Stalk + base",
        "terms": ["petiole", "base"],
        "source": "suggested",
        "confidence": 0.9,
        "reasons": ["2.00 times its area's share (1.60 at least)"],
    },
    1: {
        "text": f"Lobes {HOSTILE}",
        "terms": ["lobe", "unheard-of"],
        "source": "expert",
        "author": HOSTILE,
        "date": "2026-11-26",
        "note": HOSTILE,
        "agree": ["A. B.", HOSTILE],
        "disagree": ["C. D."],
        "suggested": "Lamina",
        "file": "words of ours/names.toml",
        "line": 12,
    },
    2: {"text": "Margin", "plain": "Edge", "terms": ["margin"], "source": "suggested", "confidence": 0.5},
    3: {"text": "margin", "plain": "Edge", "terms": ["margin"], "source": "suggested", "confidence": 0.4},
    4: {"text": "Apex", "plain": "Tip", "terms": ["apex"], "source": "suggested", "confidence": 0.4},
}
BIRCHES = "families/betulaceae"


def edit_families(run: Path, change: Callable[[dict[str, Any]], None], slug: str = "betulaceae") -> None:
    """Change a family in both records that hold it."""
    for path in (run / "index.json", run / f"families/{slug}/family.json"):
        data = json.loads(path.read_text())
        families = data["families"] if "families" in data else [data["family"]]
        change(next(each for each in families if each["slug"] == slug))
        path.write_text(json.dumps(data))


def give_names(family: dict[str, Any]) -> None:
    for place, concept in enumerate(family["concepts"]):
        concept["name"] = NAMES.get(place)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("named"), n_families=3, n_concepts=6, n_crops=1)
    edit_families(run, give_names)
    report = bake(run, repository="https://example.org/ours/atlas/")
    assert [str(problem) for problem in check_site(report.site)] == []
    return report.site


@pytest.fixture(scope="module")
def concepts(named: Path) -> list[AtlasConcept]:
    record = named.parent / BIRCHES / "family.json"
    return FamilyRecord.model_validate_json(record.read_text()).family.concepts


def page_of(site: Path, concept: AtlasConcept) -> str:
    return (site / links.concept_page(concept.id)).read_text(encoding="utf-8")


# --- names ---------------------------------------------------------------------------------------------------


def test_a_suggestion_is_the_title_with_its_confidence_plain_words_terms_and_reasons(
    named: Path, concepts: list[AtlasConcept]
) -> None:
    text = page_of(named, concepts[0])
    assert "<h1>Petiole + base</h1>" in text
    assert '<p class="det"><i>det.</i> by a program: a suggestion, confidence 0.90</p>' in text
    assert "In plain words: stalk + base." in text
    assert '<a href="../../glossary.html#petiole">petiole</a> and <a href="../../glossary.html#base">base</a>' in text
    assert "2.00 times its area&#39;s share" in text


def test_an_experts_name_leads_to_its_line_and_says_who_agrees(named: Path, concepts: list[AtlasConcept]) -> None:
    text = page_of(named, concepts[1])
    address = "https://example.org/ours/atlas/blob/HEAD/words%20of%20ours/names.toml#L12"
    assert f'<a href="{address}">the line in the file of names</a>' in text
    assert 'class="det person"' in text
    for part in ("C. D. disagrees.", "A program would have said: Lamina.", '#lobe">lobe</a> and unheard-of'):
        assert part in text
    for page in named.rglob("*.html"):
        assert "<img src=x" not in page.read_text(encoding="utf-8"), page


def test_names_that_repeat_within_a_family_are_told_apart_and_others_stay(
    named: Path, concepts: list[AtlasConcept]
) -> None:
    text = (named / links.family_page("betulaceae")).read_text(encoding="utf-8")
    assert re.findall(r"class=card-name>([^<]*)<", text)[2:] == [
        f"Margin (concept {int(concepts[2].id[-2:])})",
        f"Margin (concept {int(concepts[3].id[-2:])})",
        "Apex",
        f"Concept {int(concepts[5].id[-2:])}",
    ]


def test_a_concept_without_a_name_keeps_its_number_and_says_so(named: Path, concepts: list[AtlasConcept]) -> None:
    text = page_of(named, concepts[5])
    assert f"<h1>Concept {int(concepts[5].id[-2:])}</h1>" in text
    assert 'class="det' not in text
    assert "No name has been suggested for it yet." in text


def test_stem_finds_the_petiole(named: Path) -> None:
    index = Index.model_validate_json((named.parent / "index.json").read_text())
    words = Words.load(find_resource("locale") / "en")
    script = make_search_index(Site(index, words, frozenset(), None, None))
    data = json.loads(script.partition("=")[2].strip().rstrip(";"))
    birches = next(each for each in data["families"] if each[0] == "Betulaceae")
    found = {
        data["names"][birches[8][i + 2]]: data["terms"][birches[8][i + 3]]
        for i in range(0, len(birches[8]), 5)
        if birches[8][i + 2] >= 0 and birches[8][i + 3] >= 0
    }
    assert {"stem", "stalk"} <= set(found["Petiole + base"].split())
    assert "petiole" not in found["Petiole + base"].split(), "the name itself is said once"
    assert {"rim", "edge"} <= set(found["Margin"].split())


def test_further_words_stay_small_for_a_whole_atlas(named: Path) -> None:
    """142 families × 10 concepts, every one named: the search data keep their budget of 60 kB."""
    index = Index.model_validate_json((named.parent / "index.json").read_text())
    birches = next(each for each in index.families if each.slug == "betulaceae")
    terms = list(Words.load(find_resource("locale") / "en").entries["glossary"]["term"])
    families = []
    for number in range(142):
        concepts = []
        for place in range(10):
            first, second = terms[(number + place) % 17], terms[(number * 7 + place) % 43]
            name = concepts_name(f"{first} + {second}", [first, second])
            like = birches.concepts[place % 6].model_copy(update={"name": name, "flags": []})
            concepts.append(like)
        families.append(birches.model_copy(update={"slug": f"f-{number}", "concepts": concepts}))
    many = index.model_copy(update={"families": families})
    script = make_search_index(Site(many, Words.load(find_resource("locale") / "en"), frozenset(), None, None))
    assert len(gzip.compress(script.encode())) < 60_000


def concepts_name(text: str, terms: list[str]) -> Any:
    from leaflineage.records import ConceptName

    return ConceptName(text=text, plain=text, terms=terms, source="suggested", confidence=0.5)


# --- the alarm -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flagged(run_folder: Path) -> AtlasConcept:
    """The concept of the made-up run that looks past the leaf."""
    index = Index.model_validate_json((run_folder / "index.json").read_text())
    (found,) = [each for family in index.families for each in family.concepts if "background" in each.flags]
    assert found.rank == FLAGGED
    return found


def test_a_flagged_concept_says_so_on_its_card_and_with_the_numbers_on_its_page(
    site: Path, flagged: AtlasConcept
) -> None:
    card = (site / links.family_page(flagged.id.partition("/")[0])).read_text(encoding="utf-8")
    text = page_of(site, flagged)
    for page in (card, text):
        for badge in ("on the background", "on a foreign object", "tells the source"):
            assert page.count(f'<li class="badge warns">{badge}</li>') == 1
    assert "87\u202f% of it lies beside the leaf" in text
    assert "It tells Swedish Leaf among other families’ images with an AUC of 0.91" in text


def test_the_family_says_what_of_its_importance_flagged_concepts_hold(site: Path, flagged: AtlasConcept) -> None:
    slug = flagged.id.partition("/")[0]
    share = f"{flagged.importance.share * 100:.0f}\u202f%"
    text = (site / links.family_page(slug)).read_text(encoding="utf-8")
    assert f"holds {share} of this family’s importance: it may be a shortcut." in text
    assert re.search(r"Zones are computed; 2 of \d+ images were not usable for them\.", text)
    others = [page for page in site.glob("families/*/index.html") if page.parent.name != slug]
    assert others
    assert all("may be a shortcut" not in page.read_text(encoding="utf-8") for page in others)


def test_the_method_page_lists_every_flagged_concept(site: Path, flagged: AtlasConcept) -> None:
    text = (site / links.METHOD).read_text(encoding="utf-8")
    assert "One concept is flagged, in 1 of " in text
    table = text.partition("alarm-table")[2].partition("</table>")[0]
    assert table.count("<tr") == 3  # head, family, concept
    assert links.concept_page(flagged.id) in table
    assert "on the background, on a foreign object and tells the source" in table


def test_where_the_alarm_by_place_is_off_both_pages_say_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_families=2, n_concepts=2, n_crops=1)
    path = run / "index.json"
    index = json.loads(path.read_text())
    index["run"]["settings"].setdefault("concepts", {})["min_leaf_share"] = 0.2
    path.write_text(json.dumps(index))
    site = bake(run).site
    said = "The alarm by place is off in this run: what has less than 20\u202f% leaf under it"
    assert said in (site / links.METHOD).read_text(encoding="utf-8")
    assert said in (site / links.family_page("betulaceae")).read_text(encoding="utf-8")


def test_a_family_of_one_source_is_told_of_on_both_pages_though_no_concept_is_flagged(tmp_path: Path) -> None:
    run = make_run(tmp_path, n_families=2, n_concepts=2, n_crops=1)

    def give_source(family: dict[str, Any]) -> None:
        family.update(source_shares={"Flavia <b>": 1.0}, flags=["one_source", "one_species"], n_species=1)
        family.update(n_located=60, shortcut_share=0.0)
        for concept in family["concepts"]:
            concept.update(flags=[], told_source=None)

    edit_families(run, give_source)
    site = bake(run).site
    family = (site / links.family_page("betulaceae")).read_text(encoding="utf-8")
    assert "Of its images, 100\u202f% are of one source, Flavia &lt;b&gt;, and all show one species" in family
    table = (site / links.METHOD).read_text(encoding="utf-8").partition("alarm-table")[2].partition("</table>")[0]
    assert "one species, 100\u202f% from Flavia &lt;b&gt;, one source only" in table.replace("1 species", "one species")


def test_a_run_of_before_the_alarm_says_nothing_of_it(tmp_path: Path) -> None:
    site = bake(make_run(tmp_path, n_concepts=2, n_crops=1, bare=True)).site
    assert 'id="shortcuts"' not in (site / links.METHOD).read_text(encoding="utf-8")
    assert "zone-leaf" not in (site / links.family_page("betulaceae")).read_text(encoding="utf-8")
