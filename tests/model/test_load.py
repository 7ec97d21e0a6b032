"""A classifier is found, fits its architecture exactly, or is refused in words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from model.conftest import FAMILIES, SIDE, load, make_network, write_folder
from safetensors.torch import save_file
from torch import nn

from leaflineage.errors import ModelError
from leaflineage.model.checkpoint import hash_file

Save = Callable[..., Path]


def test_a_timm_folder_says_everything_of_itself(small_folder: Path, small_network: nn.Module) -> None:
    record = load(small_folder).record
    assert record.name == "small"
    assert record.architecture == "resnet10t"
    assert record.label_names == FAMILIES
    assert record.n_outputs == 3
    assert record.preprocessing.input_size == (SIDE, SIDE)
    assert record.preprocessing.mean == (0.4, 0.5, 0.6)
    assert record.sha256 == hash_file(small_folder / "model.safetensors")
    assert record.n_parameters == sum(parameter.numel() for parameter in small_network.parameters())
    assert str(small_folder) not in record.model_dump_json()


def test_the_prefix_local_dir_is_understood(small_folder: Path) -> None:
    assert load(f"local-dir:{small_folder}").record == load(small_folder).record


def test_settings_override_what_the_folder_says(small_folder: Path) -> None:
    found = load(
        small_folder,
        input_size=96,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation="bilinear",
        fit="crop",
        pad_colour=(1, 2, 3),
    ).record.preprocessing
    assert found.input_size == (96, 96)
    assert found.mean == (0.0, 0.0, 0.0)
    assert found.std == (1.0, 1.0, 1.0)
    assert found.interpolation == "bilinear"
    assert found.fit == "crop"
    assert found.pad_colour == (1, 2, 3)


def test_a_folder_with_pytorch_model_bin_is_read(small_folder: Path, small_network: nn.Module) -> None:
    wanted = load(small_folder)
    (small_folder / "model.safetensors").unlink()
    torch.save(small_network.state_dict(), small_folder / "pytorch_model.bin")
    grey = torch.full((1, 3, SIDE, SIDE), 0.3)
    assert torch.equal(load(small_folder).logits(grey), wanted.logits(grey))


def test_half_precision_weights_are_computed_with_in_32_bits(tmp_path: Path, small_network: nn.Module) -> None:
    folder = write_folder(tmp_path / "half", "resnet10t", small_network)
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in small_network.state_dict().items()
    }
    save_file(half, folder / "model.safetensors")
    assert load(folder).features(torch.zeros(1, 3, SIDE, SIDE)).dtype == torch.float32


def test_a_transformer_is_built_at_another_input_size_where_asked(tmp_path: Path) -> None:
    tiny = {"embed_dim": 32, "depth": 1, "num_heads": 2, "class_token": False, "global_pool": "avg"}
    network = make_network("vit_base_patch16_224", img_size=64, **tiny)
    cfg = {"input_size": [3, 64, 64], "fixed_input_size": True, "mean": [0.5] * 3, "std": [0.5] * 3}
    folder = write_folder(tmp_path / "vit", "vit_base_patch16_224", network, pretrained_cfg=cfg, model_args=tiny)
    assert load(folder, input_size=64).record.map_shape == (4, 4, 32)


def test_a_config_cannot_make_timm_read_another_file(tmp_path: Path, small_network: nn.Module) -> None:
    elsewhere = {"checkpoint_path": str(tmp_path / "other.pth")}
    folder = write_folder(tmp_path / "sly", "resnet10t", small_network, model_args=elsewhere)
    assert load(folder).record.n_outputs == 3


# --- bare files ----------------------------------------------------------------------------------------------------


def test_a_bare_safetensors_is_read_with_an_architecture(tmp_path: Path, small_network: nn.Module) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(small_network.state_dict(), path)
    classifier = load(path, architecture="resnet10t", input_size=SIDE)
    assert classifier.record.n_outputs == 3
    assert classifier.record.label_names == FAMILIES  # sorted families of the catalogue: as many as outputs


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.pth.tar", "a.ckpt", "a.bin"])
def test_every_suffix_of_a_torch_file_is_read(name: str, small_network: nn.Module, save_checkpoint: Save) -> None:
    path = save_checkpoint({"state_dict": small_network.state_dict(), "epoch": 3}, name)
    assert load(path, architecture="resnet10t", input_size=SIDE).record.name == name


def test_a_bare_file_without_architecture_is_refused_with_what_the_file_mentions(
    small_network: nn.Module, save_checkpoint: Save
) -> None:
    path = save_checkpoint({"arch": "resnet10t", "state_dict": small_network.state_dict()})
    with pytest.raises(ModelError, match=r"architecture of a bare checkpoint.*mentions \"resnet10t\""):
        load(path)


def test_an_unknown_architecture_is_refused_with_the_nearest(small_network: nn.Module, save_checkpoint: Save) -> None:
    path = save_checkpoint(small_network.state_dict())
    with pytest.raises(ModelError, match=r"'resnet10x'.*Did you mean resnet1"):
        load(path, architecture="resnet10x")


def test_missing_tensors_are_named(small_network: nn.Module, save_checkpoint: Save) -> None:
    state_dict = small_network.state_dict()
    del state_dict["layer1.0.conv1.weight"]
    with pytest.raises(ModelError, match=r"1 missing \(layer1\.0\.conv1\.weight\)"):
        load(save_checkpoint(state_dict), architecture="resnet10t")


def test_extra_tensors_are_named(small_network: nn.Module, save_checkpoint: Save) -> None:
    state_dict = {**small_network.state_dict(), "aux.weight": torch.zeros(2)}
    with pytest.raises(ModelError, match=r"1 too many \(aux\.weight\)"):
        load(save_checkpoint(state_dict), architecture="resnet10t")


def test_a_checkpoint_without_its_last_layer_is_called_a_feature_extractor(
    small_network: nn.Module, save_checkpoint: Save
) -> None:
    state_dict = {name: tensor for name, tensor in small_network.state_dict().items() if not name.startswith("fc.")}
    with pytest.raises(ModelError, match="feature extractor"):
        load(save_checkpoint(state_dict), architecture="resnet10t")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(small_network: nn.Module, save_checkpoint: Save) -> None:
    state_dict = small_network.state_dict()
    state_dict["conv1.0.weight"] = torch.zeros(24, 4, 3, 3)
    with pytest.raises(ModelError, match=r"conv1\.0\.weight of shape \(24, 3, 3, 3\).*got \(24, 4, 3, 3\)"):
        load(save_checkpoint(state_dict), architecture="resnet10t")


def test_old_files_without_counters_of_batches_are_read(small_network: nn.Module, save_checkpoint: Save) -> None:
    state_dict = {
        name: tensor for name, tensor in small_network.state_dict().items() if not name.endswith("num_batches_tracked")
    }
    assert load(save_checkpoint(state_dict), architecture="resnet10t", input_size=SIDE).record.n_outputs == 3


# --- folders and hubs that are none --------------------------------------------------------------------------------


def test_a_path_with_nothing_there_names_its_nearest_neighbour(small_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no file or folder.*Did you mean small\?"):
        load(small_folder.with_name("smal"))


def test_a_folder_without_config_is_refused(small_folder: Path) -> None:
    (small_folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"without config\.json"):
        load(small_folder)


def test_a_folder_without_weights_is_refused(small_folder: Path) -> None:
    (small_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors or pytorch_model\.bin.*got neither"):
        load(small_folder)


def test_a_config_that_is_no_json_is_refused(small_folder: Path) -> None:
    (small_folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="no JSON"):
        load(small_folder)


def test_a_config_of_another_library_is_refused(small_folder: Path) -> None:
    (small_folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ModelError, match="no timm folder"):
        load(small_folder)


def test_an_architecture_that_contradicts_the_folder_is_refused(small_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"'resnet18'.*got 'resnet10t'"):
        load(small_folder, architecture="resnet18")


def test_an_unknown_interpolation_is_refused_with_the_nearest(small_folder: Path) -> None:
    with pytest.raises(ModelError, match="Did you mean bicubic"):
        load(small_folder, interpolation="bicubc")


def test_an_input_size_the_network_cannot_take_is_refused(tmp_path: Path) -> None:
    swin = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4, "img_size": SIDE}
    network = make_network("swin_tiny_patch4_window7_224", **swin)
    folder = write_folder(tmp_path / "swin", "swin_tiny_patch4_window7_224", network, model_args=swin)
    with pytest.raises(ModelError, match="input_size"):
        load(folder, input_size=80)


def test_a_hub_repository_is_fetched_and_read_as_a_folder(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repo_id: str, filename: str, *, revision: str | None) -> str:
        asked.append((repo_id, filename, revision))
        cache = tmp_path / "cache"
        cache.mkdir(exist_ok=True)
        return str(shutil.copy(small_folder / filename, cache / filename))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    record = load("hf-hub:someone/leaves@v1").record
    assert record.name == "someone/leaves@v1"
    assert asked == [("someone/leaves", "config.json", "v1"), ("someone/leaves", "model.safetensors", "v1")]


def test_a_hub_that_cannot_be_reached_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"'nobody/nothing-at-all'.*no connection.*copy the folder"):
        load("hf-hub:nobody/nothing-at-all")
