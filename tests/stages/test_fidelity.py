"""Fidelity of a family: what is written, with a head in closed form and one that is asked; what is stale."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import build_tiny, find_differences, load_tiny
from numpy.typing import NDArray

from leaflineage.config import Config
from leaflineage.errors import ModelError
from leaflineage.freshness import find_stale
from leaflineage.records import Catalogue, Completeness, Fidelity, ModelRecord, Specimen
from leaflineage.stages import fidelity
from leaflineage.stages.context import Context
from leaflineage.stages.selection import SelectedFamily, choose_evenly, choose_probe
from leaflineage.stages.table import STAGES, compute_fingerprint
from leaflineage.store import Store

Floats = NDArray[np.floating]
SHAPE = (2, 2, 4)  # (rows, columns, n_channels)
WEIGHT = np.array([[3, 1, -2, 0.5], [0, 1, 0, 1], [1, -1, 1, 0]], dtype=np.float32)
BIAS = np.array([0.5, -0.5, 0.25], dtype=np.float32)
NAMES = ["Fagaceae", "Betulaceae", "Rosaceae"]


def make_specimens(n: int, *, family: str, n_held_out: int) -> list[Specimen]:
    return [
        Specimen(
            id=f"{family}-{index:03d}",
            file=f"{family}-{index:03d}.png",
            group=f"{family}-{index // 2}",
            family=family,
            sha256=f"{index:064d}",
            split="held-out" if index < n_held_out else "train",
        )
        for index in range(n)
    ]


def make_context(
    folder: Path,
    *,
    cells: Floats,
    others: Floats,
    bank: Floats,
    weight: Floats = WEIGHT,
    bias: Floats = BIAS,
    n_held_out: int = 99,
    **facts: Any,
) -> Context:
    """Return a run that has come as far as `rank`: one family of three, whose maps are exact where the bank's are."""
    store = Store(folder)
    specimens = make_specimens(len(cells), family="Fagaceae", n_held_out=n_held_out)
    maps = np.maximum(cells @ np.linalg.pinv(bank), 0).astype(np.float16)  # exact for orthogonal rows
    pooled = cells.mean(axis=(1, 2))
    coefficients = maps.astype(np.float32).mean(axis=(1, 2))
    centred = weight[0] - weight.mean(axis=0)
    concepts = coefficients * (bank @ centred)
    residual = (pooled - coefficients @ bank) @ centred
    contributions = np.concatenate([concepts, residual[:, None]], axis=1)
    total = np.maximum((contributions**2).sum(axis=1, keepdims=True), 1e-30)
    root = "families/fagaceae"
    store.write_json(f"{root}/activations.json", "activations", {"specimens": [each.id for each in specimens]})
    store.write_arrays(f"{root}/activations.safetensors", {"cells": cells.reshape(-1, SHAPE[2]).astype(np.float16)})
    prefix = np.full((len(cells), 1, SHAPE[2]), 0.5, dtype=np.float32)
    found = {"pooled": pooled.astype(np.float32), "logits": pooled @ weight.T + bias, "prefix": prefix}
    store.write_arrays(f"{root}/pooled.safetensors", found)
    store.write_json(f"{root}/concepts.json", "concepts", {"method": "nmf"})
    arrays = {"concept_bank": bank, "coefficients": coefficients, "maps": maps}
    store.write_arrays(f"{root}/concepts.safetensors", arrays)
    ranks = {"indices": contributions**2 / total, "contributions": contributions}
    store.write_arrays(f"{root}/importance.safetensors", ranks)
    store.write_arrays("head.safetensors", {"weight": weight, "bias": bias})
    probe = np.concatenate([cells[:1], others])  # the sample holds leaves of the family too
    probe_pooled = probe.mean(axis=(1, 2))
    probed = {
        "cells": probe.astype(np.float16),
        "pooled": probe_pooled,
        "logits": probe_pooled @ weight.T + bias,
        "prefix": np.full((len(probe), 1, SHAPE[2]), 0.5, dtype=np.float32),
    }
    store.write_arrays("probe.safetensors", probed)
    record = {
        "groups": [f"probe-{index}" for index in range(len(probe))],
        "families": ["Fagaceae"] + ["Betulaceae"] * len(others),
        "outputs": [0] + [1] * len(others),
    }
    store.write_json("probe.json", "probe", record)
    config = Config.model_validate({"specimens": {"root": "/leaves"}, "classifier": {"source": "herbarium"}})
    context = Context(store, config, "fagaceae")
    context.__dict__["catalogue"] = Catalogue(specimens=specimens, families=NAMES)
    known = {"affine_head": True, "pools_first": True, "prefix_matters": False, **facts}
    context.__dict__["model"] = ModelRecord.model_construct(
        map_shape=SHAPE, n_outputs=len(weight), label_names=NAMES, **known
    )
    context.__dict__["families"] = [SelectedFamily("Fagaceae", "fagaceae", 0, len(cells), None)]
    return context


