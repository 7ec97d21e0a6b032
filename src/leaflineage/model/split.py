"""A classifier in two parts: features g and head h, with h(g(x)) the classifier itself.

g is timm's ``forward_features``, h its ``forward_head``; what comes between is laid out channels last, as
(n, rows, columns, n_channels), so that a cell is one row of it. Nothing is believed: on a batch of real specimens
it is measured whether

* h(g(x)) equals the classifier                        (``split_error``),
* h(g(x)) stays the same with the map replaced by its mean over cells          (``pools_first``),
* h of a pooled map is W a + b, with W and b read from the last linear layer  (``affine_head``),
* h changes at all when every cell is zero             (``depends_on_cells``; a class token's head does not),
* and how much of the map's energy, Σ min(a, 0)² / Σ a², is negative.

Differences are relative: max |a - b| / max |b|, at most 1e-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError
from leaflineage.records import ModelRecord

TOLERANCE = 1e-4  # relative
NEGATIVE_ENERGY_BOUND = 0.02  # beyond it the activations count as signed

Layout = Literal["channels-first", "channels-last", "tokens"]


@dataclass(frozen=True)
class MapLayout:
    """Where rows, columns and channels stand in what ``forward_features`` returns.

    Attributes
    ----------
    kind : "channels-first" (n, c, rows, columns), "channels-last" (n, rows, columns, c) or "tokens" (n, t, c)
    rows, columns, n_channels : int
    n_prefix_tokens : int
        Tokens before the first cell (class and register tokens); 0 unless ``kind`` is "tokens".
    """

    kind: Layout
    rows: int
    columns: int
    n_channels: int
    n_prefix_tokens: int = 0


class Classifier:
    """A frozen network split into features and head, with what is known of it in ``record``.

    Images go in unnormalised, (n, 3, height, width) float32 in [0, 1]; normalisation is part of the features.
    Gradients reach the images where they ask for them; the parameters never do.

    Attributes
    ----------
    network : nn.Module
        The timm model, in evaluation mode, channels-last in memory.
    record : ModelRecord
        Provisional until ``verify_classifier`` has seen real specimens.
    device : torch.device
    """

    def __init__(self, network: nn.Module, *, layout: MapLayout, record: ModelRecord, device: torch.device) -> None:
        self.network = network
        self.layout = layout
        self.record = record
        self.device = device
        self._mean = torch.tensor(record.preprocessing.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(record.preprocessing.std, device=device).view(1, 3, 1, 1)

    def normalise(self, images: Tensor) -> Tensor:
        """Return (images - mean) / std, on the classifier's device, channels-last in memory."""
        images = images.to(device=self.device, dtype=torch.float32)
        return ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature map, (n, rows, columns, n_channels) float32.

        Parameters
        ----------
        images : tensor (n, 3, height, width), float32 in [0, 1]
        """
        return self.features_with_prefix(images)[0]

    def features_differentiable(self, images: Tensor) -> Tensor:
        """Return what ``features`` returns; the name says at the call that the gradient is wanted."""
        return self.features(images)

    def features_with_prefix(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last feature map and the prefix tokens (n, n_prefix_tokens, n_channels), None without any."""
        raw = forward_features(self.network, self.normalise(images))
        if self.layout.kind == "channels-first":
            return raw.permute(0, 2, 3, 1), None  # (n, rows, columns, n_channels)
        if self.layout.kind == "channels-last":
            return raw, None
        n_prefix = self.layout.n_prefix_tokens
        cells = raw[:, n_prefix:].reshape(len(raw), self.layout.rows, self.layout.columns, -1)
        return cells, raw[:, :n_prefix] if n_prefix else None

    def head(self, maps: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Return the logits (n, n_outputs) of feature maps, whatever their number of rows and columns.

        Parameters
        ----------
        maps : tensor (n, rows, columns, n_channels)
        prefix : tensor (n, n_prefix_tokens, n_channels), optional
            Zeros where it is left out.
        """
        maps = maps.to(device=self.device, dtype=torch.float32)
        if self.layout.kind == "channels-first":
            return forward_head(self.network, maps.permute(0, 3, 1, 2))  # (n, n_channels, rows, columns)
        if self.layout.kind == "channels-last":
            return forward_head(self.network, maps)
        tokens = maps.flatten(1, 2)  # (n, n_cells, n_channels)
        if self.layout.n_prefix_tokens:
            if prefix is None:
                prefix = tokens.new_zeros(len(tokens), self.layout.n_prefix_tokens, tokens.shape[2])
            tokens = torch.cat([prefix.to(tokens), tokens], dim=1)
        return forward_head(self.network, tokens)

    def logits(self, images: Tensor) -> Tensor:
        """Return the classifier's logits (n, n_outputs), the way timm computes them."""
        logits: Tensor = self.network(self.normalise(images))
        return logits

    @property
    def head_weight(self) -> Tensor | None:
        """Weights of an affine head, (n_outputs, n_channels) float32; None where the head is not affine."""
        linear = find_last_linear(self.network) if self.record.affine_head else None
        return None if linear is None else linear[0]

    @property
    def head_bias(self) -> Tensor | None:
        """Bias of an affine head, (n_outputs,) float32; None where the head is not affine."""
        linear = find_last_linear(self.network) if self.record.affine_head else None
        return None if linear is None else linear[1]


@dataclass(frozen=True)
class SplitMeasures:
    """What ``measure_split`` found; the fields are those of ModelRecord."""

    split_error: float
    pools_first: bool
    affine_head: bool
    depends_on_cells: bool
    negative_energy: float
    prefix_matters: bool  # the head reads prefix tokens too
    affine_by_midpoint: bool  # affine in the pooled map, whether or not W could be read
    finite: bool


def forward_features(network: nn.Module, images: Tensor) -> Tensor:
    """Return timm's feature map, in the network's own layout."""
    features: Tensor = network.forward_features(images)  # type: ignore[operator]
    return features


def forward_head(network: nn.Module, features: Tensor) -> Tensor:
    """Return timm's logits of a feature map in the network's own layout."""
    logits: Tensor = network.forward_head(features)  # type: ignore[operator]
    return logits


def find_last_linear(network: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Return weight (n_outputs, n) and bias (n_outputs,) of timm's classifier layer, None where it is no such layer."""
    layer = network.get_classifier()  # type: ignore[operator]
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        return None
    if isinstance(layer, nn.Conv2d) and (layer.kernel_size != (1, 1) or layer.groups != 1):
        return None
    weight = layer.weight.detach().flatten(1)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return weight, bias


def find_layout(network: nn.Module, *, input_size: tuple[int, int], where: str) -> MapLayout:
    """Find how the network's feature map is laid out, from one grey image of ``input_size`` (height, width).

    Raises
    ------
    ModelError
        Where there is no map: features already pooled, several maps, or no ``forward_features`` at all.
    """
    if not all(callable(getattr(network, name, None)) for name in ("forward_features", "forward_head")):
        raise ModelError(
            f"Wanted a network with forward_features and forward_head, got {type(network).__name__}, in {where}. "
            "Use a timm architecture that has both; most image classifiers of timm do."
        )
    device = next(network.parameters()).device
    grey = torch.zeros(1, 3, *input_size, device=device).contiguous(memory_format=torch.channels_last)
    try:
        with torch.no_grad():
            raw = forward_features(network, grey)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"Wanted a feature map of an image of {input_size[0]} by {input_size[1]} pixels, got an error "
            f"({' '.join(str(error).split())[:200]}), in {where}. Set [classifier] input_size to one the "
            "architecture takes; transformers take the size they were trained at."
        ) from error
    if isinstance(raw, Tensor) and raw.ndim == 4:
        return _find_map_layout(network, raw)
    if isinstance(raw, Tensor) and raw.ndim == 3:
        return _find_token_layout(network, raw, where)
    came = f"a tensor of shape {tuple(raw.shape)}" if isinstance(raw, Tensor) else f"a {type(raw).__name__}"
    raise ModelError(
        f"Wanted one feature map with rows and columns, got {came}, from {type(network).__name__} in {where}. "
        "Use an architecture whose forward_features returns a map, as ResNet, EfficientNet or ConvNeXt."
    )


def _find_map_layout(network: nn.Module, raw: Tensor) -> MapLayout:
    n_channels = getattr(network, "num_features", None)
    says_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")
    if says_last or (raw.shape[3] == n_channels and raw.shape[1] != n_channels):
        return MapLayout("channels-last", raw.shape[1], raw.shape[2], raw.shape[3])
    return MapLayout("channels-first", raw.shape[2], raw.shape[3], raw.shape[1])


def _find_token_layout(network: nn.Module, raw: Tensor, where: str) -> MapLayout:
    n_prefix = int(getattr(network, "num_prefix_tokens", 0))
    n_cells = raw.shape[1] - n_prefix
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    side = math.isqrt(max(n_cells, 0))
    rows, columns = (int(grid[0]), int(grid[1])) if grid is not None else (side, side)
    if rows * columns != n_cells:
        raise ModelError(
            f"Wanted tokens that stand on a grid, got {n_cells} tokens beside {n_prefix} prefix tokens, from "
            f"{type(network).__name__} in {where}. Use an architecture whose tokens form rows and columns."
        )
    return MapLayout("tokens", rows, columns, raw.shape[2], n_prefix)


def find_layer_names(network: nn.Module, *, input_size: tuple[int, int]) -> list[str]:
    """Return the names of the modules whose output is the last feature map, the outermost first."""
    outputs: dict[str, Tensor] = {}  # kept alive: freed memory would be given to a later output
    handles: list[torch.utils.hooks.RemovableHandle] = []

    def remember(name: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                outputs[name] = output

        handles.append(module.register_forward_hook(hook))

    for name, module in network.named_modules():
        if name:
            remember(name, module)
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            grey = torch.zeros(1, 3, *input_size, device=device).contiguous(memory_format=torch.channels_last)
            raw = forward_features(network, grey)
    finally:
        for handle in handles:
            handle.remove()
    names = [name for name, _ in network.named_modules() if name in outputs]
    return [name for name in names if outputs[name].data_ptr() == raw.data_ptr() and outputs[name].shape == raw.shape]


def measure_split(classifier: Classifier, images: Tensor) -> SplitMeasures:
    """Measure the split on images (n, 3, height, width) float32 in [0, 1]; raise nothing, change nothing."""
    with torch.no_grad():
        whole = classifier.logits(images)
        maps, prefix = classifier.features_with_prefix(images)
        split = classifier.head(maps, prefix)
        pooled = maps.mean(dim=(1, 2), keepdim=True)  # (n, 1, 1, n_channels)
        pooled_logits = classifier.head(pooled.expand_as(maps), prefix)
        blank_logits = classifier.head(torch.zeros_like(maps), prefix)
        without_prefix = classifier.head(maps) if prefix is not None else split
        by_midpoint = all(
            _keeps_midpoint(classifier, pooled, other, like=maps, prefix=prefix)
            for other in (pooled.roll(1, 0), torch.zeros_like(pooled))
        )
        energy = float(maps.double().square().sum())
        negative = float(maps.double().clamp(max=0).square().sum())
        pools_first = relative_difference(pooled_logits, split) <= TOLERANCE
        return SplitMeasures(
            split_error=relative_difference(split, whole),
            pools_first=pools_first,
            affine_head=pools_first
            and by_midpoint
            and _equals_last_linear(classifier.network, pooled.flatten(1), split),
            depends_on_cells=relative_difference(blank_logits, split) > TOLERANCE,
            negative_energy=negative / energy if energy > 0 else 0.0,
            prefix_matters=relative_difference(without_prefix, split) > TOLERANCE,
            affine_by_midpoint=pools_first and by_midpoint,
            finite=bool(torch.isfinite(whole).all()),
        )


def _keeps_midpoint(
    classifier: Classifier, pooled: Tensor, other: Tensor, *, like: Tensor, prefix: Tensor | None
) -> bool:
    """Tell whether h takes the midpoint of two pooled maps (n, 1, 1, n_channels) to the midpoint of their logits.

    Between two specimens, which may be close, and between a specimen and nothing, which is where masks lead.
    """
    middle = classifier.head(((pooled + other) / 2).expand_as(like), prefix)
    ends = [classifier.head(end.expand_as(like), prefix) for end in (pooled, other)]
    return relative_difference(middle, (ends[0] + ends[1]) / 2) <= TOLERANCE


def _equals_last_linear(network: nn.Module, pooled: Tensor, logits: Tensor) -> bool:
    """Tell whether W a + b, read from the last layer, gives the logits of pooled activations (n, n_channels)."""
    linear = find_last_linear(network)
    if linear is None or linear[0].shape != (logits.shape[1], pooled.shape[1]):
        return False
    weight, bias = linear
    return relative_difference(pooled @ weight.T + bias, logits) <= TOLERANCE


def relative_difference(found: Tensor, wanted: Tensor) -> float:
    """Return max |found - wanted| / max |wanted|: 0 where both are zero, infinite where one is not finite."""
    difference = float((found.double() - wanted.double()).abs().max())
    scale = float(wanted.double().abs().max())
    if not math.isfinite(difference) or not math.isfinite(scale):
        return math.inf
    if scale == 0:
        return 0.0 if difference == 0 else math.inf
    return difference / scale


def verify_classifier(classifier: Classifier, images: Tensor) -> ModelRecord:
    """Verify the split on real specimens and complete the classifier's record.

    Parameters
    ----------
    classifier : Classifier
        Its ``record`` is replaced by the one returned.
    images : tensor (n, 3, height, width), float32 in [0, 1]
        Specimens as the classifier sees them, before normalisation; 16 are enough.

    Raises
    ------
    ModelError
        Where head(features(x)) is not the classifier, or the head does not read the cells alone.
    """
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ModelError(
            f"Wanted images of shape (n, 3, height, width), at least one, got {tuple(images.shape)}, to verify "
            f"{classifier.record.name} on. Name a folder with readable specimens in [specimens] root."
        )
    measures = measure_split(classifier, images)
    _refuse_unusable(classifier, measures)
    notes = [note for note in classifier.record.notes if note != UNVERIFIED]
    if measures.affine_by_midpoint and not measures.affine_head:
        notes.append(
            "the head is affine after pooling, but its weights are in more than one layer: treated as not affine"
        )
    classifier.record = classifier.record.model_copy(
        update={
            "split_error": measures.split_error,
            "pools_first": measures.pools_first,
            "affine_head": measures.affine_head,
            "depends_on_cells": measures.depends_on_cells,
            "negative_energy": measures.negative_energy,
            "signed": measures.negative_energy > NEGATIVE_ENERGY_BOUND,
            "notes": notes,
        }
    )
    return classifier.record


UNVERIFIED = "the split was not yet verified on specimens"


def _refuse_unusable(classifier: Classifier, measures: SplitMeasures) -> None:
    record = classifier.record
    if not measures.finite:
        raise ModelError(
            f"Wanted finite logits, got NaN or infinity, from {record.name}. The weights are damaged or overflowed in "
            "training: take an earlier checkpoint."
        )
    if measures.split_error > TOLERANCE:
        raise ModelError(
            f"Wanted head(features(x)) to equal the classifier within {TOLERANCE:g} (relative), got "
            f"{measures.split_error:.2g}, in {record.name} ({record.architecture}), split after {record.layer}. Its "
            "forward_head is not the rest of its forward: use another architecture of timm."
        )
    if not measures.depends_on_cells:
        raise ModelError(
            f"Wanted a head that reads the cells of the feature map, got one that ignores them, in {record.name} "
            f"({record.architecture}), split after {record.layer}. A transformer with a class token answers from that "
            "token alone, and has to be split before its last block, which this version does not do yet. Use a "
            "classifier that pools its patch tokens (timm: global_pool = 'avg') or a convolutional one."
        )
    if measures.prefix_matters:
        raise ModelError(
            f"Wanted a head that reads cells only, got one that also reads prefix tokens, in {record.name} "
            f"({record.architecture}), split after {record.layer}. Use a classifier that pools its patch tokens only."
        )
