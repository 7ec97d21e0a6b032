"""Figures and sentences: bars that fill the line, axes that hold nought, sentences with the right sign."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from website.synthetic_run import show_one_leaf

from leaflineage.records import AtlasFamily, Index
from leaflineage.resources import find_resource
from leaflineage.website import links, sentences
from leaflineage.website.contents import list_pages
from leaflineage.website.context import Site, base_path_of, make_url
from leaflineage.website.figures import (
    make_axis,
    make_histogram,
    make_importance_bars,
    make_rows,
    place_bar,
    place_zero,
)
from leaflineage.website.reading import read_family, read_record
from leaflineage.website.words import Words, write_ordinal


@pytest.fixture(scope="module")
def made(run_folder: Path) -> tuple[Site, AtlasFamily]:
    index = read_record(run_folder / "index.json", Index, "index")
    site = Site(index, Words.load(find_resource("locale") / "en"), frozenset(list_pages(index)), None, None)
    family, _ = read_family(run_folder, "betulaceae")
    return site, family


def with_signs(family: AtlasFamily, signs: list[int]) -> AtlasFamily:
    concepts = [
        concept.model_copy(update={"importance": concept.importance.model_copy(update={"contribution": 0.3 * sign})})
        for concept, sign in zip(family.concepts, signs, strict=True)
    ]
    return family.model_copy(update={"concepts": concepts})


def test_the_segments_of_the_bar_fill_it(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    bars = make_importance_bars(site, family)
    assert [bar.fill for bar in bars] == ["for", "for", "against", "rest"]
    assert bars[0].start == 0
    for before, after in itertools.pairwise(bars):
        assert after.start == pytest.approx(before.start + before.length)
    assert bars[-1].start + bars[-1].length == pytest.approx(1)


def test_rows_fall_by_contribution_and_end_with_the_rest(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    rows, zero = make_rows(site, links.family_page(family.slug), family)
    logits = [row.logits for row in rows[:-1]]
    assert logits == sorted(logits, reverse=True)
    assert rows[-1].bar.fill == "rest"
    assert 0 < zero < 1
    assert sum(row.share for row in rows) == pytest.approx(1)


def test_a_bar_ends_at_nought_on_either_side() -> None:
    axis = make_axis([-1.0, 3.0])
    zero = place_zero(axis)
    assert place_bar(2.0, axis).start == pytest.approx(zero)
    against = place_bar(-1.0, axis)
    assert against.start + against.length == pytest.approx(zero)
    assert against.fill == "against"
    assert make_axis([])[0] < 0 < make_axis([])[1]


def test_a_histogram_counts_each_value_once() -> None:
    bars, counts = make_histogram([0.0, 0.05, 0.1, 1.0, 1.2, -0.1])
    assert counts == [3, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert max(bar.length for bar in bars) == 1


@pytest.mark.parametrize(
    ("signs", "says", "does_not"),
    [
        ([1, 1, 1], "above all by", "against"),
        ([1, 1, -1], "above all by", "No shown concept"),
        ([-1, -1, -1], "No shown concept speaks for", "above all"),
    ],
)
def test_the_opening_sentence_follows_the_signs(
    made: tuple[Site, AtlasFamily], signs: list[int], says: str, does_not: str
) -> None:
    site, family = made
    sentence = sentences.open_family(site, links.family_page(family.slug), with_signs(family, signs))
    assert says in sentence
    assert does_not not in sentence


def test_the_account_adds_up(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    assert sentences.account_for(site.words, family) == (
        "These three concepts account for 88\u202f% (85–90\u202f%) of this family’s score; "
        "12\u202f% is in what they leave out."
    )


def test_the_account_has_no_interval_where_none_is_known(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    assert family.rest is not None
    bare = family.model_copy(update={"rest": family.rest.model_copy(update={"share_interval": None})})
    assert sentences.account_for(site.words, bare) == (
        "These three concepts account for 88\u202f% of this family’s score; 12\u202f% is in what they leave out."
    )


def test_each_row_carries_the_interval_of_its_logits_on_their_axis(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    rows, zero = make_rows(site, links.family_page(family.slug), family)
    for row in rows:
        assert row.reach is not None
        assert row.logits_interval is not None
        end = row.bar.start if row.logits < 0 else row.bar.start + row.bar.length
        assert row.reach.value == pytest.approx(end)
        assert 0 <= row.reach.low < row.reach.value < row.reach.high <= 1
        assert (row.reach.low < zero) == (row.logits_interval[0] < 0)
        assert row.share_interval is not None


def test_the_accuracy_is_told_with_interval_training_and_chance(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    assert sentences.caution_accuracy(site.words, family) == (
        "Accuracy 0.56 (0.37–0.73) on 21 leaves not used in training; 0.85 on leaves used in training. "
        "Guessing would give 0.03."
    )


def test_an_accuracy_without_a_count_of_leaves_is_told_by_its_images(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    assert family.accuracy is not None
    for n, told in ((25, "on 25 images not used"), (1, "on 1 image not used")):
        accuracy = family.accuracy.model_copy(update={"n_groups": None, "n_specimens": n})
        assert told in sentences.caution_accuracy(site.words, family.model_copy(update={"accuracy": accuracy}))


def test_rows_of_a_single_leaf_carry_numbers_and_no_interval(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    rows, _ = make_rows(site, links.family_page(family.slug), show_one_leaf(family))
    for row in rows:
        assert (row.reach, row.logits_interval, row.share_interval) == (None, None, None)
    assert rows[0].share is not None


@pytest.mark.parametrize(("exact", "kind"), [(True, "exact"), (False, "sampled")])
def test_what_an_interval_holds_is_told_without_leaves_where_there_is_one_leaf(
    made: tuple[Site, AtlasFamily], exact: bool, kind: str
) -> None:
    site, family = made
    importance = family.concepts[0].importance.model_copy(update={"exact": exact})
    concept = family.concepts[0].model_copy(update={"importance": importance})
    lone = family.model_copy(update={"n_groups": 1})
    assert sentences.caution_importance(site.words, family, [concept]) == site.words(f"caveat.{kind}")
    told = sentences.caution_importance(site.words, lone, [concept])
    assert told == site.words(f"caveat.{kind}_one_leaf")
    assert "over leaves" not in told
    assert sentences.caution_one_leaf(site.words, family) == []
    assert sentences.caution_one_leaf(site.words, lone)[0].startswith(
        "All its pictures show one leaf: no interval over leaves can be given."
    )


def test_the_composition_names_the_largest_source(made: tuple[Site, AtlasFamily]) -> None:
    site, family = made
    assert sentences.caution_composition(site.words, family, drawn=False) == (
        "120 images of 103 leaves, 3 species; 51\u202f% from one source. Few species or one source: the concepts may "
        "describe that species or that camera."
    )


def test_ordinals_are_english() -> None:
    assert [write_ordinal(n) for n in (1, 2, 3, 11, 97, 101)] == [
        "1st",
        "2nd",
        "3rd",
        "11th",
        "97th",
        "101st",
    ]


@pytest.mark.parametrize(
    ("page", "target", "link"),
    [
        ("index.html", "families/a/index.html", "families/a/index.html"),
        ("families/a/index.html", "index.html", "../../index.html"),
        ("families/a/index.html", "families/a/concept-01.html#x", "concept-01.html#x"),
        ("index.html", "media/a b.webp", "media/a%20b.webp"),
        ("index.html", "#x", "#x"),
    ],
)
def test_links_are_relative(page: str, target: str, link: str) -> None:
    assert links.relative(page, target) == link


def test_public_addresses() -> None:
    assert make_url("https://a.org/L/", "index.html") == "https://a.org/L/"
    assert make_url("https://a.org/L", "method.html") == "https://a.org/L/method.html"
    assert base_path_of("https://a.org") == "/"
    assert base_path_of("https://a.org/L/") == "/L/"
