"""Names by experts: read line by line, refused in sentences, carried over to a concept's successor and to no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaflineage.errors import ConfigError
from leaflineage.expert_names import (
    Concept,
    ExpertName,
    keep_directions,
    locate_directions,
    locate_in_repository,
    match_names,
    read_directions,
    read_names,
    write_line,
)

FILE = """\
# Names of the drawn herbarium's concepts.

"betulaceae/concept-03" = { name = "Petiole  and base", uid = "b-3", author = "N. N.", date = 2026-11-26 }
"fagaceae/concept-01" = { name = "Lobes", terms = ["lobe"], agree = ["A. B."], note = "clear" }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "names.toml"
    path.write_text(text, encoding="utf-8")
    return path


def make(concept_id: str, uid: str, *direction: float) -> Concept:
    return Concept(concept_id, uid, np.array(direction, dtype=np.float32))


def test_lines_are_read_with_their_number(tmp_path: Path) -> None:
    first, second = read_names(write(tmp_path, FILE))
    assert first == ExpertName(
        "betulaceae/concept-03", 3, "Petiole and base", uid="b-3", author="N. N.", date="2026-11-26"
    )
    assert (second.line, second.terms, second.agree, second.note) == (4, ("lobe",), ("A. B.",), "clear")


def test_lines_are_counted_however_a_key_is_written(tmp_path: Path) -> None:
    text = """\
'a/concept-01' = { name = "One" }
  "a\\u002Fconcept-02" = { name = "Two" }
["a/concept-03"]
name = "Three"
"""
    assert [(each.id, each.line) for each in read_names(write(tmp_path, text))] == [
        ("a/concept-01", 1),
        ("a/concept-02", 2),
        ("a/concept-03", 3),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "should be TOML"),
        ('"a/concept-01" = "Lobes"', "line 1: 'a/concept-01' should be a concept with a name"),
        ('"a/concept-01" = { author = "N. N." }', "Give it one"),
        ('"a/concept-01" = { name = " " }', "should be a concept with a name"),
        ('\n"a/concept-01" = { name = "Lobes", auhtor = "N. N." }', "line 2: .* Did you mean author?"),
        ('"a/concept-01" = { name = "Lobes", note = 3 }', "Put it in quotes"),
        ('"a/concept-01" = { name = "Lobes", agree = "A. B." }', "Write it in brackets"),
    ],
)
def test_a_line_that_cannot_be_followed_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_names(write(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"take \[anatomy\] names out"):
        read_names(tmp_path / "names.toml")


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda each: each.strip())


@given(name=text, note=text, author=text)
def test_a_line_that_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, note: str, author: str
) -> None:
    line = ExpertName("a/concept-01", 1, " ".join(name.split()), uid="u", terms=("lobe",), note=note, author=author)
    path = write(tmp_path_factory.mktemp("names"), write_line(line) + "\n")
    assert read_names(path) == [line]


def test_a_name_follows_its_uid_and_else_its_id() -> None:
    names = [ExpertName("a/concept-01", 1, "First", uid="u1"), ExpertName("a/concept-02", 2, "Second")]
    concepts = [make("a/concept-03", "u1", 1, 0), make("a/concept-02", "u9", 0, 1)]
    matches = match_names(names, concepts, {})
    assert {key: each.name for key, each in matches.named.items()} == {
        "a/concept-03": "First",
        "a/concept-02": "Second",
    }
    assert [(name.name, where, cosine) for name, where, cosine in matches.moved] == [("First", "a/concept-03", 1.0)]
    assert matches.lost == []


def test_a_name_whose_uid_is_gone_goes_over_to_the_nearest_concept_of_its_family() -> None:
    names = [ExpertName("a/concept-01", 1, "Lobes", uid="gone")]
    concepts = [make("a/concept-01", "u1", 0, 1), make("a/concept-02", "u2", 1, 0.2), make("b/concept-01", "u3", 1, 0)]
    matches = match_names(names, concepts, {"gone": np.array([1.0, 0.0])})
    assert list(matches.named) == ["a/concept-02"]
    ((_, where, cosine),) = matches.moved
    assert where == "a/concept-02"
    assert cosine == pytest.approx(1 / np.sqrt(1.04))


