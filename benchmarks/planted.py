"""Planted truth: whether concepts point at the one zone in which two drawn families differ.

Twins are drawn in pairs, equal in everything but one trait: teeth (the margin), the base's shape, the secondaries'
spacing, the petiole's length, a label in the corner. For each trait a small classifier learns to tell the two apart
(EfficientNet-Lite0 from ImageNet weights, two outputs, leaves of another seed), so whatever it uses lies where the
trait is. The chain of an atlas (extract, factorize, rank) then explains both families, and so does Craft-xai: the same
classifier, the same crops, the same number of concepts. For each leaf

    share = Σᵢ T_i |φ_i| (map_i in the zone / map_i) / Σᵢ T_i |φ_i|

T: the family's total Sobol indices, ours or Craft-xai's estimate; φ: the leaf's contributions to the centred logit; the
zone: of either twin, grown to whole cells of the map. Beside it:

    area            the zone's share of the map: the floor
    concepts alike  the same maps, every concept weighted the same: what importance adds to is this
    cells' own      Σ |a_cell · θ| in the zone: where the classifier's own evidence lies, without any concept
    difference      Σ |(a_with − a_without) · θ| in the zone: how much of the planted trait the network keeps in place

That share is of what the concepts explain, however little it is. So there is a second one, of everything that moves the
logit: *placed*, Σᵢ T_i · (map_i in the zone / map_i), each leaf's T exact and the residual, which has no place, among
the players.

    OMP_NUM_THREADS=1 python benchmarks/planted.py --cache DIR [--traits teeth,petiole-length] [--pairs 60] [--size 256]
        [--concepts 6] [--seeds 3] [--training-pairs 120] [--epochs 6] [--device cpu]
        [--jobs 1]

Drawings and classifiers stay in the cache. Craft-xai comes with the extra `benchmarks`; an empty module stands in
for TensorFlow, which it imports for a sampler that is not used.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from running import open_run, run_stages

from leaflineage.concepts.bootstrap import bootstrap_mean
from leaflineage.config import load_config
from leaflineage.herbarium import TWINS, draw_twins, write_twins
from leaflineage.herbarium.catalogue import TWIN_FOLDERS
from leaflineage.herbarium.twins import PAIRS
from leaflineage.images import cut_image, decode_image, fit_image
from leaflineage.model.training import export_classifier, finetune, load_imagenet_lite0, make_recipe
from leaflineage.stages.context import Context
from leaflineage.stages.reading import to_tensor

Floats = NDArray[np.floating]
MEAN = STD = (0.5, 0.5, 0.5)
ARCHITECTURE = "tf_efficientnet_lite0"
TRAINING_SEED = 1000  # of the leaves a classifier learns from; those explained have seed 0
ZONES = {
    name: number
    for number, name in enumerate(
        ("background", "petiole", "midvein", "secondary veins", "margin", "base", "apex", "blade", "foreign")
    )
}
WAYS = ("ours, cells", "ours, crops", "Craft-xai")
BESIDE = ("area", "concepts alike", "cells' own", "difference")


@dataclass
class Found:
    """What was measured of one family: shares by name, one a leaf, in order of pair; an array a seed."""

    trait: str
    family: str
    shares: dict[str, list[Floats]] = field(default_factory=dict)

    def mean(self, name: str) -> Floats:
        """Return shares (n_leaves,), the mean over seeds."""
        mean: Floats = np.mean(self.shares[name], axis=0)
        return mean


@click.command()
@click.option("--cache", required=True, type=click.Path(path_type=Path), help="Folder of drawings and classifiers.")
@click.option("--traits", default=",".join(TWINS), help="Which twins, with commas between.")
@click.option("--pairs", default=60, help="Pairs that are explained.")
@click.option("--size", default=256, help="Side of a drawing and of the classifier's input, pixels.")
@click.option("--concepts", default=6, help="Concepts a family.")
@click.option("--seeds", default=3, help="Factorizations (and Craft-xai's fits), averaged.")
@click.option("--training-pairs", default=120, help="Pairs that a classifier learns from.")
@click.option("--epochs", default=6, help="Of that training.")
@click.option("--device", default="cpu", help="Of that training; explained is on the CPU.")
@click.option("--jobs", default=1, help="Traits at once, a process each.")
def main(
    cache: Path,
    traits: str,
    pairs: int,
    size: int,
    concepts: int,
    seeds: int,
    training_pairs: int,
    epochs: int,
    device: str,
    jobs: int,
) -> None:
    """Print the share in the right zone, family by family, and over all."""
    torch.set_num_threads(1)
    names = traits.split(",")
    run = partial(
        run_trait,
        cache=cache,
        n_pairs=pairs,
        size=size,
        n_concepts=concepts,
        n_seeds=seeds,
        n_training=training_pairs,
        epochs=epochs,
        device=device,
    )
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            found = [each for both in pool.map(run, names) for each in both]
    else:
        found = [each for name in names for each in run(name)]
    click.echo(f"{pairs} pairs a trait, {concepts} concepts, mean of {seeds} seeds; 95 % intervals over leaves\n")
    click.echo("Share in the right zone, of what the concepts explain:\n")
    print_table(found, [*WAYS, *BESIDE], with_interval=WAYS)
    click.echo("\nExplained share, and the share of all importance that is explained and in the right zone:\n")
    placed = [f"placed: {way}" for way in WAYS]
    print_table(found, [*(f"explained: {way}" for way in WAYS), *placed], with_interval=placed)
    click.echo("")
    for first, *others in ([*WAYS, *BESIDE], placed):
        for other in others:
            difference = np.concatenate([each.mean(first) - each.mean(other) for each in found])
            click.echo(f"{first} − {other}: {describe(difference, True)}")


def print_table(found: list[Found], names: Sequence[str], *, with_interval: Sequence[str]) -> None:
    """Print a row a family, and the mean over all leaves."""
    click.echo(f"| twins | family | {' | '.join(names)} |")
    click.echo("|" + "---|" * (len(names) + 2))
    for each in found:
        cells = [describe(each.mean(name), name in with_interval) for name in names]
        click.echo(f"| {each.trait} | {each.family} | {' | '.join(cells)} |")
    cells = [describe(np.concatenate([each.mean(name) for each in found]), name in with_interval) for name in names]
    click.echo(f"| **all** | | {' | '.join(cells)} |")


def run_trait(
    trait: str,
    *,
    cache: Path,
    n_pairs: int,
    size: int,
    n_concepts: int,
    n_seeds: int,
    n_training: int,
    epochs: int,
    device: str,
) -> list[Found]:
    """Draw the twins of a trait, train their classifier where it is not there, and explain both families."""
    torch.set_num_threads(1)
    folder = cache / f"{trait}-{size}-{n_pairs}-{n_training}-{epochs}"
    leaves = folder / "leaves"
    if not (leaves / "catalogue.csv").exists():
        write_twins(leaves, trait, n=n_pairs, size=size, seed=0)
    if not (folder / "classifier" / "model.safetensors").exists():
        train(trait, folder / "classifier", n_pairs=n_training, size=size, epochs=epochs, device=device)
    return explain(trait, folder, n_concepts=n_concepts, n_seeds=n_seeds)


def describe(values: Floats, with_interval: bool) -> str:
    """Return a mean over leaves, with its 95 % bootstrap interval where wanted."""
    mean = f"{values.mean():.2f}"
    if not with_interval:
        return mean
    low, high = bootstrap_mean(values[None, :, None], [str(index) for index in range(len(values))], seed=0)
    return f"{mean} ({low[0]:.2f} to {high[0]:.2f})"


# --- the classifier ------------------------------------------------------------------------------------------


def train(trait: str, directory: Path, *, n_pairs: int, size: int, epochs: int, device: str) -> None:
    """Fine-tune a classifier of the two twins, on leaves of a seed of their own."""
    images, families = draw(trait, n_pairs, TRAINING_SEED, size)
    held_out, of_held_out = draw(trait, max(1, n_pairs // 4), TRAINING_SEED + 1, size)
    found = finetune(
        architecture=ARCHITECTURE,
        initial=load_imagenet_lite0(),
        n_outputs=2,
        images=images,
        families=families,
        held_out_images=held_out,
        held_out_families=of_held_out,
        mean=MEAN,
        std=STD,
        recipe=make_recipe(epochs=epochs, batch_size=16, learning_rate=1e-3),
        generator=torch.Generator().manual_seed(0),
        device=device,
        on_step=lambda step, n_steps, loss: None,
    )
    click.echo(f"{trait}: top-1 {found.top1} on {len(held_out)} held-out twins, losses {found.losses}", err=True)
    export_classifier(
        directory,
        found.state_dict,
        architecture=ARCHITECTURE,
        label_names=list(TWIN_FOLDERS),
        input_size=(size, size),
        mean=MEAN,
        std=STD,
        half_precision=False,
        stated_accuracy=found.top1,
        licence=None,
        extra={},
    )


def draw(trait: str, n_pairs: int, seed: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return (2 n_pairs, size, size, 3) drawings and which twin each is."""
    drawn = [drawing.image for index in range(n_pairs) for drawing in draw_twins(trait, index, seed=seed, size=size)]
    return np.stack(drawn), np.tile(np.arange(2, dtype=np.int64), n_pairs)


