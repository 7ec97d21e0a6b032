"""What the atlas says of one family: its figures, its concepts, the specimens that its pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.layout import place_images
from leaflineage.records import Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.gathering import count_confusions, measure_accuracy
from leaflineage.stages.selection import SelectedFamily

Floats = NDArray[np.floating]
N_PREDICTED = 5
SHORTCUTS = frozenset({"background", "foreign", "border", "source"})  # flags of concepts that look past the leaf
WITHHELD = "withheld"  # stands for the id of a specimen that is
LABEL_FIELDS = (
    "id", "group", "role", "family", "genus", "species", "split", "in_training", "source", "catalogue_number",
    "licence", "credit", "px_per_mm", "withheld",
)  # fmt: skip


@dataclass(frozen=True)
class FamilyArtifacts:
    """Everything the stages found of a family, as it lies in the run.

    Attributes
    ----------
    context
        The family's.
    selected
        Its output, name and slug.
    """

    context: Context
    selected: SelectedFamily

    def _read(self, name: str, kind: str, stage: str) -> dict[str, Any]:
        return self.context.store.read_json(f"families/{self.selected.slug}/{name}.json", kind, stage=stage)

    def _read_arrays(self, name: str, stage: str) -> dict[str, NDArray[Any]]:
        return self.context.store.read_arrays(f"families/{self.selected.slug}/{name}.safetensors", stage=stage)

    @cached_property
    def activations(self) -> dict[str, Any]:
        """What `extract` says."""
        return self._read("activations", "activations", "extract")

    @cached_property
    def pooled(self) -> dict[str, NDArray[Any]]:
        """Pooled activations and logits, a specimen each."""
        return self._read_arrays("pooled", "extract")

    @cached_property
    def concepts(self) -> dict[str, Any]:
        """What `factorize` says."""
        return self._read("concepts", "concepts", "factorize")

    @cached_property
    def bank(self) -> dict[str, NDArray[Any]]:
        """``concept_bank``, ``coefficients`` and ``maps``."""
        return self._read_arrays("concepts", "factorize")

    @cached_property
    def importance(self) -> dict[str, Any]:
        """What `rank` says."""
        return self._read("importance", "importance", "rank")

    @cached_property
    def ranks(self) -> dict[str, NDArray[Any]]:
        """Indices and contributions, a specimen each."""
        return self._read_arrays("importance", "rank")

    @cached_property
    def fidelity(self) -> dict[str, Any]:
        """What `fidelity` says."""
        return self._read("fidelity", "fidelity", "fidelity")

    @cached_property
    def crops(self) -> dict[str, Any]:
        """What `illustrate` says."""
        return self._read("crops", "crops", "illustrate")

    @cached_property
    def contrasts(self) -> dict[str, Any]:
        """What `contrast` says."""
        return self._read("contrasts", "contrasts", "contrast")

    @cached_property
    def pictures(self) -> dict[str, Any]:
        """What `visualize` says."""
        return self._read("visualizations", "visualizations", "visualize")

    @cached_property
    def zones(self) -> dict[str, Any]:
        """What `name` says."""
        return self._read("zones", "zones", "name")

    @cached_property
    def recursion(self) -> dict[str, Any]:
        """What `recurse` says."""
        return self._read("recursion", "recursion", "recurse")

    @cached_property
    def specimens(self) -> list[Specimen]:
        """The family's specimens in the order of all arrays."""
        by_id = {each.id: each for each in self.context.specimens}
        return [by_id[each] for each in self.activations["specimens"]]

    @cached_property
    def order(self) -> NDArray[np.integer]:
        """(n_specimens, n_outputs): outputs by falling score."""
        order: NDArray[np.integer] = np.argsort(-self.pooled["logits"].astype(np.float64), axis=1, kind="stable")
        return order

    @property
    def ids(self) -> list[str]:
        """Ids of all fitted concepts, in order of the bank."""
        return list(self.concepts["ids"])

    @property
    def shown(self) -> list[str]:
        """Ids of the shown concepts, by rank."""
        return list(self.importance["shown"])

    @property
    def output(self) -> int:
        """The family's output."""
        assert self.selected.output_index is not None, "families without an output are not built"
        return self.selected.output_index

    def columns_of_shown(self) -> list[int]:
        """Return the rows of the bank that are shown, by rank."""
        return [self.ids.index(name) for name in self.shown]


