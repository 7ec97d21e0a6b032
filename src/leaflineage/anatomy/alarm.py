"""The shortcut alarm: concepts that look beside the leaf, and concepts that tell where a picture comes from.

By place: a concept is flagged where most of its activation lies off the leaf, more than an evenly spread map would put
there (both for certain, at the low end of their intervals); where a foreign thing, such as a ruler, holds far more of
it than its area and enough of it to matter; and likewise the picture's outermost ring, as far as that is no leaf.

By source: among images of *other* families, the probability that a concept's coefficient is larger on a random image
of one source than on a random image of the others (the area under the ROC curve, ties count half). A concept of a leaf
cannot know the scanner; one with an AUC far from a half does.

Reference: Hanley and McNeil, "The meaning and use of the area under a ROC curve" (1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from leaflineage.anatomy.labels import FOREIGN, Floats
from leaflineage.anatomy.placing import Placement

MOST = 0.5  # of the activation off the leaf
MORE_THAN_EVEN = 1.1
FOREIGN_SHARE, FOREIGN_ENRICHMENT = 0.05, 3.0  # a ruler is small, and cells are large
BORDER_SHARE, BORDER_ENRICHMENT = 0.6, 1.5
FLAGGED_AUC = 0.85
LEAST_IMAGES = 12  # of a source and of the others, for an AUC


@dataclass(frozen=True)
class PlaceAlarm:
    """Why a concept is flagged by place; flags are a selection of background, foreign, border, in this order."""

    flags: tuple[str, ...]
    off_leaf_share: float
    foreign_share: float
    border_share: float


def find_place_alarms(placement: Placement) -> list[PlaceAlarm]:
    """Return an alarm a concept; without flags there is none."""
    alarms = []
    for index in range(len(placement.share.value)):
        low = {
            "off": placement.off_leaf.low[index, 0],
            "off_times": placement.off_leaf_enrichment.low[index, 0],
            "foreign": placement.share.low[index, FOREIGN],
            "foreign_times": placement.enrichment.low[index, FOREIGN],
            "border": placement.border.low[index, 0],
            "border_times": placement.border_enrichment.low[index, 0],
        }
        is_off = low["off"] > MOST and low["off_times"] > MORE_THAN_EVEN
        flags = (
            ("background", is_off),
            ("foreign", low["foreign"] > FOREIGN_SHARE and low["foreign_times"] > FOREIGN_ENRICHMENT),
            ("border", is_off and low["border"] > BORDER_SHARE and low["border_times"] > BORDER_ENRICHMENT),
        )
        alarms.append(
            PlaceAlarm(
                flags=tuple(name for name, raised in flags if raised),
                off_leaf_share=float(placement.off_leaf.value[index, 0]),
                foreign_share=float(placement.share.value[index, FOREIGN]),
                border_share=float(placement.border.value[index, 0]),
            )
        )
    return alarms


def measure_source_auc(coefficients: Floats, sources: Sequence[str]) -> dict[str, Floats]:
    """Return, for every source, the AUC with which each concept tells it, (n_concepts,) in [0, 1].

    Parameters
    ----------
    coefficients
        (n_images, n_concepts) of a family's concepts on images of *other* families.
    sources
        One an image.

    Returns
    -------
    auc
        Sources in order; those with fewer than 12 images, or with fewer than 12 beside them, are left out.
    """
    found: dict[str, Floats] = {}
    ranks = rankdata(coefficients, axis=0) if len(coefficients) else coefficients
    for source in sorted(set(sources)):
        own = np.array([each == source for each in sources])
        n, others = int(own.sum()), int((~own).sum())
        if n < LEAST_IMAGES or others < LEAST_IMAGES:
            continue
        found[source] = (ranks[own].sum(axis=0) - n * (n + 1) / 2) / (n * others)
    return found


def find_source_alarms(auc: dict[str, Floats], shares: dict[str, float], n_concepts: int) -> list[str | None]:
    """Return, a concept each, the source it tells where that is its family's largest one; else None.

    Parameters
    ----------
    auc
        Of `measure_source_auc`.
    shares
        The family's own images by source, sum 1.
    """
    if not shares:
        return [None] * n_concepts
    largest = min(shares, key=lambda source: (-shares[source], source))
    told = auc.get(largest)
    if told is None:
        return [None] * n_concepts
    return [largest if value >= FLAGGED_AUC else None for value in told]