def test_a_name_without_a_near_enough_successor_is_lost_and_not_guessed() -> None:
    names = [ExpertName("a/concept-01", 1, "Lobes", uid="gone"), ExpertName("a/concept-09", 2, "Base")]
    concepts = [make("a/concept-01", "u1", 0.7, 1)]
    matches = match_names(names, concepts, {"gone": np.array([1.0, 0.0])})
    assert matches.named == {}
    assert [each.name for each in matches.lost] == ["Lobes", "Base"]


def test_a_line_without_a_uid_does_not_name_another_concept_that_came_to_its_id() -> None:
    names = [ExpertName("a/concept-01", 1, "Lobes")]
    concepts = [make("a/concept-01", "u1", 0, 1), make("a/concept-02", "u2", 1, 0)]
    matches = match_names(names, concepts, {"a/concept-01": np.array([1.0, 0.1])})
    assert list(matches.named) == ["a/concept-02"]


def test_where_two_lines_come_to_one_concept_the_nearer_has_it() -> None:
    names = [ExpertName("a/concept-01", 1, "Farther", uid="u8"), ExpertName("a/concept-02", 2, "Nearer", uid="u9")]
    kept = {"u8": np.array([1.0, 0.3]), "u9": np.array([1.0, 0.0])}
    matches = match_names(names, [make("a/concept-03", "u1", 1, 0)], kept)
    assert matches.named["a/concept-03"].name == "Nearer"
    assert [each.name for each in matches.lost] == ["Farther"]
    both = match_names(names, [make("a/concept-03", "u1", 1, 0), make("a/concept-04", "u2", 1, 0.6)], kept)
    assert {key: each.name for key, each in both.named.items()} == {
        "a/concept-03": "Nearer",
        "a/concept-04": "Farther",
    }


def test_two_lines_never_name_one_concept() -> None:
    names = [ExpertName("a/concept-01", 1, "First", uid="u1"), ExpertName("a/concept-01", 2, "Second")]
    matches = match_names(names, [make("a/concept-01", "u1", 1, 0)], {})
    assert matches.named["a/concept-01"].name == "First"
    assert [each.name for each in matches.lost] == ["Second"]


def test_directions_of_another_classifier_match_nothing() -> None:
    names = [ExpertName("a/concept-01", 1, "Lobes", uid="gone")]
    matches = match_names(names, [make("a/concept-01", "u1", 1, 0, 0)], {"gone": np.array([1.0, 0.0])})
    assert matches.lost == names


def test_directions_are_kept_beside_the_file_and_lost_ones_stay(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    names = read_names(path)
    concepts = [make("betulaceae/concept-03", "b-3", 1, 0), make("fagaceae/concept-01", "f-1", 0, 1)]
    assert keep_directions(path, match_names(names, concepts, {}), concepts) == 2
    kept = read_directions(path)
    assert sorted(kept) == ["b-3", "fagaceae/concept-01"]
    first = locate_directions(path).read_bytes()
    fewer = [concepts[1]]
    assert keep_directions(path, match_names(names, fewer, kept), fewer) == 2
    assert locate_directions(path).read_bytes() == first
    locate_directions(path).write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="names RUN --keep"):
        read_directions(path)


def test_a_file_is_located_from_the_top_of_its_repository(tmp_path: Path) -> None:
    path = tmp_path / "ours" / "names.toml"
    assert locate_in_repository(path) == "names.toml"
    (tmp_path / ".git").mkdir()
    assert locate_in_repository(path) == "ours/names.toml"


def test_nothing_kept_is_nothing_known(tmp_path: Path) -> None:
    assert read_directions(tmp_path / "names.toml") == {}