@dataclass(frozen=True)
class Surroundings:
    """What describing a family needs to know of the others.

    Attributes
    ----------
    neighbours, similar
        As `gathering` found them, by slug and by concept.
    places
        On the maps, of families by slug and of concepts by id.
    near_specimens
        The specimens nearest to each that some page shows, by id.
    held_out
        Whether a split is known: accuracy then counts held-out specimens only.
    names
        The experts' names, as fields of ConceptName, by id of the concept.
    """

    neighbours: Mapping[str, Sequence[Mapping[str, Any]]]
    similar: Mapping[str, Sequence[Mapping[str, Any]]]
    places: Mapping[str, Sequence[float]]
    near_specimens: Mapping[str, Sequence[Mapping[str, Any]]]
    held_out: bool
    names: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def describe_family(found: FamilyArtifacts, around: Surroundings) -> dict[str, Any]:
    """Return the fields of AtlasFamily that follow from the family's concepts."""
    context, slug, output = found.context, found.selected.slug, found.output
    counted = list_counted(found, around)
    trained = [i for i, each in enumerate(found.specimens) if each.in_training] if around.held_out else []
    slug_of = {each.output_index: each.slug for each in context.families if each.output_index is not None}
    near = [output, *(_find_output(context, str(each["slug"])) for each in around.neighbours[slug])]
    chance, split = 1 / context.model.n_outputs, "held-out" if around.held_out else "training leaves included"
    return {
        **describe_numbers(found),
        "accuracy": _measure_accuracy(found, counted, chance=chance, split=split),
        "training_accuracy": _measure_accuracy(found, trained, chance=chance, split="training") if trained else None,
        "neighbours": around.neighbours[slug],
        "confused_with": count_confusions([int(found.order[i][0]) for i in counted], output, slug_of),
        "visualization": found.pictures["family"],
        "representative": found.crops["representative"],
        "thumbnails": found.crops["thumbnails"],
        "mistakes": found.crops["mistakes"],
        "position": around.places[slug],
        "shortcut_share": measure_shortcuts(found),
        "n_located": found.zones["n_usable"],
        "place_alarm": found.zones["place_alarm"],
        "image_specimens": [WITHHELD if each.withheld else each.id for each in found.specimens],
        "image_dominants": _name_dominants(found),
        "layout": place_images(_gather_importances(found)).tolist(),
        "concepts": [
            _describe_concept(found, around, name, {slug_of[i]: i for i in near if i in slug_of})
            for name in found.shown
        ],
    }


def describe_numbers(found: FamilyArtifacts) -> dict[str, Any]:
    """Return the fields of AtlasFamily that `extract`, `factorize`, `rank` and `fidelity` alone give."""
    importance, fidelity = found.importance, found.fidelity
    return {
        "explained_share": 1 - importance["rest"]["residual_share"],
        "explained_interval": importance["explained_interval"],
        "relative_error": found.concepts["relative_error"],
        "bias": importance["bias"],
        "bias_interval": importance["bias_interval"],
        "factorization": found.concepts,
        "fidelity": fidelity["fidelity"],
        "completeness": fidelity["completeness"],
        "rest": {
            **importance["rest"],
            "concepts": [i for i, name in enumerate(found.ids) if name not in found.shown],
            "image_importances": _sum_rest(found).tolist(),
        },
    }


def _measure_accuracy(found: FamilyArtifacts, chosen: Sequence[int], *, chance: float, split: str) -> dict[str, Any]:
    groups = [found.specimens[i].group for i in chosen]
    ranked = [found.order[i] for i in chosen]
    return measure_accuracy(ranked, [found.output] * len(chosen), groups, chance=chance, split=split)


def list_counted(found: FamilyArtifacts, around: Surroundings) -> list[int]:
    """Return the positions of the specimens that accuracy counts."""
    return [i for i, each in enumerate(found.specimens) if each.split == "held-out" or not around.held_out]


def describe_label(specimen: Specimen) -> dict[str, Any]:
    """Return what a specimen's label says, as the atlas carries it."""
    return {field: getattr(specimen, field) for field in LABEL_FIELDS}


