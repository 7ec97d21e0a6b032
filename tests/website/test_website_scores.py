"""Scores of pictures: in words under each, which picture stands first and why, what is withheld, how many pass."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from website.synthetic_run import make_run

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Index, Visualization
from leaflineage.resources import find_resource
from leaflineage.stages import visualize
from leaflineage.website import links, scores
from leaflineage.website.bake import bake
from leaflineage.website.check import check_site
from leaflineage.website.contents import list_pages, list_pictures
from leaflineage.website.context import Site
from leaflineage.website.reading import read_family, read_record
from leaflineage.website.striking import choose_concept
from leaflineage.website.words import Words

SCORES: list[dict[str, float] | None] = [
    None,
    {"percentile": 90.0, "own_rank": 1.0},
    {"percentile": 89.9, "own_rank": 1.0},
    {"percentile": 99.0, "own_rank": 2.0},
    {"percentile": 0.0, "own_rank": 1.0},
]


@pytest.fixture(scope="module")
def made(run_folder: Path) -> tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]:
    index = read_record(run_folder / "index.json", Index, "index")
    site = Site(index, Words.load(find_resource("locale") / "en"), frozenset(list_pages(index)), None, None)
    return (site, *read_family(run_folder, "betulaceae"))


def of_rank(family: AtlasFamily, rank: int) -> AtlasConcept:
    return next(concept for concept in family.concepts if concept.rank == rank)


def read_page(site: Path, concept: AtlasConcept) -> str:
    return (site / links.concept_page(concept.id)).read_text()


def read_badges(text: str) -> list[tuple[str, bool]]:
    """The words in frames of a part of a page, and whether each frame is dashed."""
    found = re.findall(r'<li class="badge( warns)?">([^<]*)</li>', text)
    return [(html.unescape(words).replace("\u202f", " "), bool(warns)) for warns, words in found]


def score(percentile: float, own_rank: float = 1.0, **more: float) -> Visualization:
    return Visualization(
        image="a.webp", width=8, height=8, seed=0, score={"percentile": percentile, "own_rank": own_rank, **more}
    )


def change_records(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every family, in its own record and in the index."""
    for path in [run / "index.json", *sorted(run.glob("families/*/family.json"))]:
        record = json.loads(path.read_text())
        for family in record["families"] if "families" in record else [record["family"]]:
            change(family)
        path.write_text(json.dumps(record))


@pytest.mark.parametrize("found", SCORES)
def test_the_site_and_the_stage_hold_pictures_against_one_bar(found: dict[str, float] | None) -> None:
    picture = Visualization(image="a.webp", width=8, height=8, seed=0, score=found)
    assert scores.fails(picture) == visualize.fails(found)
    assert scores.LEAST_PERCENTILE == visualize.LEAST_PERCENTILE


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        (score(97.8), "activates its concept more than 97 % of real crops · first of three concepts"),
        (score(100.0), "activates its concept more than all real crops · first of three concepts"),
        (score(99.9), "activates its concept more than 99 % of real crops · first of three concepts"),
        (score(89.9), "fails: activates its concept more than 89 % of real crops · first of three concepts"),
        (score(0.4), "fails: activates its concept less than almost all real crops · first of three concepts"),
        (score(95.0, 3.0), "fails: activates its concept more than 95 % of real crops · 3rd of three concepts"),
    ],
)
def test_a_badge_says_in_words_what_a_picture_scored_rounded_down(
    made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]], picture: Visualization, text: str
) -> None:
    site, family, _ = made
    (badge,) = scores.make_score_badges(site, family, picture)
    assert badge.text.replace("\u202f", " ") == text
    assert badge.warns == text.startswith("fails")


def test_a_picture_without_a_score_has_no_badge(made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]) -> None:
    site, family, _ = made
    bare = Visualization(image="a.webp", width=8, height=8, seed=0)
    assert scores.make_score_badges(site, family, bare) == ()
    assert scores.make_short_badges(site, family, bare) == ()
    assert scores.make_family_badges(site, bare) == ()


def test_a_second_classifiers_view_has_a_badge_of_its_own(
    made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]],
) -> None:
    site, family, _ = made
    badges = scores.make_score_badges(site, family, score(97.0, transfer=12.7))
    assert [badge.text.replace("\u202f", " ") for badge in badges][1:] == [
        "seen by a second classifier: more than 12 % of real crops"
    ]


