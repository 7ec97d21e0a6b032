"""Ranking: what is written of a family, its intervals, and how a head that is not affine is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import exact_indices
from torch import Tensor

from leaflineage.config import Config
from leaflineage.records import Catalogue, ModelRecord, Specimen
from leaflineage.stages import rank
from leaflineage.stages.context import Context
from leaflineage.stages.rank import MaskedHead, choose_batch_size, compute_importances
from leaflineage.stages.selection import SelectedFamily
from leaflineage.store import Store

N_CONCEPTS = 3


def make_context(
    folder: Path, coefficients: NDArray[np.float32], *, n_shown: int = 10, groups: list[str] | None = None
) -> Context:
    """Return a run that has come as far as `factorize`: one leaf a specimen, a bank of unit vectors, no residual."""
    store = Store(folder)
    ids = [f"leaf-{index}" for index in range(len(coefficients))]
    of_leaf = groups or ids
    specimens = [
        Specimen(id=each, file=each, group=group, family="Fagaceae") for each, group in zip(ids, of_leaf, strict=True)
    ]
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
        assert other["share"] == one["share"]
        assert other["interval"] == pytest.approx(one["interval"], abs=0.1)  # other draws, of the same leaves
        assert other["interval"][0] > 0 or one["interval"][0] == 0


def test_a_family_of_silent_specimens_leaves_everything_to_the_rest(tmp_path: Path) -> None:
    found = run(tmp_path, [[0, 0, 0]] * 4)
    assert found["n_silent"] == 4
    assert [each["total_sobol_index"] for each in found["concepts"]] == [0, 0, 0]
    assert [each["interval"] for each in found["concepts"]] == [[0, 0]] * 3
    assert [each["prevalence"] for each in found["concepts"]] == [0, 0, 0]
    assert found["residual"]["share"] == 1
    assert found["rest"]["share"] == found["rest"]["residual_share"] == 1
    assert found["rest"]["share_interval"] == [1, 1]
    assert found["explained_interval"] == [0, 0]


def test_reliability_is_not_known_of_a_concept_that_dominates_under_five_specimens(tmp_path: Path) -> None:
    found = run(tmp_path, [[3, 0, 0]] * 5 + [[0, 0, 3]] * 4)
    assert [each["reliability"] for each in found["concepts"]] == [1.0, None, None]
    assert [each["prevalence"] for each in found["concepts"]] == pytest.approx([5 / 9, 0, 4 / 9], abs=1e-5)


# --- intervals -------------------------------------------------------------------------------------------------


LEAVES = np.random.default_rng(0).gamma(1.0, size=(24, N_CONCEPTS)).round(3).tolist()


def test_every_number_lies_in_its_interval(tmp_path: Path) -> None:
    found = run(tmp_path, LEAVES, n_shown=2)
    for each in [*found["concepts"], found["residual"], found["rest"]]:
        for name, interval in [
            ("total_sobol_index", "interval"),
            ("share", "share_interval"),
            ("contribution", "contribution_interval"),
            ("prevalence", "prevalence_interval"),
            ("reliability", "reliability_interval"),
            ("residual_share", "residual_interval"),
        ]:
            if each.get(name) is not None:
                assert each[interval][0] <= each[name] <= each[interval][1]
    for each in found["concepts"]:
        assert each["share_interval"][1] - each["share_interval"][0] > 0.02
        assert each["contribution_interval"][1] - each["contribution_interval"][0] > 0.02


def test_the_rest_is_what_is_not_shown(tmp_path: Path) -> None:
    all_of_them, found = run(tmp_path / "a", LEAVES), run(tmp_path / "b", LEAVES, n_shown=2)
    (hidden,) = [each for each in found["concepts"] if each["id"] not in found["shown"]]
    assert all_of_them["rest"]["share"] == all_of_them["rest"]["residual_share"] == 0
    assert found["rest"]["share"] == hidden["share"] > 0
    assert found["rest"]["share_interval"] == hidden["share_interval"]
    assert found["rest"]["contribution"] == hidden["contribution"]
    assert found["rest"]["contribution_interval"] == hidden["contribution_interval"]
    shown = sum(each["share"] for each in found["concepts"] if each["id"] in found["shown"])
    assert shown + found["rest"]["share"] == pytest.approx(1, abs=1e-5)
    assert found["explained_interval"] == [1, 1]


def test_many_pictures_of_few_leaves_give_wider_intervals(tmp_path: Path) -> None:
    leaves = [f"leaf-{index // 6}" for index in range(24)]
    repeated = [LEAVES[index // 6] for index in range(24)]
    apart = run(tmp_path / "a", repeated)
    together = run(tmp_path / "b", repeated, groups=leaves)
    assert (apart["n_groups"], together["n_groups"]) == (24, 4)
    for one, other in zip(apart["concepts"], together["concepts"], strict=True):
        assert one["share"] == other["share"]
        for name in ("interval", "share_interval", "contribution_interval", "prevalence_interval"):
            assert np.diff(other[name])[0] > 1.5 * np.diff(one[name])[0]


def test_reliability_counts_leaves_not_pictures(tmp_path: Path) -> None:
    leaves = [f"leaf-{index // 5}" for index in range(10)]
    one = run(tmp_path / "a", [[3, 0, 0]] * 10)["concepts"][0]
    other = run(tmp_path / "b", [[3, 0, 0]] * 10, groups=leaves)["concepts"][0]
    assert one["n_dominated"] == other["n_dominated"] == 10
    assert one["reliability"] == other["reliability"] == 1
    assert one["reliability_interval"] == pytest.approx([10 / (10 + 1.96**2), 1], abs=1e-3)
    assert other["reliability_interval"] == pytest.approx([2 / (2 + 1.96**2), 1], abs=1e-3)


def test_contributions_to_every_output_have_intervals(tmp_path: Path) -> None:
    found = run(tmp_path, LEAVES)
    arrays = Store(tmp_path).read_arrays("families/fagaceae/importance.safetensors", stage="rank")
    low, mean, high = (arrays[name] for name in ("contributions_low", "mean_contributions", "contributions_high"))
    assert low.shape == mean.shape == high.shape == (N_CONCEPTS + 1, 2)
    assert (low <= mean).all()
    assert (mean <= high).all()
    own = [each["contribution_interval"] for each in found["concepts"]]
    np.testing.assert_allclose(np.stack([low, high], axis=-1)[:-1, 0], own, rtol=1e-5)
    np.testing.assert_allclose(low[:, 1], -high[:, 0], atol=1e-6)  # of two outputs, centred, one is the other's mirror


def test_the_bias_of_an_affine_head_is_one_for_all(tmp_path: Path) -> None:
    assert run(tmp_path, LEAVES)["bias_interval"] is None


# --- heads that are not affine ---------------------------------------------------------------------------------


class FakeClassifier:
    """A head that reads every cell, and its prefix tokens too, and bends what it reads."""

    device = torch.device("cpu")

    def __init__(self, n_channels: int, n_outputs: int = 3) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(n_channels, n_outputs, generator=generator)
        self.sizes: set[tuple[int, ...]] = set()

    def head(self, maps: Tensor, prefix: Tensor | None = None) -> Tensor:
        self.sizes.add(tuple(maps.shape))
        bent = torch.tanh(maps).mean(dim=(1, 2))
        if prefix is not None:
            bent = torch.tanh(bent + prefix.mean(dim=1))
        return bent @ self.weight


class Bent:
    """A family of random maps under a random bank, and a head that is not affine."""

    def __init__(self, seed: int, *, n: int = 4, k: int = 2, channels: int = 4, size: tuple[int, int] = (3, 2)) -> None:
        generator = np.random.default_rng(seed)
        self.bank = generator.random((k, channels)).astype(np.float32)
        self.maps = generator.random((n, *size, k)).astype(np.float16)
        self.cells = (self.maps @ self.bank + generator.normal(size=(n, *size, channels)) * 0.1).astype(np.float16)
        self.prefix = generator.normal(size=(n, 2, channels)).astype(np.float32)
        self.classifier = FakeClassifier(channels)

    def open_head(self, **changes: Any) -> MaskedHead:
        arguments: dict[str, Any] = {
            "maps": self.maps,
            "read": self.cells.__getitem__,
            "prefix": self.prefix,
            "device": "cpu",
            **changes,
        }
        return MaskedHead(self.classifier.head, self.bank, **arguments)


def test_a_masked_head_answers_as_if_each_cell_were_masked_one_by_one() -> None:
    bent = Bent(1)
    masks = np.random.default_rng(2).random((5, 3))
    found = bent.open_head()(3, masks)
    for mask, logits in zip(masks, found, strict=True):
        cells = np.zeros((1, 3, 2, 4))
        for row, column in np.ndindex(3, 2):
            held = bent.maps[3, row, column].astype(float)
            residual = bent.cells[3, row, column].astype(float) - held @ bent.bank
            cells[0, row, column] = (mask[:2] * held) @ bent.bank + mask[2] * residual
        wanted = bent.classifier.head(torch.from_numpy(cells).float(), torch.from_numpy(bent.prefix[3:4]))
        np.testing.assert_allclose(logits, wanted[0].numpy(), atol=1e-5)


def test_nothing_masked_is_the_specimen_itself_and_all_masked_is_its_prefix_alone() -> None:
    bent = Bent(1)
    head = bent.open_head()
    for index in (0, 2, 0):  # and back again: what is held of one is not taken for the other's
        everything, nothing = head(index, np.array([[1.0, 1, 1], [0, 0, 0]]))
        own = torch.from_numpy(bent.prefix[index : index + 1])
        maps = torch.from_numpy(bent.cells[index : index + 1]).float()
        np.testing.assert_allclose(everything, bent.classifier.head(maps, own)[0], atol=1e-5)
        np.testing.assert_allclose(nothing, bent.classifier.head(torch.zeros_like(maps), own)[0], atol=1e-7)


def test_a_head_that_reads_cells_alone_gets_no_prefix() -> None:
    bent = Bent(1)
    (found,) = bent.open_head(prefix=None)(0, np.ones((1, 3)))
    np.testing.assert_allclose(found, bent.classifier.head(torch.from_numpy(bent.cells[:1]).float())[0], atol=1e-5)


def make_bent_context(folder: Path, bent: Bent, *, pools_first: bool, prefix_matters: bool) -> Context:
    """Return a run like `make_context`'s whose head is not affine."""
    n, rows, columns, k = bent.maps.shape
    context = make_context(folder, np.ones((n, N_CONCEPTS), dtype=np.float32))
    pooled = bent.cells.astype(np.float32).mean(axis=(1, 2))
    write = context.store.write_arrays
    write("families/fagaceae/activations.safetensors", {"cells": bent.cells.reshape(-1, bent.cells.shape[-1])})
    write(
        "families/fagaceae/concepts.safetensors",
        {"concept_bank": bent.bank, "coefficients": bent.maps.astype(np.float32).mean(axis=(1, 2)), "maps": bent.maps},
    )
    arrays = {"pooled": pooled, "logits": pooled[:, :3], **({"prefix": bent.prefix} if prefix_matters else {})}
    write("families/fagaceae/pooled.safetensors", arrays)
    ids = [f"concept-{i + 1:02d}" for i in range(k)]
    context.store.write_json("families/fagaceae/concepts.json", "concepts", {"ids": ids})
    context.__dict__["model"] = ModelRecord.model_construct(
        affine_head=False,
        pools_first=pools_first,
        prefix_matters=prefix_matters,
        map_shape=(rows, columns, bent.bank.shape[1]),
    )
    return context


