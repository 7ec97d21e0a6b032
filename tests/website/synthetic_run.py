"""A made-up run folder: every record the site reads, with small real pictures, and one hostile family."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image, ImageDraw
from website.synthetic_extras import add_extras

from leaflineage.records import (
    SCHEMAS,
    Accuracy,
    AtlasClassifier,
    AtlasConcept,
    AtlasFamily,
    AtlasRecord,
    AtlasRun,
    AtlasSpecimen,
    Completeness,
    ConceptName,
    Confusion,
    Crop,
    CurvePoint,
    FactorizationFacts,
    FamilyRecord,
    Fidelity,
    FidelityCurve,
    Floor,
    Importance,
    Index,
    Licences,
    Measure,
    Neighbour,
    Prediction,
    Record,
    Recursion,
    Rest,
    SimilarConcept,
    SpecimenHeatmap,
    SpecimenNeighbour,
    Stability,
    Subconcept,
    Visualization,
    make_slugs,
)

HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = ["Betulaceae", HOSTILE, "Fagaceae", "Lauraceae", "Salicaceae", "Ulmaceae", "Vitaceae", "Rosaceae"]
GENERA = {
    "Betulaceae": ["Betula pendula", "Carpinus betulus", "Ostrya virginiana"],
    "Fagaceae": ["Quercus robur", "Fagus sylvatica"],
    "Lauraceae": ["Laurus nobilis", "Cinnamomum camphora"],
    "Salicaceae": ["Salix alba", "Populus nigra"],
    "Ulmaceae": ["Ulmus minor", "Zelkova serrata"],
    "Vitaceae": ["Vitis vinifera"],
    "Rosaceae": ["Prunus avium", "Malus domestica"],
}
N_IMAGES = 120
N_ATTRIBUTIONS = 2
N_INSIDE = 2
Draw = Callable[[str, int], Image.Image]
R = TypeVar("R", bound=Record)


def draw_leaf(family: str, number: int) -> Image.Image:
    """Draw a leaf-like blade; sizes differ so that some pictures stand and some lie."""
    dice = random.Random(f"{family} {number}")
    width, height = (60, 84) if number % 3 else (84, 60)
    picture = Image.new("RGB", (width, height), (250, 248, 244))
    pen = ImageDraw.Draw(picture)
    green = (40 + dice.randrange(40), 90 + dice.randrange(50), 40)
    box = (10, 10, width - 10, height - 18)
    pen.ellipse(box, fill=green)
    middle = width // 2
    pen.line((middle, 10, middle, height - 4), fill=(200, 210, 150), width=2)
    for y in range(18, height - 20, 8):
        pen.line((middle, y + 6, 16, y), fill=(150, 170, 110))
        pen.line((middle, y + 6, width - 16, y), fill=(150, 170, 110))
    return picture


def draw_heat(rows: int, columns: int, x: float, y: float) -> Image.Image:
    """Draw a heat map as the pipeline stores it: grey, alpha = 1 - heat."""
    picture = Image.new("LA", (columns, rows))
    for row in range(rows):
        for column in range(columns):
            far = math.hypot((column + 0.5) / columns - x, (row + 0.5) / rows - y)
            heat = math.exp(-((far / 0.24) ** 2))
            picture.putpixel((column, row), (250, round(255 * (1 - heat))))
    return picture


def draw_visualization(source: Image.Image, side: int) -> Image.Image:
    """Draw a stand-in for a feature visualization: a crop that fades into nothing."""
    picture = source.convert("RGB").resize((side, side))
    alpha = Image.new("L", (side, side))
    for y in range(side):
        for x in range(side):
            far = math.hypot(x / side - 0.5, y / side - 0.5)
            alpha.putpixel((x, y), round(255 * math.exp(-((far / 0.26) ** 4))))
    picture.putalpha(alpha)
    return picture


def save(picture: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "WEBP", **options)


def write(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")


def spread_images(dice: random.Random, owners: list[str]) -> list[tuple[float, float]]:
    """Place each image near its concept's corner of the square."""
    centres: dict[str, tuple[float, float]] = {}
    places = []
    for owner in owners:
        angle = 2.4 * len(centres)
        centre = centres.setdefault(owner, (0.5 + 0.3 * math.cos(angle), 0.5 + 0.3 * math.sin(angle)))
        x, y = (min(0.96, max(0.04, dice.gauss(middle, 0.09))) for middle in centre)
        places.append((x, y))
    return places


