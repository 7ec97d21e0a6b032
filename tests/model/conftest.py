"""Small networks with random weights, saved the way people save classifiers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from leaflineage.model.load import Classifier, load_classifier

SIDE = 64  # pixels of every test image
FAMILIES = ["Betulaceae", "Fagaceae", "Ulmaceae"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_network(architecture: str, *, n_outputs: int = 3, seed: int = 0, **model_args: Any) -> nn.Module:
    """Return a network whose weights differ enough that a mix-up shows; global random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = timm.create_model(architecture, pretrained=False, num_classes=n_outputs, **model_args)
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:
                nn.init.normal_(parameter, mean=1.0 if name.endswith("weight") else 0.0, std=0.2)
    return network.eval()


def write_folder(folder: Path, architecture: str, network: nn.Module, **entries: Any) -> Path:
    """Write a timm folder: config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg = {"input_size": [3, SIDE, SIDE], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
    config = {
        "architecture": architecture,
        "num_classes": network.num_classes,
        "label_names": FAMILIES,
        "pretrained_cfg": cfg,
        **entries,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "model.safetensors"
    )
    return folder


def load(source: str | Path, **changes: Any) -> Classifier:
    """Call ``load_classifier`` with everything spelled out but what ``changes`` says."""
    arguments: dict[str, Any] = {
        "architecture": None,
        "label_names": None,
        "catalogue_families": FAMILIES,
        "input_size": None,
        "mean": None,
        "std": None,
        "interpolation": None,
        "fit": "pad",
        "pad_colour": (255, 255, 255),
    }
    return load_classifier(str(source), **{**arguments, **changes})


@pytest.fixture(scope="session")
def small_network() -> nn.Module:
    return make_network("resnet10t")


@pytest.fixture
def small_folder(tmp_path: Path, small_network: nn.Module) -> Path:
    return write_folder(tmp_path / "small", "resnet10t", small_network)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def save_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    def save(content: object, name: str = "model_best.pth.tar") -> Path:
        path = tmp_path / name
        torch.save(content, path)
        return path

    return save