# --- both explanations ---------------------------------------------------------------------------------------


def explain(trait: str, folder: Path, *, n_concepts: int, n_seeds: int) -> list[Found]:
    """Return the shares of both families of a trait."""
    found = {family: Found(trait, family) for family in TWIN_FOLDERS}
    for seed in range(n_seeds):
        for way, fit_on in zip(WAYS, ("cells", "crops"), strict=False):
            context = run_chain(folder, fit_on=fit_on, n_concepts=n_concepts, seed=seed)
            cells, theta = read_cells(context)
            zones = read_zones(context, trait)
            for family in TWIN_FOLDERS:
                bank, maps, importance = read_concepts(context, family)
                record(found[family], way, bank, maps, importance, cells[family], theta[family], zones)
        for family in TWIN_FOLDERS:
            bank, maps, importance = run_craft(context, family, n_concepts=n_concepts, seed=seed)
            record(found[family], WAYS[2], bank, maps, importance, cells[family], theta[family], zones)
    for family in TWIN_FOLDERS:
        own = np.abs(cells[family] @ theta[family])  # (n_leaves, rows, columns)
        moved = np.abs((cells[TWIN_FOLDERS[1]] - cells[TWIN_FOLDERS[0]]) @ theta[family])
        found[family].shares["area"] = [zones.mean(axis=(1, 2))]
        found[family].shares["cells' own"] = [share_inside(own, zones)]
        found[family].shares["difference"] = [share_inside(moved, zones)]
    return list(found.values())


