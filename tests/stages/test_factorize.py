"""Factorizing: method and number of concepts where the config leaves them open, and what is measured beside a bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import encode_rows, unseen_error, unseen_explained

from leaflineage.concepts import stability
from leaflineage.config import Config
from leaflineage.errors import ActivationError
from leaflineage.records import Catalogue, FactorizationFacts, ModelRecord, Specimen
from leaflineage.stages import factorize
from leaflineage.stages.context import Context
from leaflineage.stages.selection import SelectedFamily
from leaflineage.store import Store

Floats = NDArray[np.floating]
N_LEAVES, SIDE, N_CHANNELS = 24, 3, 30


def draw_cells(n_patterns: int = 3, *, signed: bool = False) -> Floats:
    """Return (N_LEAVES · SIDE², N_CHANNELS) float16: patterns that overlap, on a ground that all cells share."""
    generator = np.random.default_rng(n_patterns)
    patterns = generator.gamma(0.5, 1, (n_patterns, N_CHANNELS)) * (generator.random((n_patterns, N_CHANNELS)) < 0.4)
    patterns[0] = 1
    strengths = generator.gamma(1, 1, (N_LEAVES * SIDE**2, n_patterns)) * (
        generator.random((N_LEAVES * SIDE**2, n_patterns)) < 0.5
    )
    strengths[:, 0] = 1
    cells = strengths @ patterns + 0.1 * generator.normal(size=(len(strengths), N_CHANNELS))
    if signed:
        cells -= cells.mean(axis=0)
    return cells.astype(np.float16)


def make_context(
    folder: Path, cells: Floats, *, affine: bool = True, signed: bool = False, one_leaf: bool = False, **concepts: Any
) -> Context:
    """Return a run that has come as far as `extract`; two pictures a leaf."""
    store = Store(folder)
    ids = [f"picture-{index:02d}" for index in range(N_LEAVES)]
    specimens = [
        Specimen(id=each, file=each, group="leaf" if one_leaf else f"leaf-{index // 2}", family="Fagaceae")
        for index, each in enumerate(ids)
    ]
    store.write_json("families/fagaceae/activations.json", "activations", {"specimens": ids})
    store.write_arrays(
        "families/fagaceae/activations.safetensors",
        {
            "cells": cells,
            "specimen": np.repeat(np.arange(N_LEAVES, dtype=np.int32), SIDE**2),
            "blank": np.zeros(len(cells), dtype=bool),
        },
    )
    weight = np.random.default_rng(0).normal(size=(4, N_CHANNELS)).astype(np.float32)
    store.write_arrays("head.safetensors", {"weight": weight, "bias": np.zeros(4, dtype=np.float32)})
    config = Config.model_validate(
        {
            "specimens": {"root": "/leaves"},
            "classifier": {"source": "herbarium"},
            "concepts": {"n_concepts": 3, "refits": 2, **concepts},
            "run": {"device": "cpu"},
        }
    )
    context = Context(store, config, "fagaceae")
    context.__dict__["catalogue"] = Catalogue(specimens=specimens, families=["Fagaceae"])
    context.__dict__["model"] = ModelRecord.model_construct(
        layer="layer4", affine_head=affine, signed=signed, map_shape=(SIDE, SIDE, N_CHANNELS)
    )
    context.__dict__["families"] = [SelectedFamily("Fagaceae", "fagaceae", 2, N_LEAVES, None)]
    return context


def run(folder: Path, cells: Floats, **changes: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the record as it is read back, and the arrays."""
    context = make_context(folder, cells, **changes)
    payload, files = factorize.run(context)
    context.store.commit("families/fagaceae/concepts.json", "concepts", payload, fingerprint="x", files=files)
    record = context.store.read_json("families/fagaceae/concepts.json", "concepts")
    FactorizationFacts.model_validate(record)
    return record, context.store.read_arrays("families/fagaceae/concepts.safetensors", stage="factorize")


def test_activations_above_zero_get_a_bank_above_zero(tmp_path: Path) -> None:
    record, arrays = run(tmp_path, draw_cells())
    assert record["method"] == "nmf"
    assert (record["n_concepts"], record["n_fitted"], record["curve"]) == (3, N_LEAVES * SIDE**2, [])
    assert (arrays["concept_bank"] >= 0).all()


def test_activations_of_either_sign_get_a_signed_bank(tmp_path: Path) -> None:
    cells = draw_cells(signed=True)
    record, arrays = run(tmp_path, cells, signed=True)
    squares = cells.astype(np.float64) ** 2
    assert record["method"] == "semi-nmf"
    assert record["negative_energy"] == pytest.approx(squares[cells < 0].sum() / squares.sum(), rel=1e-5)
    assert (arrays["concept_bank"] < -0.1).any()
    assert (arrays["maps"] >= 0).all()


@pytest.mark.parametrize(("wanted", "signed"), [("nmf", True), ("semi-nmf", False)])
def test_a_method_that_is_named_is_used(tmp_path: Path, wanted: str, signed: bool) -> None:
    record, _ = run(tmp_path, draw_cells(), signed=signed, factorization=wanted)
    assert record["method"] == wanted


