"""Say where on the leaf each concept of a family sits, suggest a name from it, and raise the shortcut alarm.

Zones are found on each of the family's pictures; a picture on which they cannot be trusted is left out and counted.
Nothing that this stage finds reaches another stage's numbers. Where concepts were fitted on what is leaf alone
([concepts] min_leaf_share), the alarm by place is off: a shortcut beside the leaf had no say in the fit, so that no
flag would prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leaflineage.anatomy import (
    CanonicalMap,
    CropPattern,
    LeafAverage,
    LeafZones,
    PatternTest,
    Placement,
    Seen,
    SuggestedName,
    contrast_patterns,
    divide_cells,
    fill_bins,
    find_canonical_leaf,
    find_place_alarms,
    find_source_alarms,
    find_zones,
    measure_crop,
    measure_source_auc,
    place_concepts,
    shade_leaf,
    suggest_names,
    summarize_teeth,
    trace_margin,
)
from leaflineage.anatomy.labels import APEX, BASE, LEAF_ZONES, MARGIN, ZONE_NAMES
from leaflineage.anatomy.naming import ENRICHED
from leaflineage.concepts.crops import centre_box
from leaflineage.concepts.encoding import encode
from leaflineage.images import Frame, encode_webp
from leaflineage.records import Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.lying import make_lie
from leaflineage.stages.pictures import find_centre
from leaflineage.stages.reading import read_specimens
from leaflineage.stages.seeds import derive_seed

Floats = NDArray[np.floating]
UNPLACED: dict[str, Any] = {
    "zones": [],
    "leaf": None,
    "suggested": None,
    "place_flags": [],
    "off_leaf_share": None,
    "foreign_share": None,
    "border_share": None,
}
CROPPED_ZONES = (MARGIN, BASE, APEX)  # where a pattern of the outline may be told: crops are compared within one
IN_ZONE = 0.1  # of a cell, for a crop around it to be of the zone
N_STRONG = 10  # crops whose teeth say what a concept's pictures offer
FEWEST = 5  # usable leaves, below which nothing is said of places
LEAST_SHARE = 0.005  # of a concept's activation, for a zone to be told of
LEAF_HEIGHT = 144  # px, of the drawn leaf; shown at half of that
SHADE = 0.9  # alpha where a concept is strongest
GREEN, INK = (42, 89, 54), (27, 31, 26)
LEAST_SOURCE = 0.05  # of a family's images, for a source to be its own
SURE_AXIS = 0.8  # the axis' factor of the zones' confidence, from which it lies on a ridge: veins stand out


@dataclass(frozen=True)
class _Leaf:
    """What is kept of one picture whose zones can be trusted: no pixels."""

    position: int  # among the family's specimens
    specimen: Specimen
    cells: NDArray[np.float32]  # (rows, columns, 10)
    patterns: dict[int, CropPattern]  # by cell, of the square around it
    long_side: int
    length: float
    sure_of_axis: float


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write zones, enrichments, the canonical leaf, a suggested name and alarms of each shown concept."""
    folder = f"families/{context.slug}"
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    importance = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    shown = [ids.index(each) for each in importance["shown"]]
    maps = arrays["maps"][..., shown].astype(np.float32)  # (n_specimens, rows, columns, n_shown)
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    average = LeafAverage(len(shown))
    leaves, set_aside = _read_leaves(context, listed, maps, average)
    names = [ids[index] for index in shown]
    concepts = {name: dict(UNPLACED) for name in names}
    files: dict[str, str] = {}
    is_placed = len({leaf.specimen.group for leaf in leaves}) >= FEWEST
    if is_placed:
        placed, files = _place(context, names, maps, leaves, average, usable_share=len(leaves) / len(listed))
        for name, found in zip(names, placed, strict=True):
            concepts[name].update(found)
    context.store.remove_strays(f"{folder}/leaves", files)
    auc, told = _measure_sources(context, arrays["concept_bank"], shown, listed)
    for place, name in enumerate(names):
        concepts[name]["source_auc"] = {source: float(each[place]) for source, each in auc.items()}
        concepts[name]["source_flag"] = told[place]
    return {
        "n_specimens": len(listed),
        "n_usable": len(leaves),
        "is_placed": is_placed,
        "place_alarm": is_placed and _is_alarm_on(context),
        "set_aside": set_aside,
        "concepts": concepts,
    }, files