BANK = np.eye(2, 4, dtype=np.float32)
find_random_floor = fidelity._find_random_floor


def draw_cells(n: int, *, seed: int) -> Floats:
    cells: Floats = np.random.default_rng(seed).random((n, *SHAPE)).astype(np.float32)
    return cells


def run(context: Context) -> tuple[Fidelity, Completeness]:
    payload, files = fidelity.run(context)
    assert files == {}
    return Fidelity.model_validate(payload["fidelity"]), Completeness.model_validate(payload["completeness"])


@pytest.fixture(autouse=True)
def no_random_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what needs pictures and a network, unless a test builds an atlas."""
    if "tiny_copy" not in request.fixturenames and "tiny_run" not in request.fixturenames:
        monkeypatch.setattr(fidelity, "_find_random_floor", lambda *arguments: None)


# --- what is written -----------------------------------------------------------------------------------------


def test_shares_errors_and_curves_are_those_of_the_familys_leaves(tmp_path: Path) -> None:
    cells = draw_cells(12, seed=0)
    found, _ = run(make_context(tmp_path, cells=cells, others=draw_cells(9, seed=1), bank=BANK))
    rounded = cells.astype(np.float16).astype(np.float64)
    assert (found.n_specimens, found.split) == (12, "held-out")
    wanted = np.sqrt((rounded[..., 2:] ** 2).sum() / (rounded**2).sum())
    assert found.relative_error.value == pytest.approx(wanted, rel=1e-3)
    assert found.relative_error.interval is not None
    assert found.relative_error.interval[0] < wanted < found.relative_error.interval[1]
    centred = (WEIGHT[0] - WEIGHT.mean(axis=0)).astype(np.float64)
    phi = rounded.mean(axis=(1, 2)) * centred
    players = np.stack([phi[:, 0], phi[:, 1], phi[:, 2:].sum(axis=1)], axis=1)
    indices = players**2 / (players**2).sum(axis=1, keepdims=True)
    assert found.explained_share.value == pytest.approx(indices[:, :2].sum() / 12, rel=1e-3)
    curve = found.curves[0]
    assert curve.order == "contribution"
    bias = BIAS[0] - BIAS.mean()
    assert curve.deletion[0] == pytest.approx(players.sum(axis=1).mean() + bias, rel=1e-3)
    assert curve.deletion[-1] == pytest.approx(players[:, 2].mean() + bias, rel=1e-3)
    assert curve.insertion[0] == pytest.approx(bias, rel=1e-3)
    assert curve.insertion_area.value == pytest.approx(np.mean(curve.insertion))
    assert [each.order for each in found.curves] == ["contribution", "importance", "random"]
    assert found.mu_fidelity["contribution"].value == pytest.approx(1)


def test_a_bank_that_rebuilds_its_own_family_alone_raises_its_accuracy_and_pulls_others_in(tmp_path: Path) -> None:
    weight, bias = np.array([[1, 0, 0, 0], [0, 0.6, 0, 0], [0, 0, 0, 0]], dtype=np.float32), np.zeros(3, np.float32)
    cells = np.broadcast_to(np.array([1, 2, 0, 0], dtype=np.float32), (6, *SHAPE))  # taken for the other family
    others = np.broadcast_to(np.array([0.3, 2, 0, 0], dtype=np.float32), (8, *SHAPE))
    context = make_context(tmp_path, cells=cells, others=others, bank=BANK[:1], weight=weight, bias=bias)
    found, complete = run(context)
    assert (complete.n, complete.n_others) == (6, 8)
    assert (complete.accuracy.value, complete.reconstructed_accuracy.value) == (0, 1)
    assert complete.others_accuracy is not None
    assert complete.others_reconstructed_accuracy is not None
    assert (complete.others_accuracy.value, complete.others_reconstructed_accuracy.value) == (1, 0)
    assert complete.others_taken is not None
    assert complete.others_reconstructed_taken is not None
    assert (complete.others_taken.value, complete.others_reconstructed_taken.value) == (0, 1)
    assert complete.accuracy.interval == (0, pytest.approx(0.562, abs=1e-3))  # Wilson's, 0 of 3 leaves
    floor = found.floors[0]  # a bank of the others knows their mixture, which the second family takes
    assert floor.kind == "shuffled-labels"
    assert floor.accuracy is not None
    assert floor.accuracy.value == 0
    assert floor.explained_share is not None


# --- heads that have to be asked -----------------------------------------------------------------------------


def ask(context: Context, monkeypatch: pytest.MonkeyPatch, *, prefix_weight: float = 0.0) -> None:
    """Let the classifier's head be the affine one, as a function of maps and prefix."""
    import torch

    weight, bias = torch.from_numpy(WEIGHT), torch.from_numpy(BIAS)

    def head(maps: Any, prefix: Any = None) -> Any:
        assert len(maps) == 128, "maps meet the head in batches of one shape"
        logits = maps.mean(dim=(1, 2)) @ weight.T + bias
        return logits if prefix is None else logits + prefix_weight * prefix.mean(dim=1) @ weight.T

    monkeypatch.setattr(Context, "load_classifier", lambda self: SimpleNamespace(head=head, device="cpu"))


