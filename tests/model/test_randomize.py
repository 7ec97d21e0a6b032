"""A classifier with random weights is the same classifier that learned nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model.conftest import SIDE, load, make_network, write_folder

from leaflineage.model.load import verify_classifier
from leaflineage.model.randomize import randomize
from leaflineage.model.split import relative_difference

TOKENS = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": SIDE}


def test_random_weights_follow_from_the_seed_alone(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    before = torch.random.get_rng_state()
    one, same, other = randomize(classifier, 3), randomize(classifier, 3), randomize(classifier, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.logits(images), same.logits(images))
    assert relative_difference(one.logits(images), other.logits(images)) > 1e-3
    assert relative_difference(one.logits(images), classifier.logits(images)) > 1e-3


def test_the_classifier_that_is_randomized_stays_as_it_is(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    wanted, record = classifier.logits(images), classifier.record
    randomize(classifier, 3)
    assert torch.equal(classifier.logits(images), wanted)
    assert classifier.record == record


def test_it_is_frozen_and_its_record_says_what_it_is(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder, mean=(0.1, 0.2, 0.3))
    found = randomize(classifier, 3)
    assert not found.network.training
    assert not any(parameter.requires_grad for parameter in found.network.parameters())
    assert found.record.preprocessing == classifier.record.preprocessing
    assert found.record.label_names == classifier.record.label_names
    assert found.record.sha256 != classifier.record.sha256
    assert found.record.affine_head
    weight, bias = found.head_weight, found.head_bias
    assert weight is not None
    assert bias is not None
    by_hand = found.features(images).mean(dim=(1, 2)) @ weight.T + bias
    assert relative_difference(by_hand, found.logits(images)) <= 1e-4
    assert found.record.notes == ["random weights of seed 3: it learned nothing"]


@pytest.mark.parametrize(
    ("architecture", "model_args", "layer"),
    [
        ("resnet10t", {}, "layer3"),
        ("tf_efficientnet_lite0", {}, "blocks.6.0.bn2"),
        ("vit_tiny_patch16_224", TOKENS, "auto"),
    ],
)
def test_the_split_stays_where_it_was(
    architecture: str, model_args: dict[str, int], layer: str, tmp_path: Path, images: torch.Tensor
) -> None:
    network = make_network(architecture, **model_args)
    folder = write_folder(tmp_path / architecture, architecture, network, model_args=model_args)
    classifier = load(folder, layer=layer)
    found = randomize(classifier, 3)
    assert found.record.layer == classifier.record.layer
    assert found.record.map_shape == classifier.record.map_shape
    assert found.record.n_prefix_tokens == classifier.record.n_prefix_tokens
    record = verify_classifier(found, images)
    assert record.split_error <= 1e-4
    assert record.depends_on_cells
