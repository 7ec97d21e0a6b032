"""How much of a family's score its concepts explain, on leaves the bank has not seen: three ways of fitting.

    cells   on the cells of whole-image feature maps (the default)
    crops   on one pooled vector a crop of a grid, CRAFT's way
    both    on the two together

A family's groups (the pictures of one leaf) are drawn into two halves; a bank is fitted on the one, and every cell of
the other's whole images is encoded with it. Printed, as the mean of both directions: the explained share (1 − the
residual's share of the importance, exact on a head that is affine after pooling) and the relative error of the cells.
Beside them: how many of the concepts fitted on crops (of all leaves) come back, at a cosine of 0.75, fitted otherwise.

    OMP_NUM_THREADS=1 python benchmarks/explained.py --cache DIR [CONFIG] [--set section.key=value …]
        [--families Betulaceae,Fagaceae] [--concepts 10] [--seed 0] [--sheets DIR]

The config names the leaves (a folder) and the classifier. Activations stay in the cache. ``--sheets`` draws, for each
family and way, the strongest crops of every concept in order of importance: a picture to look at, not to publish.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from running import open_run, run_stages
from scipy.optimize import linear_sum_assignment

from leaflineage.concepts.crops import centre_box, find_top_cells
from leaflineage.concepts.encoding import encode
from leaflineage.concepts.factorization import Method, factorize, measure_relative_error
from leaflineage.concepts.importance import compute_exact_importances
from leaflineage.config import load_config
from leaflineage.images import cut_image, decode_image, fit_image
from leaflineage.stages.context import Context
from leaflineage.stages.factorize import TOLERANCES

Floats = NDArray[np.floating]
WAYS = ("cells", "crops", "both")
FOUND_AGAIN = 0.75  # cosine; different concepts of one family stay under 0.57
TILE = 112  # pixels of a crop on a sheet
N_SHOWN = 10  # crops a concept on a sheet


@dataclass(frozen=True)
class Leaves:
    """One family's activations; ``cells`` (n_specimens, rows, columns, n_channels), ``crops`` (n_crops, n_channels)."""

    files: list[str]
    groups: list[str]
    cells: Floats
    blank: NDArray[np.bool_]  # (n_specimens, rows, columns)
    pooled: Floats
    crops: Floats
    of_crop: NDArray[np.int32]  # specimen of each crop
    boxes: NDArray[np.int32]  # of each crop, pixels of the original
    output: int
    method: Method


