"""What the atlas says across families: accuracy with its interval, confusions, nearest families, similar concepts."""

from __future__ import annotations

import numpy as np
import pytest
from reference import wilson_interval

from leaflineage.records import Specimen
from leaflineage.stages.gathering import (
    FamilyArrays,
    count_confusions,
    count_specimens,
    find_neighbours,
    find_similar_concepts,
    flag_composition,
    measure_accuracy,
    place_on_maps,
)


def test_accuracy_counts_first_places_and_places_among_five() -> None:
    predicted = [np.array(order) for order in ([0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])]
    found = measure_accuracy(predicted, [0, 0, 0], ["a", "b", "c"], chance=1 / 6, split="held-out")
    assert (found["top1"], found["top5"], found["n_specimens"]) == (1 / 3, 2 / 3, 3)
    assert (found["chance"], found["split"]) == (1 / 6, "held-out")
    np.testing.assert_allclose(found["interval"], wilson_interval(1, 3), atol=1e-9)


def test_ten_pictures_of_two_leaves_are_as_uncertain_as_two_leaves() -> None:
    predicted = [np.array([0, 1]), np.array([1, 0])] * 5
    found = measure_accuracy(predicted, [0] * 10, ["a", "b"] * 5, chance=0.5, split="held-out")
    assert (found["top1"], found["n_specimens"], found["n_groups"]) == (0.5, 10, 2)
    np.testing.assert_allclose(found["interval"], wilson_interval(1, 2), atol=1e-9)


def test_accuracy_of_no_specimens_is_not_known() -> None:
    found = measure_accuracy([], [], [], chance=0.5, split="held-out")
    assert (found["top1"], found["top5"], found["interval"], found["n_specimens"]) == (None, None, None, 0)


def test_confusions_leave_out_the_family_itself_and_outputs_without_a_name() -> None:
    found = count_confusions([0, 1, 2, 2, 3, 1, 9], 0, {0: "oak", 1: "beech", 2: "birch", 3: "alder"})
    assert found == [{"slug": "beech", "n": 2}, {"slug": "birch", "n": 2}, {"slug": "alder", "n": 1}]


def make_arrays(mean: list[float], bank: list[list[float]] | None = None) -> FamilyArrays:
    rows = np.array(bank if bank is not None else np.zeros((0, len(mean))), dtype=np.float32).reshape(-1, len(mean))
    return FamilyArrays(np.array(mean), [f"concept-{i + 1:02d}" for i in range(len(rows))], rows)


def test_the_nearest_families_are_those_that_differ_from_the_mean_in_the_same_way() -> None:
    found = find_neighbours(
        {
            "a": make_arrays([5, 1, 0]),
            "b": make_arrays([5, 1.2, 0]),
            "c": make_arrays([5, 0, 1]),
            "d": make_arrays([5, 0, 1.2]),
        }
    )
    assert found["a"][0]["slug"] == "b"
    assert found["c"][0]["slug"] == "d"
    rows = np.array([[5, 1, 0], [5, 1.2, 0], [5, 0, 1], [5, 0, 1.2]], dtype=float)
    rows -= rows.mean(axis=0)
    wanted = rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1])
    assert found["a"][0]["similarity"] == pytest.approx(wanted)
    assert found["a"][-1]["similarity"] < 0


def test_a_family_is_no_neighbour_of_itself_and_has_at_most_ten() -> None:
    generator = np.random.default_rng(0)
    found = find_neighbours({f"f{i:02d}": make_arrays(generator.random(5).tolist()) for i in range(14)})
    for slug, neighbours in found.items():
        assert len(neighbours) == 10
        assert slug not in [each["slug"] for each in neighbours]
        similarities = [each["similarity"] for each in neighbours]
        assert similarities == sorted(similarities, reverse=True)


def test_a_single_family_has_no_neighbours() -> None:
    assert find_neighbours({"a": make_arrays([1, 2])}) == {"a": []}


