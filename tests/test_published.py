"""What pages show of importance can be computed again from the files that the site publishes, and nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from reference import bootstrap_interval, wilson_interval
from safetensors.numpy import load_file

Floats = NDArray[np.float64]
TOLERANCE = 2e-5  # records are rounded to six digits, arrays to float32
RESAMPLING = 0.03  # between two bootstraps of other seeds, on a dozen leaves


class Published:
    """The files of a baked site's data folder, about one family."""

    def __init__(self, site: Path, slug: str) -> None:
        atlas = json.loads((site / "data" / "atlas.json").read_text(encoding="utf-8"))
        self.slug = slug
        self.family: dict[str, Any] = next(each for each in atlas["families"] if each["slug"] == slug)
        with (site / "data" / "importances" / f"{slug}.csv").open(encoding="utf-8", newline="") as stream:
            self.lines = list(csv.DictReader(stream))
        arrays = load_file(site / "data" / "concepts" / f"{slug}.safetensors")
        self.bank = arrays["concept_bank"].astype(np.float64)
        self.coefficients = arrays["coefficients"].astype(np.float64)
        head = load_file(site / "data" / "head.safetensors")
        self.weight = head["weight"].astype(np.float64) - head["weight"].astype(np.float64).mean(axis=0)
        self.bias = head["bias"].astype(np.float64) - float(head["bias"].astype(np.float64).mean())
        self.ids = [f"concept-{i + 1:02d}" for i in range(len(self.bank))]
        self.groups = [line["group"] for line in self.lines]
        self.output = int(self.family["output_index"])

    def column(self, name: str) -> Floats:
        return np.array([float(line[name]) for line in self.lines])

    @property
    def contributions(self) -> Floats:
        """φ of each specimen and player, from the bank, the coefficients, the head and the centred logit."""
        own = self.coefficients * (self.bank @ self.weight[self.output])
        residual = self.column("centred_logit") - self.bias[self.output] - own.sum(axis=1)
        return np.concatenate([own, residual[:, None]], axis=1)

    @property
    def indices(self) -> Floats:
        squares = self.contributions**2
        return np.asarray(squares / squares.sum(axis=1, keepdims=True))


@pytest.fixture(params=["betulaceae", "fagaceae", "ginkgoaceae"])
def published(tiny_run: Path, request: pytest.FixtureRequest) -> Published:
    return Published(tiny_run / "site", request.param)


def test_contributions_and_indices_follow_from_the_bank_and_the_head(published: Published) -> None:
    players = [*published.ids, "residual"]
    told = np.stack([published.column(f"contribution {name}") for name in players], axis=1)
    np.testing.assert_allclose(published.contributions, told, atol=2e-4)
    told = np.stack([published.column(f"total_sobol_index {name}") for name in players], axis=1)
    np.testing.assert_allclose(published.indices, told, atol=1e-4)


def test_contributions_and_bias_of_every_specimen_sum_to_its_centred_logit(published: Published) -> None:
    players = [*published.ids, "residual"]
    total = sum(published.column(f"contribution {name}") for name in players) + published.column("bias")
    np.testing.assert_allclose(total, published.column("centred_logit"), atol=1e-6)
    np.testing.assert_allclose(published.column("bias"), published.bias[published.output], atol=2e-5)


def test_importance_share_and_contribution_of_every_shown_concept_follow(published: Published) -> None:
    mean = published.indices.mean(axis=0)
    contributions = published.contributions.mean(axis=0)
    for concept in published.family["concepts"]:
        index, importance = concept["concept_index"], concept["importance"]
        assert importance["total_sobol_index"] == pytest.approx(mean[index], abs=1e-4)
        assert importance["share"] == pytest.approx(mean[index] / mean.sum(), abs=1e-4)
        assert importance["contribution"] == pytest.approx(contributions[index], abs=2e-4)
        assert concept["image_importances"] == pytest.approx(published.indices[:, index].tolist(), abs=1e-4)
        others = {each["slug"]: each["output_index"] for each in (published.family,)}
        for slug, output in others.items():
            told = (published.coefficients.mean(axis=0) * (published.bank @ published.weight[output]))[index]
            assert concept["contributions"][slug] == pytest.approx(told, abs=2e-4)


