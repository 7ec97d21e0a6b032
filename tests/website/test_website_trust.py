"""How far the concepts may be trusted: sentences, floors, and all families on one axis."""

from __future__ import annotations

from pathlib import Path

import pytest
from website.synthetic_run import show_one_leaf

from leaflineage.records import AtlasFamily, Index, Measure
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.assumptions import list_assumptions
from leaflineage.website.contents import list_pages, list_statics
from leaflineage.website.context import Site, is_built
from leaflineage.website.reading import read_family, read_record
from leaflineage.website.styles import list_sheets
from leaflineage.website.view_data import view_data
from leaflineage.website.view_inside import view_inside
from leaflineage.website.view_method import view_method
from leaflineage.website.view_trust import (
    MOST_ROWS,
    is_mostly_rest,
    tell_strips,
    view_strips,
    view_trust,
    view_trust_rows,
)
from leaflineage.website.words import Words


@pytest.fixture(scope="module")
def site(run_folder: Path) -> Site:
    index = read_record(run_folder / "index.json", Index, "index")
    plan = frozenset(
        [*list_pages(index), *list_statics(), *list_sheets().values(), links.SCRIPT_WORDS, links.SEARCH_INDEX]
    )
    return Site(index, Words.load(find_resource("locale") / "en"), plan, None, None)


@pytest.fixture(scope="module")
def family(site: Site) -> AtlasFamily:
    return site.families["betulaceae"]


def with_families(site: Site, families: list[AtlasFamily]) -> Site:
    index = site.index.model_copy(update={"families": families})
    return Site(index, site.words, site.plan, None, None)


def pull_in(family: AtlasFamily, share: float | None) -> AtlasFamily:
    assert family.completeness is not None
    pulled = None if share is None else Measure(value=share)
    found = family.completeness.model_copy(update={"others_reconstructed_taken": pulled})
    return family.model_copy(update={"completeness": found})


def test_accuracy_through_the_concepts_is_told_of_the_own_and_of_other_families_leaves(
    site: Site, family: AtlasFamily
) -> None:
    trust = view_trust(site, pull_in(family, 0.07), 5)
    assert trust is not None
    own, others = trust.sentences
    assert own == (
        "Of 25 images of Betulaceae, the classifier names 79\u202f% (73–85\u202f%) rightly as they are, "
        "and 93\u202f% (87–99\u202f%) where it sees only what the concepts rebuild of them."
    )
    assert "Of 240 images of other families it names 86\u202f%" in others
    assert "2\u202f% (0–8\u202f%) of them for Betulaceae as they are, and 7\u202f% rebuilt." in others


def test_a_single_image_is_told_in_the_singular(site: Site, family: AtlasFamily) -> None:
    assert family.completeness is not None
    lone = family.completeness.model_copy(update={"n": 1, "n_others": 1})
    trust = view_trust(site, show_one_leaf(family).model_copy(update={"completeness": lone}), 5)
    assert trust is not None
    assert trust.measured_on == "Measured on 1 image not used in training."
    assert "of 1 image of Betulaceae rightly as it is" in trust.sentences[0]
    assert trust.sentences[1].startswith("Of 1 image of other families it names")


def test_fidelity_of_a_single_leaf_has_no_interval_and_none_is_explained(site: Site, family: AtlasFamily) -> None:
    for found, has_intervals in ((family, True), (show_one_leaf(family), False)):
        trust = view_trust(site, found, 5)
        assert trust is not None
        assert trust.has_intervals == has_intervals
        told = [text for line in trust.orders for text in (line.deletion, line.insertion, line.mu_fidelity)]
        assert all(("(" in text) == has_intervals for text in told)


def test_a_bank_that_pulls_most_leaves_in_is_said_to_flatter(site: Site, family: AtlasFamily) -> None:
    for share, n in ((0.5, 2), (0.51, 3), (None, 1)):
        trust = view_trust(site, pull_in(family, share), 5)
        assert trust is not None
        assert len(trust.sentences) == n