def make_fidelity(dice: random.Random, n_concepts: int) -> Fidelity:
    def measure(value: float) -> Measure:
        return Measure(value=value, interval=(value - 0.04, value + 0.05))

    curves = []
    for order, bend in (("contribution", 2.2), ("importance", 1.6), ("random", 1.0)):
        steps = [i / n_concepts for i in range(n_concepts + 1)]
        deletion = [2.6 * (1 - step) ** bend - 0.3 * step for step in steps]
        insertion = [2.4 * (1 - (1 - step) ** bend) - 0.1 for step in steps]
        curves.append(
            FidelityCurve(
                order=order,
                deletion=deletion,
                insertion=insertion,
                deletion_area=measure(sum(deletion) / len(deletion)),
                insertion_area=measure(sum(insertion) / len(insertion)),
            )
        )
    return Fidelity(
        n_specimens=25,
        split="held-out",
        explained_share=measure(0.82 + 0.1 * dice.random()),
        relative_error=measure(0.31 + 0.1 * dice.random()),
        curves=curves,
        mu_fidelity={"contribution": measure(0.94), "importance": measure(0.61), "random": measure(-0.01)},
        floors=[
            Floor(
                kind="shuffled-labels",
                explained_share=measure(0.4 + 0.1 * dice.random()),
                relative_error=measure(0.5),
                accuracy=measure(0.21),
            ),
            Floor(kind="random-weights", explained_share=measure(0.9), relative_error=measure(0.12)),
        ],
    )


def make_completeness(dice: random.Random) -> Completeness:
    def measure(value: float) -> Measure:
        return Measure(value=value, interval=(max(0.0, value - 0.06), min(1.0, value + 0.06)))

    return Completeness(
        accuracy=measure(0.79),
        reconstructed_accuracy=measure(0.93),
        n=25,
        others_accuracy=measure(0.86),
        others_reconstructed_accuracy=measure(0.2 + 0.2 * dice.random()),
        others_taken=measure(0.02),
        others_reconstructed_taken=measure(0.4 + 0.4 * dice.random()),
        n_others=240,
    )


def make_factorization(n_concepts: int) -> FactorizationFacts:
    tried = sorted({2, 4, 6, 10, 15, n_concepts})
    return FactorizationFacts(
        method="nmf",
        n_concepts=n_concepts,
        n_fitted=4320,
        n_iterations=120,
        negative_energy=0.004,
        relative_error_unseen=Measure(value=0.36, interval=(0.33, 0.38)),
        explained_unseen=Measure(value=0.84, interval=(0.79, 0.88)),
        curve=[
            CurvePoint(
                n_concepts=n,
                relative_error=0.7 / n**0.4,
                predicted_error=0.75 / n**0.3,
                stability=0.98 - 0.02 * n,
                chosen=n == n_concepts,
            )
            for n in tried
        ],
    )


