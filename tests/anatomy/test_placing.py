"""Where a concept sits: planted activation is found in its zone, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from leaflineage.anatomy import LeafAverage, Lie, divide_cells, fill_bins, place_concepts, shade_leaf
from leaflineage.anatomy.canonical import N_ACROSS, N_ALONG, N_PETIOLE
from leaflineage.anatomy.labels import APEX, BACKGROUND, BLADE, MARGIN, PADDING, PETIOLE

PLAIN = Lie(scale_x=1.0, scale_y=1.0, offset_x=0.0, offset_y=0.0, input_width=12, input_height=12)


def make_problem(n: int = 6, k: int = 3):
    """Return maps, divided cells and groups of random leaves."""
    generator = np.random.default_rng(5)
    maps = generator.gamma(0.7, size=(n, 4, 4, k))
    cells = generator.dirichlet(np.full(10, 0.4), size=(n, 4, 4))
    return maps, cells, [f"leaf {index // 2}" for index in range(n)]


# --- cells -----------------------------------------------------------------------------------------------------


def test_cells_are_divided_as_counted_pixel_by_pixel_padding_included() -> None:
    labels = np.random.default_rng(2).integers(0, 9, (8, 12)).astype(np.uint8)
    lie = Lie(scale_x=1.0, scale_y=1.0, offset_x=0.0, offset_y=2.0, input_width=12, input_height=12)
    cells = divide_cells(labels, lie, (3, 3))
    for row in range(3):
        for column in range(3):
            wanted = reference.divide_cell(labels.tolist(), row, column, 4, (0, 2))
            assert cells[row, column] == pytest.approx(wanted, abs=1e-6)


def test_what_the_classifier_does_not_see_belongs_to_no_cell() -> None:
    labels = np.full((12, 20), BLADE, dtype=np.uint8)
    labels[:, :4], labels[:, 16:] = APEX, APEX  # cropped away on both sides
    lie = Lie(scale_x=1.0, scale_y=1.0, offset_x=-4.0, offset_y=0.0, input_width=12, input_height=12)
    cells = divide_cells(labels, lie, (3, 3))
    assert cells[..., BLADE] == pytest.approx(1.0)


def test_enlarging_a_picture_keeps_every_cell_at_one() -> None:
    labels = np.random.default_rng(3).integers(0, 8, (5, 7)).astype(np.uint8)
    lie = Lie(scale_x=12 / 7, scale_y=12 / 7, offset_x=0.0, offset_y=12 / 7, input_width=12, input_height=12)
    cells = divide_cells(labels, lie, (4, 4))
    assert cells.sum(axis=-1) == pytest.approx(1.0, abs=1e-6)
    assert cells.min() >= 0
    assert cells[0, :, PADDING] == pytest.approx(4 / 7, abs=1e-6)


# --- shares and enrichment -----------------------------------------------------------------------------------------


def test_shares_and_enrichment_are_those_of_sums_written_out() -> None:
    maps, cells, groups = make_problem()
    found = place_concepts(maps, cells, groups, seed=0)
    for concept in range(3):
        for zone in range(10):
            share, enrichment = reference.enrich_zone(maps, cells, concept, zone)
            assert found.share.value[concept, zone] == pytest.approx(share)
            assert found.enrichment.value[concept, zone] == pytest.approx(enrichment)
    assert found.share.value.sum(axis=1) == pytest.approx(1.0)
    assert found.n_groups == 3


def test_intervals_hold_their_estimates_and_leaves_are_drawn_by_group() -> None:
    maps, cells, groups = make_problem()
    found = place_concepts(maps, cells, groups, seed=0)
    for estimates in (found.share, found.enrichment, found.off_leaf):
        assert (estimates.low <= estimates.value).all()
        assert (estimates.value <= estimates.high).all()
    alone = place_concepts(maps, cells, ["one leaf"] * len(maps), seed=0)
    assert alone.share.high == pytest.approx(alone.share.low)


def test_an_even_map_is_enriched_nowhere() -> None:
    _, cells, groups = make_problem()
    found = place_concepts(np.ones((6, 4, 4, 1)), cells, groups, seed=0)
    assert found.enrichment.value == pytest.approx(1.0)
    leaf = slice(PETIOLE, BLADE + 1)
    assert found.within_leaf.value[:, leaf] == pytest.approx(1.0)
    assert np.isnan(found.within_leaf.value[:, BACKGROUND]).all()


def test_activation_planted_in_a_zone_is_enriched_there() -> None:
    _, cells, groups = make_problem()
    maps = np.stack([cells[..., MARGIN] ** 2, cells[..., BACKGROUND] ** 2], axis=-1)
    found = place_concepts(maps, cells, groups, seed=0)
    assert int(np.nanargmax(found.within_leaf.value[0])) == MARGIN
    assert found.within_leaf.low[0, MARGIN] > 1.5
    assert found.off_leaf_enrichment.low[1, 0] > 1.3


def test_a_zone_that_no_leaf_has_is_unknown_not_zero() -> None:
    maps, cells, groups = make_problem()
    cells = cells.copy()
    cells[..., BLADE] += cells[..., PETIOLE]
    cells[..., PETIOLE] = 0
    found = place_concepts(maps, cells, groups, seed=0)
    assert np.isnan(found.enrichment.value[:, PETIOLE]).all()
    assert np.isnan(found.enrichment.low[:, PETIOLE]).all()


def test_a_concept_that_is_nowhere_has_no_numbers() -> None:
    maps, cells, groups = make_problem()
    maps[..., 1] = 0
    found = place_concepts(maps, cells, groups, seed=0)
    assert np.isnan(found.share.value[1]).all()
    assert np.isfinite(found.share.value[0]).all()


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    maps, cells, groups = make_problem()
    with pytest.raises(ValueError, match="and 5"):
        place_concepts(maps, cells, groups[:5], seed=0)


# --- the canonical leaf --------------------------------------------------------------------------------------------


def make_lie(size: int) -> Lie:
    return Lie(scale_x=1.0, scale_y=1.0, offset_x=0.0, offset_y=0.0, input_width=size, input_height=size)


def test_bins_are_means_of_the_enlarged_map(looked) -> None:
    leaf = looked["Betulaceae"].found
    size = leaf.labels.shape[0]
    bins = fill_bins(leaf, make_lie(size), (6, 6))
    sums = bins.sum(axis=1)
    assert bins.shape == (N_ALONG * N_ACROSS + N_PETIOLE, 36)
    assert np.isclose(sums, 1, atol=1e-5).sum() + (sums == 0).sum() == len(sums)
    assert (sums[:-N_PETIOLE] > 0).mean() > 0.8
    assert (sums[-N_PETIOLE:] > 0).all()


def test_a_concept_of_the_apex_is_at_the_top_of_the_canonical_leaf(looked) -> None:
    leaves = [looked[name].found for name in ("Betulaceae", "Myrtaceae", "Moraceae", "Cornaceae")]
    size = leaves[0].labels.shape[0]
    cells = np.stack([divide_cells(leaf.labels, make_lie(size), (8, 8)) for leaf in leaves])
    maps = cells[..., [APEX, PETIOLE]].astype(np.float64)
    average = LeafAverage(2)
    for leaf, each in zip(leaves, maps, strict=True):
        average.add(each, fill_bins(leaf, make_lie(size), (8, 8)))
    apex, stalk = average.take()
    assert np.nanmean(apex.blade[-5:]) > 5 * np.nanmean(apex.blade[:12])
    assert np.nanmean(stalk.petiole) > 3 * np.nanmean(stalk.blade[8:])
    shade = shade_leaf(apex, height=64)
    rows = np.nanmean(np.where(np.isnan(shade), 0, shade), axis=1)
    assert int(rows.argmax()) < 24
    assert np.isnan(shade[0, 0])
    assert shade.dtype == np.float32


def test_bins_that_no_leaf_fills_stay_unseen() -> None:
    bins, average = np.zeros((2, N_ALONG * N_ACROSS + N_PETIOLE, 4)), LeafAverage(1)
    bins[0, 0, 0] = 1
    for each in bins:
        average.add(np.full((2, 2, 1), 3.0), each)
    (found,) = average.take()
    assert found.blade[0, 0] == 3
    assert np.isnan(found.blade).sum() == N_ALONG * N_ACROSS - 1
    assert np.isnan(found.petiole).all()
