"""What a made-up run holds beside its concepts: thumbnails, mistakes, graded crops, small copies, places on maps."""

from __future__ import annotations

import base64
import io
import math
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from website.synthetic_leaves import locate

from leaflineage.records import (
    AtlasConcept,
    AtlasFamily,
    AtlasSpecimen,
    Crop,
    Mistake,
    Prediction,
    SpecimenHeatmap,
    SpecimenNeighbour,
    Thumbnails,
    Visualization,
)

GRADES = ("p99", "p90", "p50", "counter")
N_GRADED = 2
N_MISTAKES = 2
FLAGGED = 2  # rank of the concept of the second family that looks past the leaf
THUMBNAIL = 24
COLUMNS = 12
SMALLER = 24


def shrink(folder: Path, image: str, width: int, height: int) -> list[int]:
    """Write the smaller copy of a picture; return the widths there are."""
    if width <= SMALLER:
        return []
    with Image.open(folder / image) as source:
        small = source.resize((SMALLER, max(1, round(height * SMALLER / width))))
        small.save(folder / f"{image.removesuffix('.webp')}-{SMALLER}.webp", "WEBP", quality=80)
    return [SMALLER]


def with_smaller(folder: Path, picture: Visualization) -> Visualization:
    return picture.model_copy(update={"smaller": shrink(folder, picture.image, picture.width, picture.height)})


def grade(folder: Path, concept: AtlasConcept) -> list[Crop]:
    """Return the concept's crops, and after them those from strong to absent, mirrored copies of the first."""
    slug, name = concept.id.split("/")
    graded = []
    for step, kind in enumerate(GRADES):
        for number in range(N_GRADED):
            crop = concept.crops[(step + number) % len(concept.crops)]
            image = f"families/{slug}/crops/{name}/{kind}-{number:02d}.webp"
            with Image.open(folder / crop.image) as source:
                source.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(folder / image, "WEBP", quality=80)
            bare = {"attribution": None, "attribution_min": None, "attribution_max": None}
            update = {"image": image, "kind": kind, "coefficient": crop.coefficient * (0.9 - 0.3 * step), **bare}
            graded.append(crop.model_copy(update=update))
    return [*concept.crops, *graded]


def draw_thumbnails(folder: Path, family: AtlasFamily, specimens: list[AtlasSpecimen]) -> Thumbnails:
    """Draw a square for each image of the family, with the pictures that there are, in turn."""
    n = len(family.image_specimens)
    rows = math.ceil(n / COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * THUMBNAIL, rows * THUMBNAIL), "white")
    pictures = []
    for each in specimens:
        with Image.open(folder / each.image) as source:
            pictures.append(source.convert("RGB").resize((THUMBNAIL, THUMBNAIL)))
    for place in range(n):
        row, column = divmod(place, COLUMNS)
        sheet.paste(pictures[place % len(pictures)], (column * THUMBNAIL, row * THUMBNAIL))
    image = f"families/{family.slug}/thumbnails.webp"
    sheet.save(folder / image, "WEBP", quality=80)
    return Thumbnails(image=image, width=sheet.width, height=sheet.height, side=THUMBNAIL, columns=COLUMNS)


def to_address(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def add_extras(
    folder: Path,
    records: dict[str, AtlasFamily],
    specimens_of: dict[str, list[AtlasSpecimen]],
    draw_heat: Callable[[int, int, float, float], Image.Image],
) -> dict[str, dict[str, list[float]]]:
    """Add to families and specimens, in place; return each family's contributions to all families."""
    dice = random.Random(11)
    slugs = sorted(records)
    heats = [to_address(draw_heat(6, 6, 0.3 + 0.2 * n, 0.5)) for n in range(3)]
    contributions: dict[str, dict[str, list[float]]] = {}
    for number, slug in enumerate(slugs):
        family, specimens = records[slug], specimens_of[slug]
        angle = 2.4 * number
        x, y = 0.5 + 0.36 * math.cos(angle), 0.5 + 0.36 * math.sin(angle)
        concepts = [
            concept.model_copy(
                update={
                    "crops": grade(folder, concept),
                    "visualizations": [with_smaller(folder, each) for each in concept.visualizations],
                    **locate(folder, concept, flagged=number == 1 and concept.rank == FLAGGED),
                    "position": (
                        min(1.0, max(0.0, x + dice.gauss(0, 0.07))),
                        min(1.0, max(0.0, y + dice.gauss(0, 0.07))),
                    ),
                }
            )
            for concept in family.concepts
        ]
        other = records[slugs[(number + 1) % len(slugs)]]
        wrong = specimens[-N_MISTAKES:]
        mistakes = [
            Mistake(specimen=each.id, family=other.name, score=0.7 - 0.2 * i, own_score=0.1, held_out=i == 0)
            for i, each in enumerate(wrong)
        ]
        found = []
        for place, specimen in enumerate(specimens):
            mistaken = specimen in wrong
            order = [other.name, family.name] if mistaken else [family.name, other.name]
            sides = [family, other] if mistaken else [family]
            values = {
                **{each.id: dice.random() - 0.3 for side in sides for each in side.concepts},
                **{f"{side.slug}/{name}": 0.1 for side in sides for name in ("rest", "bias")},
            }
            neighbour = (place + 1) % len(specimens)
            found.append(
                specimen.model_copy(
                    update={
                        "source": "Swedish Leaf",
                        "licence": "CC BY 4.0" if place % 2 else None,
                        "credit": "B. Collector" if place % 2 else None,
                        "smaller": shrink(folder, specimen.image, specimen.width, specimen.height),
                        "predicted": [Prediction(family=order[0], score=0.7), Prediction(family=order[1], score=0.2)],
                        "contributions": values,
                        "importances": {key: abs(value) for key, value in values.items() if "bias" not in key},
                        "heatmaps": [
                            SpecimenHeatmap(
                                concept=each.id,
                                coefficient=1.0,
                                heatmap=heats[(place + each.concept_index) % 3],
                                heatmap_max=2.1,
                            )
                            for side in sides
                            for each in side.concepts
                        ],
                        "neighbours": [
                            SpecimenNeighbour(
                                id=specimens[neighbour].id,
                                similarity=0.97,
                                same_group=place == 0,
                                family=slug,
                                place=neighbour,
                            ),
                            SpecimenNeighbour(
                                id=specimens_of[other.slug][0].id,
                                similarity=0.9,
                                same_group=False,
                                family=other.slug,
                                place=0,
                            ),
                        ],
                    }
                )
            )
        whole = with_smaller(folder, family.visualization) if family.visualization else None
        records[slug] = family.model_copy(
            update={
                "concepts": concepts,
                "n_located": family.n_specimens - 2,
                "place_alarm": True,
                "shortcut_share": sum(each.importance.share for each in concepts if "background" in each.flags),
                "thumbnails": draw_thumbnails(folder, family, specimens),
                "mistakes": mistakes,
                "position": (x, y),
                "visualization": whole,
            }
        )
        specimens_of[slug] = found
        contributions[slug] = {
            **{
                concept.id: [concept.importance.contribution if each == slug else dice.gauss(0, 0.3) for each in slugs]
                for concept in concepts
            },
            "rest": [dice.gauss(0, 0.1) for _ in slugs],
            "bias": [0.1 for _ in slugs],
        }
    return contributions