def divide(folder: Path, concept: AtlasConcept, side: int) -> Recursion:
    """Divide a concept into two, with pictures of their own."""
    slug, name = concept.id.split("/")
    inside = []
    for place in range(N_INSIDE):
        part = f"{name}-{place + 1:02d}"
        seen = f"families/{slug}/visualizations/{part}.webp"
        with Image.open(folder / concept.crops[place % len(concept.crops)].image) as source:
            save(draw_visualization(source, side), folder / seen, quality=80)
        crops = []
        for n, crop in enumerate(concept.crops[:3]):
            image, heatmap = (f"families/{slug}/{kind}/{part}/{n:02d}.webp" for kind in ("crops", "heatmaps"))
            with Image.open(folder / crop.image) as source:
                save(source.transpose(Image.Transpose.FLIP_LEFT_RIGHT), folder / image, quality=80)
            save(draw_heat(6, 6, 0.4, 0.3 + 0.3 * place), folder / heatmap, lossless=True)
            crops.append(crop.model_copy(update={"image": image, "heatmap": heatmap, "attribution": None}))
        inside.append(
            Subconcept(
                id=f"{slug}/{part}",
                uid=f"{slug}-{part}",
                parent=concept.id,
                concept_index=place,
                rank=place + 1,
                importance=Importance(
                    total_sobol_index=0.5 - 0.2 * place,
                    interval=(0.4 - 0.2 * place, 0.6 - 0.2 * place),
                    exact=False,
                    share=0.52 - 0.2 * place,
                    share_interval=(0.44 - 0.2 * place, 0.6 - 0.2 * place),
                    contribution=0.4 - 0.5 * place,
                    contribution_interval=(0.3 - 0.5 * place, 0.5 - 0.5 * place),
                ),
                visualizations=[Visualization(image=seen, width=side, height=side, seed=4, steps=70)],
                crops=crops,
            )
        )
    return Recursion(
        layer="blocks.5",
        method="nmf",
        n_crops=30,
        rest_share=0.16,
        rest_interval=(0.11, 0.2),
        relative_error=0.42,
        coefficient_kept=0.61,
        subconcepts=inside,
    )


def view_again(folder: Path, concept: AtlasConcept, side: int) -> list[Visualization]:
    """Score a concept's picture by its rank: the first passes and has a second view, the second's does not pass."""
    first, crop = concept.visualizations[0], concept.crops[0]
    stem = first.image.removesuffix(".webp")
    if concept.rank == 2:
        path = f"{stem}-accentuation.webp"
        with Image.open(folder / crop.image) as source:
            save(source.convert("RGB").resize((side * 2, side * 2)), folder / path, quality=80)
        accentuated = first.model_copy(
            update={
                "image": path,
                "kind": "accentuation",
                "score": {"percentile": 93.4, "own_rank": 1.0, "transfer": 81.0},
                "specimen": crop.specimen,
                "box": crop.box,
            }
        )
        return [
            accentuated,
            first.model_copy(update={"score": {"percentile": 74.2, "own_rank": 2.0, "transfer": 61.0}}),
        ]
    scored = first.model_copy(update={"score": {"percentile": 97.8, "own_rank": 1.0, "transfer": 88.0}})
    if concept.rank > 1:
        return [scored]
    with Image.open(folder / crop.image) as source:
        picture = draw_visualization(source.transpose(Image.Transpose.ROTATE_90), side * 2)
        save(picture, folder / f"{stem}-2.webp", quality=80)
    again = {"image": f"{stem}-2.webp", "score": {"percentile": 85.0, "own_rank": 1.0, "transfer": 40.0}}
    return [scored, scored.model_copy(update=again)]


def strip_family(family: AtlasFamily) -> AtlasFamily:
    """Return the family as a run before the new figures wrote it: all of them None or empty."""
    concepts = []
    for concept in family.concepts:
        importance = concept.importance.model_copy(update={"share_interval": None, "contribution_interval": None})
        pictures = [
            each.model_copy(update={"score": None}) for each in concept.visualizations if each.kind == "concept"
        ]
        crops = [
            crop.model_copy(update={"attribution": None, "attribution_max": None, "attribution_min": None})
            for crop in concept.crops
        ]
        update = {
            "importance": importance,
            "crops": crops,
            "visualizations": pictures[:1],
            "children": [],
            "recursion": None,
            "contribution_intervals": {},
            "prevalence_interval": None,
            "n_dominated": None,
            "reliability_interval": None,
        }
        concepts.append(concept.model_copy(update=update))
    assert family.rest is not None
    bare = {"share_interval": None, "residual_interval": None, "contribution_interval": None, "image_importances": []}
    update = {
        "concepts": concepts,
        "rest": family.rest.model_copy(update=bare),
        "explained_interval": None,
        "bias_interval": None,
        "factorization": None,
        "completeness": None,
        "fidelity": None,
        "image_specimens": [],
        "image_dominants": [],
        "layout": None,
        "visualization": None,
    }
    return family.model_copy(update=update)