@pytest.mark.parametrize("pools_first", [True, False])
@pytest.mark.parametrize("prefix_matters", [True, False])
def test_contributions_of_a_sampled_head_sum_to_what_it_says_of_the_specimen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pools_first: bool, prefix_matters: bool
) -> None:
    bent = Bent(3)
    context = make_bent_context(tmp_path, bent, pools_first=pools_first, prefix_matters=prefix_matters)
    monkeypatch.setattr(Context, "load_classifier", lambda self: bent.classifier)
    payload, _ = rank.run(context)
    stored = context.store.read_arrays("families/fagaceae/importance.safetensors", stage="rank")
    maps = torch.from_numpy(bent.cells).float()
    maps = maps.mean(dim=(1, 2), keepdim=True) if pools_first else maps
    logits = bent.classifier.head(maps, torch.from_numpy(bent.prefix) if prefix_matters else None).numpy()
    own = logits[:, 0] - logits.mean(axis=1)
    np.testing.assert_allclose(stored["contributions"].sum(axis=1).mean() + payload["bias"], own.mean(), atol=1e-5)
    assert not payload["exact"]
    if prefix_matters:
        low, high = payload["bias_interval"]
        assert low <= payload["bias"] <= high
        assert high - low > 1e-6
    else:  # without any cell specimens are alike
        assert payload["bias_interval"] is None
    assert 0 < payload["concepts"][0]["share"] < 1
    size = (1, 1) if pools_first else (3, 2)
    assert (choose_batch_size(context.model), *size, 4) in bent.classifier.sizes


