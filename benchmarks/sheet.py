"""A contact sheet: the same concepts drawn by Horama 0.3.0 and by us, one above the other. A picture to look at.

    OMP_NUM_THREADS=1 python benchmarks/sheet.py RUN OUT.webp [CONFIG] [--set section.key=value …]
        [--families betulaceae,fagaceae] [--steps 256] [--crops 6] [--size 384] [--tile 220] [--full FILE.png]

RUN is a finished run; CONFIG or ``--set`` name its leaves and classifier as they did when it was made. Of each family,
the first six in order of name unless told otherwise, comes its first concept by rank. Both draw it in as many steps,
with as many crops a step, at one size, with the same classifier, from one seed, and no second try.

Horama keeps its own rate, noise, box sizes, colours and display. Its values reach over the classifier's own range
after normalisation, as its user would set them. It would download the magnitude spectrum of ImageNet; here it finds
one that falls with 1/f in that file's place (row "Horama"), and with ``--family-spectrum`` ours of the family, too.
Both lie on white, by the opacity or transparency that each one shows.

Printed: CPU seconds of each, and the mean objective of 64 squares of each finished picture, as Horama cuts them (25 to
30 % of the side) and as we do (from a third of it to the whole). With ``--peer-sizes`` a row shows ours cut at Horama's
sizes, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import horama.maco_fv
import horama.plots
import numpy as np
import torch
from horama.losses import dot_cossim
from maco import PEER_SIDES, cutting, make_spectrum, score_picture, working_beside
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from leaflineage.config import load_config
from leaflineage.featviz.chance import find_sides
from leaflineage.featviz.maco import visualize_concepts
from leaflineage.featviz.objective import COSINE_POWER, pool
from leaflineage.model.split import Classifier
from leaflineage.stages.context import Context
from leaflineage.stages.seeds import derive_seed
from leaflineage.stages.visualizing import Canvas, prepare_canvas
from leaflineage.store import Store

Floats = NDArray[np.floating]
Pixels = NDArray[np.uint8]
N_FAMILIES = 6
IMAGE_PERCENTILE, ALPHA_PERCENTILE = 1.0, 80  # Horama's own, of plot_maco
GAP, CAPTION, LABEL = 6, 36, 84  # pixels: between tiles, above a column, left of a row
QUALITY = 82


@dataclass(frozen=True)
class Drawing:
    """A finished picture, (3, size, size) in [0, 1], what is shown of it, (size, size, 3), and its CPU seconds."""

    picture: Floats
    shown: Pixels
    seconds: float


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("config", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--set", "overrides", multiple=True, help="A config key: section.key=value.")
@click.option("--families", default="", help="Slugs with commas between; the first six unless given.")
@click.option("--steps", default=256, help="Steps a picture.")
@click.option("--crops", default=6, help="Crops a step.")
@click.option("--size", default=384, help="Side of a picture, pixels.")
@click.option("--tile", default=220, help="Side of a picture on the sheet, pixels.")
@click.option("--full", type=click.Path(path_type=Path), help="Also write a sheet that does not shrink the pictures.")
@click.option("--family-spectrum", is_flag=True, help="A further row: Horama with our spectrum of the family.")
@click.option("--peer-sizes", is_flag=True, help="A further row: ours, cut at Horama's sizes.")
def main(
    run: Path,
    out: Path,
    config: Path | None,
    overrides: tuple[str, ...],
    families: str,
    steps: int,
    crops: int,
    size: int,
    tile: int,
    full: Path | None,
    family_spectrum: bool,
    peer_sizes: bool,
) -> None:
    """Write the sheet, and print what each picture cost and reached."""
    torch.set_num_threads(1)
    horama.maco_fv.tqdm = lambda counted: counted  # no progress bar
    settings = load_config(config, overrides=[*overrides, f"visualize.size={size}", "run.device=cpu"])
    context = Context(Store(run), settings)
    built = [slug for slug in context.list_built() if (run / "families" / slug / "importance.json").exists()]
    slugs = [each for each in families.split(",") if each] or built[:N_FAMILIES]
    if strange := set(slugs) - set(built):
        raise click.UsageError(f"Families of {run} were wanted, and {', '.join(sorted(strange))} are not built there.")
    classifier = context.load_classifier()
    side = max(classifier.record.preprocessing.input_size)
    ours = find_sides(size, side)
    captions, columns = [], []
    for slug in slugs:
        of = context.of(slug)
        concept, direction = find_first_concept(of)
        canvas, seed = prepare_canvas(of), derive_seed(settings.run.seed, slug, concept, 0)
        ways: dict[str, Callable[[], Drawing]] = {
            "Horama": lambda d=direction, s=seed: draw_peer(classifier, d, make_spectrum(size), s, steps, crops),
            "ours": lambda d=direction, c=canvas, s=seed: draw_ours(classifier, d, c, s, steps, crops),
        }
        if family_spectrum:
            ways["Horama, our\nspectrum"] = lambda d=direction, c=canvas, s=seed: draw_peer(
                classifier, d, c.spectrum, s, steps, crops
            )
        if peer_sizes:
            ways["ours, its\nsizes"] = lambda d=direction, c=canvas, s=seed: draw_at_peer_sizes(
                classifier, d, c, s, steps, crops
            )
        column = {name: draw() for name, draw in ways.items()}
        for name, found in column.items():
            narrow, wide = (
                score_picture(classifier.features_differentiable, direction, found.picture, side, sides=sides)
                for sides in (PEER_SIDES, ours)
            )
            label = " ".join(name.split())
            click.echo(
                f"{slug}/{concept}, {label}: {found.seconds:.1f} s, objective {narrow:.3f} on Horama's squares, "
                f"{wide:.3f} on ours"
            )
        captions.append(f"{of.family.name}\n{concept}")
        columns.append({name: found.shown for name, found in column.items()})
    Image.fromarray(lay_out(captions, columns, tile)).save(out, quality=QUALITY, method=6)
    if full is not None:
        Image.fromarray(lay_out(captions, columns, size)).save(full)


def find_first_concept(context: Context) -> tuple[str, Floats]:
    """Return the id of a family's first concept by rank, and its row of the bank, (n_channels,)."""
    folder = f"families/{context.slug}"
    ranked = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["concepts"]
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    bank = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["concept_bank"]
    first = min(ranked, key=lambda each: each["rank"])["id"]
    return first, bank[ids.index(first)]


