"""Leaf zones against what was drawn, and how fast; where concepts sit, by our zones and by the true ones.

    OMP_NUM_THREADS=1 python benchmarks/anatomy.py zones [--seeds 7,8] [--n 4] [--size 384]
        draws leaves with known zones: mean intersection over union a zone, specimens a CPU second
    OMP_NUM_THREADS=1 python benchmarks/anatomy.py places RUN [--images DIR] [--families a,b]
        of a finished run: the top zone of each concept by our zones and by the drawn ones (where zone maps lie beside
        the pictures), suggested names, alarms by place and by source
    OMP_NUM_THREADS=1 python benchmarks/anatomy.py sheet DIR OUT.png [--n 100] [--seed 0]
        a contact sheet of pictures and their zones: to look at, not to publish

Thin zones (petiole, midvein, secondary veins, margin) are compared after both maps were dilated by 0.005 L.
Seeds 7, 8, 101, 102 and 103 were looked at while the zones were written; figures are of others.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.numpy import load_file
from scipy.ndimage import distance_transform_edt

from leaflineage.anatomy import (
    LeafZones,
    Lie,
    PatternTest,
    Placement,
    Seen,
    contrast_patterns,
    divide_cells,
    find_place_alarms,
    find_source_alarms,
    find_zones,
    measure_crop,
    measure_source_auc,
    place_concepts,
    suggest_names,
    summarize_teeth,
    trace_margin,
)
from leaflineage.anatomy.labels import LEAF_ZONES, MARGIN, MIDVEIN, PETIOLE, SECONDARY, ZONE_NAMES, find_leaf
from leaflineage.concepts.crops import centre_box
from leaflineage.herbarium import FAMILIES, draw_specimen
from leaflineage.images import Frame, decode_image, fit_image
from leaflineage.records import Preprocessing
from leaflineage.stages.pictures import find_centre

Labels = NDArray[np.uint8]
THIN = (PETIOLE, MIDVEIN, SECONDARY, MARGIN)
REACH = 0.005  # of L, by which thin zones are dilated
BARS = {"leaf": 0.95, "margin": 0.7, "petiole": 0.7, "midvein": 0.6}
CROP_SIDE = 0.4  # the config's default
COLOURS = np.array(
    [
        (255, 255, 255), (140, 80, 20), (255, 0, 0), (255, 160, 0), (0, 0, 255), (0, 200, 200), (200, 0, 200),
        (120, 200, 120), (60, 60, 60), (0, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip


@click.group()
def main() -> None:
    pass


# --- zones ---------------------------------------------------------------------------------------------------


@main.command()
@click.option("--seeds", default="11,12", help="Of the drawn herbaria, with commas between.")
@click.option("--n", default=4, help="Leaves a family and seed.")
@click.option("--size", default=384, help="Side of a drawing, pixels.")
def zones(seeds: str, n: int, size: int) -> None:
    """Compare zones with the drawn ones."""
    rated: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    seconds, usable = 0.0, []
    for family in FAMILIES:
        for seed in (int(each) for each in seeds.split(",")):
            for index in range(n):
                drawing = draw_specimen(family, index, seed=seed, size=size)
                start = time.process_time()
                found = find_zones(drawing.image)
                seconds += time.process_time() - start
                usable.append(found.is_usable)
                for name, value in rate_zones(found.labels, drawing.zones, found.length).items():
                    rated[family][name].append(value)
    names = ["leaf", *(ZONE_NAMES[zone] for zone in LEAF_ZONES), "foreign"]
    click.echo("| family | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for family, values in rated.items():
        click.echo(f"| {family} | " + " | ".join(write_mean(values[name]) for name in names) + " |")
    everything = {name: [value for values in rated.values() for value in values[name]] for name in names}
    click.echo("| all | " + " | ".join(write_mean(everything[name]) for name in names) + " |")
    for name, bar in BARS.items():
        value = float(np.mean(everything[name]))
        click.echo(f"{name}: {value:.3f} (bar {bar}) {'ok' if value >= bar else 'MISSED'}")
    click.echo(f"{len(usable)} leaves, {np.mean(usable):.1%} usable, {len(usable) / seconds:.1f} a CPU second")


def rate_zones(found: Labels, true: Labels, length: float) -> dict[str, float]:
    """Return the intersection over union of each zone that was drawn, by name."""
    rated = {"leaf": measure_overlap(find_leaf(found), find_leaf(true))}
    for zone in (*LEAF_ZONES, 8):
        if (true == zone).any():
            one, other = found == zone, true == zone
            if zone in THIN:
                one, other = (dilate(each, REACH * length) for each in (one, other))
            rated[ZONE_NAMES[zone]] = measure_overlap(one, other)
    return rated


def measure_overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def dilate(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    return np.asarray(distance_transform_edt(~mask)) <= radius if mask.any() else mask


def write_mean(values: list[float]) -> str:
    return f"{np.mean(values):.2f}" if values else "–"


# --- places --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """One specimen: its picture, our zones, the drawn ones if there are, and how it lies in the input."""

    image: NDArray[np.uint8]
    zones: LeafZones
    true: Labels | None
    frame: Frame
    group: str
    source: str


@main.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--images", type=click.Path(exists=True, path_type=Path), help="Root of the pictures, unless drawn.")
@click.option("--families", default="", help="Slugs with commas between; all unless given.")
def places(run: Path, images: Path | None, families: str) -> None:
    """Name a run's concepts, and compare their top zones with those of the true maps."""
    root = images or run / "specimens"
    model = json.loads((run / "model.json").read_text())
    preprocessing = Preprocessing.model_validate(model["preprocessing"])
    catalogue = {each["id"]: each for each in json.loads((run / "catalogue.json").read_text())["specimens"]}
    agree, seconds, n_read = [], 0.0, 0
    for folder in sorted((run / "families").iterdir()):
        if families and folder.name not in families.split(","):
            continue
        if not (folder / "concepts.safetensors").is_file():
            continue
        maps = load_file(folder / "concepts.safetensors")["maps"].astype(np.float64)
        listed = json.loads((folder / "activations.json").read_text())["specimens"]
        start = time.process_time()
        leaves = list(read_leaves(root, [catalogue[each] for each in listed], preprocessing))
        seconds, n_read = seconds + time.process_time() - start, n_read + len(leaves)
        agree += report_family(folder.name, maps, leaves, catalogue, run)
    if agree:
        click.echo(f"top zone as by the drawn maps: {np.mean(agree):.1%} of {len(agree)} concepts (bar 90 %)")
    click.echo(f"{n_read} specimens, {n_read / max(seconds, 1e-9):.1f} a CPU second, reading included")


