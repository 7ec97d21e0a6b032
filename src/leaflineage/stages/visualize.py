"""Draw each shown concept of a family by MACO, and the family itself; score every picture against real crops.

A picture that fails, with less of its concept than nine tenths of the real crops hold or with more of another concept,
is drawn once more: from another seed, and away from what other concepts share with its own. The better of the two
stays. Where that fails as well, the concept gets a real crop in which it is made clearer, and the one of both that
scores higher comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leaflineage.featviz.accentuation import accentuate
from leaflineage.featviz.leaning import lean_apart
from leaflineage.featviz.objective import COSINE_POWER
from leaflineage.featviz.scoring import ACCENTED_SIDES, SQUARE_SIDES
from leaflineage.images import encode_webp
from leaflineage.stages.context import Context
from leaflineage.stages.judging import Judge, RealCrop, judge_family, load_second_classifier, read_squares
from leaflineage.stages.seeds import derive_seed
from leaflineage.stages.visualizing import (
    ENOUGH_STEPS,
    QUALITY,
    Canvas,
    Drawer,
    Precision,
    Sitter,
    Written,
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
N_FAMILY_TRIES = (
    2  # seeds: of twelve drawn families eight pass from the first, three from the second, none from a third
)
# Of what the family's other concepts span of a concept, taken off its direction at the second try. Of seven drawn
# concepts that failed, five passed with a half, four with nine tenths, two with another seed alone.
APART = 0.5
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
    drawer = Drawer(
        classifier.features_differentiable, context.model.layer, COSINE_POWER, str(classifier.device), Precision()
    )
    files: dict[str, str] = {}
    shown_leaves = [index for index, each in enumerate(listed) if not by_id[each].withheld]
    judge = Judge(
        context,
        classifier,
        [by_id[listed[index]] for index in shown_leaves],  # a crop of one may be accentuated and so be shown
        arrays["concept_bank"],
        arrays["maps"][shown_leaves],
        rows,
        load_second_classifier(context),
    )

    def draw(sitters: list[Sitter], rows: list[int]) -> list[_Drawn]:
        written = write_visualizations(context, drawer, sitters, canvas, steps=context.config.visualize.steps)
        verdicts = judge.judge([read_squares(context, each.path, sides=SQUARE_SIDES) for each in sitters], rows)
        for _, pictures in written:
            files.update(pictures)  # of what is not shown, too: another build then need not draw it again
        return [
            _Drawn({**facts, "score": verdict.score}, verdict.pooled)
            for (facts, _), verdict in zip(written, verdicts, strict=True)
        ]

    found: list[list[_Drawn]] = [[] for _ in shown]
    for view in range(context.config.visualize.n_visualizations):  # one after another: each differs from those before
        sitters = [
            Sitter(
                path=f"{folder}/visualizations/{name}{f'-{view + 1}' if view else ''}.webp",
                direction=arrays["concept_bank"][row],
                seed=derive_seed(context.config.run.seed, context.slug, name, view),
                repelled_from=np.stack([each.pooled for each in earlier]) if earlier else None,
            )
            for name, row, earlier in zip(shown, rows, found, strict=True)
        ]
        for earlier, drawn in zip(found, draw(sitters, rows), strict=True):
            earlier.append(drawn)
        if view == 0 and context.config.visualize.steps >= ENOUGH_STEPS:
            failed = [index for index, (drawn,) in enumerate(found) if fails(drawn.facts["score"])]
            again = [
                Sitter(
                    path=f"{folder}/visualizations/{shown[index]}-again.webp",
                    direction=lean_apart(arrays["concept_bank"], rows[index], share=APART),
                    seed=derive_seed(context.config.run.seed, context.slug, shown[index], "again"),
                )
                for index in failed
            ]
            seconds = draw(again, [rows[index] for index in failed]) if again else []
            for index, second in zip(failed, seconds, strict=True):
                second.facts["apart"] = APART
                if is_better(second.facts["score"], found[index][0].facts["score"]):
                    found[index] = [second]
    family, more = _write_family(context, classifier, canvas, drawer.precision)
    files.update(more)
    visualizations = {name: [each.facts for each in drawn] for name, drawn in zip(shown, found, strict=True)}
    for name, row in zip(shown, rows, strict=True):
        first = visualizations[name][0]
        if fails(first["score"]):
            direction = arrays["concept_bank"][row]
            facts, pictures = _write_accentuation(context, classifier, canvas, name, direction, judge.crops[row][0])
            squares = read_squares(context, facts["image"], sides=ACCENTED_SIDES)
            score = judge.judge([squares], [row])[0].score
            # A crop made clearer stands first for showing more of the concept: where it does not, it stands behind.
            visualizations[name].insert(0 if is_better(score, first["score"]) else 1, {**facts, "score": score})
            files.update(pictures)
    context.store.remove_strays(f"{folder}/visualizations", [*files, *map(name_record, files)])
    return {"visualizations": visualizations, "family": family}, files


@dataclass(frozen=True)
class _Drawn:
    """A picture that was drawn and judged: what the atlas says of it, and its mean pooled activations (n_channels,)."""

    facts: dict[str, Any]
    pooled: Floats


def fails(score: dict[str, float] | None) -> bool:
    """Tell whether a picture shows too little of its concept, or more of another one; without a score none fails."""
    return score is not None and (score["percentile"] < LEAST_PERCENTILE or score["own_rank"] > 1)


def is_better(score: dict[str, float] | None, other: dict[str, float] | None) -> bool:
    """Tell whether a score is better than another: it alone passes, or its rank is lower, or its percentile higher."""
    if score is None or other is None:
        return False
    ours, theirs = ((not fails(each), -each["own_rank"], each["percentile"]) for each in (score, other))
    return ours > theirs


def _write_accentuation(
    context: Context, classifier: Classifier, canvas: Canvas, name: str, direction: Floats, crop: RealCrop
) -> Written:
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


def _write_family(context: Context, classifier: Classifier, canvas: Canvas, precision: Precision) -> Written:
    """Write the picture that raises the family's centred logit; return what the atlas says of it, and its files."""
    folder, output = f"families/{context.slug}", context.family.output_index
    assert output is not None, "families without an output are not built"
    direction = np.zeros(context.model.n_outputs, dtype=np.float32)
    direction[output] = 1
    logits = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")["logits"]

    def features(images: Tensor) -> Tensor:
        answers = classifier.logits(images)
        return (answers - answers.mean(dim=1, keepdim=True))[:, None, None]  # (n, 1, 1, n_outputs)

    # The logit itself: with the cosine of all logits with this one, two of six drawn families passed, not five.
    drawer = Drawer(features, "logits", 0, str(classifier.device), precision)
    steps, best, files = FAMILY_STEPS * context.config.visualize.steps, None, {}
    for number in range(N_FAMILY_TRIES if steps >= ENOUGH_STEPS else 1):
        sitter = Sitter(
            path=f"{folder}/visualizations/family{f'-again-{number}' if number else ''}.webp",
            direction=direction,
            seed=derive_seed(context.config.run.seed, context.slug, "family", number),
            kind="family",
        )
        ((facts, pictures),) = write_visualizations(context, drawer, [sitter], canvas, steps=steps)
        files.update(pictures)
        squares = read_squares(context, sitter.path, sides=SQUARE_SIDES)
        found = {**facts, "score": judge_family(classifier, squares, logits, output)}
        if best is None or is_better(found["score"], best["score"]):
            best = found
        if not fails(best["score"]):
            break
    assert best is not None
    return best, files
