"""The glossary: each term drawn or not by choice, every drawing inside its field, the page as the words have it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaflineage.anatomy.vocabulary import TERMS as VOCABULARY
from leaflineage.resources import find_resource
from leaflineage.website.drawings import DRAWINGS, draw_term
from leaflineage.website.leaf_strokes import HEIGHT, WIDTH, Curve, cut_teeth
from leaflineage.website.words import Words

WORDS = Words.load(find_resource("locale") / "en")
TERMS = WORDS.entries["glossary"]["term"]
KINDS = {"outline", "vein", "stalk", "shade", "accent", "accent-thin", "accent-dot"}


def test_the_glossary_has_the_terms_that_concepts_are_named_with() -> None:
    assert list(TERMS) == [term.id for term in VOCABULARY]
    assert [entry["name"] for entry in TERMS.values()] == [term.word for term in VOCABULARY]
    assert [entry["plain"] for entry in TERMS.values()] == [term.plain for term in VOCABULARY]
    program = {key for key, entry in TERMS.items() if entry["who"] == "program"}
    assert program == {term.id for term in VOCABULARY if term.machine == "always"}


def test_each_place_on_a_leaf_is_drawn_and_what_words_tell_better_is_not() -> None:
    assert set(DRAWINGS) <= set(TERMS)
    assert {key for key, entry in TERMS.items() if entry["group"] == "place"} <= set(DRAWINGS)
    assert len(DRAWINGS) > 55
    assert draw_term("surface-smooth") == ()


@pytest.mark.parametrize("key", sorted(DRAWINGS))
def test_a_drawing_stays_in_its_field(key: str) -> None:
    strokes = draw_term(key)
    assert {stroke.kind for stroke in strokes} <= KINDS
    for stroke in strokes:
        absolute = re.sub(r"a[^MLQCZHV]*", "", stroke.path)  # arcs are relative, and small
        absolute = re.sub(r"[HVhv][-\d.]+", "", absolute)
        numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", absolute)]
        assert len(numbers) % 2 == 0, stroke.path
        assert all(-1 <= x <= WIDTH + 1 for x in numbers[::2]), stroke.path
        assert all(-1 <= y <= HEIGHT + 1 for y in numbers[1::2]), stroke.path


def test_no_two_terms_of_one_group_share_a_drawing() -> None:
    seen: dict[tuple[str, str], str] = {}
    for key in DRAWINGS:
        drawing = (TERMS[key]["group"], repr(draw_term(key)))
        assert drawing not in seen, f"{key} is drawn as {seen[drawing]} is"
        seen[drawing] = key


def find_tips(margin: Curve) -> list[float]:
    """Return the place of each tip within its tooth, 0 to 1."""
    steps = [i / 5000 for i in range(500, 4500)]
    pushes = [margin(t) for t in steps]
    tips = [steps[i] for i in range(1, len(steps) - 1) if pushes[i] >= pushes[i - 1] and pushes[i] > pushes[i + 1]]
    return [(t * 10) % 1 for t in tips]


def test_teeth_lean_to_the_apex_or_point_out() -> None:
    assert find_tips(cut_teeth(10, 4.0, 0.9)) == pytest.approx([0.9] * 8, abs=0.01)
    assert find_tips(cut_teeth(10, 4.0, 0.5)) == pytest.approx([0.5] * 8, abs=0.01)


def test_the_page_holds_every_term_under_its_group(site: Path) -> None:
    text = (site / "glossary.html").read_text()
    for key, entry in TERMS.items():
        assert f'id="{key}"' in text
        assert f'<span class="term-name">{entry["name"]}</span>' in text
        assert entry["group"] in WORDS.entries["glossary"]["group"]
    assert text.count('class="drawing"') == len(DRAWINGS)
    assert len(text) < 150_000