def show_one_leaf(family: AtlasFamily) -> AtlasFamily:
    """Return the family as a run writes it where all its pictures show one leaf: bootstraps without width."""

    def narrow(record: R) -> R:
        """Set both ends of each interval beside a number to that number."""
        pairs = {
            "interval": "total_sobol_index",
            "share_interval": "share",
            "contribution_interval": "contribution",
            "residual_interval": "residual_share",
        }
        found = {name: pair for name, pair in pairs.items() if getattr(record, name, None) is not None}
        return record.model_copy(update={name: (getattr(record, pair),) * 2 for name, pair in found.items()})

    def flatten(measure: Measure) -> Measure:
        return Measure(value=measure.value, interval=(measure.value, measure.value))

    assert family.rest is not None
    assert family.fidelity is not None
    assert family.accuracy is not None
    concepts = [
        concept.model_copy(
            update={
                "importance": narrow(concept.importance),
                "contribution_intervals": {slug: (value, value) for slug, value in concept.contributions.items()},
            }
        )
        for concept in family.concepts
    ]
    curves = [
        curve.model_copy(
            update={
                "deletion_area": flatten(curve.deletion_area),
                "insertion_area": flatten(curve.insertion_area),
            }
        )
        for curve in family.fidelity.curves
    ]
    fidelity = family.fidelity.model_copy(
        update={
            "n_specimens": 1,
            "explained_share": flatten(family.fidelity.explained_share),
            "curves": curves,
            "mu_fidelity": {order: flatten(found) for order, found in family.fidelity.mu_fidelity.items()},
        }
    )
    update = {
        "n_groups": 1,
        "accuracy": family.accuracy.model_copy(update={"n_specimens": 1, "n_groups": 1, "interval": (0.0, 0.79)}),
        "explained_interval": (family.explained_share, family.explained_share),
        "rest": narrow(family.rest),
        "fidelity": fidelity,
        "concepts": concepts,
    }
    return family.model_copy(update=update)


