"""Show each concept of a family by squares that hold much and little of it, and where it lies on whole specimens.

Beside the strongest squares stand those at lower percentiles and those that hold least; every specimen that is shown
carries the heat maps of all shown concepts. One sheet holds a thumbnail of each specimen. Of a specimen that is
withheld nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.crops import COUNTER, GRADES, Cell, find_graded_cells, find_top_cells
from leaflineage.images import Frame
from leaflineage.records import Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.pictures import (
    MOST_THUMBNAILS,
    describe_heatmaps,
    make_sheet,
    place_thumbnail,
    write_attribution,
    write_crop,
    write_heatmap,
    write_sheet,
    write_specimen,
)
from leaflineage.stages.reading import read_specimens, to_tensor
from leaflineage.stages.seeds import derive_seed

Floats = NDArray[np.floating]
N_GRADED = 4  # crops of each kind that is not "top"
MOST_MISTAKES = 12  # specimens the classifier gets wrong that are shown
KINDS = ("top", *GRADES, COUNTER)  # in the order of a concept's crops


@dataclass(frozen=True)
class _Square:
    """A crop that is to be cut: of which concept, of which kind, which of them, where."""

    concept: int
    kind: str
    number: int
    cell: tuple[int, int]
    coefficient: float


@dataclass(frozen=True)
class _Wanted:
    """An attribution map that is to be made: of which concept, on which picture."""

    concept: int
    number: int  # of the crop it belongs to
    specimen: str
    fitted: NDArray[np.uint8]
    frame: Frame
    original_size: tuple[int, int]


@dataclass(frozen=True)
class _Family:
    """What of the family every specimen's pictures need."""

    ids: list[str]  # of all fitted concepts
    shown: list[int]
    maps: Floats  # (n_specimens, rows, columns, n_concepts)
    maxima: Floats  # (n_concepts,)


@dataclass
class _Found:
    """What was written."""

    crops: dict[tuple[int, str, int], dict[str, Any]] = field(default_factory=dict)  # by concept, kind and number
    specimens: dict[str, dict[str, Any]] = field(default_factory=dict)
    attributions: list[_Wanted] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write crops, heat maps, the specimens they come from, and all specimens as thumbnails."""
    folder = f"families/{context.slug}"
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    importance = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    maps = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["maps"].astype(np.float32)
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    shown = [ids.index(each) for each in importance["shown"]]
    family = _Family(ids, shown, maps, maps.max(axis=(0, 1, 2)))
    logits = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")["logits"].astype(np.float64)
    mistakes = _find_mistakes(context, listed, logits)
    representative = _choose_representative(context, listed, logits)
    also = [representative] if representative is not None else []
    wanted = _choose_squares(context, listed, maps, shown, [*also, *(index for index, _ in mistakes)])
    found = _Found()
    sheet = make_sheet(len(listed)) if len(listed) <= MOST_THUMBNAILS else None
    visible = [index for index, each in enumerate(listed) if not each.withheld]
    read = visible if sheet is not None else [index for index in visible if index in wanted]
    for place, image, fitted, frame in read_specimens(context, [listed[index] for index in read], {}):
        index = read[place]
        if sheet is not None:
            place_thumbnail(sheet, index, image)
        if index in wanted:
            _write_one(context, family, index, listed[index], image, fitted, frame, wanted[index], found)
    for each, (facts, sha256) in zip(
        found.attributions, _write_attributions(context, found.attributions, ids), strict=True
    ):
        found.files[facts["attribution"]] = sha256
        found.crops[each.concept, "top", each.number].update(facts)
    thumbnails = None
    if sheet is not None and visible:
        name = f"{folder}/thumbnails/all.webp"
        thumbnails, found.files[name] = write_sheet(context.store, name, sheet, [listed[index] for index in visible])
    for kind in ("attributions", "crops", "heatmaps", "specimens", "thumbnails"):
        context.store.remove_strays(f"{folder}/{kind}", found.files)
    keys = sorted(found.crops, key=lambda each: (each[0], KINDS.index(each[1]), each[2]))
    payload = {
        "crops": {ids[concept]: [found.crops[key] for key in keys if key[0] == concept] for concept in shown},
        "specimens": found.specimens,
        "representative": None if representative is None else listed[representative].id,
        "thumbnails": thumbnails,
        "mistakes": [facts for _, facts in mistakes if facts["specimen"] in found.specimens],
    }
    return payload, found.files


def _choose_squares(
    context: Context, listed: Sequence[Specimen], maps: Floats, shown: Sequence[int], also: Sequence[int]
) -> dict[int, list[_Square]]:
    """Return which squares are cut from which specimens; those of ``also`` are shown whole at least."""
    groups, allowed = [each.group for each in listed], np.array([not each.withheld for each in listed])
    own = maps[..., list(shown)]
    tops = find_top_cells(
        np.where(allowed[:, None, None, None], own, 0), groups, n_crops=context.config.concepts.n_crops
    )
    wanted: dict[int, list[_Square]] = defaultdict(list)
    for index in also:
        wanted[index] = []

    def note(concept: int, kind: str, cells: Sequence[Cell]) -> None:
        for number, (index, row, column, coefficient) in enumerate(cells):
            wanted[index].append(_Square(concept, kind, number, (row, column), coefficient))

    for concept, cells in zip(shown, tops, strict=True):
        note(concept, "top", cells)
    graded = find_graded_cells(own, groups, n_crops=N_GRADED, allowed=allowed, preferred=set(wanted))
    for concept, kinds in zip(shown, graded, strict=True):
        for kind, cells in kinds.items():
            note(concept, kind, cells)
    return wanted


def _write_one(
    context: Context,
    family: _Family,
    index: int,
    specimen: Specimen,
    image: NDArray[np.uint8],
    fitted: NDArray[np.uint8],
    frame: Frame,
    squares: Sequence[_Square],
    found: _Found,
) -> None:
    """Write a specimen's picture, its crops and their heat maps."""
    store, settings, folder = context.store, context.config.concepts, f"families/{context.slug}"
    ids, maps, size = family.ids, family.maps, (image.shape[1], image.shape[0])
    facts, files = write_specimen(store, folder, specimen, image)
    concepts = {f"{context.slug}/{ids[each]}": each for each in family.shown}
    facts["heatmaps"] = describe_heatmaps(concepts, maps[index], family.maxima, frame, size)
    found.specimens[specimen.id] = facts
    found.files.update(files)
    cut: dict[int, dict[str, Any]] = {}  # by concept: a specimen has one square of each, whatever kinds it is of
    for square in squares:
        concept, top = square.concept, square.kind == "top"
        if concept not in cut:
            stem = f"{ids[concept]}/{'' if top else f'{square.kind}-'}{square.number:02d}.webp"
            crop, sha256 = write_crop(
                store,
                f"{folder}/crops/{stem}",
                specimen,
                image,
                frame,
                square.cell,
                (maps.shape[1], maps.shape[2]),
                crop_side=settings.crop_side,
            )
            found.files[crop["image"]] = sha256
            heatmap, maximum = f"{folder}/heatmaps/{stem}", float(family.maxima[concept])
            found.files[heatmap] = write_heatmap(
                store, heatmap, maps[index, :, :, concept], frame, size, maximum=maximum
            )
            cut[concept] = {**crop, "heatmap": heatmap, "heatmap_max": maximum}
        found.crops[concept, square.kind, square.number] = {
            **cut[concept],
            "specimen": specimen.id,
            "coefficient": square.coefficient,
            "kind": square.kind,
            "attribution": None,
            "attribution_min": None,
            "attribution_max": None,
        }
        if top and square.number < settings.n_attributions:
            found.attributions.append(_Wanted(concept, square.number, specimen.id, fitted, frame, size))


