"""Show each concept of a family by the squares that hold most of it, and where it lies on whole specimens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.crops import find_top_cells
from leaflineage.images import Frame
from leaflineage.stages.context import Context
from leaflineage.stages.pictures import write_attribution, write_crop, write_heatmap, write_specimen
from leaflineage.stages.reading import read_specimens, to_tensor
from leaflineage.stages.seeds import derive_seed


@dataclass(frozen=True)
class _Wanted:
    """An attribution map that is to be made: of which concept, on which picture."""

    concept: int
    number: int  # of the crop it belongs to
    specimen: str
    fitted: NDArray[np.uint8]
    frame: Frame
    original_size: tuple[int, int]


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write crops, heat maps and the specimens they come from."""
    settings, folder = context.config.concepts, f"families/{context.slug}"
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    importance = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    maps = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["maps"].astype(np.float32)
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    shown = [ids.index(each) for each in importance["shown"]]
    maxima = maps.max(axis=(0, 1, 2))
    top_cells = find_top_cells(maps[..., shown], [each.group for each in listed], n_crops=settings.n_crops)
    wanted: dict[int, list[tuple[int, int, int, int, float]]] = defaultdict(list)
    for position, concept in enumerate(shown):
        for number, (index, row, column, coefficient) in enumerate(top_cells[position]):
            wanted[index].append((concept, number, row, column, coefficient))
    representative = _choose_representative(context)
    wanted.setdefault(representative, [])
    crops: dict[str, dict[int, dict[str, Any]]] = {ids[concept]: {} for concept in shown}
    specimens: dict[str, Any] = {}
    attributions: list[_Wanted] = []
    files: dict[str, str] = {}
    order = sorted(wanted)
    for place, image, fitted, frame in read_specimens(context, [listed[index] for index in order], {}):
        index = order[place]
        specimen = listed[index]
        facts, sha256 = write_specimen(context.store, folder, specimen, image)
        specimens[specimen.id] = facts
        files[facts["image"]] = sha256
        for concept, number, row, column, coefficient in wanted[index]:
            stem = f"{ids[concept]}/{number:02d}.webp"
            crop, sha256 = write_crop(
                context.store,
                f"{folder}/crops/{stem}",
                specimen,
                image,
                frame,
                (row, column),
                (maps.shape[1], maps.shape[2]),
                crop_side=settings.crop_side,
            )
            files[crop["image"]] = sha256
            heatmap, maximum = f"{folder}/heatmaps/{stem}", float(maxima[concept])
            files[heatmap] = write_heatmap(
                context.store,
                heatmap,
                maps[index, :, :, concept],
                frame,
                (image.shape[1], image.shape[0]),
                maximum=maximum,
            )
            crops[ids[concept]][number] = {
                **crop,
                "specimen": specimen.id,
                "coefficient": coefficient,
                "heatmap": heatmap,
                "heatmap_max": maximum,
                "kind": "top",
                "attribution": None,
                "attribution_min": None,
                "attribution_max": None,
            }
            if number < settings.n_attributions:
                size = (image.shape[1], image.shape[0])
                attributions.append(_Wanted(concept, number, specimen.id, fitted, frame, size))
    for each, (facts, sha256) in zip(attributions, _write_attributions(context, attributions, ids), strict=True):
        files[facts["attribution"]] = sha256
        crops[ids[each.concept]][each.number].update(facts)
    for kind in ("attributions", "crops", "heatmaps", "specimens"):
        context.store.remove_strays(f"{folder}/{kind}", files)
    ordered = {name: [found[number] for number in sorted(found)] for name, found in crops.items()}
    return {"crops": ordered, "specimens": specimens, "representative": listed[representative].id}, files


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


def _choose_representative(context: Context) -> int:
    """Return the position (as listed) of the specimen that the classifier is surest of."""
    name = f"families/{context.slug}/pooled.safetensors"
    logits = context.store.read_arrays(name, stage="extract")["logits"].astype(np.float64)
    output = context.family.output_index
    assert output is not None, "families without an output are not built"
    others = np.delete(logits, output, axis=1)
    margin = logits[:, output] - (others.max(axis=1) if others.shape[1] else 0)
    return int(margin.argmax())