def test_floors_stand_under_the_family_itself_and_what_was_not_measured_is_a_dash(
    site: Site, family: AtlasFamily
) -> None:
    trust = view_trust(site, family, 5)
    assert trust is not None
    own, shuffled, random = trust.floors
    assert own.accuracy == "0.93 (0.87–0.99)"
    assert shuffled.accuracy == "0.21 (0.17–0.26)"
    assert random.accuracy == "–"
    assert random.explained == "90\u202f% (86–95\u202f%)"


def with_random_floor(family: AtlasFamily, share: float | None) -> AtlasFamily:
    assert family.fidelity is not None
    measure = None if share is None else Measure(value=share)
    floors = [
        floor.model_copy(update={"explained_share": measure}) if floor.kind == "random-weights" else floor
        for floor in family.fidelity.floors
    ]
    return family.model_copy(update={"fidelity": family.fidelity.model_copy(update={"floors": floors})})


@pytest.mark.parametrize(("share", "high"), [(0.9, True), (0.5, True), (0.49, False), (None, False)])
def test_a_high_floor_of_random_weights_is_explained_beside_it_and_among_the_assumptions(
    site: Site, family: AtlasFamily, share: float | None, high: bool
) -> None:
    found = with_random_floor(family, share)
    trust = view_trust(site, found, 5)
    assert trust is not None
    assert (trust.floor_note is not None) == high
    floors = find_fact(with_families(site, [found]), "assume.floors")
    assert ("as for Betulaceae, that is no wonder" in floors) == high


def test_floors_that_are_high_everywhere_are_not_named_one_by_one(site: Site, family: AtlasFamily) -> None:
    high, low = with_random_floor(family, 0.9), with_random_floor(family, 0.1)
    assert "explains half or more for every family" in find_fact(with_families(site, [high, high]), "assume.floors")
    assert "every family" not in find_fact(with_families(site, [high, low]), "assume.floors")


def find_fact(site: Site, term: str) -> str:
    return next(fact.text for fact in list_assumptions(site) if fact.term == site.words(term))


def test_the_caption_of_deletion_and_insertion_says_where_two_lines_are_one(site: Site, family: AtlasFamily) -> None:
    assert family.fidelity is not None
    contribution, importance, random = family.fidelity.curves
    same = contribution.model_copy(update={"order": importance.order})
    for second, coincide in ((importance, False), (same, True)):
        fidelity = family.fidelity.model_copy(update={"curves": [contribution, second, random]})
        trust = view_trust(site, family.model_copy(update={"fidelity": fidelity}), 5)
        assert trust is not None
        assert ("coincide" in trust.caption) == coincide


def test_the_number_of_concepts_is_told_to_be_chosen_by_predicted_error(site: Site) -> None:
    text = find_fact(site, "assume.number")
    assert "whose predicted error exceeds the least" in text
    assert "each half of the channels is rebuilt from the other half" in text


