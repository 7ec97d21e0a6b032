"""Names follow the evidence and the grammar; where there is little evidence there is no name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leaflineage.anatomy import (
    TERM_BY_ID,
    TERMS,
    PatternTest,
    Seen,
    make_name,
    may_suggest,
    place_concepts,
    suggest_names,
)
from leaflineage.anatomy.labels import BACKGROUND, BLADE, FOREIGN, LEAF_ZONES, MARGIN, MIDVEIN
from leaflineage.anatomy.patterns import STATISTICS

SEEN = Seen(
    long_side_px=320, leaf_px=280, tooth_px=None, n_teeth=None, is_cleared=False, ridges=True, axis=True, tip=False,
    has_scale=False,
)  # fmt: skip
FINE = replace(SEEN, long_side_px=1200, leaf_px=1100, tooth_px=14, n_teeth=12, tip=True)


def make_placement(*zones: int, noise: float = 0.02, n: int = 24, power: float = 1.5):
    """Return the placement of one concept whose activation follows some zones of random leaves."""
    generator = np.random.default_rng(3)
    cells = generator.dirichlet(np.array([3, 0.6, 0.6, 0.6, 0.8, 0.8, 0.8, 2, 0.3, 0.2]), size=(n, 6, 6))
    maps = noise + sum((cells[..., zone] ** power for zone in zones), np.zeros((n, 6, 6)))
    maps = maps * generator.uniform(0.7, 1.3, maps.shape)
    return place_concepts(maps[..., None], cells, [str(each) for each in range(n)], seed=0)


def make_test(**effects: float) -> PatternTest:
    """Return a test that found the named statistics."""
    effect = np.array([effects.get(name, 0.0) for name in STATISTICS])
    p_value = np.array([0.001 if name in effects else 0.9 for name in STATISTICS])
    return PatternTest(effect, p_value, np.full(len(STATISTICS), 0.5))


def suggest(placement, test=None, seen=SEEN, usable_share=1.0):
    return suggest_names(placement, [test], [seen], usable_share=usable_share)[0]


# --- names ---------------------------------------------------------------------------------------------------------


def test_a_concept_of_the_midvein_is_named_after_it_in_both_kinds_of_words() -> None:
    name = suggest(make_placement(MIDVEIN))
    assert name is not None
    assert (name.text, name.plain, name.terms) == ("Midvein", "Midrib", ("midvein",))
    assert 0.5 < name.confidence <= 1
    assert "times its area's share" in name.reasons[0]


def test_two_places_are_joined_and_no_more_than_two() -> None:
    name = suggest(make_placement(MIDVEIN, MARGIN))
    assert name is not None
    assert set(name.terms) == {"midvein", "margin"}
    assert " + " in name.text
    three = suggest(make_placement(MIDVEIN, MARGIN, 5, 6))
    assert three is None or len(three.terms) <= 2


def test_a_toothed_margin_is_called_so_only_if_its_test_is_a_discovery_and_teeth_are_there() -> None:
    placement = make_placement(MARGIN)
    named = suggest(placement, make_test(teeth=1.2), replace(SEEN, n_teeth=6))
    assert named is not None
    assert named.terms == ("margin", "toothed")
    assert named.plain == "Edge: toothed"
    for test, seen in ((None, SEEN), (make_test(), SEEN), (make_test(teeth=1.2), replace(SEEN, n_teeth=1))):
        plain = suggest(placement, test, seen)
        assert plain is not None
        assert plain.terms == ("margin",)


def test_a_margin_with_fewer_teeth_than_elsewhere_is_untoothed_if_it_has_none() -> None:
    name = suggest(make_placement(MARGIN), make_test(teeth=-1.2))
    assert name is not None
    assert name.text == "Margin: untoothed"


def test_a_pattern_of_the_edge_is_not_said_of_the_midvein() -> None:
    name = suggest(make_placement(MIDVEIN), make_test(teeth=1.2), replace(SEEN, n_teeth=6))
    assert name is not None
    assert name.terms == ("midvein",)


def test_serrate_needs_teeth_of_eight_pixels() -> None:
    placement, test = make_placement(MARGIN), make_test(teeth=1.2, lean=0.9)
    large = suggest(placement, test, FINE)
    small = suggest(placement, test, replace(FINE, tooth_px=6.0))
    assert large is not None
    assert small is not None
    assert (large.terms[-1], small.terms[-1]) == ("serrate", "toothed")


def test_one_weak_test_among_many_is_no_discovery() -> None:
    p_value = np.full(len(STATISTICS), 0.8)
    p_value[STATISTICS.index("teeth")] = 0.04
    weak = PatternTest(np.full(len(STATISTICS), 1.0), p_value, np.full(len(STATISTICS), 0.5))
    name = suggest(make_placement(MARGIN), weak, replace(SEEN, n_teeth=6))
    assert name is not None
    assert name.terms == ("margin",)


def test_weak_evidence_has_no_name() -> None:
    generator = np.random.default_rng(0)
    cells = generator.dirichlet(np.ones(10), size=(4, 6, 6))
    noise = place_concepts(generator.gamma(0.3, size=(4, 6, 6, 1)), cells, list("abcd"), seed=0)
    assert suggest(noise) is None
    assert suggest(make_placement(MIDVEIN), usable_share=0.2) is None


def test_a_concept_of_the_whole_leaf_is_named_after_the_lamina() -> None:
    name = suggest(make_placement(*LEAF_ZONES))
    even = suggest(make_placement(noise=1.0))
    assert even is not None
    assert even.terms == ("lamina",)
    assert name is None or len(name.terms) <= 2


def test_what_lies_beside_the_leaf_gets_an_honest_word() -> None:
    paper, ruler = (suggest(make_placement(zone, power=4, noise=1e-4)) for zone in (BACKGROUND, FOREIGN))
    assert paper is not None
    assert ruler is not None
    assert (paper.terms, ruler.terms) == (("background",), ("foreign-object",))


def test_a_concept_drawn_to_the_paper_has_no_name_of_the_leaf() -> None:
    assert suggest(make_placement(BACKGROUND)) is None


def test_names_that_break_the_grammar_are_refused() -> None:
    one, pattern = TERM_BY_ID["base"], TERM_BY_ID["toothed"]
    for terms in ([], [pattern], [pattern, one], [one, one, one], [one, pattern, pattern]):
        with pytest.raises(ValueError, match="one or two places"):
            make_name(terms, confidence=1, reasons=[])


# --- the vocabulary ------------------------------------------------------------------------------------------------


def test_every_row_of_the_vocabulary_is_there_and_ids_are_unique() -> None:
    assert {term.row for term in TERMS if term.row} == set(range(1, 62))
    assert len({term.id for term in TERMS}) == len(TERMS)
    for term in TERMS:
        assert term.gloss.endswith(".")
        assert term.gloss[0].isupper()
        assert term.word
        assert term.plain
        assert term.id == term.id.lower().replace(" ", "-")


def test_kinds_of_words_follow_the_rows() -> None:
    for term in TERMS:
        wanted = "not leaf" if term.row is None else "where" if term.row <= 17 else "pattern"
        assert term.kind == wanted
        assert (term.condition is None) or term.condition.in_words


def test_a_machine_may_always_say_what_the_table_allows_and_never_an_experts_word() -> None:
    always = {term.row for term in TERMS if term.row and term.machine == "always"}
    assert always == {*range(1, 8), 12, 18, 19, 41, 42, 43}
    assert not any(may_suggest(term, FINE) for term in TERMS if term.machine == "never")


def test_small_pictures_allow_no_tertiary_areole_or_tooth_apex_word() -> None:
    small = replace(FINE, long_side_px=511, is_cleared=True, tooth_px=40, leaf_px=2000)
    banned = [term for term in TERMS if term.group in ("tertiary", "areolation") or "tooth-apex" in term.id]
    assert len(banned) > 10
    assert not any(may_suggest(term, small) for term in banned)
    assert may_suggest(TERM_BY_ID["tooth-apex"], FINE)
    assert may_suggest(TERM_BY_ID["percurrent"], replace(FINE, is_cleared=True))


@pytest.mark.parametrize(
    ("term", "seen"),
    [("craspedodromous", FINE), ("size-class", FINE), ("acuminate", SEEN), ("regular-spacing", SEEN),
     ("major-secondary-veins", replace(SEEN, ridges=False)), ("midvein", replace(SEEN, axis=False))],
)  # fmt: skip
def test_a_word_is_not_said_where_its_condition_fails(term: str, seen: Seen) -> None:
    assert not may_suggest(TERM_BY_ID[term], seen)


def test_the_blade_is_searched_for_by_stem_and_blade() -> None:
    assert "stem" in TERM_BY_ID["petiole"].synonyms
    assert "blade" in TERM_BY_ID["lamina"].synonyms
    assert BLADE in LEAF_ZONES
