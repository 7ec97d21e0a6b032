"""Lay a family's concepts over a specimen that is not among those they were found on: a query, a mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.encoding import encode
from leaflineage.stages.context import Context
from leaflineage.stages.rank import compute_importances
from leaflineage.stages.selection import SelectedFamily

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating]
ONE_ROUND = float("inf")  # half-width that one round of designs meets: the config's is of a whole family's mean


@dataclass(frozen=True)
class Laid:
    """A family's shown concepts on one specimen.

    Attributes
    ----------
    concepts
        {id in the atlas: its channel of the map}, by rank.
    coefficient_map
        (rows, columns, n_concepts).
    maxima
        (n_concepts,): the largest coefficients on the family's own specimens.
    contributions
        Logits to the family's centred logit, by concept id, ``slug/rest`` and ``slug/bias``.
    importances
        Total Sobol indices by concept id and ``slug/rest``.
    """

    concepts: dict[str, int]
    coefficient_map: Floats
    maxima: Floats
    contributions: dict[str, float]
    importances: dict[str, float]


def compute_maps(context: Context) -> Callable[[Tensor], Sequence[Tensor]]:
    """Return what gives maps, pooled activations, logits and, where the head reads them, prefix tokens of images."""
    classifier = context.load_classifier()

    def compute(images: Tensor) -> Sequence[Tensor]:
        maps, prefix = classifier.features_with_prefix(images)
        results = (maps, maps.mean(dim=(1, 2)), classifier.head(maps, prefix))
        return (*results, prefix) if prefix is not None and context.model.prefix_matters else results

    return compute


def score_outputs(logits: Floats) -> tuple[NDArray[np.integer], Floats]:
    """Return the outputs by falling score, and the scores (softmax) of logits (n_outputs,)."""
    scores = np.exp(logits.astype(np.float64) - float(logits.max()))
    scores /= scores.sum()
    return np.argsort(-scores, kind="stable"), scores


def lay_concepts(context: Context, family: SelectedFamily, maps: Floats, pooled: Floats, prefix: Floats | None) -> Laid:
    """Return where a family's shown concepts are active on a specimen, and what they add to the family's logit.

    Parameters
    ----------
    maps
        (rows, columns, n_channels).
    pooled
        (n_channels,).
    prefix
        (n_prefix_tokens, n_channels), None where the head reads cells alone.
    """
    folder = f"families/{family.slug}"
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    shown = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"]
    rows, columns, n_channels = maps.shape
    encoded = encode(maps.reshape(-1, n_channels), arrays["concept_bank"]).reshape(rows, columns, -1)
    assert family.output_index is not None, "families without an output are not built"
    found = compute_importances(
        context.of(family.slug),
        {
            "concept_bank": arrays["concept_bank"],
            "coefficients": encoded.mean(axis=(0, 1))[None],
            "maps": encoded[None],
        },
        pooled[None],
        family.output_index,
        prefix=None if prefix is None else prefix[None],
        cells=maps[None],
        half_width=ONE_ROUND,
    )
    own, indices = found.contributions[0, :, family.output_index], found.mean_indices[0]
    concepts = {f"{family.slug}/{name}": ids.index(name) for name in shown}
    contributions = {name: float(own[index]) for name, index in concepts.items()}
    contributions[f"{family.slug}/rest"] = float(own.sum()) - sum(contributions.values())
    contributions[f"{family.slug}/bias"] = float(np.ravel(found.biases)[family.output_index])
    importances = {name: float(indices[index]) for name, index in concepts.items()}
    importances[f"{family.slug}/rest"] = float(indices.sum()) - sum(importances.values())
    return Laid(
        concepts=concepts,
        coefficient_map=encoded,
        maxima=arrays["maps"].astype(np.float32).max(axis=(0, 1, 2)),
        contributions=contributions,
        importances=importances,
    )
