"""The alarm rings for concepts beside the leaf and of a camera, and for no others."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from leaflineage.anatomy import find_place_alarms, find_source_alarms, measure_source_auc, place_concepts
from leaflineage.anatomy.labels import BACKGROUND, BLADE, FOREIGN


def make_sheets(n: int = 10):
    """Return divided cells of sheets with a leaf in the middle and a ruler in the last cell."""
    cells = np.zeros((n, 5, 5, 10))
    cells[..., BACKGROUND] = 1
    cells[:, 1:4, 1:4] = 0
    cells[:, 1:4, 1:4, BLADE] = 1
    cells[:, 4, 4] = 0
    cells[:, 4, 4, FOREIGN], cells[:, 4, 4, BACKGROUND] = 0.4, 0.6
    return cells, [str(index) for index in range(n)]


def raise_flags(concept: np.ndarray) -> tuple[str, ...]:
    cells, groups = make_sheets()
    noise = np.random.default_rng(0).uniform(0.9, 1.1, (10, 5, 5))
    placement = place_concepts((concept * noise)[..., None], cells, groups, seed=0)
    return find_place_alarms(placement)[0].flags


def test_a_concept_of_the_ruler_is_flagged_as_foreign() -> None:
    ruler = np.full((5, 5), 0.05)
    ruler[4, 4] = 3
    assert "foreign" in raise_flags(ruler)


def test_a_concept_of_the_paper_is_flagged_and_one_of_the_border_too() -> None:
    paper = np.full((5, 5), 1.0)
    paper[1:4, 1:4] = 0.05
    assert raise_flags(paper)[0] == "background"
    assert raise_flags(paper)[-1] == "border"


def test_a_concept_of_the_leaf_is_not_flagged_nor_is_one_of_everything() -> None:
    leaf = np.full((5, 5), 0.1)
    leaf[1:4, 1:4] = 2
    assert raise_flags(leaf) == ()
    assert raise_flags(np.ones((5, 5))) == ()


def test_the_auc_of_a_source_is_the_share_of_pairs_it_wins() -> None:
    generator = np.random.default_rng(1)
    coefficients = np.round(generator.gamma(1.0, size=(40, 2)), 1)  # with ties
    sources = ["scanner"] * 15 + ["phone"] * 25
    found = measure_source_auc(coefficients, sources)
    assert sorted(found) == ["phone", "scanner"]
    for concept in range(2):
        own, others = coefficients[:15, concept].tolist(), coefficients[15:, concept].tolist()
        assert found["scanner"][concept] == pytest.approx(reference.count_larger(own, others))
        assert found["scanner"][concept] + found["phone"][concept] == pytest.approx(1)


def test_a_source_with_few_images_has_no_auc() -> None:
    assert measure_source_auc(np.ones((20, 1)), ["rare"] * 5 + ["common"] * 15) == {}
    assert measure_source_auc(np.ones((0, 3)), []) == {}


def test_a_concept_is_flagged_for_its_own_familys_source_only() -> None:
    auc = {"grey": np.array([0.97, 0.6, 0.1]), "phone": np.array([0.1, 0.5, 0.95])}
    assert find_source_alarms(auc, {"grey": 0.9, "phone": 0.1}, 3) == ["grey", None, None]
    assert find_source_alarms(auc, {"other": 1.0}, 3) == [None] * 3
    assert find_source_alarms(auc, {}, 3) == [None] * 3