def record(
    found: Found, way: str, bank: Floats, maps: Floats, importance: Floats, cells: Floats, theta: Floats, zones: Any
) -> None:
    """Add one explanation's share in the zone, leaf by leaf, and how much of the score it explains."""
    inside = np.stack([share_inside(maps[..., index], zones) for index in range(len(bank))], axis=1)
    contributions = maps.mean(axis=(1, 2)) * (bank @ theta)  # (n_leaves, n_concepts)
    weights = importance * np.abs(contributions)
    found.shares.setdefault(way, []).append(average(inside, weights))
    if way == WAYS[0]:
        found.shares.setdefault("concepts alike", []).append(average(inside, np.ones_like(weights)))
    residual = cells.mean(axis=(1, 2)) @ theta - contributions.sum(axis=1)
    squares = contributions**2
    indices = squares / (squares.sum(axis=1) + residual**2)[:, None]  # exact, the residual a player as well
    found.shares.setdefault(f"explained: {way}", []).append(indices.sum(axis=1))
    found.shares.setdefault(f"placed: {way}", []).append((np.nan_to_num(inside) * indices).sum(axis=1))


def share_inside(maps: Floats, zones: Any) -> Floats:
    """Return the share of each map (n_leaves, rows, columns) ≥ 0 in its zone; NaN where a map is all zero."""
    total = maps.sum(axis=(1, 2))
    inside: Floats = np.divide((maps * zones).sum(axis=(1, 2)), total, out=np.full(len(maps), np.nan), where=total > 0)
    return inside


def average(inside: Floats, weights: Floats) -> Floats:
    """Return the weighted mean over concepts; those absent from a leaf (NaN) have no say."""
    weights = np.where(np.isnan(inside), 0, weights)
    mean: Floats = (np.nan_to_num(inside) * weights).sum(axis=1) / weights.sum(axis=1)
    return mean


def run_chain(folder: Path, *, fit_on: str, n_concepts: int, seed: int) -> Context:
    """Bring extract, factorize and rank up to date for both families."""
    config = load_config(
        None,
        overrides=[
            f'specimens.root="{folder / "leaves"}"',
            f'specimens.catalogue="{folder / "leaves" / "catalogue.csv"}"',
            'specimens.split="none"',
            "specimens.min_specimens=2",
            f'classifier.source="{folder / "classifier"}"',
            "classifier.trust_names=true",
            f'concepts.fit_on="{fit_on}"',
            f"concepts.n_concepts={n_concepts}",
            "concepts.refits=0",
            f"run.seed={seed}",
            "run.device=cpu",
        ],
    )
    context = open_run(config, folder / f"run-{fit_on}")
    run_stages(context, sorted(TWIN_FOLDERS), ["extract", "factorize", "rank"])
    return context


