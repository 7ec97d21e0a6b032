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

import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError
from leaflineage.model.layout import MapLayout, forward_features, forward_head
from leaflineage.records import ModelRecord

TOLERANCE = 1e-4  # relative
NEGATIVE_ENERGY_BOUND = 0.02  # beyond it the activations count as signed
UNVERIFIED = "the split was not yet verified on specimens"


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
        return self.divide(forward_features(self.network, self.normalise(images)))

    def divide(self, raw: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return cells (n, rows, columns, n_channels) and prefix tokens of a map in the network's own layout."""
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
class HeadMeasures:
    """What ``measure_head`` found; most fields are those of ModelRecord."""

    pools_first: bool
    affine_head: bool
    depends_on_cells: bool
    negative_energy: float
    prefix_matters: bool  # the head reads prefix tokens too
    affine_by_midpoint: bool  # affine in the pooled map, whether or not W could be read


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


def measure_head(classifier: Classifier, maps: Tensor, prefix: Tensor | None) -> HeadMeasures:
    """Measure what the head does with feature maps (n, rows, columns, n_channels); raise nothing, change nothing."""
    with torch.no_grad():
        logits = classifier.head(maps, prefix)
        pooled = maps.mean(dim=(1, 2), keepdim=True)  # (n, 1, 1, n_channels)
        pooled_logits = classifier.head(pooled.expand_as(maps), prefix)
        blank_logits = classifier.head(torch.zeros_like(maps), prefix)
        without_prefix = classifier.head(maps) if prefix is not None else logits
        pools_first = relative_difference(pooled_logits, logits) <= TOLERANCE
        by_midpoint = pools_first and all(
            _keeps_midpoint(classifier, pooled, other, like=maps, prefix=prefix)
            for other in (pooled.roll(1, 0), torch.zeros_like(pooled))
        )
        energy = float(maps.double().square().sum())
        negative = float(maps.double().clamp(max=0).square().sum())
        return HeadMeasures(
            pools_first=pools_first,
            affine_head=by_midpoint and _equals_last_linear(classifier.network, pooled.flatten(1), logits),
            depends_on_cells=relative_difference(blank_logits, logits) > TOLERANCE,
            negative_energy=negative / energy if energy > 0 else 0.0,
            prefix_matters=relative_difference(without_prefix, logits) > TOLERANCE,
            affine_by_midpoint=by_midpoint,
        )


def describe_head(record: ModelRecord, measures: HeadMeasures) -> ModelRecord:
    """Return the record with what was measured of the head."""
    return record.model_copy(
        update={
            "pools_first": measures.pools_first,
            "affine_head": measures.affine_head,
            "depends_on_cells": measures.depends_on_cells,
            "negative_energy": measures.negative_energy,
            "signed": measures.negative_energy > NEGATIVE_ENERGY_BOUND,
        }
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
    with torch.no_grad():
        logits = classifier.logits(images)
        maps, prefix = classifier.features_with_prefix(images)
        split_error = relative_difference(classifier.head(maps, prefix), logits)
    measures = measure_head(classifier, maps, prefix)
    _refuse_unusable(classifier.record, measures, split_error=split_error, finite=bool(torch.isfinite(logits).all()))
    notes = [note for note in classifier.record.notes if note != UNVERIFIED]
    if measures.affine_by_midpoint and not measures.affine_head:
        notes.append(
            "the head is affine after pooling, but its weights are in more than one layer: treated as not affine"
        )
    record = describe_head(classifier.record, measures)
    classifier.record = record.model_copy(update={"split_error": split_error, "notes": notes})
    return classifier.record


def _refuse_unusable(record: ModelRecord, measures: HeadMeasures, *, split_error: float, finite: bool) -> None:
    if not finite:
        raise ModelError(
            f"Wanted finite logits, got NaN or infinity, from {record.name}. The weights are damaged or overflowed in "
            "training: take an earlier checkpoint."
        )
    if split_error > TOLERANCE:
        raise ModelError(
            f"Wanted head(features(x)) to equal the classifier within {TOLERANCE:g} (relative), got "
            f"{split_error:.2g}, in {record.name} ({record.architecture}), split after {record.layer}. Its "
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