def test_similar_concepts_are_of_other_families_and_point_the_same_way() -> None:
    unit = [0.6, 0.8, 0]
    found = find_similar_concepts(
        {
            "a": make_arrays([0, 0, 0], [unit, unit]),  # alike within one family: not told
            "b": make_arrays([0, 0, 0], [unit, [0, 0, 1]]),
            "c": make_arrays([0, 0, 0], [[0.5, 0, 0.75**0.5], [1, 0, 0]]),
            "d": make_arrays([0, 0, 0]),
        }
    )
    assert [each["id"] for each in found["a/concept-01"]] == ["b/concept-01", "c/concept-02"]
    assert [each["similarity"] for each in found["a/concept-01"]] == pytest.approx([1, 0.6])
    assert [each["id"] for each in found["b/concept-02"]] == ["c/concept-01"]
    assert set(found) == {f"{slug}/concept-0{i}" for slug in "abc" for i in (1, 2)}


def test_concepts_at_half_a_cosine_are_similar_and_below_are_not() -> None:
    half = [0.5, 0.75**0.5]
    found = find_similar_concepts({"a": make_arrays([0, 0], [[1, 0]]), "b": make_arrays([0, 0], [half])})
    assert [each["id"] for each in found["a/concept-01"]] == ["b/concept-01"]
    less = [0.49, (1 - 0.49**2) ** 0.5]
    found = find_similar_concepts({"a": make_arrays([0, 0], [[1, 0]]), "b": make_arrays([0, 0], [less])})
    assert found == {"a/concept-01": [], "b/concept-01": []}


def test_no_concepts_at_all_are_similar_to_none() -> None:
    assert find_similar_concepts({}) == {}
    assert find_similar_concepts({"a": make_arrays([1, 2])}) == {}


def test_every_family_and_every_shown_concept_has_a_place_even_the_only_one() -> None:
    assert place_on_maps({}) == {}
    assert place_on_maps({"a": make_arrays([1, 2])}) == {"a": [0.5, 0.5]}
    found = place_on_maps({"a": make_arrays([1, 0], [[1, 0], [0, 1]]), "b": make_arrays([0, 1], [[0.6, 0.8]])})
    assert set(found) == {"a", "b", "a/concept-01", "a/concept-02", "b/concept-01"}
    near = np.linalg.norm(np.subtract(found["a/concept-02"], found["b/concept-01"]))
    far = np.linalg.norm(np.subtract(found["a/concept-01"], found["b/concept-01"]))
    assert near < far, "(0.6, 0.8) is nearer to (0, 1) than to (1, 0)"


def test_a_family_is_described_by_its_leaves_species_and_sources() -> None:
    specimens = [
        Specimen(
            id="a", file="a", group="leaf-1", genus="Quercus", species="robur", source="herbarium", split="held-out"
        ),
        Specimen(id="b", file="b", group="leaf-1", genus="Quercus", species="robur", source="herbarium"),
        Specimen(id="c", file="c", group="leaf-2", genus="Fagus", source="field"),
        Specimen(id="d", file="d", group="leaf-3"),
    ]
    assert count_specimens(specimens) == {
        "n_specimens": 4,
        "n_groups": 3,
        "n_species": 2,
        "n_held_out": 1,
        "species": ["Fagus", "Quercus robur"],
        "source_shares": {"field": 0.25, "herbarium": 0.5},
    }
    assert count_specimens([])["source_shares"] == {}


@pytest.mark.parametrize(
    ("shares", "n_species", "n_sources", "flags"),
    [
        ({"scanner": 1.0}, 1, 2, ["one_source", "one_species"]),
        ({"scanner": 0.89, "camera": 0.11}, 2, 2, []),
        ({"scanner": 0.9, "camera": 0.1}, 2, 2, ["one_source"]),
        ({"scanner": 1.0}, 2, 1, []),
        ({}, 1, 0, ["one_species"]),
        ({}, 0, 0, []),
    ],
)
def test_a_family_of_one_source_or_one_species_is_flagged_where_that_tells_it_from_others(
    shares: dict[str, float], n_species: int, n_sources: int, flags: list[str]
) -> None:
    assert flag_composition({"source_shares": shares, "n_species": n_species}, n_sources=n_sources) == flags
