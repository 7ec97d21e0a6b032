"""Each kind of classifier is split, verified, folded, and builds a whole atlas: tiny ones with random weights."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import build_tiny
from model.conftest import SIDE, load, make_network, write_folder
from safetensors.numpy import load_file
from torch import nn

from leaflineage.errors import ActivationError
from leaflineage.model.load import Classifier, verify_classifier
from leaflineage.model.split import relative_difference

DRAWN = ["Betulaceae", "Fagaceae", "Ginkgoaceae"]
TOKENS = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": SIDE}
SWIN = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window_size": 2, "img_size": SIDE}
POOLED = {"class_token": False, "global_pool": "avg"}


@dataclass(frozen=True)
class Kind:
    """An architecture and what is true of its split."""

    architecture: str
    layer: str
    map_shape: tuple[int, int, int]
    pools_first: bool
    affine_head: bool
    signed: bool
    prefix_matters: bool = False
    model_args: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "resnet": Kind("resnet10t", "layer4", (2, 2, 512), True, True, False),
    "regnet": Kind("regnetx_002", "s4", (2, 2, 368), True, True, False),
    "efficientnet-lite": Kind("tf_efficientnet_lite0", "bn2", (2, 2, 1280), True, True, False),
    "efficientnet-b": Kind("efficientnet_b0", "bn2", (2, 2, 1280), True, True, True),
    # A layer stands after pooling.
    "mobilenetv3": Kind("mobilenetv3_small_050", "blocks", (2, 2, 288), True, False, True),
    # A norm stands after pooling.
    "convnext": Kind(
        "convnext_atto",
        "stages",
        (2, 2, 32),
        True,
        False,
        True,
        model_args={"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    ),
    # The head reads the class token alone: the split moves before the last block.
    "vit-class-token": Kind(
        "vit_tiny_patch16_224", "blocks.1", (4, 4, 32), False, False, True, prefix_matters=True, model_args=TOKENS
    ),
    "vit-mean": Kind(
        "vit_base_patch16_clip_224", "blocks", (4, 4, 32), True, False, True, model_args={**TOKENS, **POOLED}
    ),
    "beit-mean": Kind("beit_base_patch16_224", "blocks.2", (4, 4, 32), True, False, True, model_args=TOKENS),
    "swin": Kind("swin_tiny_patch4_window7_224", "norm", (2, 2, 128), True, True, True, model_args=SWIN),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def network(kind: Kind) -> nn.Module:
    """A network whose batch norms, if it has any, are as after training, not as they are born."""
    network = make_network(kind.architecture, **kind.model_args)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network


@pytest.fixture
def folder(kind: Kind, network: nn.Module, tmp_path: Path) -> Path:
    return write_folder(
        tmp_path / "classifier", kind.architecture, network, model_args=kind.model_args, label_names=DRAWN
    )


@pytest.fixture
def classifier(folder: Path) -> Classifier:
    return load(folder, catalogue_families=DRAWN)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_the_split_is_found_verified_and_described(kind: Kind, classifier: Classifier, images: torch.Tensor) -> None:
    record = verify_classifier(classifier, images)
    maps, prefix = classifier.features_with_prefix(images)
    assert relative_difference(classifier.head(maps, prefix), classifier.logits(images)) <= 1e-4
    assert record.depends_on_cells
    assert record.layer == kind.layer
    assert record.map_shape == kind.map_shape == tuple(maps.shape[1:])
    assert (record.pools_first, record.affine_head) == (kind.pools_first, kind.affine_head)
    assert record.signed is kind.signed
    assert record.prefix_matters is kind.prefix_matters


def test_folding_changes_no_answer(network: nn.Module, classifier: Classifier, images: torch.Tensor) -> None:
    with torch.no_grad():
        wanted = network(classifier.normalise(images))
    assert relative_difference(classifier.logits(images), wanted) <= 1e-4
    assert not any(isinstance(module, nn.BatchNorm2d) for module in classifier.network.modules())


def build(folder: Path, run: Path, *overrides: str) -> Path:
    """Build a small atlas of drawn leaves with a classifier that knows nothing of them."""
    report = build_tiny(
        run,
        f"classifier.source={folder}",
        "classifier.trust_names=true",
        "specimens.draw.n=6",
        f"specimens.draw.size={SIDE}",
        "concepts.refits=0",
        "concepts.max_iterations=40",
        "visualize.steps=2",
        "importance.max_evaluations=2048",
        *overrides,
    )
    assert report.problems == []
    return run


@pytest.mark.slow
def test_it_builds_an_atlas(kind: Kind, folder: Path, tmp_path: Path) -> None:
    run = build(folder, tmp_path / "run")
    atlas = json.loads((run / "atlas.json").read_text())
    assert atlas["classifier"]["architecture"] == kind.architecture
    assert atlas["classifier"]["layer"] == kind.layer
    assert [family["name"] for family in atlas["families"]] == DRAWN
    for family in atlas["families"]:
        assert len(family["concepts"]) == 3
        shares = [concept["importance"]["share"] for concept in family["concepts"]] + [family["rest"]["share"]]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert (run / "site" / "index.html").is_file()


@pytest.mark.slow
def test_where_the_head_reads_prefix_tokens_each_specimen_keeps_its_own(tmp_path: Path) -> None:
    kind = KINDS["vit-class-token"]
    network = make_network(kind.architecture, **kind.model_args)
    folder = write_folder(
        tmp_path / "classifier", kind.architecture, network, model_args=kind.model_args, label_names=DRAWN
    )
    run = build(folder, tmp_path / "run", "run.keep_activations=true")
    arrays = load_file(run / "families" / "fagaceae" / "pooled.safetensors")
    cells = load_file(run / "families" / "fagaceae" / "activations.safetensors")["cells"]
    n = len(arrays["logits"])
    assert arrays["prefix"].shape == (n, 1, 32)
    assert arrays["prefix"].dtype == np.float32
    classifier = load(folder, catalogue_families=DRAWN)
    maps = torch.from_numpy(cells.astype(np.float32)).reshape(n, *kind.map_shape)
    found = classifier.head(maps, torch.from_numpy(arrays["prefix"]))
    assert relative_difference(found, torch.from_numpy(arrays["logits"])) <= 5e-3  # cells are kept in 16 bits
    assert relative_difference(classifier.head(maps), torch.from_numpy(arrays["logits"])) > 5e-2


@pytest.mark.slow
def test_where_the_head_reads_cells_alone_no_prefix_is_kept(tiny_run: Path) -> None:
    arrays = load_file(tiny_run / "families" / "fagaceae" / "pooled.safetensors")
    assert set(arrays) == {"pooled", "logits"}


@pytest.fixture
def signed_folder(tmp_path: Path) -> Path:
    kind = KINDS["convnext"]
    network = make_network(kind.architecture, **kind.model_args)
    return write_folder(
        tmp_path / "classifier", kind.architecture, network, model_args=kind.model_args, label_names=DRAWN
    )


@pytest.mark.slow
def test_nmf_of_signed_activations_is_refused_with_what_to_do(signed_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ActivationError, match=r"activations reach -\d.*NMF needs 0 or more.*= \"semi-nmf\""):
        build(signed_folder, tmp_path / "run", "concepts.factorization=nmf")


@pytest.mark.slow
def test_activations_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    kind = KINDS["convnext"]
    network = make_network(kind.architecture, **kind.model_args)
    with torch.no_grad():
        network.stages[3].downsample[1].bias[0] = 1e6  # the norm after pooling makes it small again
    folder = write_folder(
        tmp_path / "classifier", kind.architecture, network, model_args=kind.model_args, label_names=DRAWN
    )
    with pytest.raises(ActivationError, match=r"no larger than 65504 .* one is 1e\+06, at stages on .*layer"):
        build(folder, tmp_path / "run")


@pytest.mark.slow
def test_an_atlas_is_built_at_an_earlier_layer(tmp_path: Path) -> None:
    kind = KINDS["resnet"]
    folder = write_folder(
        tmp_path / "classifier", kind.architecture, make_network(kind.architecture), label_names=DRAWN
    )
    run = build(folder, tmp_path / "run", "classifier.layer=layer3")
    atlas = json.loads((run / "atlas.json").read_text())
    assert atlas["classifier"]["layer"] == "layer3"
    assert atlas["classifier"]["map_size"] == [4, 4]
    assert not atlas["classifier"]["affine_head"]