def make_run(
    folder: Path,
    *,
    n_families: int = 3,
    n_concepts: int = 3,
    n_crops: int = 3,
    drawn: bool = False,
    named: bool = False,
    draw: Draw = draw_leaf,
    names: list[str] | None = None,
    side: int = 48,
    orders: bool = False,
    bare: bool = False,
) -> Path:
    """Write a run of ``n_families`` families (the second is hostile), one missing family and one query.

    A bare run holds what a run must hold, every figure that may be absent left out.
    """
    names = names or NAMES[:n_families]
    slugs = make_slugs([*names, "Platanaceae"])
    dice = random.Random(7)
    records, specimens_of = {}, {}
    for place, name in enumerate(names):
        slug = slugs[name]
        species = GENERA.get(name, ["Incertus hostilis"])
        specimens = []
        for number in range(n_crops + 4):
            picture = draw(name, number)
            path = f"families/{slug}/specimens/{slug}-{number:03d}.webp"
            save(picture, folder / path, quality=82)
            genus, epithet = species[number % len(species)].split(" ")
            specimens.append(
                AtlasSpecimen(
                    id=f"{slug}-{number:03d}",
                    group=f"{slug}-{number}",
                    role="reference",
                    family=slug,
                    genus=genus,
                    species=epithet,
                    split="held-out" if number % 5 == 0 else "train",
                    catalogue_number=f"LL {place}{number:02d}",
                    image=path,
                    width=picture.width,
                    height=picture.height,
                    original_width=picture.width * 2,
                    original_height=picture.height * 2,
                )
            )
        weights = [dice.random() ** 2 + 0.05 for _ in range(n_concepts)]
        weights.sort(reverse=True)
        total = sum(weights) * 1.14
        concepts = []
        numbers = list(range(n_concepts))
        dice.shuffle(numbers)
        for rank, (number, weight) in enumerate(zip(numbers, weights, strict=True), 1):
            share = weight / total
            against = rank % 4 == 3
            crops = []
            for strength in range(n_crops):
                specimen = specimens[(strength + number) % len(specimens)]
                x, y = 0.3 + 0.4 * dice.random(), 0.25 + 0.5 * dice.random()
                edge = round(0.4 * min(specimen.original_width, specimen.original_height))
                x0 = min(max(0, round(x * specimen.original_width - edge / 2)), specimen.original_width - edge)
                y0 = min(max(0, round(y * specimen.original_height - edge / 2)), specimen.original_height - edge)
                stem = f"concept-{number + 1:02d}/{strength:02d}.webp"
                picture = Image.open(folder / specimen.image)
                cut = picture.crop((x0 // 2, y0 // 2, (x0 + edge) // 2, (y0 + edge) // 2)).resize((side, side))
                save(cut, folder / f"families/{slug}/crops/{stem}", quality=80)
                save(draw_heat(6, 6, x, y), folder / f"families/{slug}/heatmaps/{stem}", lossless=True)
                attributed = strength < N_ATTRIBUTIONS and not bare
                attribution = f"families/{slug}/attributions/{stem}" if attributed else None
                if attribution:
                    save(draw_heat(24, 24, y, x), folder / attribution, lossless=True)
                crops.append(
                    Crop(
                        specimen=specimen.id,
                        box=(x0, y0, x0 + edge, y0 + edge),
                        coefficient=2.1 - 0.1 * strength,
                        image=f"families/{slug}/crops/{stem}",
                        width=side,
                        height=side,
                        heatmap=f"families/{slug}/heatmaps/{stem}",
                        heatmap_max=2.1,
                        attribution=attribution,
                        attribution_max=0.03 if attribution else None,
                        attribution_min=0.002 if attribution else None,
                    )
                )
            seen = f"families/{slug}/visualizations/concept-{number + 1:02d}.webp"
            source = Image.open(folder / crops[0].image)
            save(draw_visualization(source, side * 2), folder / seen, quality=80)
            text = ["straight secondary veins", "toothed margin", "petiole and base", "pointed apex", "blade"]
            concepts.append(
                AtlasConcept(
                    id=f"{slug}/concept-{number + 1:02d}",
                    uid=f"{slug}-{number}",
                    concept_index=number,
                    rank=rank,
                    name=ConceptName(text=text[rank % 5], terms=["serrate"], source="suggested")
                    if named and rank % 3 != 2
                    else None,
                    importance=Importance(
                        total_sobol_index=share * 0.97,
                        interval=(max(0.0, share - 0.05), share + 0.06),
                        exact=True,
                        share=share,
                        share_interval=(max(0.0, share - 0.04), share + 0.05),
                        contribution=(-1 if against else 1) * share * 2.2,
                        contribution_interval=(
                            (-1 if against else 1) * share * 2.2 - 0.1,
                            (-1 if against else 1) * share * 2.2 + 0.08,
                        ),
                    ),
                    contributions={slugs[other]: dice.random() - 0.4 for other in names},
                    contribution_intervals={slugs[other]: (-0.45, 0.65) for other in names},
                    prevalence=share,
                    prevalence_interval=(max(0.0, share - 0.05), share + 0.07),
                    n_dominated=round(share * N_IMAGES),
                    reliability=0.9 if rank < n_concepts else None,
                    reliability_interval=(0.8, 0.95) if rank < n_concepts else None,
                    stability=Stability(cosine=0.81, found_in=4, n_refits=5),
                    flags=["unstable"] if rank == n_concepts else [],
                    visualizations=[Visualization(image=seen, width=side * 2, height=side * 2, seed=3, steps=70)],
                    crops=crops,
                    image_importances=[min(1.0, abs(dice.gauss(share, 0.12))) for _ in range(N_IMAGES)],
                )
            )
        concepts = [each.model_copy(update={"visualizations": view_again(folder, each, side)}) for each in concepts]
        whole = f"families/{slug}/visualizations/family.webp"
        with Image.open(folder / specimens[0].image) as source:
            save(draw_visualization(source, side * 2), folder / whole, quality=80)
        divided = divide(folder, concepts[0], side)
        children = [each.id for each in divided.subconcepts]
        concepts[0] = concepts[0].model_copy(update={"recursion": divided, "children": children})
        rest = 1 - sum(concept.importance.share for concept in concepts)
        owners = dice.choices([*(each.id for each in concepts), "rest"], [*weights, 0.1], k=N_IMAGES)
        dominants: list[str | None] = [*owners[:-1], None]
        family = AtlasFamily(
            slug=slug,
            name=name,
            order=["Fagales", "Rosales", "Malpighiales"][place % 3] if orders else None,
            output_index=place,
            n_specimens=120,
            n_groups=103,
            n_species=len(species),
            n_held_out=25,
            species=sorted(species),
            source_shares={"Swedish Leaf": 0.51, "Flavia": 0.49},
            accuracy=Accuracy(
                top1=0.56,
                top5=0.9,
                n_specimens=25,
                n_groups=21,
                interval=(0.37, 0.73),
                chance=0.03,
                split="held-out",
            ),
            training_accuracy=Accuracy(
                top1=0.85, top5=0.97, n_specimens=95, interval=(0.76, 0.91), chance=0.03, split="train"
            ),
            explained_share=1 - rest,
            explained_interval=(1 - rest - 0.03, 1 - rest + 0.02),
            relative_error=0.3,
            bias=0.1,
            rest=Rest(
                share=rest,
                share_interval=(rest - 0.02, rest + 0.03),
                residual_share=rest,
                residual_interval=(rest - 0.02, rest + 0.03),
                contribution=0.12,
                contribution_interval=(-0.05, 0.2),
                image_importances=[min(1.0, abs(dice.gauss(rest, 0.05))) for _ in range(N_IMAGES)],
            ),
            factorization=make_factorization(n_concepts),
            completeness=make_completeness(dice),
            fidelity=make_fidelity(dice, n_concepts),
            image_specimens=[f"{slug}-{number:03d}" for number in range(N_IMAGES)],
            image_dominants=dominants,
            layout=spread_images(dice, owners),
            neighbours=[Neighbour(slug=slugs[other], similarity=0.8) for other in names if other != name][:4],
            confused_with=[Confusion(slug=slugs[other], n=3) for other in names if other != name][:1],
            representative=specimens[1].id,
            visualization=Visualization(
                image=whole,
                width=side * 2,
                height=side * 2,
                kind="family",
                seed=5,
                steps=70,
                score={"percentile": 100.0, "own_rank": 1.0},
            ),
            concepts=concepts,
        )
        records[slug], specimens_of[slug] = strip_family(family) if bare else family, specimens
    contributions = {} if bare else add_extras(folder, records, specimens_of, draw_heat)
    first, second = slugs[names[0]], slugs[names[1]]
    similar = SimilarConcept(id=f"{second}/concept-01", similarity=0.71)
    concepts = records[first].concepts
    records[first] = records[first].model_copy(
        update={"concepts": [concepts[0].model_copy(update={"similar": [similar]}), *concepts[1:]]}
    )
    missing = AtlasFamily(
        slug=slugs["Platanaceae"],
        name="Platanaceae",
        output_index=len(names),
        n_specimens=4,
        n_groups=4,
        n_species=1,
        n_held_out=0,
        missing="4 specimens where 10 are needed ([specimens] min_specimens).",
    )
    query_path = "queries/unknown-1.webp"
    query_picture = draw("query", 1)
    save(query_picture, folder / query_path, quality=82)
    heatmaps = []
    for slug in (first, second):
        for each in records[slug].concepts:
            heatmap = f"queries/heatmaps/unknown--1/{each.id.replace('/', '-')}.webp"
            save(draw_heat(6, 6, dice.random(), dice.random()), folder / heatmap, lossless=True)
            heatmaps.append(SpecimenHeatmap(concept=each.id, coefficient=1.2, heatmap=heatmap, heatmap_max=2.1))
    query = AtlasSpecimen(
        id="unknown--1",
        group="unknown-1",
        role="query",
        split="unknown",
        image=query_path,
        width=query_picture.width,
        height=query_picture.height,
        original_width=query_picture.width * 2,
        original_height=query_picture.height * 2,
        predicted=[
            Prediction(family=names[0], score=0.62),
            Prediction(family=names[1], score=0.21),
            Prediction(family="output 9", score=0.02),
        ],
        contributions={
            key: value
            for slug in (first, second)
            for key, value in {
                **{each.id: 0.4 - 0.3 * i for i, each in enumerate(records[slug].concepts)},
                f"{slug}/rest": 0.1,
                f"{slug}/bias": 0.05,
            }.items()
        },
        importances={
            each.id: each.importance.total_sobol_index for slug in (first, second) for each in records[slug].concepts
        },
        heatmaps=heatmaps,
        neighbours=[SpecimenNeighbour(id=specimens_of[first][0].id, similarity=0.93, same_group=False)],
    )
    header: dict[str, Any] = {
        "title": "Leaves by concept",
        "version": "1.0",
        "authors": ["A. Botanist"],
        "licences": Licences(code="MIT", text="CC BY 4.0", data="CC0 1.0", images=None),
        "drawn": drawn,
        "generator": {"name": "LeafLineage", "version": "0.1.0"},
        "classifier": AtlasClassifier(
            name="leaf-families",
            architecture="tf_efficientnet_lite0",
            layer="conv_head",
            affine_head=True,
            pools_first=True,
            input_size=(192, 192),
            map_size=(6, 6),
            n_outputs=len(names) + 2,
            n_families=len(names) + 1,
            unnamed_outputs=[len(names) + 1],
            sha256="0" * 64,
            accuracy=Accuracy(
                top1=0.874, top5=0.975, n_specimens=610, interval=(0.85, 0.9), chance=0.03, split="held-out"
            ),
            notes=["The stated accuracy was met."],
            negative_energy=None if bare else 0.004,
        ),
        "run": AtlasRun(
            config_fingerprint="f" * 64,
            seed=0,
            versions={"python": "3.11", "torch": "2.9"},
            fit_on="cells",
            settings={
                "concepts": {
                    "n_concepts": n_concepts,
                    "fit_on": "cells",
                    "n_attributions": 0 if bare else N_ATTRIBUTIONS,
                },
                "importance": {"half_width": 0.02, "max_evaluations": 200_000},
                "visualize": {"size": side * 2, "steps": 70, "crops": 3, "n_visualizations": 2, "spectrum": "family"},
                "specimens": {"min_specimens": 10},
            },
        ),
        "unlisted_families": [{"name": "Ginkgoaceae", "reason": "the classifier has no output of this name"}],
    }
    families = sorted([*records.values(), missing], key=lambda each: each.slug)
    light = [
        family.model_copy(
            update={
                "concepts": [
                    concept.model_copy(update={"crops": [], "image_importances": [], "recursion": None})
                    for concept in family.concepts
                ],
                "image_specimens": [],
                "image_dominants": [],
                "layout": None,
            }
        )
        for family in families
    ]
    everyone = [specimen for slug in sorted(specimens_of) for specimen in specimens_of[slug]]
    write(
        folder / "index.json",
        Index(
            **header,
            families=light,
            n_specimens=len(everyone),
            n_set_aside=2,
            set_aside_reasons={"not an image": 2},
            queries=[query],
        ),
    )
    spare = [each.model_copy(update={"heatmaps": []}) for each in everyone]
    write(folder / "atlas.json", AtlasRecord(**header, families=families, specimens=[*spare, query]))
    for slug, family in records.items():
        write(
            folder / "families" / slug / "family.json",
            FamilyRecord(
                family=family,
                specimens=specimens_of[slug],
                compared=sorted(records) if contributions else [],
                contributions=contributions.get(slug, {}),
            ),
        )
    (folder / "specimens.csv").write_text("id,family\n" + "".join(f"{s.id},{s.family}\n" for s in everyone))
    if not bare:
        for slug in records:
            (folder / "families" / slug / "importances.csv").write_text(f"specimen,group\n{slug}-000,{slug}-0\n")
            (folder / "families" / slug / "bank.safetensors").write_bytes(b"concept bank of " + slug.encode())
        (folder / "head.safetensors").write_bytes(b"head")
    assert json.loads((folder / "index.json").read_text())["schema"] == SCHEMAS["index"]
    return folder
