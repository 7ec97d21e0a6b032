"""Pattern statistics tell teeth, their lean and veins apart; tests hold their false discovery rate."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from leaflineage.anatomy import (
    LeafZones,
    contrast_patterns,
    hold_discovery_rate,
    measure_crop,
    summarize_teeth,
    trace_margin,
)
from leaflineage.anatomy.labels import BLADE, SECONDARY
from leaflineage.anatomy.patterns import STATISTICS

SIZE = 300


def make_blade(tooth: str, *, n_teeth: int = 30) -> LeafZones:
    """Return zones of an upright ellipse, its edge smooth, or with straight teeth, or with teeth that lean upwards."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    dy, dx = 150 - y, x - 150
    angle = np.arctan2(np.abs(dx) / 80, dy / 130)  # 0 at the apex, π at the base, the same on both sides
    place = (np.pi - angle) / np.pi * n_teeth % 1  # grows towards the apex
    wave = {"none": 0 * place, "straight": 1 - 2 * np.abs(place - 0.5), "leaning": place}[tooth]
    labels = np.where(np.hypot(dx / 80, dy / 130) < 1 + 0.06 * wave, BLADE, 0).astype(np.uint8)
    flat = np.zeros((SIZE, SIZE), dtype=np.float32)
    axis = np.stack([np.full(160, 150.0), np.linspace(280, 20, 160)], axis=1)
    return LeafZones(labels, flat, flat, flat, axis, 260.0, 1.0, {}, None, is_palmate=False)


def measure(zones: LeafZones, box=(150, 60, 290, 240), image=None):
    image = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8) if image is None else image
    return measure_crop(image, zones, trace_margin(zones), box)


def read(pattern, name: str) -> float:
    return float(pattern.values[STATISTICS.index(name)])


def test_teeth_stand_out_and_a_smooth_edge_does_not() -> None:
    toothed, smooth = measure(make_blade("straight")), measure(make_blade("none"))
    assert read(toothed, "teeth") > 4 * read(smooth, "teeth")
    assert read(toothed, "periodicity") > 0.4
    assert toothed.n_teeth >= 8
    assert smooth.n_teeth == 0


def test_the_way_between_teeth_is_that_drawn() -> None:
    found = measure(make_blade("straight"))
    # At the ellipse's side a step of its angle is as long as the longer half axis.
    assert found.tooth_px == pytest.approx(130 * np.pi / 30, rel=0.1)
    assert summarize_teeth([found, measure(make_blade("none"))])[0] == pytest.approx(found.tooth_px)
    assert summarize_teeth([measure(make_blade("none"))]) == (None, None)


def test_teeth_that_lean_to_the_apex_are_told_from_straight_ones() -> None:
    assert read(measure(make_blade("leaning")), "lean") > read(measure(make_blade("straight")), "lean") + 0.3


def test_lean_does_not_depend_on_the_side_of_the_leaf() -> None:
    zones = make_blade("leaning")
    right, left = measure(zones), measure(zones, box=(10, 60, 150, 240))
    assert read(left, "lean") == pytest.approx(read(right, "lean"), abs=0.25)


def test_a_crop_without_edge_has_no_margin_statistics() -> None:
    found = measure(make_blade("straight"), box=(120, 120, 180, 180))
    assert np.isnan(found.values[:4]).all()
    assert read(found, "vein_density") == 0


def test_vein_density_is_the_share_of_the_blade() -> None:
    zones = make_blade("none")
    zones.labels[120:180:4, 120:180] = SECONDARY
    assert read(measure(zones, box=(120, 120, 180, 180)), "vein_density") == pytest.approx(0.25)


def test_alignment_is_the_coherence_of_gradients() -> None:
    stripes = np.broadcast_to(128 + 60 * np.sin(np.arange(SIZE) / 3)[None, :, None], (SIZE, SIZE, 3)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    zones, box = make_blade("none"), (120, 120, 180, 180)
    assert read(measure(zones, box, stripes), "vein_alignment") > 0.95
    assert read(measure(zones, box, noise), "vein_alignment") < 0.15
    right, down = np.random.default_rng(1).normal(size=(2, 30))
    tensor = np.array([(right**2).mean(), (down**2).mean(), (right * down).mean()])
    plain = np.hypot(tensor[0] - tensor[1], 2 * tensor[2]) / (tensor[0] + tensor[1])
    assert plain == pytest.approx(reference.measure_coherence(right.tolist(), down.tolist()))


def test_no_blade_has_no_margin() -> None:
    zones = make_blade("none")
    zones.labels[:] = 0
    assert trace_margin(zones) is None
    assert np.isnan(measure(zones).values).all()


# --- tests and their rate ------------------------------------------------------------------------------------------


def test_a_planted_pattern_beats_shuffled_coefficients_and_noise_does_not() -> None:
    generator = np.random.default_rng(0)
    coefficients = generator.gamma(1.0, size=60)
    statistics = generator.normal(size=(60, 6))
    statistics[:, 0] += 2 * np.argsort(np.argsort(coefficients)) / 60
    statistics[:, 5] = np.nan
    found = contrast_patterns(coefficients, statistics, seed=0)
    assert found.p_value[0] <= 0.01
    assert found.effect[0] > found.floor[0] > 0
    assert np.isnan(found.p_value[5])
    assert hold_discovery_rate(found.p_value, rate=0.1).tolist()[0] is True


def test_too_few_crops_or_constant_numbers_say_nothing() -> None:
    few = contrast_patterns(np.arange(15.0), np.random.default_rng(0).normal(size=(15, 2)), seed=0)
    constant = contrast_patterns(np.arange(40.0), np.ones((40, 2)), seed=0)
    silent = contrast_patterns(np.ones(40), np.random.default_rng(0).normal(size=(40, 2)), seed=0)
    for each in (few, constant, silent):
        assert np.isnan(each.p_value).all()


def test_the_same_seed_gives_the_same_test() -> None:
    generator = np.random.default_rng(4)
    coefficients, statistics = generator.gamma(1.0, size=40), generator.normal(size=(40, 6))
    one, other = (contrast_patterns(coefficients, statistics, seed=9) for _ in range(2))
    assert np.array_equal(one.p_value, other.p_value)


def test_discoveries_are_those_of_the_definition() -> None:
    generator = np.random.default_rng(7)
    for _ in range(50):
        p_values = np.round(generator.uniform(size=12) ** 3, 3)
        found = hold_discovery_rate(p_values, rate=0.1)
        assert found.tolist() == reference.keep_discoveries(p_values.tolist(), 0.1)


def test_unknown_p_values_are_no_discoveries_and_do_not_count() -> None:
    found = hold_discovery_rate(np.array([[0.04, np.nan], [np.nan, 0.9]]), rate=0.1)
    assert found.tolist() == [[True, False], [False, False]]
    assert not hold_discovery_rate(np.full((2, 2), np.nan), rate=0.1).any()