def list_pictured(found: FamilyArtifacts) -> dict[str, dict[str, Any]]:
    """Return what is known of the picture of each specimen that some page of the family shows, by id."""
    pictures = {**found.crops["specimens"], **found.recursion.get("specimens", {})}
    return {each.id: pictures[each.id] for each in found.specimens if each.id in pictures and not each.withheld}


def compare_families(found: FamilyArtifacts, outputs: Sequence[int]) -> dict[str, list[float]]:
    """Return each shown concept's mean contribution to several families' centred logits, the rest's and the bias.

    They sum, a family each, to the mean centred logit of this family's specimens.
    """
    slug, columns = found.selected.slug, found.columns_of_shown()
    means = found.ranks["mean_contributions"].astype(np.float64)[:, list(outputs)]  # (n_players, n_families)
    logits = found.pooled["logits"].astype(np.float64)
    centred = (logits - logits.mean(axis=1, keepdims=True)).mean(axis=0)[list(outputs)]
    compared = {f"{slug}/{name}": means[column].tolist() for name, column in zip(found.shown, columns, strict=True)}
    compared["rest"] = np.delete(means, columns, axis=0).sum(axis=0).tolist()
    compared["bias"] = (centred - means.sum(axis=0)).tolist()
    return compared


def describe_specimens(found: FamilyArtifacts, around: Surroundings) -> list[dict[str, Any]]:
    """Return what the atlas says of each specimen that some page of the family shows, in order of id.

    Of one that is taken for another family, that family's concepts are told of too.
    """
    logits = found.pooled["logits"].astype(np.float64)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    names, slug = found.context.model.label_names, found.selected.slug
    pictures, contrasts = list_pictured(found), found.contrasts["specimens"]
    columns = dict(zip(found.shown, found.columns_of_shown(), strict=True))
    described = []
    for index, specimen in enumerate(found.specimens):
        if specimen.id not in pictures:
            continue
        own, indices = found.ranks["contributions"][index], found.ranks["indices"][index]
        contributions = {f"{slug}/{name}": float(own[column]) for name, column in columns.items()}
        importances = {f"{slug}/{name}": float(indices[column]) for name, column in columns.items()}
        contributions["rest"] = float(own.sum()) - sum(contributions.values())
        importances["rest"] = float(indices.sum()) - sum(importances.values())
        contributions["bias"] = float(logits[index, found.output] - logits[index].mean() - own.sum())
        other = contrasts.get(specimen.id, {"contributions": {}, "importances": {}, "heatmaps": []})
        described.append(
            {
                **describe_label(specimen),
                **pictures[specimen.id],
                "heatmaps": [*pictures[specimen.id]["heatmaps"], *other["heatmaps"]],
                "predicted": [
                    {"family": names[int(i)] or f"output {int(i)}", "score": float(scores[index, i])}
                    for i in found.order[index][:N_PREDICTED]
                ],
                "dominant": f"{slug}/{found.ids[int(indices[:-1].argmax())]}" if indices.sum() > 0 else None,
                "contributions": {**contributions, **other["contributions"]},
                "importances": {**importances, **other["importances"]},
                "neighbours": around.near_specimens.get(specimen.id, []),
            }
        )
    return sorted(described, key=lambda each: str(each["id"]))


def _describe_concept(
    found: FamilyArtifacts, around: Surroundings, name: str, near: Mapping[str, int]
) -> dict[str, Any]:
    """Return one AtlasConcept's fields; ``near`` gives the outputs of the own and the nearest families by slug."""
    slug, index, ranks = found.selected.slug, found.ids.index(name), found.ranks
    numbers = describe_concept_numbers(found, name)
    divided = found.recursion["concepts"].get(name)
    located = found.zones["concepts"].get(name, {})
    return {
        **numbers,
        "children": [each["id"] for each in divided["subconcepts"]] if divided else [],
        "recursion": divided,
        "contributions": {
            **{other: float(ranks["mean_contributions"][index, i]) for other, i in near.items()},
            slug: numbers["importance"]["contribution"],
        },
        "contribution_intervals": {
            other: [float(ranks["contributions_low"][index, i]), float(ranks["contributions_high"][index, i])]
            for other, i in near.items()
        },
        "flags": list_flags(found, name),
        "name": _describe_name(around.names.get(f"{slug}/{name}"), located.get("suggested")),
        "zones": located.get("zones", []),
        "leaf": located.get("leaf"),
        "off_leaf_share": located.get("off_leaf_share"),
        "foreign_share": located.get("foreign_share"),
        "border_share": located.get("border_share"),
        "source_auc": located.get("source_auc", {}),
        "told_source": located.get("source_flag"),
        "visualizations": found.pictures["visualizations"][name],
        "crops": found.crops["crops"][name],
        "position": around.places[f"{slug}/{name}"],
        "similar": around.similar.get(f"{slug}/{name}", []),
    }


