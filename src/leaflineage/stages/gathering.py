"""What the atlas says across families: accuracy, confusions, nearest families, similar concepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.intervals import compute_wilson
from leaflineage.concepts.layout import place_directions
from leaflineage.records import Specimen

Floats = NDArray[np.floating]
N_NEIGHBOURS = 10
N_SIMILAR = 5
LEAST_SIMILARITY = 0.5
ONE_SOURCE = 0.9  # of a family's images, from which they are of one source


@dataclass(frozen=True)
class FamilyArrays:
    """What `collect` holds of each family at once: small whatever the number of specimens.

    Attributes
    ----------
    mean_activation
        (n_channels,).
    ids
        Ids of the shown concepts.
    bank
        (n_shown, n_channels): their rows.
    """

    mean_activation: Floats
    ids: list[str]
    bank: Floats


def measure_accuracy(
    predicted: Sequence[NDArray[np.integer]],
    outputs: Sequence[int],
    groups: Sequence[str],
    *,
    chance: float,
    split: str,
) -> dict[str, Any]:
    """Return top-1 and top-5 accuracy; in its Wilson interval leaves count, not the pictures of them.

    Parameters
    ----------
    predicted
        One a specimen: outputs by falling score.
    outputs
        The right output of each.
    groups
        One a specimen.
    """
    n, n_groups = len(outputs), len(set(groups))
    right = sum(int(order[0] == output) for order, output in zip(predicted, outputs, strict=True))
    among = sum(int(output in order[:5]) for order, output in zip(predicted, outputs, strict=True))
    return {
        "top1": right / n if n else None,
        "top5": among / n if n else None,
        "n_specimens": n,
        "n_groups": n_groups,
        "interval": compute_wilson(right / n * n_groups, n_groups) if n else None,
        "chance": chance,
        "split": split,
    }


def count_confusions(first: Sequence[int], output: int, slug_of: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the families this one's specimens were taken for, most often first."""
    counts = Counter(slug_of[each] for each in first if each != output and each in slug_of)
    return [{"slug": slug, "n": n} for slug, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def find_neighbours(arrays: Mapping[str, FamilyArrays]) -> dict[str, list[dict[str, Any]]]:
    """Return each family's nearest families: cosine of mean activations minus the mean of all."""
    slugs = sorted(arrays)
    rows = _centre_activations(arrays)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosines = rows @ rows.T
    found = {}
    for index, slug in enumerate(slugs):
        order = [i for i in np.argsort(-cosines[index], kind="stable") if i != index][:N_NEIGHBOURS]
        found[slug] = [{"slug": slugs[i], "similarity": float(np.clip(cosines[index, i], -1, 1))} for i in order]
    return found


def place_on_maps(arrays: Mapping[str, FamilyArrays]) -> dict[str, list[float]]:
    """Return a place in the unit square for each family, by slug, and for each shown concept, by its id."""
    if not arrays:
        return {}
    slugs = sorted(arrays)
    names = [f"{slug}/{each}" for slug in slugs for each in arrays[slug].ids]
    places = dict(zip(slugs, place_directions(_centre_activations(arrays)).tolist(), strict=True))
    if names:
        bank = np.concatenate([arrays[slug].bank for slug in slugs])
        places.update(zip(names, place_directions(bank).tolist(), strict=True))
    return places


def _centre_activations(arrays: Mapping[str, FamilyArrays]) -> Floats:
    """Return (n_families, n_channels) float64: mean activations minus the mean of all, families in order of slug."""
    rows = np.stack([arrays[slug].mean_activation for slug in sorted(arrays)]).astype(np.float64)
    rows -= rows.mean(axis=0)
    return rows


def find_similar_concepts(arrays: Mapping[str, FamilyArrays]) -> dict[str, list[dict[str, Any]]]:
    """Return each concept's most similar concepts in other families: cosine of bank rows, at least 0.5."""
    slugs = sorted(slug for slug in arrays if arrays[slug].ids)
    if not slugs:
        return {}
    names = [f"{slug}/{each}" for slug in slugs for each in arrays[slug].ids]
    owner = np.array([i for i, slug in enumerate(slugs) for _ in arrays[slug].ids])
    bank = np.concatenate([arrays[slug].bank for slug in slugs]).astype(np.float64)
    found: dict[str, list[dict[str, Any]]] = {}
    for index, name in enumerate(names):
        cosines = np.where(owner == owner[index], -1.0, bank @ bank[index])
        order = np.argsort(-cosines, kind="stable")[:N_SIMILAR]
        found[name] = [
            {"id": names[i], "similarity": float(min(cosines[i], 1.0))} for i in order if cosines[i] >= LEAST_SIMILARITY
        ]
    return found


def flag_composition(counts: Mapping[str, Any], *, n_sources: int) -> list[str]:
    """Return what a family's images are too much alike in: that is all that its concepts may describe.

    Parameters
    ----------
    counts
        Of `count_specimens`.
    n_sources
        Known in the whole atlas; where there is one, it tells no families apart.
    """
    largest = max(counts["source_shares"].values(), default=0.0)
    flags = ["one_source"] if n_sources > 1 and largest >= ONE_SOURCE else []
    return [*flags, "one_species"] if counts["n_species"] == 1 else flags


def count_specimens(specimens: Sequence[Specimen]) -> dict[str, Any]:
    """Return the counts a family's page opens with."""
    species = sorted({" ".join(filter(None, (e.genus, e.species))) for e in specimens if e.genus})
    sources = Counter(each.source for each in specimens if each.source)
    return {
        "n_specimens": len(specimens),
        "n_groups": len({each.group for each in specimens}),
        "n_species": len(species),
        "n_held_out": sum(each.split == "held-out" for each in specimens),
        "species": species,
        "source_shares": {name: n / len(specimens) for name, n in sorted(sources.items())},
    }