@pytest.mark.parametrize("pools_first", [True, False])
def test_a_head_that_has_to_be_asked_gives_what_the_closed_form_gives(
    pools_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {"cells": draw_cells(9, seed=0), "others": draw_cells(7, seed=1), "bank": BANK}
    exact, exact_complete = run(make_context(tmp_path / "a", **arrays))
    context = make_context(tmp_path / "b", **arrays, affine_head=False, pools_first=pools_first)
    ask(context, monkeypatch)
    asked, asked_complete = run(context)
    assert asked_complete == exact_complete
    assert asked.explained_share.value == pytest.approx(exact.explained_share.value, rel=1e-3)
    assert asked.relative_error == exact.relative_error
    for one, other in zip(asked.curves, exact.curves, strict=True):
        np.testing.assert_allclose(one.deletion, other.deletion, atol=2e-3)
        np.testing.assert_allclose(one.insertion, other.insertion, atol=2e-3)
    for name, measure in exact.mu_fidelity.items():
        assert asked.mu_fidelity[name].value == pytest.approx(measure.value, abs=1e-3)
    assert asked.floors[0].explained_share is None  # sampling it would cost more than it says
    assert asked.floors[0].relative_error == exact.floors[0].relative_error
    assert asked.floors[0].accuracy == exact.floors[0].accuracy


def test_a_prefix_is_kept_where_the_head_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"cells": draw_cells(6, seed=0), "others": draw_cells(5, seed=1), "bank": BANK}
    found = {}
    for prefix_matters in (False, True):
        folder = tmp_path / str(prefix_matters)
        context = make_context(folder, **arrays, affine_head=False, pools_first=False, prefix_matters=prefix_matters)
        ask(context, monkeypatch, prefix_weight=1.0)
        found[prefix_matters] = run(context)
    shift = 0.5 * float((WEIGHT[0] - WEIGHT.mean(axis=0)).sum())
    with_it, without = found[True][0].curves[0], found[False][0].curves[0]
    np.testing.assert_allclose(np.array(with_it.insertion) - without.insertion, shift, atol=1e-4)
    np.testing.assert_allclose(np.array(with_it.deletion) - without.deletion, shift, atol=1e-4)


# --- edges ---------------------------------------------------------------------------------------------------


def test_held_out_leaves_are_taken_where_there_are_five_of_them(tmp_path: Path) -> None:
    arrays = {"cells": draw_cells(9, seed=0), "others": draw_cells(5, seed=1), "bank": BANK}
    few, _ = run(make_context(tmp_path / "few", **arrays, n_held_out=1))
    assert (few.n_specimens, few.split) == (9, "training leaves included")
    enough, complete = run(make_context(tmp_path / "enough", **arrays, n_held_out=5))
    assert (enough.n_specimens, enough.split, complete.n) == (5, "held-out", 5)


def test_a_single_leaf_has_figures_without_intervals(tmp_path: Path) -> None:
    found, complete = run(make_context(tmp_path, cells=draw_cells(1, seed=0), others=draw_cells(5, seed=1), bank=BANK))
    assert found.n_specimens == complete.n == 1
    assert found.explained_share.interval is None
    assert complete.accuracy.interval is not None  # Wilson's