def draw_ours(classifier: Classifier, direction: Floats, canvas: Canvas, seed: int, steps: int, crops: int) -> Drawing:
    """Return a concept as the stage *visualize* draws it, all steps taken, on white by its opacity as the site does."""
    began = time.process_time()
    found = visualize_concepts(
        classifier.features_differentiable,
        direction[None],
        canvas.spectrum,
        canvas.palette,
        input_size=classifier.record.preprocessing.input_size,
        steps=steps,
        n_crops=crops,
        n_slots=1,
        patience=None,
        seeds=[seed],
        repelled_from=[None],
        cosine_power=COSINE_POWER,
        device="cpu",
    )[0]
    seconds = time.process_time() - began
    image = found.image / np.float32(255)
    return Drawing(image.transpose(2, 0, 1), lay_on_white(image, found.opacity), seconds)


def draw_at_peer_sizes(
    classifier: Classifier, direction: Floats, canvas: Canvas, seed: int, steps: int, crops: int
) -> Drawing:
    """Return a concept as we draw it, cut as small as Horama cuts."""
    with cutting(PEER_SIDES):
        return draw_ours(classifier, direction, canvas, seed, steps, crops)


def draw_peer(
    classifier: Classifier, direction: Floats, spectrum: Floats, seed: int, steps: int, crops: int
) -> Drawing:
    """Return a concept as Horama draws and shows it."""
    record, row = classifier.record.preprocessing, torch.from_numpy(direction)
    low, high = (0 - record.mean[0]) / record.std[0], (1 - record.mean[0]) / record.std[0]

    def score(images: torch.Tensor) -> torch.Tensor:
        pooled = pool(classifier.features_differentiable((images - low) / (high - low)))
        return dot_cossim(pooled, row.expand_as(pooled)).mean()

    torch.manual_seed(seed)
    began = time.process_time()
    with working_beside(spectrum):
        values, gradients = horama.maco_fv.maco(
            score,
            total_steps=steps,
            image_size=spectrum.shape[1],
            model_input_size=record.input_size[0],
            crops_per_iteration=crops,
            values_range=(low, high),
            device="cpu",
        )
    seconds = time.process_time() - began
    picture = (values.detach().numpy() - low) / (high - low)
    # As its plot_maco does, which draws into a figure of matplotlib.
    shown = horama.plots.normalize(horama.plots.clip_percentile(picture.transpose(1, 2, 0), IMAGE_PERCENTILE))
    alpha = gradients.detach().numpy().mean(axis=0)
    alpha = np.minimum(alpha, np.percentile(alpha, ALPHA_PERCENTILE))
    return Drawing(picture, lay_on_white(shown, alpha / alpha.max()), seconds)


def lay_on_white(image: Floats, opacity: Floats) -> Pixels:
    """Return (size, size, 3) uint8 of an image (size, size, 3) in [0, 1] over white."""
    return np.round(255 * (1 - opacity[..., None] * (1 - image))).astype(np.uint8)


def lay_out(captions: list[str], columns: list[dict[str, Pixels]], tile: int) -> Pixels:
    """Return the sheet: a row a way, a column a concept, pictures shrunk to ``tile`` pixels."""
    rows, font = list(columns[0]), ImageFont.load_default(size=14)
    width, height = LABEL + len(columns) * (tile + GAP), CAPTION + len(rows) * (tile + GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for down, name in enumerate(rows):
        draw.multiline_text((4, CAPTION + down * (tile + GAP) + tile // 2 - 8), name, "black", font=font)
    for across, (caption, column) in enumerate(zip(captions, columns, strict=True)):
        left = LABEL + across * (tile + GAP)
        draw.multiline_text((left, 0), caption, "black", font=font, spacing=2)
        for down, name in enumerate(rows):
            picture = Image.fromarray(column[name]).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, CAPTION + down * (tile + GAP)))
    return np.asarray(sheet)


if __name__ == "__main__":
    main()
