"""Draw each shown concept of a family by MACO, and the family itself; score every picture against real crops.

A concept whose picture fails, with less of it than nine tenths of the real crops hold or with more of another concept,
gets a real crop in which it is made clearer, and that comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leaflineage.featviz.accentuation import accentuate
from leaflineage.featviz.scoring import ACCENTED_SIDES, SQUARE_SIDES
from leaflineage.images import encode_webp
from leaflineage.stages.context import Context
from leaflineage.stages.judging import Judge, RealCrop, judge_family, load_second_classifier, read_squares
from leaflineage.stages.seeds import derive_seed
from leaflineage.stages.visualizing import (
    QUALITY,
    Canvas,
    Sitter,
    describe_drawing,
    hash_array,
    name_record,
    prepare_canvas,
    read_picture,
    write_picture,
    write_visualizations,
)
from leaflineage.store import hash_json

if TYPE_CHECKING:
    from torch import Tensor

    from leaflineage.model.split import Classifier

Floats = NDArray[np.floating]
FAMILY_STEPS = 2  # as many as a concept's: a logit, at the network's end, takes longer to rise
LEAST_PERCENTILE = 90.0  # of a picture that may stand first; its concept must be the bank's strongest in it, too


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write one picture a view of each shown concept, accentuated crops where those fail, and the family's picture."""
    folder = f"families/{context.slug}"
    shown = sorted(context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"])
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    listed = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")["specimens"]
    by_id = {each.id: each for each in context.specimens}
    rows = [ids.index(name) for name in shown]
    classifier, canvas = context.load_classifier(), prepare_canvas(context)
    family, files = _write_family(context, classifier, canvas)
    judge = Judge(
        context,
        classifier,
        [by_id[each] for each in listed],
        arrays["concept_bank"],
        arrays["maps"],
        rows,
        load_second_classifier(context),
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in shown}
    pooled: list[list[Floats]] = [[] for _ in shown]
    for view in range(context.config.visualize.n_visualizations):  # one after another: each differs from those before
        sitters = [
            Sitter(
                path=f"{folder}/visualizations/{name}{f'-{view + 1}' if view else ''}.webp",
                direction=arrays["concept_bank"][row],
                seed=derive_seed(context.config.run.seed, context.slug, name, view),
                repelled_from=np.stack(earlier) if earlier else None,
            )
            for name, row, earlier in zip(shown, rows, pooled, strict=True)
        ]
        written = write_visualizations(
            context,
            classifier.features_differentiable,
            sitters,
            canvas,
            steps=context.config.visualize.steps,
            layer=context.model.layer,
            device=str(classifier.device),
        )
        verdicts = judge.judge([read_squares(context, each.path, sides=SQUARE_SIDES) for each in sitters], rows)
        for name, earlier, (facts, sha256), verdict in zip(shown, pooled, written, verdicts, strict=True):
            found[name].append({**facts, "score": verdict.score})
            earlier.append(verdict.pooled)
            files[facts["image"]] = sha256
    for name, row in zip(shown, rows, strict=True):
        if fails(found[name][0]["score"]):
            direction = arrays["concept_bank"][row]
            facts, sha256 = _write_accentuation(context, classifier, canvas, name, direction, judge.crops[row][0])
            squares = read_squares(context, facts["image"], sides=ACCENTED_SIDES)
            found[name].insert(0, {**facts, "score": judge.judge([squares], [row])[0].score})
            files[facts["image"]] = sha256
    context.store.remove_strays(f"{folder}/visualizations", [*files, *map(name_record, files)])
    return {"visualizations": found, "family": family}, files


def fails(score: dict[str, float] | None) -> bool:
    """Tell whether a picture shows too little of its concept, or more of another one; without a score none fails."""
    return score is not None and (score["percentile"] < LEAST_PERCENTILE or score["own_rank"] > 1)


def _write_accentuation(
    context: Context, classifier: Classifier, canvas: Canvas, name: str, direction: Floats, crop: RealCrop
) -> tuple[dict[str, Any], str]:
    """Write a concept's strongest real crop with the concept made clearer, unless it lies there already."""
    settings, specimen = context.config.visualize, crop.specimen
    path = f"families/{context.slug}/visualizations/{name}-accentuation.webp"
    seed = derive_seed(context.config.run.seed, context.slug, name, "accentuation")
    fingerprint = hash_json(
        {
            **describe_drawing(context),
            "canvas": canvas.sha256,
            "crop": hash_array(crop.image),
            "direction": hash_array(direction),
            "kind": "accentuation",
            "label": [specimen.licence, specimen.credit, specimen.source],
            "seed": seed,
            "steps": settings.steps,
            "specimen": [specimen.id, crop.box],
        }
    )
    there = read_picture(context, path, fingerprint)
    if there is not None:
        return there
    enlarged = Image.fromarray(crop.image).resize((settings.size, settings.size), Image.Resampling.BICUBIC)
    picture = accentuate(
        classifier.features_differentiable,
        direction,
        np.array(enlarged, dtype=np.uint8),
        canvas.spectrum,
        canvas.palette,
        input_size=context.model.preprocessing.input_size,
        steps=settings.steps,
        n_crops=settings.crops,
        seed=seed,
        device=str(classifier.device),
    )
    facts = {
        "kind": "accentuation",
        "seed": seed,
        "steps": settings.steps,
        "objective": float(picture.objectives[-max(1, settings.steps // 10) :].mean()),
        "specimen": specimen.id,
        "box": list(crop.box),
    }
    content = encode_webp(
        picture.image,
        quality=QUALITY,
        licence=specimen.licence,
        credit=specimen.credit,
        source=specimen.source,
    )
    return write_picture(context, path, content, facts, fingerprint=fingerprint)


def _write_family(context: Context, classifier: Classifier, canvas: Canvas) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the picture that raises the family's centred logit; return what the atlas says of it, and its file."""
    folder, output = f"families/{context.slug}", context.family.output_index
    assert output is not None, "families without an output are not built"
    direction = np.zeros(context.model.n_outputs, dtype=np.float32)
    direction[output] = 1
    sitter = Sitter(
        path=f"{folder}/visualizations/family.webp",
        direction=direction,
        seed=derive_seed(context.config.run.seed, context.slug, "family", 0),
        kind="family",
    )

    def features(images: Tensor) -> Tensor:
        logits = classifier.logits(images)
        return (logits - logits.mean(dim=1, keepdim=True))[:, None, None]  # (n, 1, 1, n_outputs)

    ((facts, sha256),) = write_visualizations(
        context,
        features,
        [sitter],
        canvas,
        steps=FAMILY_STEPS * context.config.visualize.steps,
        layer="logits",
        device=str(classifier.device),
    )
    logits = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")["logits"]
    squares = read_squares(context, sitter.path, sides=SQUARE_SIDES)
    return {**facts, "score": judge_family(classifier, squares, logits, output)}, {sitter.path: sha256}