def test_a_single_concept_has_curves_and_no_mu_fidelity(tmp_path: Path) -> None:
    context = make_context(tmp_path, cells=draw_cells(6, seed=0), others=draw_cells(5, seed=1), bank=BANK[:1])
    found, _ = run(context)
    assert [len(each.deletion) for each in found.curves] == [2, 2, 2]
    assert found.mu_fidelity == {}


def test_a_family_whose_logits_never_move_is_explained_by_nothing(tmp_path: Path) -> None:
    arrays = {"cells": draw_cells(6, seed=0), "others": draw_cells(5, seed=1), "bank": BANK}
    found, _ = run(make_context(tmp_path, **arrays, weight=np.zeros((3, 4), np.float32), bias=np.zeros(3, np.float32)))
    assert found.explained_share.value == 0
    assert found.mu_fidelity == {}
    assert all(value == 0 for each in found.curves for value in (*each.deletion, *each.insertion))


def test_a_family_alone_in_the_atlas_is_compared_with_none(tmp_path: Path) -> None:
    context = make_context(tmp_path, cells=draw_cells(6, seed=0), others=np.zeros((0, *SHAPE), np.float32), bank=BANK)
    found, complete = run(context)
    assert (complete.n_others, complete.others_accuracy, complete.others_reconstructed_taken) == (0, None, None)
    assert found.floors == []


def test_a_floor_whose_bank_cannot_be_fitted_is_left_out(tmp_path: Path) -> None:
    context = make_context(tmp_path, cells=draw_cells(6, seed=0), others=np.zeros((4, *SHAPE), np.float32), bank=BANK)
    found, complete = run(context)
    assert found.floors == []
    assert complete.n_others == 4


def test_the_same_run_gives_the_same_figures_and_another_seed_others(tmp_path: Path) -> None:
    context = make_context(tmp_path, cells=draw_cells(9, seed=0), others=draw_cells(5, seed=1), bank=BANK)
    first, _ = fidelity.run(context)
    assert fidelity.run(context)[0] == first
    context.__dict__["config"] = context.config.model_copy(
        update={"run": context.config.run.model_copy(update={"seed": 1})}
    )
    assert fidelity.run(context)[0] != first


# --- the random network --------------------------------------------------------------------------------------


def imagine(monkeypatch: pytest.MonkeyPatch, *, largest: float = 1.0) -> None:
    """Let a random network see one thing in the leaves of every second group, and another in the others."""
    import torch

    def read(context: Context, specimens: list[Specimen], set_aside: dict[str, str]) -> Any:
        for index, each in enumerate(specimens):
            side = int(each.group.rpartition("-")[2]) % 2
            yield index, None, np.full((8, 8, 3), 255 * side, dtype=np.uint8), None

    def features(images: Any) -> Any:
        one, other = torch.tensor([[1.0, 0, 0, 0], [0, largest, 0, 0]])
        side = images.mean(dim=(1, 2, 3))[:, None]
        return torch.where(side > 0.5, other, one)[:, None, None].expand(len(images), *SHAPE)

    network = SimpleNamespace(features=features, head_weight=torch.from_numpy(WEIGHT), head_bias=torch.from_numpy(BIAS))
    monkeypatch.setattr(fidelity, "read_specimens", read)
    monkeypatch.setattr(fidelity, "_load_random_classifier", lambda context: network)


def test_the_random_network_is_tried_on_leaves_that_its_bank_has_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(tmp_path, cells=draw_cells(12, seed=0), others=draw_cells(5, seed=1), bank=BANK)
    imagine(monkeypatch)
    floor = find_random_floor(context, context.specimens, (1, "nmf"), 0)
    assert floor is not None
    assert floor.explained_share is not None
    assert floor.relative_error is not None
    assert (floor.kind, floor.accuracy) == ("random-weights", None)
    assert floor.relative_error.value == pytest.approx(1)
    assert floor.explained_share.value == pytest.approx(0)


def test_there_is_no_floor_where_a_random_network_cannot_be_split_overflows_or_sees_one_leaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(tmp_path, cells=draw_cells(12, seed=0), others=draw_cells(5, seed=1), bank=BANK)
    imagine(monkeypatch, largest=np.inf)
    assert find_random_floor(context, context.specimens, (1, "nmf"), 0) is None
    imagine(monkeypatch)
    assert find_random_floor(context, context.specimens[:2], (1, "nmf"), 0) is None

    def refuse(context: Context) -> None:
        raise ModelError("Wanted a head that reads the cells.")

    monkeypatch.setattr(fidelity, "_load_random_classifier", refuse)
    assert find_random_floor(context, context.specimens, (1, "nmf"), 0) is None