def _write_attributions(
    context: Context, wanted: Sequence[_Wanted], ids: Sequence[str]
) -> list[tuple[dict[str, Any], str]]:
    """Write the attribution maps; return what each crop says of its own, and the files' sha256."""
    if not wanted:
        return []
    from leaflineage.concepts.attribution import BLUR, N_COPIES, NOISE, attribute_concepts  # torch

    folder, seed = f"families/{context.slug}", context.config.run.seed
    bank = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["concept_bank"]
    maps = attribute_concepts(
        context.load_classifier().features_differentiable,
        to_tensor([each.fitted for each in wanted]),
        bank,
        [each.concept for each in wanted],
        n_copies=N_COPIES,
        noise=NOISE,
        blur=BLUR,
        seeds=[derive_seed(seed, context.slug, ids[each.concept], each.specimen) for each in wanted],
    )
    return [
        write_attribution(
            context.store,
            f"{folder}/attributions/{ids[each.concept]}/{each.number:02d}.webp",
            attribution,
            each.frame,
            each.original_size,
        )
        for each, attribution in zip(wanted, maps, strict=True)
    ]


def _choose_representative(context: Context, listed: Sequence[Specimen], logits: Floats) -> int | None:
    """Return the position of the specimen that the classifier is surest of, None where all are withheld."""
    output = _find_output(context)
    others = np.delete(logits, output, axis=1)
    margin = logits[:, output] - (others.max(axis=1) if others.shape[1] else 0)
    margin[[each.withheld for each in listed]] = -np.inf
    best = int(margin.argmax())
    return None if listed[best].withheld else best


def _find_mistakes(context: Context, listed: Sequence[Specimen], logits: Floats) -> list[tuple[int, dict[str, Any]]]:
    """Return positions and facts of specimens taken for another family: held-out ones first, then by score."""
    output, names = _find_output(context), context.model.label_names
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    first = np.argsort(-logits, axis=1, kind="stable")[:, 0]
    wrong = [i for i, each in enumerate(listed) if first[i] != output and not each.withheld]
    wrong.sort(key=lambda i: (listed[i].split != "held-out", -float(scores[i, first[i]]), i))
    return [
        (
            i,
            {
                "specimen": listed[i].id,
                "family": names[int(first[i])] or f"output {int(first[i])}",
                "score": float(scores[i, first[i]]),
                "own_score": float(scores[i, output]),
                "held_out": listed[i].split == "held-out",
            },
        )
        for i in wrong[:MOST_MISTAKES]
    ]


def _find_output(context: Context) -> int:
    output = context.family.output_index
    assert output is not None, "families without an output are not built"
    return output