def test_nmf_encodes_negative_activations_as_they_are(tmp_path: Path) -> None:
    cells = draw_cells()
    cells[:, 1] = -0.2
    record, arrays = run(tmp_path, cells)
    assert record["method"] == "nmf"
    plain = encode_rows(cells.astype(np.float64), arrays["concept_bank"].astype(np.float64))
    np.testing.assert_allclose(arrays["maps"].reshape(len(cells), -1), plain, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(arrays["coefficients"], arrays["maps"].astype(np.float32).mean(axis=(1, 2)), rtol=1e-5)


def test_what_is_unseen_is_what_each_refit_had_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refits: list[stability.Refit] = []

    def spy(*arguments: Any, **named: Any) -> list[stability.Refit]:
        refits.extend(stability.refit(*arguments, **named))
        return refits

    monkeypatch.setattr(factorize, "refit", spy)
    cells = draw_cells()
    record, _ = run(tmp_path, cells)
    weight = np.random.default_rng(0).normal(size=(4, N_CHANNELS)).astype(np.float32).astype(np.float64)
    direction = weight[2] - weight.mean(axis=0)
    of_specimen = cells.astype(np.float64).reshape(N_LEAVES, SIDE**2, N_CHANNELS)
    errors, explained = [], []
    for each in refits:
        left_out = [index for index in range(N_LEAVES) if f"leaf-{index // 2}" not in each.drawn]
        bank = each.concept_bank.astype(np.float64)
        assert 0 < len(left_out) < N_LEAVES
        errors.append(unseen_error(of_specimen, left_out, bank))
        explained.append(unseen_explained(of_specimen, left_out, bank, direction))
    for key, values in (("relative_error_unseen", errors), ("explained_unseen", explained)):
        low, high = record[key]["interval"]
        assert record[key]["value"] == pytest.approx(np.mean(values), rel=1e-4)
        assert low <= record[key]["value"] <= high
        assert low < high


def test_without_refits_nothing_is_said_of_unseen_leaves(tmp_path: Path) -> None:
    record, _ = run(tmp_path, draw_cells(), refits=0)
    assert record["relative_error_unseen"] is record["explained_unseen"] is record["stability"] is None


def test_without_an_affine_head_nothing_is_said_of_what_is_explained(tmp_path: Path) -> None:
    record, _ = run(tmp_path, draw_cells(), affine=False)
    assert record["explained_unseen"] is None
    assert record["relative_error_unseen"]["value"] > 0


@pytest.mark.parametrize("refits", [0, 6])
def test_the_number_of_concepts_is_read_off_the_curve(tmp_path: Path, refits: int) -> None:
    record, arrays = run(tmp_path, draw_cells(4), n_concepts="auto", n_concepts_tried=[2, 3, 4, 5, 6], refits=refits)
    curve = record["curve"]
    assert [point["n_concepts"] for point in curve] == [2, 3, 4, 5, 6]
    assert [point["n_concepts"] for point in curve if point["chosen"]] == [4]
    assert record["n_concepts"] == len(arrays["concept_bank"]) == 4
    assert record["stability"]["n_refits"] == (refits or factorize.LEAST_REFITS)
    errors = [point["relative_error"] for point in curve]
    assert errors[0] > errors[1] > errors[2] > 0
    predicted = [point["predicted_error"] for point in curve]
    assert min(predicted) == predicted[2]  # most is predicted where all there is was found
    assert curve[2]["relative_error"] == pytest.approx(record["relative_error_unseen"]["value"], rel=1e-5)
    assert curve[2]["stability"] == pytest.approx(np.mean(record["stability"]["cosine"]), rel=1e-5)


def test_numbers_that_the_activations_have_no_rank_for_are_not_tried(tmp_path: Path) -> None:
    cells = np.repeat(np.eye(3, N_CHANNELS, dtype=np.float16), N_LEAVES * SIDE**2 // 3, axis=0)
    generator = np.random.default_rng(0)
    cells = generator.permutation(cells)
    record, _ = run(tmp_path, cells, n_concepts="auto", n_concepts_tried=[2, 5, 8])
    assert [point["n_concepts"] for point in record["curve"]] == [2, 3]
    record, _ = run(tmp_path / "again", cells, n_concepts="auto", n_concepts_tried=[5, 8])
    assert [point["n_concepts"] for point in record["curve"]] == [3]
    assert record["n_concepts"] == 3


def test_where_all_pictures_show_one_leaf_the_smallest_number_is_taken_without_a_curve(tmp_path: Path) -> None:
    record, _ = run(tmp_path, draw_cells(), n_concepts="auto", n_concepts_tried=[2, 3], one_leaf=True)
    assert record["n_concepts"] == 2
    assert record["curve"] == []
    assert record["relative_error_unseen"] is None


def test_a_family_of_zeros_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ActivationError, match=r"^Fagaceae: .*every one of them is 0"):
        run(tmp_path, np.zeros((N_LEAVES * SIDE**2, N_CHANNELS), dtype=np.float16))


def test_two_runs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(tmp_path / name, draw_cells(), n_concepts="auto", n_concepts_tried=[2, 3])
    files = [sorted(path for path in (tmp_path / name).rglob("concepts.*")) for name in ("one", "two")]
    assert len(files[0]) == 2
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_a_coefficient_beyond_what_sixteen_bits_hold_is_said(tmp_path: Path) -> None:
    cells = np.full((N_LEAVES * SIDE**2, N_CHANNELS), 3e4, dtype=np.float16)  # a cell's norm is √30 times as much
    with pytest.raises(ActivationError, match=r"one is 1\.64e\+05, of Fagaceae at layer4"):
        factorize.run(make_context(tmp_path, cells))