def test_a_query_is_ranked_as_the_same_specimen_of_the_family_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bent = Bent(3)
    context = make_bent_context(tmp_path, bent, pools_first=False, prefix_matters=True)
    monkeypatch.setattr(Context, "load_classifier", lambda self: bent.classifier)
    arrays = context.store.read_arrays("families/fagaceae/concepts.safetensors", stage="factorize")
    pooled = bent.cells.astype(np.float32).mean(axis=(1, 2))
    read = compute_importances(context, arrays, pooled, 0, prefix=bent.prefix)
    first = {**arrays, "maps": arrays["maps"][:1], "coefficients": arrays["coefficients"][:1]}
    given = compute_importances(context, first, pooled[:1], 0, prefix=bent.prefix[:1], cells=bent.cells[:1])
    np.testing.assert_array_equal(given.contributions[0], read.contributions[0])
    np.testing.assert_array_equal(given.indices[:, 0], read.indices[:, 0])


@pytest.mark.parametrize(
    ("map_shape", "pools_first", "wanted"),
    [((7, 7, 2048), True, 128), ((7, 7, 2048), False, 10), ((24, 24, 1024), False, 1), ((48, 48, 2048), False, 1)],
)
def test_batches_of_large_maps_are_small(map_shape: tuple[int, int, int], pools_first: bool, wanted: int) -> None:
    model = ModelRecord.model_construct(map_shape=map_shape, pools_first=pools_first)
    assert choose_batch_size(model) == wanted


