"""Records: slugs that never collide and can be file names, ids, frozen contracts."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leaflineage.records import DEVICE_NAMES, Specimen, make_concept_id, make_slug, make_slugs

SAFE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
names = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="aA-_ é./\\", max_size=6),
    st.sampled_from(
        ["con", "CON", "con-x", "con-x-2", "nul", "family", "", "-", "a" * 60, "a" * 61, "a" * 57 + "-aaa"]
    ),
)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Fagaceae", "fagaceae"),
        ("Salicaceae & Co.", "salicaceae-co"),
        ("Ébénacées", "ebenacees"),
        ("Ginkgo  (fossil)", "ginkgo-fossil"),
        ("../../etc/passwd", "etc-passwd"),
        ('<b>&"', "b"),
        ("被子植物", "family"),
        ("", "family"),
        ("CON", "con-x"),
        ("com1", "com1-x"),
        ("x" * 70, "x" * 60),
        ("x" * 59 + " y", "x" * 59),
    ],
)
def test_a_slug_is_lower_case_ascii_words_joined_by_hyphens(name: str, slug: str) -> None:
    assert make_slug(name) == slug


@given(names)
def test_a_slug_can_be_a_file_name_everywhere(name: str) -> None:
    slug = make_slug(name)
    assert SAFE.fullmatch(slug)
    assert len(slug) <= 62
    assert slug not in DEVICE_NAMES


@given(names)
def test_the_slug_of_a_slug_is_itself(name: str) -> None:
    assert make_slug(make_slug(name)) == make_slug(name)


@given(st.lists(names, max_size=12))
@example(["a", "A", "á", "a-2", "a 2"])
@example(["con", "Con", "con-x", "con x-2"])
@example(["a" * 57 + " aaa", "a" * 57 + "-aaa", "a" * 57 + "_aaa"])
def test_slugs_never_collide_and_can_be_file_names(listed: list[str]) -> None:
    slugs = make_slugs(listed)
    assert set(slugs) == set(listed)
    assert len(set(slugs.values())) == len(slugs)
    for slug in slugs.values():
        assert SAFE.fullmatch(slug)
        assert len(slug) <= 62
        assert slug not in DEVICE_NAMES
        assert make_slug(slug) == slug


@given(st.lists(names, max_size=8), st.randoms(use_true_random=False))
def test_slugs_do_not_depend_on_the_order_of_names(listed: list[str], random: object) -> None:
    shuffled = list(listed)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert make_slugs(shuffled) == make_slugs(listed)


def test_names_that_collide_are_numbered_in_order_of_their_bytes() -> None:
    assert make_slugs(["fagaceae", "Fagaceae", "FAGACEAE"]) == {
        "FAGACEAE": "fagaceae",
        "Fagaceae": "fagaceae-2",
        "fagaceae": "fagaceae-3",
    }


def test_concept_ids_are_padded() -> None:
    assert [make_concept_id(number) for number in (1, 10, 99)] == ["concept-01", "concept-10", "concept-99"]


def test_a_record_is_frozen_and_ignores_fields_of_a_later_version() -> None:
    specimen = Specimen.model_validate({"id": "a", "file": "a.jpg", "group": "a", "of_a_later_version": 3})
    assert not hasattr(specimen, "of_a_later_version")
    with pytest.raises(ValueError, match="frozen"):
        specimen.id = "b"  # type: ignore[misc]