def describe_concept_numbers(found: FamilyArtifacts, name: str) -> dict[str, Any]:
    """Return the fields of AtlasConcept that `factorize` and `rank` alone give."""
    index = found.ids.index(name)
    ranked = next(each for each in found.importance["concepts"] if each["id"] == name)
    stability = found.concepts["stability"]
    return {
        "id": f"{found.selected.slug}/{name}",
        "uid": found.concepts["uids"][index],
        "concept_index": index,
        "rank": ranked["rank"],
        "importance": {**ranked, "exact": found.importance["exact"]},
        "prevalence": ranked["prevalence"],
        "prevalence_interval": ranked["prevalence_interval"],
        "n_dominated": ranked["n_dominated"],
        "reliability": ranked["reliability"],
        "reliability_interval": ranked["reliability_interval"],
        "stability": {
            "cosine": stability["cosine"][index],
            "found_in": stability["found_in"][index],
            "n_refits": stability["n_refits"],
        }
        if stability
        else None,
        "image_importances": found.ranks["indices"][:, index].tolist(),
    }


def list_flags(found: FamilyArtifacts, name: str) -> list[str]:
    """Return what a reader must know of a concept before its numbers: unstable; a shortcut by place, or by source."""
    stability, index = found.concepts["stability"], found.ids.index(name)
    located = found.zones["concepts"].get(name, {})
    flags = ["unstable"] if stability and is_unstable(stability["found_in"][index], stability["n_refits"]) else []
    flags += located.get("place_flags", [])
    return [*flags, "source"] if located.get("source_flag") else flags


def measure_shortcuts(found: FamilyArtifacts) -> float | None:
    """Return the share of the family's importance that concepts flagged by place or by source hold.

    None where neither alarm could be raised: too few leaves with zones, or the alarm by place is off; no source known.
    """
    located = found.zones["concepts"]
    if not found.zones["place_alarm"] and not any(each.get("source_auc") for each in located.values()):
        return None
    shares = {each["id"]: float(each["share"]) for each in found.importance["concepts"]}
    return sum(shares[name] for name in found.shown if set(list_flags(found, name)) & SHORTCUTS)


def _describe_name(expert: Mapping[str, Any] | None, suggested: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the fields of ConceptName: the expert's word wins, and the program's stands beside it."""
    if expert is not None:
        return {**expert, "source": "expert", "suggested": suggested["text"] if suggested else None}
    return {**suggested, "source": "suggested"} if suggested else None


def is_unstable(found_in: int, n_refits: int) -> bool:
    """Tell whether a concept was found again in no more than half of the refits."""
    return 2 * found_in <= n_refits


def _gather_importances(found: FamilyArtifacts) -> Floats:
    """Return (n_specimens, n_shown + 1) indices: the shown concepts by rank, then the rest."""
    columns = found.ranks["indices"][:, found.columns_of_shown()].astype(np.float64)
    return np.concatenate([columns, _sum_rest(found)[:, None]], axis=1)


def _sum_rest(found: FamilyArtifacts) -> Floats:
    """Return (n_specimens,): the indices of the residual and of the concepts that are not shown, summed."""
    indices = found.ranks["indices"].astype(np.float64)
    return np.asarray(np.delete(indices, found.columns_of_shown(), axis=1).sum(axis=1))


def _name_dominants(found: FamilyArtifacts) -> list[str | None]:
    """Return the id of the concept that dominates each specimen: "rest" where it is not shown, None where none is."""
    indices = found.ranks["indices"]
    names = [f"{found.selected.slug}/{name}" if name in found.shown else "rest" for name in found.ids]
    return [names[int(row[:-1].argmax())] if row.sum() > 0 else None for row in indices]


def _find_output(context: Context, slug: str) -> int:
    return next(each.output_index for each in context.families if each.slug == slug and each.output_index is not None)
