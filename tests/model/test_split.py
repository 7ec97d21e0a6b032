"""head(features(x)) is the classifier, whatever the architecture; what is measured of it is true."""

from pathlib import Path
from typing import Any

import pytest
import torch
from model.conftest import SIDE, load, make_network, write_folder

from leaflineage.errors import ModelError
from leaflineage.model.load import Classifier, verify_classifier
from leaflineage.model.split import relative_difference

SWIN = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4, "img_size": SIDE}
TOKENS = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": SIDE}

# architecture, model_args, map_shape, affine_head, signed
ARCHITECTURES = [
    ("resnet10t", {}, (2, 2, 512), True, False),
    ("regnetx_002", {}, (2, 2, 368), True, False),
    ("tf_efficientnet_lite0", {}, (2, 2, 1280), True, False),
    ("densenet121", {"growth_rate": 8, "block_config": (1, 1, 1, 1)}, (2, 2, 17), True, False),
    ("mobilenetv3_small_050", {}, (2, 2, 288), False, None),
    ("mobilenetv4_conv_small_050", {}, (2, 2, 480), False, False),
    ("convnext_atto", {}, (2, 2, 320), False, None),
    ("swin_tiny_patch4_window7_224", SWIN, (8, 8, 32), True, True),
    ("beit_base_patch16_224", TOKENS, (4, 4, 32), False, True),
    ("vit_base_patch16_clip_224", {**TOKENS, "class_token": False, "global_pool": "avg"}, (4, 4, 32), False, True),
]


def load_architecture(tmp_path: Path, architecture: str, model_args: dict[str, Any]) -> Classifier:
    network = make_network(architecture, **model_args)
    return load(write_folder(tmp_path / architecture, architecture, network, model_args=model_args))


@pytest.mark.parametrize(("architecture", "model_args", "map_shape", "affine", "signed"), ARCHITECTURES)
def test_head_of_features_is_the_classifier(
    architecture: str,
    model_args: dict[str, Any],
    map_shape: tuple[int, int, int],
    affine: bool,
    signed: bool | None,
    tmp_path: Path,
    images: torch.Tensor,
) -> None:
    classifier = load_architecture(tmp_path, architecture, model_args)
    record = verify_classifier(classifier, images)
    maps = classifier.features(images)
    prefix = classifier.features_with_prefix(images)[1]
    assert maps.shape == (len(images), *map_shape)
    assert record.map_shape == map_shape
    assert relative_difference(classifier.head(maps, prefix), classifier.logits(images)) <= 1e-4
    assert record.split_error <= 1e-4
    assert record.depends_on_cells
    assert record.affine_head is affine
    assert signed is None or record.signed is signed


def test_logits_are_those_of_timm_on_normalised_images(tmp_path: Path, images: torch.Tensor) -> None:
    network = make_network("resnet10t")
    classifier = load(write_folder(tmp_path / "one", "resnet10t", network))
    mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
    std = torch.tensor([0.2, 0.3, 0.4]).view(1, 3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(classifier.logits(images), network((images - mean) / std), atol=1e-5)


def test_an_affine_head_is_its_weight_times_the_mean_map_plus_its_bias(
    small_folder: Path, images: torch.Tensor
) -> None:
    classifier = load(small_folder)
    verify_classifier(classifier, images)
    weight, bias = classifier.head_weight, classifier.head_bias
    assert weight is not None
    assert bias is not None
    assert weight.shape == (3, 512)
    by_hand = classifier.features(images).mean(dim=(1, 2)) @ weight.T + bias
    assert relative_difference(by_hand, classifier.logits(images)) <= 1e-5


def test_a_head_with_a_nonlinearity_has_no_weight(tmp_path: Path, images: torch.Tensor) -> None:
    classifier = load_architecture(tmp_path, "mobilenetv3_small_050", {})
    record = verify_classifier(classifier, images)
    assert record.pools_first
    assert not record.affine_head
    assert classifier.head_weight is None
    assert classifier.head_bias is None


def test_the_head_takes_pooled_maps_of_one_cell(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    maps = classifier.features(images)
    pooled = maps.mean(dim=(1, 2), keepdim=True)
    assert relative_difference(classifier.head(pooled), classifier.head(maps)) <= 1e-5


def test_the_gradient_reaches_the_images_and_no_parameter(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    images = images.requires_grad_(True)
    classifier.head(classifier.features_differentiable(images)).sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().max()) > 0
    assert not any(parameter.requires_grad for parameter in classifier.network.parameters())
    assert not classifier.network.training


def test_features_work_without_a_gradient(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    with torch.no_grad():
        without = classifier.features(images)
    assert not without.requires_grad
    assert torch.equal(without, classifier.features(images))


def test_a_head_that_is_not_the_rest_of_the_classifier_is_refused(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    whole = classifier.network.forward
    classifier.network.forward = lambda batch: whole(batch) * 1.01
    with pytest.raises(ModelError, match="equal the classifier"):
        verify_classifier(classifier, images)


def test_weights_that_give_nan_are_refused(tmp_path: Path, images: torch.Tensor) -> None:
    network = make_network("resnet10t")
    network.fc.bias.data[0] = float("nan")
    classifier = load(write_folder(tmp_path / "nan", "resnet10t", network))
    with pytest.raises(ModelError, match="finite logits"):
        verify_classifier(classifier, images)


def test_signed_activations_are_recorded_with_their_energy(tmp_path: Path, images: torch.Tensor) -> None:
    classifier = load_architecture(tmp_path, "swin_tiny_patch4_window7_224", SWIN)
    record = verify_classifier(classifier, images)
    maps = classifier.features(images).double()
    by_hand = float((maps[maps < 0] ** 2).sum() / (maps**2).sum())
    assert record.negative_energy == pytest.approx(by_hand, rel=1e-6)
    assert record.signed


def test_the_record_says_what_is_verified_and_what_not(small_folder: Path, images: torch.Tensor) -> None:
    classifier = load(small_folder)
    assert any("not yet verified" in note for note in classifier.record.notes)
    assert not any("not yet verified" in note for note in verify_classifier(classifier, images).notes)


def test_a_batch_without_images_is_refused(small_folder: Path, images: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="at least one"):
        verify_classifier(load(small_folder), images[:0])


def test_a_layer_may_be_any_name_of_the_last_map(small_folder: Path) -> None:
    assert load(small_folder).record.layer == "layer4"
    assert load(small_folder, layer="layer4.0").record.layer == "layer4.0"