def test_concepts_are_counted_that_are_fitted_and_not_shown(
    made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]],
) -> None:
    _, family, _ = made
    assert family.rest is not None
    more = family.rest.model_copy(update={"concepts": [3, 4]})
    assert scores.count_bank(family.model_copy(update={"factorization": None, "rest": more})) == 5
    assert scores.count_bank(family) == 3


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            score(74.2, 1.0),
            "the computed picture did not activate its concept strongly enough (74th percentile, rank 1)",
        ),
        (score(95.0, 2.0), "the computed picture activated another concept more (95th percentile, rank 2)"),
        (score(74.2, 2.0), "strongly enough, and activated another one more (74th percentile, rank 2)"),
    ],
)
def test_a_crop_made_clearer_says_why_it_stands_first(
    made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]], found: Visualization, why: str
) -> None:
    site, family, specimens = made
    concept = of_rank(family, 2)
    concept = concept.model_copy(update={"visualizations": [concept.visualizations[0], found]})
    text = scores.caption_first(site, concept, specimens)
    assert text.startswith("A real crop, in which the concept was made clearer: the computed picture ")
    assert why in text
    specimen = specimens[concept.visualizations[0].specimen or ""]
    assert f"Cut from {specimen.genus} {specimen.species}, {specimen.catalogue_number}." in text
    assert text.endswith("Changed by computation: colours and venation in it are not evidence.")


def test_where_a_computed_picture_fails_the_crop_stands_first_and_the_computed_one_after_it(
    site: Path, made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]
) -> None:
    concept = of_rank(made[1], 2)
    text = read_page(site, concept)
    first, _, after = text.partition('<figure class="views">')
    assert "-accentuation.webp" in first
    assert read_badges(first)[:2] == [
        ("activates its concept more than 93 % of real crops · first of three concepts", False),
        ("seen by a second classifier: more than 81 % of real crops", False),
    ]
    views = after.partition("</figure>")[0]
    assert f"{concept.id.rpartition('/')[2]}.webp" in views
    assert "The computed picture" in views
    assert read_badges(views) == [("fails: 74th percentile · 2nd of three", True)]
    specimen = made[2][concept.visualizations[0].specimen or ""]
    assert f"Cut from {specimen.genus} {specimen.species}, {specimen.catalogue_number}." in first


def test_further_views_stand_below_the_first_each_with_its_own_text(
    site: Path, made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]
) -> None:
    concept = of_rank(made[1], 1)
    text = read_page(site, concept)
    views = text.partition('<figure class="views">')[2].partition("</figure>")[0]
    assert views.count("<img") == 1
    assert "Computed, view 2 of 2" in views
    assert 'alt="Feature visualization of Concept' in views
    assert "view 2 of 2" in re.findall(r'alt="([^"]*)"', views)[0]
    assert read_badges(views) == [("fails: 85th percentile · first of three", True)]
    assert 'class="views"' not in read_page(site, of_rank(made[1], 3))


def test_a_card_says_what_its_picture_scored_and_that_it_is_a_crop(
    site: Path, made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]
) -> None:
    text = (site / links.family_page("betulaceae")).read_text()
    for concept, expected in (
        (of_rank(made[1], 1), [("97th percentile · first of three", False)]),
        (of_rank(made[1], 2), [("a crop, made clearer", True), ("93rd percentile · first of three", False)]),
    ):
        card = text.partition(f"id={concept.id.rpartition('/')[2]} ")[2].partition("</summary>")[0]
        assert read_badges(card) == expected
    assert "A crop, made clearer, stands first where the computed picture did not pass" in text


def test_the_family_is_drawn_as_a_whole_with_a_caveat(site: Path) -> None:
    text = (site / links.family_page("betulaceae")).read_text()
    part = text.partition('aria-labelledby="whole"')[2].partition("</section>")[0]
    assert "visualizations/family.webp" in part
    assert 'alt="Feature visualization of the whole of Betulaceae"' in part
    assert read_badges(part) == [
        ("raises the family’s logit above that of all its specimens · first of 5 outputs", False)
    ]
    assert "Computed, not photographed." in part


def test_the_method_page_says_how_many_pictures_pass(site: Path) -> None:
    text = (site / links.METHOD).read_text()
    assert (
        "6 of 9 pictures of concepts pass; 3 of 3 pictures of families pass; "
        "for 3 concepts a crop made clearer stands first" in text
    )
    for term in (
        "Score of a picture",
        "Seen by a second classifier",
        "A crop made clearer",
        "The family’s own picture",
    ):
        assert term in text
    assert "Pictures are 96 px wide, with 3 random squares a step and at most 70 steps;" in text
    assert "Each concept has 2 pictures" in text


