"""Say where on the leaf each concept of a family sits, suggest a name from it, and raise the shortcut alarm.

Zones are found on each of the family's pictures; a picture on which they cannot be trusted is left out and counted.
Nothing that this stage finds reaches another stage's numbers.
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
    LeafZones,
    PatternTest,
    Placement,
    Seen,
    SuggestedName,
    average_on_leaf,
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
from leaflineage.anatomy.labels import ZONE_NAMES
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
N_STRONG = 10  # crops whose teeth say what a concept's pictures offer
FEWEST = 5  # usable leaves, below which nothing is said of places
LEAF_HEIGHT = 144  # px, of the drawn leaf; shown at half of that
SHADE = 0.9  # alpha where a concept is strongest
GREEN, INK = (42, 89, 54), (27, 31, 26)
SURE_AXIS = 0.8  # doubt of the axis above which veins count as found


@dataclass(frozen=True)
class _Leaf:
    """What is kept of one picture whose zones can be trusted: no pixels."""

    position: int  # among the family's specimens
    specimen: Specimen
    cells: NDArray[np.float32]  # (rows, columns, 10)
    bins: NDArray[np.float32]  # (n_bins, rows · columns)
    patterns: list[CropPattern]  # a concept each, of the square around its strongest cell
    long_side: int
    length: float
    sure_of_axis: float


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write zones, enrichments, the canonical leaf, a suggested name and alarms of each shown concept."""
    folder, seed = f"families/{context.slug}", context.config.run.seed
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    importance = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    shown = [ids.index(each) for each in importance["shown"]]
    maps = arrays["maps"][..., shown].astype(np.float32)  # (n_specimens, rows, columns, n_shown)
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    leaves, set_aside = _read_leaves(context, listed, maps)
    usable_share = len(leaves) / max(1, len(listed))
    concepts: dict[str, dict[str, Any]] = {ids[index]: {} for index in shown}
    files: dict[str, str] = {}
    if len({leaf.specimen.group for leaf in leaves}) >= FEWEST:
        chosen = maps[[leaf.position for leaf in leaves]]
        groups = [leaf.specimen.group for leaf in leaves]
        placement = place_concepts(
            chosen, np.stack([leaf.cells for leaf in leaves]), groups, seed=derive_seed(seed, context.slug, "name")
        )
        tests, seen = _try_patterns(chosen, leaves, seed=derive_seed(seed, context.slug, "patterns"))
        names: Sequence[SuggestedName | None] = [None] * len(shown)
        if context.config.anatomy.suggest:
            names = suggest_names(placement, tests, seen, usable_share=usable_share)
        alarms = find_place_alarms(placement)
        canonical = average_on_leaf(chosen, np.stack([leaf.bins for leaf in leaves]))
        for place, index in enumerate(shown):
            concepts[ids[index]] = {
                "zones": _describe_zones(placement, place),
                "leaf": None,
                "suggested": _describe_name(names[place]),
                "place_flags": list(alarms[place].flags),
                "off_leaf_share": alarms[place].off_leaf_share,
                "foreign_share": alarms[place].foreign_share,
                "border_share": alarms[place].border_share,
            }
            if drawn := _draw_leaf(context, ids[index], canonical[place]):
                concepts[ids[index]]["leaf"], files[drawn[0]["image"]] = drawn
    context.store.remove_strays(f"{folder}/leaves", files)
    auc, told = _measure_sources(context, arrays["concept_bank"], shown, listed)
    for place, index in enumerate(shown):
        concepts[ids[index]]["source_auc"] = {name: float(each[place]) for name, each in auc.items()}
        concepts[ids[index]]["source_flag"] = told[place]
    return {
        "n_specimens": len(listed),
        "n_usable": len(leaves),
        "set_aside": set_aside,
        "concepts": concepts,
    }, files


def _read_leaves(
    context: Context, listed: Sequence[Specimen], maps: NDArray[np.float32]
) -> tuple[list[_Leaf], dict[str, str]]:
    """Return what is known of each picture whose zones can be trusted, and why others are left out, by id."""
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
        leaves.append(
            _Leaf(
                position=position,
                specimen=listed[position],
                cells=divide_cells(zones.labels, lie, shape),
                bins=fill_bins(zones, lie, shape),
                patterns=_measure_crops(
                    image, zones, frame, maps[position], crop_side=context.config.concepts.crop_side
                ),
                long_side=max(image.shape[:2]),
                length=zones.length,
                sure_of_axis=zones.doubts.get("axis", 0.0),
            )
        )
    return leaves, {**unread, **set_aside}


def _measure_crops(
    image: NDArray[np.uint8], zones: LeafZones, frame: Frame, maps: NDArray[np.float32], *, crop_side: float
) -> list[CropPattern]:
    """Return, a concept each, the statistics of the square around its strongest cell."""
    margin = trace_margin(zones)
    height, width = image.shape[:2]
    patterns = []
    for index in range(maps.shape[-1]):
        row, column = divmod(int(maps[..., index].argmax()), maps.shape[1])
        x, y = find_centre(frame, (row, column), (maps.shape[0], maps.shape[1]))
        patterns.append(measure_crop(image, zones, margin, centre_box(x, y, width, height, crop_side=crop_side)))
    return patterns


def _try_patterns(
    maps: NDArray[np.float32], leaves: Sequence[_Leaf], *, seed: int
) -> tuple[list[PatternTest | None], list[Seen]]:
    """Return each concept's pattern test, one picture a leaf, and what its pictures offer."""
    firsts = list({leaf.specimen.group: number for number, leaf in reversed(list(enumerate(leaves)))}.values())[::-1]
    peaks = maps.max(axis=(1, 2))  # (n_leaves, n_concepts)
    tests: list[PatternTest | None] = []
    seen = []
    for index in range(maps.shape[-1]):
        patterns = [leaves[number].patterns[index] for number in firsts]
        coefficients = peaks[firsts, index].astype(np.float64)
        tests.append(contrast_patterns(coefficients, np.stack([each.values for each in patterns]), seed=seed + index))
        strong = np.argsort(-coefficients, kind="stable")[:N_STRONG]
        tooth_px, n_teeth = summarize_teeth([patterns[each] for each in strong])
        scales = [leaf.specimen.px_per_mm for leaf in leaves]
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
        if not np.isfinite(share) or share < 0.005:
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
    """Return how well each concept tells the sources of *other* families' images apart, and which it gives away."""
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
    return auc, find_source_alarms(auc, shares, len(shown))
