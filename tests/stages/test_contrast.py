"""Mistakes from both sides: the concepts of the family that a specimen was taken for, laid over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import load_tiny
from safetensors.numpy import load_file

from leaflineage.stages import collect, contrast
from leaflineage.stages.context import Context
from leaflineage.store import Store


def make_mistakes(run: Path, taken_for: dict[int, str]) -> list[str]:
    """Let specimens of Fagaceae (by place) be mistakes; return the ids of all."""
    path = run / "families/fagaceae/crops.json"
    listed: list[str] = json.loads((run / "families/fagaceae/activations.json").read_text())["specimens"]
    record = json.loads(path.read_text())
    record["mistakes"] = [
        {"specimen": listed[place], "family": family, "score": 0.9, "own_score": 0.1, "held_out": True}
        for place, family in taken_for.items()
    ]
    path.write_text(json.dumps(record))
    return listed


def run_stage(run: Path, *overrides: str) -> dict[str, Any]:
    payload, files = contrast.run(Context(Store(run), load_tiny(*overrides), "fagaceae"))
    assert files == {}
    specimens: dict[str, Any] = payload["specimens"]
    return specimens


def test_without_mistakes_there_is_nothing_to_lay(tiny_run: Path) -> None:
    assert json.loads((tiny_run / "families/fagaceae/crops.json").read_text())["mistakes"] == []
    assert json.loads((tiny_run / "families/fagaceae/contrasts.json").read_text())["specimens"] == {}


def test_the_other_familys_concepts_rest_and_bias_sum_to_its_logit(tiny_copy: Path) -> None:
    listed = make_mistakes(tiny_copy, {2: "Betulaceae", 7: "Ginkgoaceae"})
    found = run_stage(tiny_copy)
    logits = load_file(tiny_copy / "families/fagaceae/pooled.safetensors")["logits"].astype(np.float64)
    centred = logits - logits.mean(axis=1, keepdims=True)
    assert set(found) == {listed[2], listed[7]}
    for place, slug, output in ((2, "betulaceae", 0), (7, "ginkgoaceae", 3)):
        each = found[listed[place]]
        names = [f"{slug}/concept-0{n}" for n in (1, 2, 3)]
        assert set(each["contributions"]) == {*names, f"{slug}/rest", f"{slug}/bias"}
        assert sum(each["contributions"].values()) == pytest.approx(centred[place, output], abs=1e-3)
        assert set(each["importances"]) == {*names, f"{slug}/rest"}
        assert sum(each["importances"].values()) == pytest.approx(1, abs=1e-6)
        assert {heat["concept"] for heat in each["heatmaps"]} == set(names)
        assert all(heat["heatmap"].startswith("data:image/webp;base64,") for heat in each["heatmaps"])


def test_a_mistake_for_a_family_that_is_not_built_is_not_laid(tiny_copy: Path) -> None:
    make_mistakes(tiny_copy, {2: "Moraceae"})
    assert run_stage(tiny_copy) == {}


def test_what_is_laid_over_one_mistake_does_not_depend_on_the_others(tiny_copy: Path) -> None:
    listed = make_mistakes(tiny_copy, {2: "Betulaceae", 7: "Betulaceae"})
    both = run_stage(tiny_copy)
    make_mistakes(tiny_copy, {7: "Betulaceae"})
    assert run_stage(tiny_copy)[listed[7]] == both[listed[7]]


def test_a_specimen_laid_under_its_own_familys_concepts_gets_what_rank_found(tiny_copy: Path) -> None:
    """Own concepts are laid by the same rules: what `rank` stored of the specimen comes out again."""
    listed = make_mistakes(tiny_copy, {4: "Fagaceae"})
    found = run_stage(tiny_copy)[listed[4]]
    arrays = load_file(tiny_copy / "families/fagaceae/importance.safetensors")
    for number in (1, 2, 3):
        name = f"fagaceae/concept-0{number}"
        assert found["contributions"][name] == pytest.approx(arrays["contributions"][4, number - 1], abs=2e-2)
        assert found["importances"][name] == pytest.approx(arrays["indices"][4, number - 1], abs=2e-2)
    record = json.loads((tiny_copy / "families/fagaceae/crops.json").read_text())
    if listed[4] in record["specimens"]:
        own = {each["concept"]: each for each in record["specimens"][listed[4]]["heatmaps"]}
        for heat in found["heatmaps"]:
            assert heat["coefficient"] == pytest.approx(own[heat["concept"]]["coefficient"], rel=1e-2, abs=1e-2)
            assert heat["heatmap_max"] == pytest.approx(own[heat["concept"]]["heatmap_max"], rel=1e-5)


def test_both_sides_of_a_mistake_reach_the_atlas(tiny_copy: Path) -> None:
    listed = make_mistakes(tiny_copy, {2: "Betulaceae"})
    store, config = Store(tiny_copy), load_tiny()
    store.write_json("families/fagaceae/contrasts.json", "contrasts", {"specimens": run_stage(tiny_copy)})
    collect.run(Context(store, config))
    family = json.loads((tiny_copy / "families/fagaceae/family.json").read_text())
    specimen = next(each for each in family["specimens"] if each["id"] == listed[2])
    assert {each["concept"].split("/")[0] for each in specimen["heatmaps"]} == {"fagaceae", "betulaceae"}
    assert {"rest", "bias", "betulaceae/rest", "betulaceae/bias"} <= set(specimen["contributions"])
    assert family["family"]["mistakes"][0]["family"] == "Betulaceae"
    atlas = json.loads((tiny_copy / "atlas.json").read_text())
    assert all(each["heatmaps"] == [] for each in atlas["specimens"]), "too many for one file"
