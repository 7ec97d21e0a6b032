"""What a stage holds does not grow with the cells of a family's specimens; what a build would hold is known before."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaflineage.arrays import MappedArray
from leaflineage.concepts import encoding, factorization, rows, stability, unseen
from leaflineage.config import Config
from leaflineage.errors import ConfigError
from leaflineage.records import Catalogue, ModelRecord, Specimen
from leaflineage.stages import extract, factorize
from leaflineage.stages.context import Context
from leaflineage.stages.masking import Leaves
from leaflineage.stages.memory import check_memory, count_fitted, estimate_activations
from leaflineage.stages.selection import SelectedFamily
from leaflineage.store import Store

SIDE, N_CHANNELS = 4, 1500
BYTES_EACH = 2 * SIDE**2 * N_CHANNELS  # of a specimen's cells


def make_config(**run: Any) -> Config:
    return Config.model_validate(
        {
            "specimens": {"root": "/leaves"},
            "classifier": {"source": "herbarium"},
            "concepts": {"n_concepts": 2, "refits": 2, "max_cells": 200, "max_iterations": 5},
            "run": {"device": "cpu", **run},
        }
    )


def make_model(**changes: Any) -> ModelRecord:
    shape = {"map_shape": (SIDE, SIDE, N_CHANNELS), "n_outputs": 3, "n_prefix_tokens": 0, "prefix_matters": False}
    return ModelRecord.model_construct(
        **{"layer": "layer4", "affine_head": False, "signed": False, **shape, **changes}  # type: ignore[arg-type]
    )


def make_context(folder: Path, n: int) -> Context:
    context = Context(Store(folder), make_config(), "fagaceae")
    specimens = [Specimen(id=f"leaf-{i:04d}", file=f"{i}", group=f"leaf-{i}", family="Fagaceae") for i in range(n)]
    context.__dict__["catalogue"] = Catalogue(specimens=specimens, families=["Fagaceae"])
    context.__dict__["model"] = make_model()
    context.__dict__["families"] = [SelectedFamily("Fagaceae", "fagaceae", 2, n, None)]
    return context


class Classifier:
    """Gives maps of the wanted shape, of either brightness."""

    def features_with_prefix(self, images: Any) -> Any:
        import torch

        ramp = torch.linspace(0, 1, N_CHANNELS)
        return images.mean(dim=(1, 2, 3))[:, None, None, None] * ramp.expand(SIDE, SIDE, -1), None

    def head(self, maps: Any, prefix: Any) -> Any:
        return maps[:, 0, 0, :3]


def measure_peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def run_extract(folder: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> int:
    context = make_context(folder, n)
    picture = np.full((8, 8, 3), 200, dtype=np.uint8)
    monkeypatch.setattr(Context, "load_classifier", lambda _: Classifier())
    monkeypatch.setattr(
        extract, "read_specimens", lambda *_: ((index, picture, picture - index % 9, None) for index in range(n))
    )
    return measure_peak(lambda: context.store.commit(
        "families/fagaceae/activations.json", "activations", (found := extract.run(context))[0], fingerprint="x",
        files=found[1],
    ))  # fmt: skip


def test_extract_and_factorize_hold_no_more_where_there_are_more_specimens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (rows, factorization, stability, unseen):  # the fewer specimens fill a piece, and so do the more
        monkeypatch.setattr(module, "PIECE", 256)
    monkeypatch.setattr(encoding, "N_ROWS", 256)
    n_few, n_many = 40, 240
    run_extract(tmp_path / "2", 2, monkeypatch)  # what is imported and made once
    few, many = (run_extract(tmp_path / f"{n}", n, monkeypatch) for n in (n_few, n_many))
    added = (n_many - n_few) * BYTES_EACH
    assert many - few < added / 4
    stored = Store(tmp_path / f"{n_many}").map_arrays("families/fagaceae/activations.safetensors", stage="extract")
    assert stored["cells"].shape == (n_many * SIDE**2, N_CHANNELS)
    factorize.run(make_context(tmp_path / "2", 2))
    few, many = (measure_peak(lambda n=n: factorize.run(make_context(tmp_path / f"{n}", n))) for n in (n_few, n_many))
    assert many - few < added  # before cells were read in parts: several times that


def test_leaves_that_are_taken_from_a_family_are_read_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_extract(tmp_path, 6, monkeypatch)
    stored = Store(tmp_path).map_arrays("families/fagaceae/activations.safetensors", stage="extract")
    cells = stored["cells"].reshape(6, SIDE, SIDE, N_CHANNELS)
    leaves = Leaves(cells, np.zeros((6, 1)), np.zeros((6, 3)), None, list("abcdef"), np.zeros(6, dtype=int))
    taken = leaves.take([4, 1])
    assert isinstance(taken.cells, MappedArray)
    np.testing.assert_array_equal(taken.cells[:], cells[np.array([4, 1])])
    assert taken.groups == ["e", "b"]


# --- what is known before ------------------------------------------------------------------------------------


def test_activations_are_estimated_by_what_a_bank_is_fitted_on() -> None:
    large = make_model(map_shape=(12, 12, 2048))
    assert count_fitted(make_config(), large, 3) == 200  # [concepts] max_cells
    plain = Config.model_validate({**make_config().model_dump(), "concepts": {}})
    assert count_fitted(plain, large, 213) == 20_000
    assert 0.2e9 < estimate_activations(plain, large, 213) < 1e9
    assert estimate_activations(plain, large, 2130) < 1.2 * estimate_activations(plain, large, 213)
    crops = Config.model_validate({**make_config().model_dump(), "concepts": {"fit_on": "both"}})
    assert count_fitted(crops, large, 213) > 20_000 + 213 * 5


def test_what_cannot_be_worked_on_within_memory_says_what_would_be_needed() -> None:
    model = make_model(map_shape=(12, 12, 2048))
    check_memory(make_config(), model, {"Fagaceae": 213, "Ulmaceae": 20})
    check_memory(make_config(memory_gb=0.001), model, {})
    with pytest.raises(
        ConfigError, match=r"memory_gb = 0\.01 were wanted .* Ulmaceae needs 0\.\d .*memory_gb = 0\.\d if"
    ):
        check_memory(make_config(memory_gb=0.01), model, {"Fagaceae": 20, "Ulmaceae": 213})


def test_a_fit_that_would_hold_too_much_is_read_anew_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_extract(tmp_path, 12, monkeypatch)
    context = make_context(tmp_path, 12)
    path = context.store.path("families/fagaceae/concepts.safetensors")
    held: list[bool] = []
    fit = factorize.factorize
    monkeypatch.setattr(factorize, "factorize", lambda rows, **named: held.append(rows.held) or fit(rows, **named))
    factorize.run(context)
    before = path.read_bytes()
    small = Context(context.store, make_config(memory_gb=1e-6), "fagaceae")
    for name in ("catalogue", "model", "families"):
        small.__dict__[name] = context.__dict__[name]
    factorize.run(small)
    assert held == [True, False]
    assert path.read_bytes() == before