# --- the sample ----------------------------------------------------------------------------------------------


def test_families_take_turns_and_held_out_leaves_come_first_one_of_each_leaf() -> None:
    specimens = [
        *make_specimens(8, family="Fagaceae", n_held_out=0),
        *make_specimens(8, family="Betulaceae", n_held_out=0),
    ]
    specimens[7] = specimens[7].model_copy(update={"split": "held-out"})
    chosen = [each.id for each in choose_evenly(specimens, 6)]
    assert chosen == [
        "Betulaceae-000",
        "Fagaceae-007",
        "Betulaceae-002",
        "Fagaceae-000",
        "Betulaceae-004",
        "Fagaceae-002",
    ]


@pytest.mark.parametrize(("map_shape", "n"), [(SHAPE, 128), ((64, 64, 1024), 16), ((1000, 1000, 1000), 1)])
def test_the_sample_stays_within_its_memory(map_shape: tuple[int, int, int], n: int) -> None:
    specimens = make_specimens(200, family="Fagaceae", n_held_out=0)
    unknown = make_specimens(9, family="Unknownaceae", n_held_out=0)
    model = ModelRecord.model_construct(map_shape=map_shape, label_names=NAMES)
    chosen = choose_probe(Catalogue(specimens=[*specimens, *unknown], families=["Fagaceae"]), model)
    assert len(chosen) == n
    assert {each.family for each in chosen} == {"Fagaceae"}
    assert [each.id for each in chosen] == sorted(each.id for each in chosen)


# --- what is stale -------------------------------------------------------------------------------------------


