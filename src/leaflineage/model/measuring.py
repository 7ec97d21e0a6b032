"""What a classifier's head does with the map at its split, measured on specimens: nothing is believed.

See ``leaflineage.model.split`` for what is measured and how closely.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError
from leaflineage.model.cuts import compute_negative_energy
from leaflineage.model.layout import divide_map
from leaflineage.model.split import (
    NEGATIVE_ENERGY_BOUND,
    TOLERANCE,
    Classifier,
    find_last_linear,
    make_noise,
    relative_difference,
)
from leaflineage.records import ModelRecord

UNVERIFIED = "the split was not yet verified on specimens"


@dataclass(frozen=True)
class HeadMeasures:
    """What ``measure_head`` found; most fields are those of ModelRecord."""

    pools_first: bool
    affine_head: bool
    depends_on_cells: bool
    negative_energy: float
    prefix_matters: bool  # the head reads prefix tokens too
    affine_by_midpoint: bool  # affine in the pooled map, whether or not W could be read


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
        return HeadMeasures(
            pools_first=pools_first,
            affine_head=by_midpoint and _equals_last_linear(classifier.network, pooled.flatten(1), logits),
            depends_on_cells=relative_difference(blank_logits, logits) > TOLERANCE,
            negative_energy=compute_negative_energy(maps),
            prefix_matters=relative_difference(without_prefix, logits) > TOLERANCE,
            affine_by_midpoint=by_midpoint,
        )


def describe_on_noise(classifier: Classifier) -> ModelRecord:
    """Return the record with what the head does on noise: provisional, but all there is before specimens are seen."""
    noise = make_noise(classifier.record.preprocessing, classifier.device)
    with torch.no_grad():
        maps, prefix = divide_map(classifier.run_to_split(noise), classifier.layout)
    return describe_head(classifier.record, measure_head(classifier, maps, prefix))


def describe_head(record: ModelRecord, measures: HeadMeasures) -> ModelRecord:
    """Return the record with what was measured of the head."""
    return record.model_copy(
        update={
            "pools_first": measures.pools_first,
            "affine_head": measures.affine_head,
            "depends_on_cells": measures.depends_on_cells,
            "negative_energy": measures.negative_energy,
            "signed": measures.negative_energy > NEGATIVE_ENERGY_BOUND,
            "prefix_matters": measures.prefix_matters,
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
        Where head(features(x)) is not the classifier, or the head does not read the cells.
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
            'token alone and has to be split before its last block: [classifier] layer = "auto" does so where such a '
            "layer is found; elsewhere use a classifier that pools its patch tokens (timm: global_pool = 'avg')."
        )