def read_cells(context: Context) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return each family's feature maps (n_leaves, rows, columns, n_channels), and its centred row of the head."""
    weight = context.store.read_arrays("head.safetensors", stage="inspect")["weight"]
    cells, theta = {}, {}
    for family in TWIN_FOLDERS:
        stored = context.store.read_arrays(f"families/{family}/activations.safetensors", stage="extract")["cells"]
        cells[family] = stored.astype(np.float32).reshape(-1, *context.model.map_shape)
        theta[family] = weight[context.model.label_names.index(family)] - weight.mean(axis=0)
    return cells, theta


def read_concepts(context: Context, family: str) -> tuple[Floats, Floats, Floats]:
    """Return bank, maps (n_leaves, rows, columns, n_concepts) and total Sobol indices (n_concepts,) of our chain."""
    arrays = context.store.read_arrays(f"families/{family}/concepts.safetensors", stage="factorize")
    ranked = context.store.read_json(f"families/{family}/importance.json", "importance", stage="rank")["concepts"]
    ids = context.store.read_json(f"families/{family}/concepts.json", "concepts", stage="factorize")["ids"]
    by_id = {each["id"]: each["total_sobol_index"] for each in ranked}
    return arrays["concept_bank"], arrays["maps"].astype(np.float32), np.array([by_id[each] for each in ids])


def read_zones(context: Context, trait: str) -> NDArray[np.bool_]:
    """Return (n_pairs, rows, columns): the cells that the zone of either twin touches."""
    rows, columns, _ = context.model.map_shape
    numbers = [ZONES[name] for name in PAIRS[trait].zones]
    both = []
    for family in TWIN_FOLDERS:
        stacked = []
        for specimen in context.of(family).specimens:
            path = context.specimens_root / specimen.file.replace(".png", ".zones.png")
            inside = np.isin(decode_image(path, max_pixels=50_000_000)[..., 0], numbers)
            height, width = inside.shape
            stacked.append(inside.reshape(rows, height // rows, columns, width // columns).any(axis=(1, 3)))
        both.append(np.stack(stacked))
    zones: NDArray[np.bool_] = both[0] | both[1]
    return zones


def run_craft(context: Context, family: str, *, n_concepts: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return Craft-xai's bank, maps and importances: fitted on our crops, each handed over as a picture of its own."""
    craft = import_craft()
    classifier = context.load_classifier()
    of = context.of(family)
    size = context.model.preprocessing.input_size[0]
    crops = context.store.read_arrays(f"families/{family}/crop-activations.safetensors", stage="extract")
    originals = [
        decode_image(context.specimens_root / each.file, max_pixels=context.config.specimens.max_pixels)
        for each in of.specimens
    ]
    squash = context.model.preprocessing.model_copy(update={"fit": "squash"})
    cut = [
        fit_image(cut_image(originals[owner], tuple(int(v) for v in box)), preprocessing=squash)[0]
        for owner, box in zip(crops["specimen"], crops["box"], strict=True)
    ]
    whole = [fit_image(image, preprocessing=context.model.preprocessing)[0] for image in originals]
    extractor = craft(
        lambda images: classifier.features(images).permute(0, 3, 1, 2),
        lambda maps: classifier.head(maps.permute(0, 2, 3, 1)),
        number_of_concepts=n_concepts,
        batch_size=16,
        patch_size=size,  # one patch a picture: a crop, already cut
        device="cpu",
    )
    np.random.seed(seed)  # noqa: NPY002 (its NMF takes no seed of its own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor.fit(to_tensor(cut))
        images = to_tensor(whole)
        output = context.model.label_names.index(family)
        importances = np.asarray(extractor.estimate_importance(images, class_id=output))
        maps = np.asarray(extractor.transform(images))  # (n_leaves, rows, columns, n_concepts)
    return extractor.W, maps, importances


def import_craft() -> Any:
    """Return Craft-xai's class for torch; an empty module stands in for TensorFlow."""
    sys.modules.setdefault("tensorflow", types.ModuleType("tensorflow"))
    from craft.craft_torch import Craft

    return Craft


if __name__ == "__main__":
    main()