def read_leaves(root: Path, specimens: list[dict], preprocessing: Preprocessing) -> Iterator[Leaf]:
    for each in specimens:
        path = root / each["file"]
        image = decode_image(path, max_pixels=50_000_000)
        beside = path.with_suffix(".zones.png")
        true = np.asarray(Image.open(beside)) if beside.is_file() else None
        _, frame = fit_image(image, preprocessing=preprocessing)
        yield Leaf(image, find_zones(image), true, frame, each["group"], each["source"] or "")


def make_lie(frame: Frame) -> Lie:
    return Lie(
        scale_x=frame.scale_x, scale_y=frame.scale_y, offset_x=frame.offset_x, offset_y=frame.offset_y,
        input_width=frame.input_width, input_height=frame.input_height,
    )  # fmt: skip


def report_family(slug: str, maps: NDArray, leaves: list[Leaf], catalogue: dict, run: Path) -> list[bool]:
    """Print a line a concept; return which concepts' top zone is that of the drawn maps."""
    shape = maps.shape[1:3]
    usable = [index for index, leaf in enumerate(leaves) if leaf.zones.is_usable]
    groups = [leaf.group for leaf in leaves]

    def place(labels: dict[int, Labels]) -> Placement:
        chosen = sorted(labels)
        cells = np.stack([divide_cells(labels[index], make_lie(leaves[index].frame), shape) for index in chosen])
        return place_concepts(maps[chosen], cells, [groups[index] for index in chosen], seed=0)

    ours = place({index: leaves[index].zones.labels for index in usable})
    drawn = {index: leaf.true for index, leaf in enumerate(leaves) if leaf.true is not None}
    true = place(drawn) if drawn else None
    tests, seen = read_patterns(maps, [leaves[index] for index in usable], usable)
    names = suggest_names(ours, tests, seen, usable_share=len(usable) / max(1, len(leaves)))
    by_place = find_place_alarms(ours)
    by_source = alarm_by_source(slug, maps.shape[-1], leaves, catalogue, run)
    click.echo(f"\n{slug}: {len(usable)} of {len(leaves)} specimens usable")
    agree = []
    for index, name in enumerate(names):
        top = find_top_zone(ours, index)
        line = f"  {index + 1:2d} {ZONE_NAMES[top]:15s} {ours.within_leaf.value[index, top]:.2f}"
        if true is not None:
            agree.append(find_top_zone(true, index) == top)
            line += f" (drawn: {ZONE_NAMES[find_top_zone(true, index)]})"
        line += f"  off {ours.off_leaf.value[index, 0]:.2f} x{ours.off_leaf_enrichment.value[index, 0]:.2f}"
        line += f"  {name.text} ({name.confidence:.2f})" if name else "  –"
        flags = [*by_place[index].flags, *([by_source[index]] if by_source[index] else [])]
        click.echo(line + (f"  FLAGGED: {', '.join(flags)}" if flags else ""))
    return agree