@pytest.mark.parametrize(
    ("settings", "until"),
    [
        ({"half_width": 0.02, "max_evaluations": 200_000}, "by more than 0.02 to either side"),
        ({"half_width": 0.005, "max_evaluations": 200_000}, "by more than 0.005 to either side"),
        ({}, None),
    ],
)
def test_sampled_importance_says_how_and_until_when(site: Site, settings: dict[str, float], until: str | None) -> None:
    index = site.index.model_copy(
        update={
            "classifier": site.index.classifier.model_copy(update={"affine_head": False}),
            "run": site.index.run.model_copy(update={"settings": {"importance": settings}}),
        }
    )
    page = view_method(Site(index, site.words, site.plan, None, None))
    text = next(fact.text for fact in page.steps if fact.term == site.words("method.rank"))
    assert "Jansen’s estimator on scrambled Sobol points" in text
    assert "control variate" in text
    assert ("200,000 evaluations" in text) == (until is not None)
    assert (until or "averaged") in text
    exact = next(fact.text for fact in view_method(site).steps if fact.term == site.words("method.rank"))
    assert "no error from sampling: exact says so" in exact


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (0.614, "hold 61\u202f% of what their leaves hold of the concept."),
        (1.0, "hold 100\u202f% of what their leaves hold of the concept."),
        (1.07, "hold 107\u202f% of what their leaves hold of the concept: more than the leaves themselves"),
        (None, None),
    ],
)
def test_enlarged_squares_may_hold_less_or_more_of_a_concept_than_their_leaves(
    site: Site, run_folder: Path, kept: float | None, says: str | None
) -> None:
    family, specimens = read_family(run_folder, "betulaceae")
    concept = next(each for each in family.concepts if each.recursion)
    assert concept.recursion is not None
    recursion = concept.recursion.model_copy(update={"coefficient_kept": kept})
    page = links.concept_page(concept.id)
    inside = view_inside(site, page, family, concept.model_copy(update={"recursion": recursion}), specimens)
    assert inside is not None
    assert (inside.kept is None) if says is None else (says in (inside.kept or ""))


def test_the_rest_inside_a_concept_has_its_interval(site: Site, run_folder: Path) -> None:
    family, specimens = read_family(run_folder, "betulaceae")
    concept = next(each for each in family.concepts if each.recursion)
    inside = view_inside(site, links.concept_page(concept.id), family, concept, specimens)
    assert inside is not None
    assert "16\u202f% (11–20\u202f%) is in none of the concepts inside it" in inside.rest


@pytest.mark.parametrize(
    ("affine", "follows"), [(True, "the head being affine, the curves"), (False, "does not follow: the curves")]
)
def test_the_page_of_data_says_what_can_be_computed_again_from_its_files(
    site: Site, affine: bool, follows: str
) -> None:
    classifier = site.index.classifier.model_copy(update={"affine_head": affine})
    index = site.index.model_copy(update={"classifier": classifier})
    page = view_data(Site(index, site.words, site.plan | {links.HASHES}, None, None), [], {})
    assert follows in page.again
    assert page.again.index("accuracy and the places") < page.again.index("does not follow")
    assert page.again.index("does not follow") < page.again.index("relative error, refits, floors")


def test_bare_paper_is_told_to_stand_in_for_a_part_that_is_switched_off(site: Site) -> None:
    text = find_fact(site, "assume.inside")
    assert "replaced by what an empty picture, bare paper, gives there" in text
    assert "a negative contribution means that the concept rises" in text


def test_a_family_of_which_nothing_was_measured_has_no_section(site: Site, family: AtlasFamily) -> None:
    bare = family.model_copy(update={"fidelity": None, "completeness": None, "factorization": None})
    assert view_trust(site, bare, 5) is None
    halves = family.model_copy(update={"fidelity": None, "factorization": None})
    trust = view_trust(site, halves, 5)
    assert trust is not None
    assert (trust.charts, trust.orders, trust.floors, len(trust.sentences)) == ((), (), (), len(trust.sentences))


def test_over_all_families_the_dot_is_the_median_and_each_stroke_a_family(site: Site, family: AtlasFamily) -> None:
    assert family.fidelity is not None
    families = []
    for n, value in enumerate((0.9, 0.5, 0.6)):
        fidelity = family.fidelity.model_copy(update={"explained_share": Measure(value=value)})
        families.append(family.model_copy(update={"slug": f"f-{n}", "fidelity": fidelity}))
    groups = view_strips(with_families(site, families))
    row = groups[0].rows[0]
    assert row.label == "Explained share"
    assert row.strokes == (0.9, 0.5, 0.6)
    assert row.middle == 0.6
    assert row.text == "0.60 (0.50–0.90)"
    assert "Explained share 0.60 (0.50–0.90)" in tell_strips(with_families(site, families), groups)
    for group in groups:
        for each in group.rows:
            assert all(0 <= place <= 1 for place in (*each.strokes, each.middle))


