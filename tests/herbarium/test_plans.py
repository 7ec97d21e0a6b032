"""Plans before they are drawn: finite, closed, veins where botany has them."""

import numpy as np
import pytest

from leaflineage.herbarium.families import FAMILIES, plan_family
from leaflineage.herbarium.outline import Side, Teeth, cut_teeth
from leaflineage.herbarium.placement import Placement
from leaflineage.herbarium.streams import streams_for
from leaflineage.herbarium.venation import meet_edge


@pytest.mark.parametrize("family", FAMILIES)
def test_no_coordinate_is_lost_and_none_is_far_from_the_leaf(family: str) -> None:
    for index in range(5):
        plan = plan_family(family, streams_for(family, index, seed=11))
        low, high = plan.outline.min(axis=0) - 0.06, plan.outline.max(axis=0) + 0.06
        assert np.isfinite(plan.outline).all()
        for strokes in (plan.primaries, plan.secondaries, plan.tertiaries, *plan.mesh):
            assert np.isfinite(strokes.points).all()
            assert (strokes.widths > 0).all()
            if len(strokes):
                flat = strokes.points.reshape(-1, 2)
                assert (flat > low).all(), (family, index)
                assert (flat < high).all(), (family, index)


def test_the_apex_stands_at_one_length_from_the_insertion() -> None:
    for family in FAMILIES:
        plan = plan_family(family, streams_for(family, 0, seed=0))
        if family != "Ginkgoaceae":
            assert np.hypot(*(plan.outline - [0.0, 1.0]).T).min() < 1e-6


def test_a_place_and_its_inverse_cancel() -> None:
    points = np.random.default_rng(0).uniform([-0.5, -0.4], [0.5, 1.0], (200, 2))
    for curvature in (-0.5, 0.0, 1e-6, 0.3):
        place = Placement(curvature, 0.7, 0.6, (0.4, 0.8))
        assert np.allclose(place.to_leaf(place.to_sheet(points)), points, atol=1e-9)


def test_bending_keeps_the_length_of_the_midvein() -> None:
    midvein = np.stack([np.zeros(400), np.linspace(0, 1, 400)], axis=1)
    bent = Placement(0.5, 0.3, 1.0, (0.0, 0.0)).to_sheet(midvein)
    assert np.hypot(*np.diff(bent, axis=0).T).sum() == pytest.approx(1.0, abs=1e-5)


def test_a_tooth_stands_at_the_end_of_every_vein() -> None:
    edge = Side(width=0.3, widest=0.4, base=0.6, apex=1.1).edge()
    ends = np.linspace(0.3, 0.8, 6)
    toothed, tips = cut_teeth(edge, ends, Teeth(height=0.05), fade_base=0.05, fade_apex=0.05)
    smooth = np.stack([np.interp(ends, np.linspace(0, 1, len(edge)), edge[:, k]) for k in (0, 1)], axis=1)
    assert (np.hypot(*(tips - smooth).T) > 0.015).all()
    assert (tips[:, 0] > smooth[:, 0]).all()
    assert all(np.hypot(*(toothed - tip).T).min() < 1e-9 for tip in tips)


def test_a_vein_meets_the_edge_where_its_ray_does() -> None:
    # A straight edge x = 0.5: a ray at 45 degrees from (0, 0.2) meets it at (0.5, 0.7).
    edge = np.stack([np.full(101, 0.5), np.linspace(0, 1, 101)], axis=1)
    at = meet_edge(edge, np.array([0.1, 0.203]), np.full(2, np.pi / 4))
    assert np.allclose(at, [0.6, 0.703], atol=1e-9)


def test_the_elm_has_one_half_lower_than_the_other() -> None:
    for index in range(6):
        outline = plan_family("Ulmaceae", streams_for("Ulmaceae", index, seed=0)).outline
        lowest = [outline[side * outline[:, 0] > 0.03][:, 1].min() for side in (1, -1)]
        assert abs(lowest[0] - lowest[1]) > 0.03


def test_two_streams_share_no_number_and_one_repeats_itself() -> None:
    streams = streams_for("a", 0, seed=0)
    first, again, other = (streams.generator(name).random(8) for name in ("x", "x", "y"))
    assert np.array_equal(first, again)
    assert not np.isin(first, other).any()