def commit_run(folder: Path, specimens: list[Specimen]) -> Context:
    """Return a run of two families whose artifacts have all been made."""
    store = Store(folder)
    catalogue = Catalogue(specimens=specimens, families=["Betulaceae", "Fagaceae"])
    store.write_json("catalogue.json", "catalogue", catalogue.model_dump(mode="json"))
    preprocessing = {
        "input_size": (64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic", "fit": "pad",
        "pad_colour": (255,) * 3,
    }  # fmt: skip
    model = {
        "name": "model", "architecture": "resnet18", "layer": "layer4", "map_shape": SHAPE, "affine_head": True,
        "pools_first": True, "depends_on_cells": True, "signed": False, "negative_energy": 0, "split_error": 0,
        "n_outputs": 2, "label_names": ["Betulaceae", "Fagaceae"], "preprocessing": preprocessing, "sha256": "0",
    }  # fmt: skip
    store.commit("model.json", "model", model, fingerprint="x", files={})
    config = Config.model_validate({"specimens": {"root": "/leaves"}, "classifier": {"source": "herbarium"}})
    context = Context(store, config)
    sample = [each.id for each in choose_probe(context.catalogue, context.model)]
    store.commit("probe.json", "probe", {"specimens": sample}, fingerprint="x", files={})
    for slug in ("betulaceae", "fagaceae"):
        for name in ("extract", "factorize", "rank"):
            stage = STAGES[name]
            store.commit(stage.record_path(slug), stage.kind, {"of": name}, fingerprint="x", files={})
        name = f"families/{slug}/importance.safetensors"
        store.write_arrays(name, {"indices": np.ones((2, 2), dtype=np.float32)})
    return context


def change_leaf(specimens: list[Specimen], index: int) -> list[Specimen]:
    return [
        each.model_copy(update={"sha256": "changed"}) if place == index else each
        for place, each in enumerate(specimens)
    ]


@pytest.mark.parametrize(("index", "is_sampled"), [(0, True), (199, False)])
def test_a_leaf_outside_the_sample_that_changed_leaves_other_families_fresh(
    index: int, is_sampled: bool, tmp_path: Path
) -> None:
    specimens = [
        *make_specimens(200, family="Betulaceae", n_held_out=0),
        *make_specimens(200, family="Fagaceae", n_held_out=0),
    ]
    before = commit_run(tmp_path / "before", specimens)
    after = commit_run(tmp_path / "after", change_leaf(specimens, index))
    probe, tried = STAGES["probe"], STAGES["fidelity"]
    assert (compute_fingerprint(probe, before) != compute_fingerprint(probe, after)) == is_sampled
    fagaceae = [compute_fingerprint(tried, each.of("fagaceae")) for each in (before, after)]
    assert fagaceae[0] == fagaceae[1]  # the probe, made again, decides: here it says the same
    betulaceae = [compute_fingerprint(tried, each.of("betulaceae")) for each in (before, after)]
    assert betulaceae[0] != betulaceae[1]


def test_a_probe_that_says_something_else_makes_every_familys_fidelity_stale(tmp_path: Path) -> None:
    context = commit_run(tmp_path, make_specimens(20, family="Fagaceae", n_held_out=0))
    before = compute_fingerprint(STAGES["fidelity"], context.of("betulaceae"))
    context.store.commit("probe.json", "probe", {"specimens": ["another"]}, fingerprint="x", files={})
    assert compute_fingerprint(STAGES["fidelity"], context.of("betulaceae")) != before


def test_which_concepts_are_shown_changes_no_fidelity_and_what_importances_are_does(tmp_path: Path) -> None:
    context = commit_run(tmp_path, make_specimens(20, family="Fagaceae", n_held_out=0)).of("fagaceae")
    before = compute_fingerprint(STAGES["fidelity"], context)
    record = "families/fagaceae/importance.json"
    context.store.commit(record, "importance", {"shown": ["concept-02"]}, fingerprint="x", files={})
    assert compute_fingerprint(STAGES["fidelity"], context) == before
    context.store.write_arrays(record.replace("json", "safetensors"), {"indices": np.zeros((2, 2), dtype=np.float32)})
    assert compute_fingerprint(STAGES["fidelity"], context) != before


# --- a whole build -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_family_is_tried_and_told_from_its_floors(tiny_run: Path) -> None:
    store = Store(tiny_run)
    for slug in ("betulaceae", "fagaceae", "ginkgoaceae"):
        record = store.read_json(f"families/{slug}/fidelity.json", "fidelity")
        found, complete = (
            Fidelity.model_validate(record["fidelity"]),
            Completeness.model_validate(record["completeness"]),
        )
        assert found.n_specimens == complete.n == 12
        assert complete.n_others == 24
        assert found.mu_fidelity["contribution"].value == pytest.approx(1, abs=1e-5)
        areas = {each.order: each.deletion_area.value for each in found.curves}
        assert areas["contribution"] <= areas["importance"]
        assert areas["contribution"] < areas["random"]
        floors = {each.kind: each for each in found.floors}
        assert set(floors) == {"shuffled-labels", "random-weights"}
        shuffled, random = floors["shuffled-labels"], floors["random-weights"]
        assert shuffled.explained_share is not None
        assert shuffled.explained_share.value < found.explained_share.value
        assert shuffled.relative_error is not None
        assert shuffled.relative_error.value > found.relative_error.value
        assert random.accuracy is None
        assert random.relative_error is not None
        assert 0 < random.relative_error.value < 1


@pytest.mark.slow
def test_dropped_cells_are_extracted_again_for_fidelity_alone(tiny_run: Path, tiny_copy: Path) -> None:
    assert set(find_stale(load_tiny(), tiny_copy).values()) == {0}
    (tiny_copy / "families/fagaceae/fidelity.json").unlink()
    stale = {name: n for name, n in find_stale(load_tiny(), tiny_copy).items() if n}
    assert stale == {"extract": 1, "fidelity": 1, "collect": 1}
    report = build_tiny(tiny_copy)
    built = {name: slugs for name, slugs in report.built.items() if slugs}
    assert built == {"extract": ["fagaceae"], "fidelity": ["fagaceae"]}
    assert find_differences(tiny_run, tiny_copy) == []


@pytest.mark.slow
def test_a_probe_to_be_made_again_counts_all_that_reads_it(tiny_copy: Path) -> None:
    (tiny_copy / "probe.safetensors").unlink()
    stale = {name: n for name, n in find_stale(load_tiny(), tiny_copy).items() if n}
    assert stale == {"probe": 1, "extract": 3, "fidelity": 3, "name": 3, "collect": 1}
    report = build_tiny(tiny_copy)  # it says what it said: nobody who reads it is made again
    assert [name for name, slugs in report.built.items() if slugs] == ["probe"]


@pytest.mark.slow
def test_fidelity_does_not_depend_on_whether_cells_are_kept(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    for path in run.glob("families/*/fidelity.json"):
        path.unlink()
    build_tiny(run, "run.keep_activations=true")
    assert list(run.glob("families/*/activations.safetensors"))
    for path in run.glob("families/*/fidelity.json"):
        content = path.read_bytes()
        path.unlink()
        build_tiny(run, "run.keep_activations=true")
        assert path.read_bytes() == content
