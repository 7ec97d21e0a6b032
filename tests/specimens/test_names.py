"""What a file's name says, and how specimens are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaflineage.specimens.names import NameParts, clean_name, make_specimen_ids, parse_file_name

words = st.text(st.characters(categories=["Lu", "Ll"], max_codepoint=0x24F), min_size=1, max_size=12)
numbers = st.text(st.sampled_from("0123456789-abc_"), min_size=1, max_size=12).filter(
    lambda text: text == clean_name(text)
)


@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("Betulaceae_Carpinus_viminea_NMNS_T2572.jpg", "Betulaceae", ("Carpinus", "viminea", "NMNS", "T2572")),
        ("Fagaceae_Quercus_alba_Wolfe_Wolfe_12345.jpg", "Fagaceae", ("Quercus", "alba", "Wolfe", "12345")),
        ("Fagaceae_Quercus_alba_Hickey_Hickey_12_b_3.jpg", "Fagaceae", ("Quercus", "alba", "Hickey", "12_b_3")),
        ("fagaceae_Quercus_alba_Wing_7.TIF", "Fagaceae", ("Quercus", "alba", "Wing", "7")),
        ("train/Fagaceae/Fagaceae_Quercus_alba_Wing_7.jpg", "Fagaceae", ("Quercus", "alba", "Wing", "7")),
        ("Fagaceae_Quercus_x-rosacea_Wing_7.jpg", "Fagaceae", ("Quercus", "x-rosacea", "Wing", "7")),
        ("Fagaceae_Quercus_alba_7.jpg", "Fagaceae", ("Quercus", "alba", None, "7")),
        ("Fagaceae_Quercus_alba_Wing.jpg", "Fagaceae", ("Quercus", "alba", "Wing", None)),
        ("Fagaceae_Quercus_alba.jpg", "Fagaceae", ("Quercus", "alba", None, None)),
        ("Fagaceae_Quercus_12.jpg", "Fagaceae", ("Quercus", None, None, "12")),
        ("Fagaceae_0012.jpg", "Fagaceae", (None, None, None, "0012")),
        ("Fagaceae.jpg", "Fagaceae", (None, None, None, None)),
        ("Quercus_alba_12.jpg", "Fagaceae", (None, None, None, None)),
        ("IMG_2041.jpg", "Fagaceae", (None, None, None, None)),
        ("____.jpg", "", (None, None, None, "___")),
        ("", "Fagaceae", (None, None, None, None)),
    ],
)
def test_a_name_says_what_the_schema_lets_it_say(name: str, family: str, expected: tuple[str | None, ...]) -> None:
    assert parse_file_name(name, family=family) == NameParts(*expected)


@given(words, words, words, words, numbers)
def test_a_name_made_after_the_schema_is_read_back(
    family: str, genus: str, species: str, source: str, number: str
) -> None:
    made = NameParts(*map(clean_name, (genus, species, source, number)))
    repeated = f"{family}_{genus}_{species}_{source}_{source}_{number}.jpg"
    assert parse_file_name(repeated, family=family) == made
    if not number.casefold().startswith(f"{source.casefold()}_"):
        assert parse_file_name(f"{family}_{genus}_{species}_{source}_{number}.jpg", family=family) == made


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_name_is_too_odd_to_parse(name: str, family: str) -> None:
    parts = parse_file_name(name, family=family)
    assert all(each is None or each for each in (parts.genus, parts.species, parts.source, parts.catalogue_number))


def test_a_cleaned_name_is_composed_trimmed_and_has_nothing_invisible() -> None:
    assert clean_name("  Brome\u0301liaceae\t \n x ") == "Broméliaceae x"
    assert clean_name("Rosa\u202eceae\ufeff\x00") == "Rosaceae"
    assert clean_name("🌿 <b>&\"'") == "🌿 <b>&\"'"


def test_an_id_is_the_path_without_its_extension_slugged() -> None:
    file = "Fagaceae/Fagaceae_Quercus_alba_Wing_7.b.jpg"
    assert make_specimen_ids([file]) == {file: "fagaceae--fagaceae-quercus-alba-wing-7-b"}


def test_an_id_below_many_folders_is_still_a_file_name() -> None:
    deep = "Fagaceae/" + "".join(f"{letter * 60}/" for letter in "abcdef")
    ids = make_specimen_ids([f"{deep}quercus_1.jpg", f"{deep}quercus_2.jpg", f"{deep}x/quercus_1.jpg"])
    assert len(set(ids.values())) == 3
    assert all(len(each) <= 160 for each in ids.values())
    assert ids[f"{deep}quercus_2.jpg"].startswith("fagaceae--aaa")
    assert ids[f"{deep}quercus_2.jpg"].endswith("fff--quercus-2")


def test_ids_that_collide_are_numbered_in_order_of_bytes() -> None:
    ids = make_specimen_ids(["a/x.png", "a/X.jpg", "a/x.jpg", "a/x-2.jpg", "🌿.jpg", "con.jpg", "family/1.jpg"])
    assert ids == {
        "a/X.jpg": "a--x",
        "a/x-2.jpg": "a--x-2",
        "a/x.jpg": "a--x-3",
        "a/x.png": "a--x-4",
        "con.jpg": "con-x",
        "family/1.jpg": "family--1",
        "🌿.jpg": "specimen",
    }


@given(st.lists(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=80)))
def test_ids_are_unique_and_plain_whatever_the_files_are_called(files: list[str]) -> None:
    ids = make_specimen_ids(files)
    assert len(set(ids.values())) == len(set(files))
    assert all(set(each) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and each for each in ids.values())