def _is_alarm_on(context: Context) -> bool:
    return context.config.concepts.min_leaf_share == 0


def _place(
    context: Context,
    names: Sequence[str],
    maps: NDArray[np.float32],
    leaves: Sequence[_Leaf],
    average: LeafAverage,
    *,
    usable_share: float,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return where each shown concept sits, its suggested name and its alarms, and the pictures that were drawn."""
    seed = context.config.run.seed
    chosen = maps[[leaf.position for leaf in leaves]]
    placement = place_concepts(
        chosen,
        np.stack([leaf.cells for leaf in leaves]),
        [leaf.specimen.group for leaf in leaves],
        seed=derive_seed(seed, context.slug, "name"),
    )
    suggested: Sequence[SuggestedName | None] = [None] * len(names)
    if context.config.anatomy.suggest:
        tests, seen = _try_patterns(chosen, leaves, placement, seed=derive_seed(seed, context.slug, "patterns"))
        suggested = suggest_names(placement, tests, seen, usable_share=usable_share)
    alarms = find_place_alarms(placement)
    canonical = average.take()
    found, files = [], {}
    for place, name in enumerate(names):
        drawn = _draw_leaf(context, name, canonical[place])
        if drawn is not None:
            files[drawn[0]["image"]] = drawn[1]
        found.append(
            {
                "zones": _describe_zones(placement, place),
                "leaf": drawn[0] if drawn is not None else None,
                "suggested": _describe_name(suggested[place]),
                "place_flags": list(alarms[place].flags) if _is_alarm_on(context) else [],
                "off_leaf_share": _read_number(alarms[place].off_leaf_share),
                "foreign_share": _read_number(alarms[place].foreign_share),
                "border_share": _read_number(alarms[place].border_share),
            }
        )
    return found, files


def _read_leaves(
    context: Context, listed: Sequence[Specimen], maps: NDArray[np.float32], average: LeafAverage
) -> tuple[list[_Leaf], dict[str, str]]:
    """Return what is known of each picture whose zones can be trusted, and why others are left out, by id.

    Their maps are added to the average.
    """
    unread: dict[str, str] = {}
    leaves: list[_Leaf] = []
    set_aside: dict[str, str] = {}
    for position, image, _, frame in read_specimens(context, listed, unread):
        zones = find_zones(image)
        if not zones.is_usable:
            set_aside[listed[position].id] = zones.reason or "its zones cannot be trusted"
            continue
        lie = make_lie(frame)
        shape = (maps.shape[1], maps.shape[2])
        cells = divide_cells(zones.labels, lie, shape)
        wanted = {
            find_strongest_cell(maps[position, ..., index], cells, zone)
            for index in range(maps.shape[-1])
            for zone in (None, *CROPPED_ZONES)
        }
        average.add(maps[position], fill_bins(zones, lie, shape))
        crop_side = context.config.concepts.crop_side
        leaves.append(
            _Leaf(
                position=position,
                specimen=listed[position],
                cells=cells,
                patterns=_measure_crops(image, zones, frame, shape, wanted, crop_side=crop_side),
                long_side=max(image.shape[:2]),
                length=zones.length,
                sure_of_axis=zones.doubts.get("axis", 0.0),
            )
        )
    return leaves, {**unread, **set_aside}


def find_strongest_cell(
    coefficient_map: NDArray[np.float32], cells: NDArray[np.float32], zone: int | None
) -> int | None:
    """Return the cell that holds most of a concept, of those that hold enough of a zone; None where none does.

    Parameters
    ----------
    coefficient_map
        (rows, columns).
    cells
        (rows, columns, 10): the part of each cell that each zone has.
    """
    if zone is None:
        return int(coefficient_map.argmax())
    inside = cells[..., zone] >= IN_ZONE
    return int(np.where(inside, coefficient_map, -1).argmax()) if inside.any() else None


def _measure_crops(
    image: NDArray[np.uint8],
    zones: LeafZones,
    frame: Frame,
    shape: tuple[int, int],
    wanted: set[int | None],
    *,
    crop_side: float,
) -> dict[int, CropPattern]:
    """Return the statistics of the squares around some cells of a map (rows, columns), by cell."""
    margin = trace_margin(zones)
    height, width = image.shape[:2]
    patterns = {}
    for cell in sorted(each for each in wanted if each is not None):
        row, column = divmod(cell, shape[1])
        x, y = find_centre(frame, (row, column), shape)
        patterns[cell] = measure_crop(image, zones, margin, centre_box(x, y, width, height, crop_side=crop_side))
    return patterns


def _choose_zone(placement: Placement, index: int) -> int | None:
    """Return the zone that a concept's crops are taken in: its surest place, where that is one of the outline's."""
    low = placement.within_leaf.low[index]
    sure = [zone for zone in LEAF_ZONES if np.isfinite(low[zone]) and low[zone] >= ENRICHED]
    surest = max(sure, key=lambda zone: low[zone], default=None)
    return surest if surest in CROPPED_ZONES else None


def _try_patterns(
    maps: NDArray[np.float32], leaves: Sequence[_Leaf], placement: Placement, *, seed: int
) -> tuple[list[PatternTest | None], list[Seen]]:
    """Return each concept's pattern test, on crops of one zone, one picture a leaf, and what its pictures offer."""
    firsts = list({leaf.specimen.group: number for number, leaf in reversed(list(enumerate(leaves)))}.values())[::-1]
    scales = [leaf.specimen.px_per_mm for leaf in leaves]
    tests: list[PatternTest | None] = []
    seen = []
    for index in range(maps.shape[-1]):
        zone = _choose_zone(placement, index)
        found = [
            (number, find_strongest_cell(maps[number, ..., index], leaves[number].cells, zone)) for number in firsts
        ]
        chosen = [(number, cell) for number, cell in found if cell is not None]
        patterns = [leaves[number].patterns[cell] for number, cell in chosen]
        coefficients = np.array([maps[number, ..., index].flat[cell] for number, cell in chosen], dtype=np.float64)
        statistics = [each.values for each in patterns]
        tests.append(contrast_patterns(coefficients, np.stack(statistics), seed=seed + index) if statistics else None)
        strong = np.argsort(-coefficients, kind="stable")[:N_STRONG]
        tooth_px, n_teeth = summarize_teeth([patterns[each] for each in strong])
        seen.append(
            Seen(
                long_side_px=float(np.median([leaf.long_side for leaf in leaves])),
                leaf_px=float(np.median([leaf.length for leaf in leaves])),
                tooth_px=tooth_px,
                n_teeth=n_teeth,
                is_cleared=False,  # no record says how a leaf was prepared
                ridges=bool(np.median([leaf.sure_of_axis for leaf in leaves]) > SURE_AXIS),
                axis=True,
                tip=False,
                has_scale=all(scale is not None for scale in scales),
            )
        )
    return tests, seen


def _describe_zones(placement: Placement, place: int) -> list[dict[str, Any]]:
    """Return the zones that hold some of a concept, the largest share first."""
    found = []
    for zone, name in enumerate(ZONE_NAMES):
        share = float(placement.share.value[place, zone])
        if not share >= LEAST_SHARE:  # NaN is not
            continue
        enrichment = [float(getattr(placement.enrichment, each)[place, zone]) for each in ("value", "low", "high")]
        if not np.all(np.isfinite(enrichment)):
            continue
        found.append(
            {
                "zone": name,
                "share": share,
                "share_interval": [float(placement.share.low[place, zone]), float(placement.share.high[place, zone])],
                "enrichment": enrichment[0],
                "interval": enrichment[1:],
            }
        )
    return sorted(found, key=lambda each: (-each["share"], each["zone"]))


def _draw_leaf(context: Context, name: str, canonical: CanonicalMap) -> tuple[dict[str, Any], str] | None:
    """Write the leaf that stands for all, shaded by a concept's mean map; None where it has nothing on any leaf."""
    shade = shade_leaf(canonical, height=LEAF_HEIGHT)
    on_leaf = find_canonical_leaf(height=LEAF_HEIGHT)
    most = float(np.nanmax(np.where(on_leaf, shade, np.nan), initial=0.0))
    if most <= 0:
        return None
    alpha = np.where(on_leaf & np.isfinite(shade), SHADE * shade / most, 0.0)
    edge = on_leaf & ~ndimage.binary_erosion(on_leaf, iterations=2)
    picture = np.zeros((*shade.shape, 4), dtype=np.uint8)
    picture[..., :3], picture[..., 3] = GREEN, np.round(255 * np.clip(alpha, 0, 1)).astype(np.uint8)
    picture[edge] = (*INK, 255)
    path = f"families/{context.slug}/leaves/{name}.webp"
    sha256 = context.store.write_bytes(path, encode_webp(picture, quality=100, lossless=True))
    return {"image": path, "width": picture.shape[1], "height": picture.shape[0]}, sha256


def _read_number(value: float) -> float | None:
    """Return a number, None for one that there is nothing to measure of."""
    return float(value) if np.isfinite(value) else None


def _describe_name(name: SuggestedName | None) -> dict[str, Any] | None:
    if name is None:
        return None
    return {
        "text": name.text,
        "plain": name.plain,
        "terms": list(name.terms),
        "confidence": name.confidence,
        "reasons": list(name.reasons),
    }


def _measure_sources(
    context: Context, bank: Floats, shown: Sequence[int], listed: Sequence[Specimen]
) -> tuple[dict[str, Floats], list[str | None]]:
    """Return how well each concept tells the sources of *other* families' images apart, and which own one it tells."""
    probe = context.store.read_json("probe.json", "probe", stage="probe")
    others = [index for index, family in enumerate(probe["families"]) if family != context.family.name]
    sources = {each.id: each.source or "" for each in context.list_used()}
    own = [each.source or "" for each in listed]
    shares = {name: own.count(name) / len(own) for name in sorted(set(own)) if name}
    if not others or not shares:
        return {}, [None] * len(shown)
    cells = context.store.read_arrays("probe.safetensors", stage="probe")["cells"][others].astype(np.float32)
    encoded = encode(cells.reshape(-1, cells.shape[-1]), bank)
    coefficients = encoded.reshape(len(others), -1, len(bank)).mean(axis=1)[:, shown]
    auc = measure_source_auc(coefficients, [sources.get(probe["specimens"][index], "") for index in others])
    auc = {name: each for name, each in auc.items() if name}
    return auc, _find_told(auc, [name for name, share in shares.items() if share >= LEAST_SOURCE], len(shown))


def _find_told(auc: dict[str, Floats], own: Sequence[str], n_concepts: int) -> list[str | None]:
    """Return, a concept each, which of its family's own sources it tells from all others, the surest; None for none.

    One that tells a source the family has hardly any picture of cannot have been taken for the family.
    """
    told: list[str | None] = [None] * n_concepts
    for name in sorted(own):
        for place, flag in enumerate(find_source_alarms(auc, {name: 1.0}, n_concepts)):
            before = told[place]
            if flag is not None and (before is None or auc[name][place] > auc[before][place]):
                told[place] = name
    return told
