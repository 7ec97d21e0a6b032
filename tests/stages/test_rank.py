"""Ranking: what is written of a family whose leaves are silent in part, or all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import exact_indices

from leaflineage.config import Config
from leaflineage.records import Catalogue, ModelRecord, Specimen
from leaflineage.stages import rank
from leaflineage.stages.context import Context
from leaflineage.stages.selection import SelectedFamily
from leaflineage.store import Store

N_CONCEPTS = 3


def make_context(folder: Path, coefficients: NDArray[np.float32], *, n_shown: int = 10) -> Context:
    """Return a run that has come as far as `factorize`: one leaf a specimen, a bank of unit vectors, no residual."""
    store = Store(folder)
    ids = [f"leaf-{index}" for index in range(len(coefficients))]
    specimens = [Specimen(id=each, file=each, group=each, family="Fagaceae") for each in ids]
    bank = np.eye(N_CONCEPTS, 4, dtype=np.float32)
    pooled = coefficients @ bank
    weight = np.array([[3, 1, -2, 0], [0, 0, 0, 0]], dtype=np.float32)
    store.write_json("families/fagaceae/activations.json", "activations", {"specimens": ids})
    store.write_json(
        "families/fagaceae/concepts.json", "concepts", {"ids": [f"concept-{i + 1:02d}" for i in range(N_CONCEPTS)]}
    )
    store.write_arrays(
        "families/fagaceae/concepts.safetensors",
        {"concept_bank": bank, "coefficients": coefficients, "maps": coefficients[:, None, None]},
    )
    logits = pooled @ weight.T
    store.write_arrays("families/fagaceae/pooled.safetensors", {"pooled": pooled, "logits": logits})
    store.write_arrays("head.safetensors", {"weight": weight, "bias": np.array([1, 0], dtype=np.float32)})
    config = Config.model_validate(
        {"specimens": {"root": "/leaves"}, "classifier": {"source": "herbarium"}, "atlas": {"n_shown": n_shown}}
    )
    context = Context(store, config, "fagaceae")
    context.__dict__["catalogue"] = Catalogue(specimens=specimens, families=["Fagaceae"])
    context.__dict__["model"] = ModelRecord.model_construct(affine_head=True, pools_first=True)
    context.__dict__["families"] = [SelectedFamily("Fagaceae", "fagaceae", 0, len(ids), None)]
    return context


def run(folder: Path, coefficients: list[list[float]], **changes: Any) -> dict[str, Any]:
    context = make_context(folder, np.array(coefficients, dtype=np.float32), **changes)
    payload, files = rank.run(context)
    context.store.commit("families/fagaceae/importance.json", "importance", payload, fingerprint="x", files=files)
    return context.store.read_json("families/fagaceae/importance.json", "importance")


def test_shares_of_all_players_sum_to_one_and_ranks_follow_the_index(tmp_path: Path) -> None:
    found = run(tmp_path, [[1, 1, 2], [2, 1, 1], [1, 0, 2], [1, 1, 1], [0, 1, 1]])
    assert sum(each["share"] for each in found["concepts"]) + found["residual"]["share"] == pytest.approx(1, abs=1e-5)
    by_rank = sorted(found["concepts"], key=lambda each: each["rank"])
    indices = [each["total_sobol_index"] for each in by_rank]
    assert indices == sorted(indices, reverse=True)
    assert found["shown"] == [each["id"] for each in by_rank]
    assert found["exact"]
    for each in found["concepts"]:
        assert each["interval"][0] <= each["total_sobol_index"] <= each["interval"][1]


def test_a_specimen_gets_the_importances_that_can_be_worked_out_by_hand(tmp_path: Path) -> None:
    found = run(tmp_path, [[1, 1, 2]])
    centred = np.array([1.5, 0.5, -1.0])  # the family's row less the mean of both
    phi = centred * [1, 1, 2]
    assert [each["contribution"] for each in found["concepts"]] == pytest.approx(phi)
    wanted = exact_indices([*phi, 0.0])
    assert [each["total_sobol_index"] for each in found["concepts"]] == pytest.approx(wanted[:3], abs=1e-5)
    assert found["bias"] == pytest.approx(0.5)


def test_concepts_of_equal_weight_are_ranked_by_id(tmp_path: Path) -> None:
    found = run(tmp_path, [[2, 0, 3], [2, 0, 3]], n_shown=2)
    assert [each["rank"] for each in found["concepts"]] == [1, 3, 2]
    assert found["shown"] == ["concept-01", "concept-03"]


def test_silent_specimens_are_counted_and_left_out_of_mean_and_interval(tmp_path: Path) -> None:
    loud = [[1, 1, 2], [2, 1, 1], [1, 0, 2], [1, 1, 1], [0, 1, 1]]
    alone, among = run(tmp_path / "a", loud), run(tmp_path / "b", [[0, 0, 0], *loud, [0, 0, 0], [0, 0, 0]])
    assert (alone["n_silent"], among["n_silent"]) == (0, 3)
    for one, other in zip(alone["concepts"], among["concepts"], strict=True):
        assert other["total_sobol_index"] == one["total_sobol_index"]
        assert other["interval"] == one["interval"]
        assert other["share"] == one["share"]


def test_a_family_of_silent_specimens_leaves_everything_to_the_rest(tmp_path: Path) -> None:
    found = run(tmp_path, [[0, 0, 0]] * 4)
    assert found["n_silent"] == 4
    assert [each["total_sobol_index"] for each in found["concepts"]] == [0, 0, 0]
    assert [each["interval"] for each in found["concepts"]] == [[0, 0]] * 3
    assert [each["prevalence"] for each in found["concepts"]] == [0, 0, 0]
    assert found["residual"]["share"] == 1


def test_reliability_is_not_known_of_a_concept_that_dominates_under_five_specimens(tmp_path: Path) -> None:
    found = run(tmp_path, [[3, 0, 0]] * 5 + [[0, 0, 3]] * 4)
    assert [each["reliability"] for each in found["concepts"]] == [1.0, None, None]
    assert [each["prevalence"] for each in found["concepts"]] == pytest.approx([5 / 9, 0, 4 / 9], abs=1e-5)