def find_top_zone(placement: Placement, index: int) -> int:
    """Return the zone that a concept is most enriched in, background and foreign things included."""
    return int(np.nanargmax(np.where(placement.share.value[index] > 0.02, placement.enrichment.value[index], np.nan)))


def read_patterns(maps: NDArray, leaves: list[Leaf], indices: list[int]) -> tuple[list[PatternTest | None], list[Seen]]:
    """Return each concept's pattern test: its strongest cell of every specimen, one specimen a group."""
    margins = [trace_margin(leaf.zones) for leaf in leaves]
    shape = maps.shape[1:3]
    tests: list[PatternTest | None] = []
    seen = []
    firsts = list({leaf.group: number for number, leaf in reversed(list(enumerate(leaves)))}.values())
    for concept in range(maps.shape[-1]):
        patterns, coefficients = [], []
        for number in firsts:
            leaf = leaves[number]
            grid = maps[indices[number], :, :, concept]
            row, column = np.unravel_index(int(grid.argmax()), grid.shape)
            x, y = find_centre(leaf.frame, (int(row), int(column)), shape)
            height, width = leaf.image.shape[:2]
            box = centre_box(x, y, width, height, crop_side=CROP_SIDE)
            patterns.append(measure_crop(leaf.image, leaf.zones, margins[number], box))
            coefficients.append(float(grid.max()))
        statistics = np.stack([each.values for each in patterns])
        tests.append(contrast_patterns(np.array(coefficients), statistics, seed=concept))
        strong = np.argsort(-np.array(coefficients), kind="stable")[:10]
        tooth_px, n_teeth = summarize_teeth([patterns[each] for each in strong])
        seen.append(
            Seen(
                long_side_px=float(np.median([max(leaf.image.shape[:2]) for leaf in leaves])),
                leaf_px=float(np.median([leaf.zones.length for leaf in leaves])),
                tooth_px=tooth_px, n_teeth=n_teeth, is_cleared=False,
                ridges=bool(np.median([leaf.zones.doubts["axis"] for leaf in leaves]) > 0.8),
                axis=True, tip=False, has_scale=False,
            )
        )  # fmt: skip
    return tests, seen


def alarm_by_source(slug: str, n_concepts: int, leaves: list[Leaf], catalogue: dict, run: Path) -> list[str | None]:
    """Return the sources that concepts tell among the probe's images of other families."""
    probe = json.loads((run / "probe.json").read_text())
    bank = load_file(run / "families" / slug / "concepts.safetensors")["concept_bank"]
    from leaflineage.concepts.encoding import encode

    own = {leaf.source for leaf in leaves}
    family = next(each["family"] for each in catalogue.values() if each["id"].startswith(f"{slug}--"))
    others = [index for index, each in enumerate(probe["families"]) if each != family]
    cells = load_file(run / "probe.safetensors")["cells"][others].astype(np.float32)
    flat = encode(cells.reshape(-1, cells.shape[-1]), bank)
    coefficients = flat.reshape(len(others), -1, n_concepts).mean(axis=1)
    sources = [catalogue[probe["specimens"][index]]["source"] or "" for index in others]
    shares = {each: float(np.mean([leaf.source == each for leaf in leaves])) for each in own}
    return find_source_alarms(measure_source_auc(coefficients, sources), shares, n_concepts)


# --- sheets --------------------------------------------------------------------------------------------------


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--n", default=100, help="Pictures.")
@click.option("--seed", default=0, help="Of the choice.")
@click.option("--tile", default=190, help="Pixels of a tile's side.")
def sheet(folder: Path, out: Path, n: int, seed: int, tile: int) -> None:
    """Draw random pictures of a folder with their zones below them."""
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png") and ".zones" not in path.name
    )
    chosen = random.Random(seed).sample(paths, min(n, len(paths)))
    columns = 10
    height = 2 * tile + 16
    canvas = Image.new("RGB", (columns * tile, -(-len(chosen) // columns) * height), (60, 60, 60))
    pen = ImageDraw.Draw(canvas)
    for number, path in enumerate(chosen):
        image = decode_image(path, max_pixels=50_000_000)
        found = find_zones(image)
        x, y = number % columns * tile, number // columns * height
        veiled = (0.35 * image + 0.65 * COLOURS[found.labels]).astype(np.uint8)
        for place, pixels in enumerate((image, veiled)):
            small = Image.fromarray(pixels)
            small.thumbnail((tile - 4, tile - 4))
            canvas.paste(small, (x, y + place * tile))
        text = f"{number} {found.confidence:.2f}" + (f" {found.reason}" if found.reason else "")
        pen.text((x, y + 2 * tile), text[: tile // 6], fill=(255, 255, 0) if found.is_usable else (255, 130, 130))
    canvas.save(out)


if __name__ == "__main__":
    main()