def test_the_rest_is_what_no_shown_concept_takes(published: Published) -> None:
    mean = published.indices.mean(axis=0)
    shown = [concept["concept_index"] for concept in published.family["concepts"]]
    rest = published.family["rest"]
    assert rest["share"] == pytest.approx(1 - mean[shown].sum() / mean.sum(), abs=1e-4)
    assert rest["residual_share"] == pytest.approx(mean[-1] / mean.sum(), abs=1e-4)
    assert published.family["explained_share"] == pytest.approx(1 - rest["residual_share"], abs=1e-5)
    total = rest["share"] + sum(concept["importance"]["share"] for concept in published.family["concepts"])
    assert total == pytest.approx(1, abs=1e-5)
    hidden = np.delete(published.contributions.mean(axis=0), shown).sum()
    assert rest["contribution"] == pytest.approx(hidden, abs=2e-4)
    assert published.family["bias"] == pytest.approx(published.bias[published.output], abs=1e-4)


def test_prevalence_and_reliability_follow_from_who_dominates_whom(published: Published) -> None:
    dominant = published.indices[:, :-1].argmax(axis=1)
    right = np.array([line["named_rightly"] == "true" for line in published.lines])
    for concept in published.family["concepts"]:
        own = dominant == concept["concept_index"]
        assert concept["prevalence"] == pytest.approx(own.mean(), abs=1e-5)
        assert concept["n_dominated"] == own.sum()
        if own.sum() < 5:
            assert concept["reliability"] is None
        else:
            assert concept["reliability"] == pytest.approx(right[own].mean(), abs=1e-5)


def test_intervals_are_those_of_another_bootstrap_over_groups(published: Published) -> None:
    indices, contributions = published.indices, published.contributions
    for concept in published.family["concepts"]:
        index, importance = concept["concept_index"], concept["importance"]
        wanted = bootstrap_interval(lambda rows, i=index: float(indices[rows, i].mean()), published.groups, seed=5)
        assert importance["interval"] == pytest.approx(wanted, abs=RESAMPLING)
        wanted = bootstrap_interval(
            lambda rows, i=index: float(indices[rows, i].mean() / indices[rows].mean(axis=0).sum()),
            published.groups,
            seed=6,
        )
        assert importance["share_interval"] == pytest.approx(wanted, abs=RESAMPLING)
        spread = float(np.ptp(contributions[:, index])) or 1.0
        wanted = bootstrap_interval(
            lambda rows, i=index: float(contributions[rows, i].mean()), published.groups, seed=7
        )
        assert importance["contribution_interval"] == pytest.approx(wanted, abs=RESAMPLING * spread)


def test_accuracy_and_its_interval_follow_from_the_counted_specimens(published: Published) -> None:
    accuracy = published.family["accuracy"]
    counted = [line for line in published.lines if line["split"] == "held-out"] or published.lines
    right = sum(line["named_rightly"] == "true" for line in counted)
    assert accuracy["n_specimens"] == len(counted)
    assert accuracy["n_groups"] == len({line["group"] for line in counted}) == len(counted)
    assert accuracy["top1"] == pytest.approx(right / len(counted), abs=1e-5)
    assert accuracy["interval"] == pytest.approx(wilson_interval(right, len(counted)), abs=1e-4)


def test_every_specimen_of_the_figure_of_images_is_named_and_placed(published: Published) -> None:
    family = published.family
    names = [line["specimen"] for line in published.lines]
    assert family["image_specimens"] == names
    assert len(family["layout"]) == len(family["image_dominants"]) == len(names)
    shown = {concept["concept_index"]: concept["id"] for concept in family["concepts"]}
    dominant = published.indices[:, :-1].argmax(axis=1)
    assert family["image_dominants"] == [shown.get(int(index), "rest") for index in dominant]