@click.command()
@click.argument("config", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--set", "overrides", multiple=True, help="A config key: section.key=value.")
@click.option("--cache", required=True, type=click.Path(path_type=Path), help="Folder that keeps the activations.")
@click.option("--families", default="", help="Some families only, with commas between.")
@click.option("--concepts", default=10, help="Concepts a family.")
@click.option("--seed", default=0, help="Of the halves and of the factorizations.")
@click.option("--sheets", type=click.Path(path_type=Path), help="Draw the concepts' crops into this folder.")
def main(
    config: Path | None,
    overrides: tuple[str, ...],
    cache: Path,
    families: str,
    concepts: int,
    seed: int,
    sheets: Path | None,
) -> None:
    """Print a table of families, and its summary."""
    settings = load_config(config, overrides=[*overrides, 'concepts.fit_on="both"'])
    context = open_run(settings, cache)
    if not context.model.affine_head:
        raise click.UsageError("A classifier whose head is affine after pooling is wanted: shares are exact there.")
    head = context.store.read_arrays("head.safetensors", stage="inspect")
    slugs = context.list_built()
    wanted = {name for name in families.split(",") if name}
    chosen = [slug for slug in slugs if not wanted or context.of(slug).family.name in wanted]
    rows = []
    click.echo(
        "| family | leaves | explained: cells | crops | both | error: cells | crops | both "
        "| crops' concepts among cells' | among both's |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|---|")
    for slug in chosen:
        run_stages(context, [slug], ["extract"])
        leaves = read_leaves(context.of(slug))
        measured = [measure_halves(leaves, way, head, n_concepts=concepts, seed=seed) for way in WAYS]
        banks = [fit(leaves, way, np.arange(len(leaves.files)), n_concepts=concepts, seed=seed) for way in WAYS]
        found = [count_found(banks[1], banks[0]), count_found(banks[1], banks[2])]
        row = [*(share for share, _ in measured), *(error for _, error in measured)]
        rows.append([*row, *found])
        numbers = " | ".join(f"{value:.3f}" for value in row)
        name = context.of(slug).family.name
        click.echo(f"| {name} | {len(set(leaves.groups))} | {numbers} | {found[0]} | {found[1]} |")
        if sheets is not None:
            for way, bank in zip(WAYS, banks, strict=True):
                draw_sheet(context, leaves, bank, head, sheets / f"{slug}-{way}.png")
            draw_own_crops(context, leaves, banks[1], sheets / f"{slug}-crops-as-fitted.png")
    table = np.array(rows)
    for word, reduce in (("median", statistics.median), ("least", min), ("most", max)):
        values = [reduce(column.tolist()) for column in table.T]
        numbers = " | ".join(f"{value:.3f}" for value in values[:6])
        click.echo(f"| **{word}** | | {numbers} | {values[6]:g} | {values[7]:g} |")
    for index, way in enumerate(WAYS):
        click.echo(f"more than half unexplained, fitted on {way}: {int((table[:, index] < 0.5).sum())} of {len(table)}")


def read_leaves(context: Context) -> Leaves:
    """Return what extract wrote of a family."""
    folder = f"families/{context.slug}"
    ids = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")["specimens"]
    arrays = context.store.read_arrays(f"{folder}/activations.safetensors", stage="extract")
    pooled = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")
    crops = context.store.read_arrays(f"{folder}/crop-activations.safetensors", stage="extract")
    by_id = {each.id: each for each in context.specimens}
    rows, columns, n_channels = context.model.map_shape
    output = context.family.output_index
    assert output is not None, "only families with an output are built"
    return Leaves(
        files=[by_id[each].file for each in ids],
        groups=[by_id[each].group for each in ids],
        cells=arrays["cells"].reshape(len(ids), rows, columns, n_channels),
        blank=arrays["blank"].reshape(len(ids), rows, columns),
        pooled=pooled["pooled"],
        crops=crops["crops"],
        of_crop=crops["specimen"],
        boxes=crops["box"],
        output=output,
        method="semi-nmf" if context.model.signed else "nmf",
    )


def measure_halves(
    leaves: Leaves, way: str, head: dict[str, Floats], *, n_concepts: int, seed: int
) -> tuple[float, float]:
    """Return explained share and relative error on the half a bank was not fitted on, the mean of both directions."""
    names = sorted(set(leaves.groups))
    first = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    in_first = np.array([group in first for group in leaves.groups])
    found = []
    for fitted in (in_first, ~in_first):
        bank = fit(leaves, way, np.flatnonzero(fitted), n_concepts=n_concepts, seed=seed)
        found.append(measure(leaves, bank, np.flatnonzero(~fitted), head))
    shares, errors = zip(*found, strict=True)
    return float(np.mean(shares)), float(np.mean(errors))


def fit(leaves: Leaves, way: str, specimens: NDArray[np.intp], *, n_concepts: int, seed: int) -> Floats:
    """Return the bank (n_concepts, n_channels) of some specimens, fitted one of the three ways."""
    parts = []
    if way != "crops":
        cells = leaves.cells[specimens]
        parts.append(cells[~leaves.blank[specimens]])
    if way != "cells":
        parts.append(leaves.crops[np.isin(leaves.of_crop, specimens)])
    activations = np.concatenate(parts).astype(np.float32)
    found = factorize(
        activations,
        n_concepts=n_concepts,
        seed=seed,
        max_iterations=400,
        tolerance=TOLERANCES[leaves.method],
        method=leaves.method,
        device="cpu",
    )
    return found.concept_bank


def measure(leaves: Leaves, bank: Floats, specimens: NDArray[np.intp], head: dict[str, Floats]) -> tuple[float, float]:
    """Return explained share and relative error of whole images under a bank."""
    cells = leaves.cells[specimens].reshape(-1, bank.shape[1]).astype(np.float32)
    coefficients = encode(cells, bank)
    indices, _ = find_importances(leaves, bank, specimens, coefficients, head)
    return 1 - float(indices[-1]), measure_relative_error(cells, coefficients, bank)


def find_importances(
    leaves: Leaves, bank: Floats, specimens: NDArray[np.intp], coefficients: Floats, head: dict[str, Floats]
) -> tuple[Floats, Floats]:
    """Return mean index and mean contribution of each player, the residual last."""
    found = compute_exact_importances(
        coefficients.reshape(len(specimens), -1, len(bank)).mean(axis=1),
        leaves.pooled[specimens],
        bank,
        head_weight=head["weight"],
        head_bias=head["bias"],
        output=leaves.output,
    )
    indices = found.indices[0]
    return indices[indices.sum(axis=1) > 0].mean(axis=0), found.contributions[:, :, leaves.output].mean(axis=0)


def count_found(bank: Floats, other: Floats) -> int:
    """Return how many rows of a bank have a partner of their own in another, at a cosine of 0.75 or more."""
    cosines = bank @ other.T
    return int((cosines[linear_sum_assignment(-cosines)] >= FOUND_AGAIN).sum())


def draw_sheet(context: Context, leaves: Leaves, bank: Floats, head: dict[str, Floats], path: Path) -> None:
    """Draw the crops a site would show: around the strongest cells of whole images, a row a concept, by importance."""
    n, rows, columns, n_channels = leaves.cells.shape
    coefficients = encode(leaves.cells.reshape(-1, n_channels).astype(np.float32), bank)
    maps = coefficients.reshape(n, rows, columns, len(bank))
    indices, contributions = find_importances(leaves, bank, np.arange(n), coefficients, head)
    top = find_top_cells(maps, leaves.groups, n_crops=N_SHOWN)
    lines = []
    for concept in np.argsort(-indices[:-1], kind="stable"):
        tiles = []
        for specimen, row, column, _ in top[concept]:
            image = read_image(context, leaves.files[specimen])
            _, frame = fit_image(image, preprocessing=context.model.preprocessing)
            x = ((column + 0.5) / columns * frame.input_width - frame.offset_x) / frame.scale_x
            y = ((row + 0.5) / rows * frame.input_height - frame.offset_y) / frame.scale_y
            side = context.config.concepts.crop_side
            tiles.append(cut_image(image, centre_box(x, y, image.shape[1], image.shape[0], crop_side=side)))
        lines.append((f"{concept + 1}: {indices[concept]:.0%}, {contributions[concept]:+.1f}", tiles))
    paste(lines, path)


def draw_own_crops(context: Context, leaves: Leaves, bank: Floats, path: Path) -> None:
    """Draw the crops that a bank fitted on crops is strongest in, as CRAFT shows them, one a group."""
    coefficients = encode(leaves.crops.astype(np.float32), bank)
    lines = []
    for concept in range(len(bank)):
        tiles: list[NDArray[np.uint8]] = []
        taken: set[str] = set()
        for index in np.argsort(-coefficients[:, concept], kind="stable"):
            specimen = leaves.of_crop[index]
            if leaves.groups[specimen] not in taken and len(tiles) < N_SHOWN:
                taken.add(leaves.groups[specimen])
                x0, y0, x1, y1 = (int(value) for value in leaves.boxes[index])
                tiles.append(cut_image(read_image(context, leaves.files[specimen]), (x0, y0, x1, y1)))
        lines.append((f"{concept + 1}", tiles))
    paste(lines, path)


def read_image(context: Context, file: str) -> NDArray[np.uint8]:
    """Return a specimen's picture."""
    return decode_image(context.specimens_root / file, max_pixels=context.config.specimens.max_pixels)


def paste(lines: list[tuple[str, list[NDArray[np.uint8]]]], path: Path) -> None:
    """Write a sheet: a line a concept, its label on the left."""
    sheet = Image.new("RGB", (90 + N_SHOWN * (TILE + 4), len(lines) * (TILE + 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, tiles) in enumerate(lines):
        draw.text((4, number * (TILE + 4) + TILE // 2), label, fill="black")
        for place, tile in enumerate(tiles):
            square = Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(square, (90 + place * (TILE + 4), number * (TILE + 4)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


if __name__ == "__main__":
    main()
