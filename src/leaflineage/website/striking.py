"""Which leaf opens the atlas: one on which several weighty concepts of its family can be outlined, each in its place.

For every specimen with heat maps of its family's leading concepts:

    merit = (Σ shareᵢ · heatᵢ) · apart² · (least + chroma) · sharp · n

where n is the number of concepts, up to three, heatᵢ the highest value of a concept's map on this leaf (1: as strong
as on any leaf shown), apart the area that the outlined regions cover together over the sum of their areas, chroma the
mean of max(r, g, b) − min(r, g, b) where the concepts are active, and sharp the original's longer side over ``SHARP``,
at most 1. A leaf photographed in grey or coarsely, and concepts that all lie in one place or on bare paper, make no
picture to begin with.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen
from leaflineage.website.outlines import Heat, enlarge
from leaflineage.website.scores import fails, is_accentuated
from leaflineage.website.writing import hash_file

SIDE = 64  # px; the size at which pictures are compared
N_CANDIDATES = 5  # families looked at
N_LEAVES = 16  # specimens of each whose maps are opened
N_LEADING = 5  # concepts by rank of which some are outlined
N_OUTLINED = 3
FAINTEST = 0.2  # heat that a concept must reach on the leaf to be outlined
HALF = 0.5  # of a concept's highest value on the leaf: what lies above is outlined
LEAST_CHROMA = 0.15
SHARP = 400  # px of the original's longer side from which a picture is sharp enough to open an atlas

Leaf = tuple[str, str]  # slug of a family, id of a specimen
ReadFamily = Callable[[str], tuple[AtlasFamily, dict[str, AtlasSpecimen]]]
OpenPicture = Callable[[str], "NDArray[np.float64] | None"]


@dataclass(frozen=True)
class Shown:
    """A concept that is active on the leaf, and its map there, (rows, columns) in [0, 1]."""

    concept: AtlasConcept
    heat: Heat


@dataclass(frozen=True)
class Example:
    """The leaf that opens the atlas, its family whole, and the concepts to outline, by rank."""

    family: AtlasFamily
    specimens: dict[str, AtlasSpecimen]
    specimen: AtlasSpecimen
    shown: tuple[Shown, ...]


def open_picture(run: Path, source: str) -> NDArray[np.float64] | None:
    """Return a picture of the run, or one in a data: address, as (rows, columns, RGBA) in [0, 1].

    None where it cannot be read.
    """
    try:
        head, _, coded = source.partition(",")
        data = base64.b64decode(coded) if head.startswith("data:") else (run / source).read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255.0
    except (OSError, UnidentifiedImageError, binascii.Error):
        return None


def choose_concept(family: AtlasFamily) -> AtlasConcept:
    """Return the first concept that speaks for its family and carries no warning, or simply the first.

    One whose computed picture does not pass comes after those whose picture does.
    """
    good = [each for each in family.concepts if each.importance.contribution > 0 and not each.flags]
    pictured = [each for each in good if each.visualizations]
    passed = [each for each in pictured if not is_accentuated(each) and not fails(each.visualizations[0])]
    return (passed or pictured or good or family.concepts)[0]


def list_candidates(families: list[AtlasFamily]) -> list[AtlasFamily]:
    """Return the families that are looked at: whose chosen concept has the highest lower end of its interval."""

    def weigh(family: AtlasFamily) -> float:
        importance = choose_concept(family).importance
        return importance.interval[0] if importance.contribution > 0 else 0.0

    return sorted(families, key=lambda each: (-weigh(each), each.slug))[:N_CANDIDATES]


def choose_example(
    families: list[AtlasFamily],
    read_family: ReadFamily,
    open_picture: OpenPicture,
    n_cells: int,
    *,
    known: Leaf | None = None,
) -> Example | None:
    """Return the leaf on which the concepts of its family show best, or None where no family has a leaf to show.

    Parameters
    ----------
    n_cells
        Cells along the longer side of the network's map.
    known
        The leaf that is known to be the best: no other is looked at.
    """
    best: tuple[float, Example] | None = None
    for listed in list_candidates(families):
        if known is not None and listed.slug != known[0]:
            continue
        family, specimens = read_family(listed.slug)
        for specimen, maps in _list_leaves(family, specimens)[:N_LEAVES]:
            if known is not None and specimen.id != known[1]:
                continue
            picture = open_picture(specimen.image)
            if picture is None:
                continue
            shown = _open_maps(maps, open_picture)
            sharp = min(1.0, max(specimen.original_width, specimen.original_height) / SHARP)
            merit = round(measure_merit(picture, shown, n_cells) * sharp, 6)
            if best is None or merit > best[0]:
                best = merit, Example(family, specimens, specimen, shown)
    return best[1] if best else None


class Opening:
    """Chooses the leaf that opens the atlas, and remembers from what it was chosen: some hundred pictures.

    Parameters
    ----------
    run
        Folder of the pictures.
    made_by
        What tells the code, what may be shown, and a family's record from what they were before, by slug.
    known
        What the last bake remembered, if any.

    Attributes
    ----------
    remembered : dict or None
        The same for the next one, once the leaf was chosen.
    """

    def __init__(self, run: Path, made_by: Callable[[str], str], known: Mapping[str, Any] | None) -> None:
        self._run, self._made_by, self._known = run, made_by, known
        self.remembered: Mapping[str, Any] | None = None

    def choose(self, families: list[AtlasFamily], read_family: ReadFamily, n_cells: int) -> Example | None:
        """Return what `choose_example` does, at once where it was chosen from the same before."""
        made_by = [n_cells, *(self._made_by(each.slug) for each in list_candidates(families))]
        known = self._known
        if known is not None and known["made_by"] == made_by and known["pictures"] == self._hash(known["pictures"]):
            self.remembered = known
            leaf = known["leaf"]
            look = partial(open_picture, self._run)
            return choose_example(families, read_family, look, n_cells, known=(leaf[0], leaf[1])) if leaf else None
        opened: list[str] = []

        def look_into(source: str) -> NDArray[np.float64] | None:
            opened.append(source)
            return open_picture(self._run, source)

        example = choose_example(families, read_family, look_into, n_cells)
        leaf = [example.family.slug, example.specimen.id] if example else None
        pictures = self._hash(source for source in opened if not source.startswith("data:"))
        self.remembered = {"made_by": made_by, "pictures": pictures, "leaf": leaf}
        return example

    def _hash(self, paths: Iterable[str]) -> dict[str, str | None]:
        return {path: hash_file(self._run / path) for path in paths}


def _list_leaves(
    family: AtlasFamily, specimens: dict[str, AtlasSpecimen]
) -> list[tuple[AtlasSpecimen, list[tuple[AtlasConcept, str]]]]:
    """Return the specimens that may be shown with the maps of leading concepts on them, the most promising first."""
    leading = [each for each in family.concepts if each.importance.contribution > 0 and "unstable" not in each.flags]
    found: dict[str, dict[str, tuple[AtlasConcept, str, float]]] = {}
    for concept in leading[:N_LEADING] or family.concepts[:1]:
        for crop in concept.crops:
            strength = crop.coefficient / crop.heatmap_max if crop.heatmap_max else 0.0
            found.setdefault(crop.specimen, {}).setdefault(concept.id, (concept, crop.heatmap, strength))
        for specimen in specimens.values():
            for each in specimen.heatmaps:
                if each.concept == concept.id and each.heatmap_max:
                    maps = found.setdefault(specimen.id, {})
                    maps.setdefault(concept.id, (concept, each.heatmap, each.coefficient / each.heatmap_max))
    leaves = []
    for name, maps in found.items():
        own = specimens.get(name)
        if own is not None and not own.withheld:
            n_strong = sum(strength >= FAINTEST for _, _, strength in maps.values())
            promise = sum(concept.importance.share * min(1.0, strength) for concept, _, strength in maps.values())
            rank = (-min(n_strong, N_OUTLINED), -promise, name)
            leaves.append((rank, own, [(concept, source) for concept, source, _ in maps.values()]))
    return [(own, sources) for _, own, sources in sorted(leaves, key=lambda leaf: leaf[0])]


def _open_maps(maps: list[tuple[AtlasConcept, str]], open_picture: OpenPicture) -> tuple[Shown, ...]:
    """Return the concepts that are strong enough on the leaf to be outlined, the weightiest ``N_OUTLINED``, by rank."""
    shown = []
    for concept, source in sorted(maps, key=lambda each: each[0].rank):
        veil = open_picture(source)
        if veil is not None and (heat := 1.0 - veil[:, :, 3]).max() >= FAINTEST:
            shown.append(Shown(concept, heat))
    return tuple(shown[:N_OUTLINED])


def measure_merit(picture: NDArray[np.float64], shown: tuple[Shown, ...], n_cells: int) -> float:
    """Return how well the concepts show on a leaf, its sharpness left aside; 0 where none is shown."""
    if not shown:
        return 0.0
    size = (SIDE, SIDE)
    colours = Image.fromarray(np.round(picture[:, :, :3] * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(colours, dtype=np.float64) / 255.0
    chroma = pixels.max(axis=2) - pixels.min(axis=2)  # (SIDE, SIDE)
    maps = [enlarge(each.heat, n_cells) for each in shown]
    heats = [np.asarray(Image.fromarray(each).resize(size), dtype=np.float64) for each in maps]
    inside = [heat >= HALF * heat.max() for heat in heats]
    covered = np.any(inside, axis=0)
    apart = float(covered.sum() / sum(each.sum() for each in inside))
    strength = sum(each.concept.importance.share * float(each.heat.max()) for each in shown)
    return strength * apart**2 * (LEAST_CHROMA + float(chroma[covered].mean())) * len(shown)