MEMORY = """
import json, resource
import numpy as np, torch
from scipy.special import stdtrit
from scipy.stats import qmc
from leaflineage.concepts.importance import compute_sampled_importances
from leaflineage.records import ModelRecord
from leaflineage.stages.rank import MaskedHead, choose_batch_size

torch.set_num_threads(1)
generator = np.random.default_rng(0)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def open_head(rows, columns, channels, k):
    weight = torch.from_numpy(generator.random((channels, 142), dtype=np.float32))
    bank = generator.random((k, channels), dtype=np.float32)
    maps = generator.random((2, rows, columns, k), dtype=np.float32).astype(np.float16)
    def read(index):
        return np.random.default_rng(index).random((rows, columns, channels), dtype=np.float32).astype(np.float16)
    def head(masked, prefix):
        return torch.tanh(masked.mean(dim=(1, 2))) @ weight
    model = ModelRecord.model_construct(map_shape=(rows, columns, channels), pools_first=False)
    return MaskedHead(head, bank, maps=maps, read=read, prefix=None, device="cpu"), choose_batch_size(model)

torch.rand(8, 64) @ torch.rand(64, 64)  # what libraries take when first called is not ours
qmc.Sobol(4).random(8)
stdtrit(3, 0.975)
before, found = peak(), {}
for shape in [(24, 24, 1024, 99), (12, 12, 2048, 99), (48, 48, 512, 40)]:
    masked, size = open_head(*shape)
    for index in (0, 0, 1):
        masked(index, generator.random((size, shape[-1] + 1)))
    found[str(shape)] = peak() - before
for shape in [(24, 24, 1024, 3), (4, 4, 256, 99)]:
    masked, size = open_head(*shape)
    compute_sampled_importances(masked, n_specimens=2, n_players=shape[-1] + 1, output=0, batch_size=size,
                                half_width=0.9, max_evaluations=64, seed=0)
    found[str(shape)] = peak() - before
print(json.dumps(found))
"""


@pytest.mark.slow
def test_masking_takes_less_than_64_megabytes_whatever_the_map_and_the_number_of_concepts() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, env=environment)
    peaks = json.loads(done.stdout)
    assert len(peaks) == 5
    assert max(peaks.values()) < 64, peaks