def test_a_run_without_scores_is_baked_without_a_word_of_them(tmp_path: Path) -> None:
    bare = bake(make_run(tmp_path, n_concepts=2, n_crops=1, bare=True)).site
    assert [str(problem) for problem in check_site(bare)] == []
    family = (bare / links.family_page("betulaceae")).read_text()
    assert 'id="whole"' not in family
    assert "percentile" not in family
    assert "Score of a picture" not in (bare / links.METHOD).read_text()


def test_every_picture_of_a_family_is_linked(made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]]) -> None:
    _, family, specimens = made
    listed = list_pictures(family, specimens)
    assert family.visualization is not None
    assert family.visualization.image in listed
    wanted = [each.image for concept in family.concepts for each in concept.visualizations]
    assert len(wanted) == 5
    assert set(wanted) <= set(listed)


def accentuate_all(run: Path) -> None:
    """Make each concept's first picture a crop made clearer, of the leaf of its first crop."""
    specimens = {
        concept.id: concept.crops[0].specimen
        for path in run.glob("families/*/family.json")
        for concept in read_family(run, path.parent.name)[0].concepts
    }

    def accentuate(family: dict[str, Any]) -> None:
        for concept in family["concepts"]:
            concept["visualizations"][0].update(kind="accentuation", specimen=specimens[concept["id"]])

    change_records(run, accentuate)


def test_crops_made_clearer_of_withheld_specimens_are_shown_nowhere(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    accentuate_all(run)
    path = run / "families" / "betulaceae" / "family.json"
    record = json.loads(path.read_text())
    hidden = [concept["visualizations"][0] for concept in record["family"]["concepts"]]
    names = {each["specimen"] for each in hidden}
    for specimen in record["specimens"]:
        specimen["withheld"] = specimen["id"] in names
    path.write_text(json.dumps(record))
    site = bake(run).site
    assert [str(problem) for problem in check_site(site)] == []
    pages = {page: page.read_text() for page in site.rglob("*.html")}
    for each in hidden:
        assert not (site / links.media(each["image"])).exists()
        assert [page for page, text in pages.items() if each["image"] in text] == []
    concept = next(each for each in read_family(run, "betulaceae")[0].concepts if each.rank == 2)
    assert ("fails: activates its concept more than 74 % of real crops · 2nd of three concepts", True) in (
        read_badges(read_page(site, concept))
    )
    assert any("a crop, made clearer" in text for page, text in pages.items() if page.parent.name == "fagaceae")


def test_where_every_picture_is_a_crop_no_page_calls_it_computed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    accentuate_all(run)
    site = bake(run).site
    assert [str(problem) for problem in check_site(site)] == []
    for page in (links.HOME, links.FAMILIES):
        text = (site / page).read_text()
        assert "Feature visualization of" not in text
        assert "was made clearer, rank" in text
    home = (site / links.HOME).read_text()
    assert "Changed by computation: colours and venation in it are not evidence." in home
    assert "A picture optimised until the concept is as strong as it can be." not in home
    near = (site / links.family_page("fagaceae")).read_text().partition('id="neighbours"')[2]
    assert "a near family: a crop in which its weightiest concept was made clearer" in near


def test_a_drawn_atlas_calls_no_crop_real(tmp_path: Path) -> None:
    site = bake(make_run(tmp_path, n_concepts=3, n_crops=2, drawn=True)).site
    assert [str(problem) for problem in check_site(site)] == []
    pages = [path.read_text() for path in (site / "families" / "betulaceae").glob("concept-*.html")]
    assert not any("real crop" in text.lower() for text in pages)
    assert any("A crop of a drawn leaf, in which the concept was made clearer" in text for text in pages)
    assert any("of crops of drawn leaves" in text for text in pages)
    assert any('alt="Drawn leaf: a crop in which' in text for text in pages)


def test_the_opening_prefers_a_concept_whose_picture_passes(
    made: tuple[Site, AtlasFamily, dict[str, AtlasSpecimen]],
) -> None:
    _, family, _ = made
    assert choose_concept(family).rank == 1
    failed = family.concepts[0].model_copy(update={"visualizations": [score(12.0)]})
    good = family.concepts[1].model_copy(update={"visualizations": [score(95.0)]})
    crop = family.concepts[1]
    assert choose_concept(family.model_copy(update={"concepts": [failed, good]})).rank == 2
    assert choose_concept(family.model_copy(update={"concepts": [failed, crop]})).rank == 1


def test_the_data_page_explains_every_field_of_a_score(site: Path) -> None:
    text = (site / links.DATA).read_text()
    for name in ("percentile", "own_rank", "transfer", "visualizations", "visualization"):
        assert f"<dt>{name}</dt>" in text