def test_measures_below_nought_have_room_on_their_axis(site: Site) -> None:
    mu = next(group for group in view_strips(site) if group.heading == "µFidelity")
    assert mu.rows[2].middle == 0
    assert mu.ticks[0].text == "0.0"
    assert mu.ticks[0].at == pytest.approx(0.01 / 1.01)


def test_what_no_family_has_is_no_row_and_no_figure(site: Site, family: AtlasFamily) -> None:
    lone = view_strips(with_families(site, [pull_in(family, None)]))
    assert [row.label for row in lone[-1].rows].count("The same, rebuilt") == 2
    bare = family.model_copy(update={"fidelity": None, "completeness": None, "factorization": None})
    assert view_strips(with_families(site, [bare])) == ()
    assert view_trust_rows(with_families(site, [bare])) == ()


def test_few_families_have_a_line_each_and_very_many_none(site: Site, family: AtlasFamily) -> None:
    assert [row.family.text for row in view_trust_rows(site)] == [
        each.name for each in site.index.families if is_built(each)
    ]
    assert view_trust_rows(site)[0].own == "79\u202f% → 93\u202f%"
    assert len(view_trust_rows(with_families(site, [family] * MOST_ROWS))) == MOST_ROWS
    assert view_trust_rows(with_families(site, [family] * (MOST_ROWS + 1))) == ()


def test_a_family_mostly_in_the_rest_is_named_among_the_caveats(site: Site, family: AtlasFamily) -> None:
    assert family.rest is not None
    assert not any("left in the rest" in text for text in view_method(site).caveats)
    rest = family.rest.model_copy(update={"share": 0.64, "share_interval": (0.6, 0.7)})
    poor = family.model_copy(update={"rest": rest})
    assert is_mostly_rest(poor)
    assert not is_mostly_rest(family)
    assert view_method(with_families(site, [poor])).caveats[0] == (
        "More than half of the score is left in the rest for Betulaceae (64\u202f% (60–70\u202f%)): "
        "its concepts tell the smaller part."
    )


@pytest.mark.parametrize(
    ("change", "says", "does_not"),
    [
        ({"pools_first": True}, "never in one place", "does not begin by averaging"),
        ({"pools_first": False}, "does not begin by averaging", "Masks therefore scale"),
        ({"affine_head": False}, "also hold the error from sampling masks", "No index has an error"),
        ({"prefix_matters": True}, "Each specimen keeps its own", "no such sentence"),
        ({"prefix_matters": False}, "independent of all other masks", "Each specimen keeps its own"),
        ({"negative_energy": 0.0}, "No activation lies below 0.", "clipped"),
        ({"negative_energy": 0.012}, "1\u202f% lies below 0. Up to 2\u202f% is clipped", "either sign"),
        ({"negative_energy": None}, "independent of all other masks", "below 0"),
    ],
)
def test_the_assumptions_follow_what_the_classifier_is(
    site: Site, change: dict[str, bool | float | None], says: str, does_not: str
) -> None:
    classifier = site.index.classifier.model_copy(update=change)
    index = site.index.model_copy(update={"classifier": classifier})
    facts = list_assumptions(Site(index, site.words, site.plan, None, None))
    text = " ".join(fact.text for fact in facts if fact.term != site.words("assume.attribution"))
    assert says in text
    assert does_not not in text


def test_semi_nmf_is_said_where_a_bank_was_fitted_so(site: Site, family: AtlasFamily) -> None:
    assert family.factorization is not None
    semi = family.model_copy(update={"factorization": family.factorization.model_copy(update={"method": "semi-nmf"})})
    page = view_method(with_families(site, [semi]))
    assert any("take either sign" in fact.text for fact in page.assumptions)
    assert any(fact.text.startswith("Semi-non-negative factorization") for fact in page.steps)
    assert not any("clipped" in fact.text for fact in page.assumptions)
