"""Divide each shown concept of a family: the squares that activate it most, factorised again at an earlier layer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.crops import centre_box, find_top_cells
from leaflineage.errors import ActivationError
from leaflineage.images import Box, Frame, cut_image, fit_image
from leaflineage.records import Crop, Importance, Recursion, Specimen, Subconcept, Visualization
from leaflineage.stages.context import Context
from leaflineage.stages.extract import find_blank_cells
from leaflineage.stages.pictures import describe_heatmaps, find_centre, write_heatmap, write_specimen, write_square
from leaflineage.stages.reading import read_specimens, run_in_batches, to_tensor
from leaflineage.stages.seeds import derive_seed

if TYPE_CHECKING:
    from leaflineage.concepts.recursion import Division, SubconceptImportances
    from leaflineage.model.cuts import Cut
    from leaflineage.model.split import Classifier

Floats = NDArray[np.floating]
N_CROPS = 40  # squares a concept is divided on, at most
N_PER_GROUP = 2
N_RANKED = 16  # of them, the strongest: what importance is taken over
N_SHOWN = 6  # squares shown a sub-concept
# A concept is divided in squares half as wide again as the crops that show it: enlarged to the classifier's input,
# those hold a tenth to a half of the coefficient that their specimens hold (drawn and real leaves), these most of it.
WIDENING = 1.5
SIDE = 0.4  # of a shown square, as a fraction of the square it lies in
TOLERANCE = 1e-4  # of the factorization


@dataclass(frozen=True)
class _Square:
    """A square of a specimen that activates a concept, as the classifier is shown it."""

    index: int  # of the specimen, as listed
    box: Box
    fitted: NDArray[np.uint8]


@dataclass(frozen=True)
class _Divided:
    """A concept, divided."""

    squares: list[_Square]
    division: Division
    importances: SubconceptImportances
    method: Literal["nmf", "semi-nmf"]
    kept: float  # the concept's coefficient in the squares that are ranked, over that in their specimens


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write, a shown concept each, its sub-concepts: importance, squares, heat maps, feature visualisations."""
    folder = f"families/{context.slug}"
    if context.config.concepts.recurse == 1:
        return _write_nothing(context)
    concepts = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")
    shown = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"]
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    rows = [concepts["ids"].index(name) for name in shown]
    squares = _cut_squares(context, listed, arrays["maps"], rows)
    chosen = [square.fitted for found in squares for square in found]
    if not chosen:  # no shown concept is active anywhere
        return _write_nothing(context)
    classifier = context.load_classifier()
    cut = classifier.find_earlier_cut(to_tensor(chosen[:: -(-len(chosen) // N_RANKED)]))
    groups = [each.group for each in listed]
    divided = {
        name: _divide(context, classifier, cut, found, groups, arrays, row)
        for name, row, found in zip(shown, rows, squares, strict=True)
        if found
    }
    from leaflineage.stages.visualizing import name_record

    shown_rows = {f"{context.slug}/{name}": row for name, row in zip(shown, rows, strict=True)}
    crops, specimens, files = _write_crops(context, listed, divided, arrays["maps"], shown_rows)
    visualizations, more = _write_visualizations(context, classifier, cut, divided)
    files.update(more)
    pictures = [each["image"] for parts in visualizations.values() for each in parts]
    context.store.remove_strays(f"{folder}/recursion", [*files, *map(name_record, pictures)])
    uids = dict(zip(concepts["ids"], concepts["uids"], strict=True))
    payload = {
        name: _describe(context, name, uids[name], cut.name, each, crops[name], visualizations[name])
        for name, each in divided.items()
    }
    return {"concepts": payload, "specimens": specimens}, files


def _write_nothing(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Remove what an earlier build divided."""
    context.store.remove_strays(f"families/{context.slug}/recursion", ())
    return {"concepts": {}, "specimens": {}}, {}


def _cut_squares(
    context: Context, listed: Sequence[Specimen], maps: Floats, rows: Sequence[int]
) -> list[list[_Square]]:
    """Return, a concept each, the squares around its strongest cells, strongest first; each picture is read once."""
    from leaflineage.concepts.recursion import find_strong_cells

    settings, pre = context.config.concepts, context.model.preprocessing.model_copy(update={"fit": "squash"})
    groups = [each.group for each in listed]
    cells = [
        find_strong_cells(maps[..., row].astype(np.float32), groups, n_crops=N_CROPS, n_per_group=N_PER_GROUP)
        for row in rows
    ]
    wanted: dict[int, list[tuple[int, int, int, int]]] = {}
    for concept, found in enumerate(cells):
        for number, (index, row, column, _) in enumerate(found):
            wanted.setdefault(index, []).append((concept, number, row, column))
    order = sorted(wanted)
    squares: list[dict[int, _Square]] = [{} for _ in rows]
    for place, image, _, frame in read_specimens(context, [listed[index] for index in order], {}):
        height, width = image.shape[:2]
        for concept, number, row, column in wanted[order[place]]:
            x, y = find_centre(frame, (row, column), (maps.shape[1], maps.shape[2]))
            box = centre_box(x, y, width, height, crop_side=min(1.0, WIDENING * settings.crop_side))
            fitted = fit_image(cut_image(image, box), preprocessing=pre)[0]
            squares[concept][number] = _Square(order[place], box, fitted)
    return [[found[number] for number in sorted(found)] for found in squares]


def _divide(
    context: Context,
    classifier: Classifier,
    cut: Cut,
    squares: list[_Square],
    groups: Sequence[str],
    arrays: dict[str, NDArray[Any]],
    row: int,
) -> _Divided:
    """Factorise a concept's squares at the earlier layer, and rank what comes out by what it does to the concept."""
    from leaflineage.concepts.recursion import N_DESIGNS, divide_concept, rank_subconcepts
    from leaflineage.model.split import NEGATIVE_ENERGY_BOUND

    settings = context.config.concepts
    seed = derive_seed(context.config.run.seed, context.slug, "recurse", row) % 2**31
    bank = arrays["concept_bank"]
    maps, prefixes, coefficients = _compute_maps(classifier, cut, [square.fitted for square in squares], bank)
    order = np.argsort(-coefficients[:, row], kind="stable")  # those first that, enlarged, still activate it most
    squares = [squares[index] for index in order]
    maps, prefixes = maps[order], None if prefixes is None else prefixes[order]
    _, rows, columns, _ = maps.shape
    blank = np.zeros(maps.shape[:3], dtype=np.bool_)
    if settings.drop_blank:
        found = [find_blank_cells(square.fitted, rows, columns).reshape(rows, columns) for square in squares]
        blank = np.stack(found)
    method: Literal["nmf", "semi-nmf"] = "semi-nmf" if cut.negative_energy > NEGATIVE_ENERGY_BOUND else "nmf"
    try:
        division = divide_concept(
            maps,
            blank,
            n_subconcepts=settings.n_subconcepts,
            method=method,
            seed=seed,
            max_iterations=settings.max_iterations,
            tolerance=TOLERANCE,
            device=str(classifier.device),
        )
    except ActivationError as error:
        raise ActivationError(
            f"{context.family.name}: concept {row + 1} cannot be divided at {cut.name}. {error} Look at its crops, or "
            "set [concepts] recurse = 1."
        ) from error
    importances = rank_subconcepts(
        maps[:N_RANKED],
        division,
        _compute_empty_map(context, classifier, cut, bank),
        _make_measure(classifier, cut, prefixes, bank, row),
        [groups[square.index] for square in squares[:N_RANKED]],
        n_designs=N_DESIGNS,
        seed=seed,
    )
    ranked = order[:N_RANKED]
    whole = float(arrays["coefficients"][[square.index for square in squares[:N_RANKED]], row].mean())
    kept = float(coefficients[ranked, row].mean()) / whole if whole > 0 else 0.0
    return _Divided(squares, division, importances, method, kept)


def _compute_maps(
    classifier: Classifier, cut: Cut, inputs: Sequence[NDArray[np.uint8]], bank: Floats
) -> tuple[Floats, Floats | None, Floats]:
    """Return maps (n, rows, columns, n_channels) at the cut, prefix tokens there if any, and the family's coefficients.

    The coefficients (n, n_concepts) are means over the cells at the split.
    """
    from leaflineage.concepts.encoding import encode

    def compute(images: Any) -> Any:
        maps, prefix = classifier.features_at_with_prefix(cut, images)
        at_split = classifier.continue_from(cut, maps, prefix)
        return (maps, at_split) if prefix is None else (maps, at_split, prefix)

    parts = list(run_in_batches(inputs, compute))
    means = [encode(each[1].reshape(-1, each[1].shape[-1]), bank).mean(axis=0) for each in parts]
    prefixes = np.stack([each[2] for each in parts]) if len(parts[0]) > 2 else None
    return np.stack([each[0] for each in parts]), prefixes, np.stack(means)


def _compute_empty_map(context: Context, classifier: Classifier, cut: Cut, bank: Floats) -> Floats:
    """Return the map (rows, columns, n_channels) at the cut of a picture of nothing but the colour of padding."""
    pre = context.model.preprocessing
    empty = np.empty((*pre.input_size, 3), dtype=np.uint8)
    empty[:] = pre.pad_colour
    return np.asarray(_compute_maps(classifier, cut, [empty], bank)[0][0])


def _make_measure(
    classifier: Classifier, cut: Cut, prefixes: Floats | None, bank: Floats, row: int
) -> Callable[[int, Floats], Floats]:
    """Return what gives the parent's coefficient of masked maps of a square: the mean over cells of its column."""
    import torch

    from leaflineage.concepts.encoding import encode

    def measure(square: int, masked: Floats) -> Floats:
        with torch.inference_mode():
            prefix = None
            if prefixes is not None:
                prefix = torch.from_numpy(prefixes[square]).expand(len(masked), -1, -1).to(classifier.device)
            maps = classifier.continue_from(cut, torch.from_numpy(masked).to(classifier.device), prefix)
            cells = maps.flatten(0, 2).float().cpu().numpy()
        coefficients: Floats = encode(cells, bank)[:, row].reshape(len(masked), -1).mean(axis=1)
        return coefficients

    return measure


def _write_crops(
    context: Context,
    listed: Sequence[Specimen],
    divided: dict[str, _Divided],
    family_maps: Floats,
    concepts: dict[str, int],
) -> tuple[dict[str, list[list[Crop]]], dict[str, Any], dict[str, str]]:
    """Write each sub-concept's squares and heat maps, and those specimens that `illustrate` has no picture of.

    Parameters
    ----------
    family_maps
        (n_specimens, rows, columns, n_concepts) coefficient maps of the family's own concepts.
    concepts
        {id in the atlas: row of the family's bank} of the shown ones.

    Returns
    -------
    crops
        A concept's, then a sub-concept's (in order of the sub-bank), strongest first.
    specimens
        What the atlas says of the specimens written here.
    files
    """
    folder = f"families/{context.slug}"
    illustrated = context.store.read_json(f"{folder}/crops.json", "crops", stage="illustrate")["specimens"]
    wanted: dict[int, list[tuple[str, int, int, int, int, int, float]]] = {}
    for name, each in divided.items():
        groups = [listed[square.index].group for square in each.squares]
        hidden = np.array([listed[square.index].withheld for square in each.squares])
        maps = np.where(hidden[:, None, None, None], 0, each.division.coefficient_maps)
        top_cells = find_top_cells(maps, groups, n_crops=N_SHOWN)
        for part, cells in enumerate(top_cells):
            for number, (position, row, column, coefficient) in enumerate(cells):
                index = each.squares[position].index
                wanted.setdefault(index, []).append((name, part, number, position, row, column, coefficient))
    found: dict[str, list[dict[int, Crop]]] = {
        name: [{} for _ in each.division.concept_bank] for name, each in divided.items()
    }
    specimens: dict[str, Any] = {}
    files: dict[str, str] = {}
    order = sorted(wanted)
    maxima = family_maps.astype(np.float32).max(axis=(0, 1, 2))
    for place, image, _, whole in read_specimens(context, [listed[index] for index in order], {}):
        specimen, size = listed[order[place]], (image.shape[1], image.shape[0])
        if specimen.id not in illustrated:
            facts, pictures = write_specimen(context.store, f"{folder}/recursion", specimen, image)
            facts["heatmaps"] = describe_heatmaps(concepts, family_maps[order[place]], maxima, whole, size)
            specimens[specimen.id] = facts
            files.update(pictures)
        for name, part, number, position, row, column, coefficient in wanted[order[place]]:
            maps = divided[name].division.coefficient_maps[..., part]
            frame = _make_frame(context, divided[name].squares[position].box, image)
            stem = f"{name}-{part + 1:02d}/{number:02d}.webp"
            box = _place_box(divided[name].squares[position].box, row, column, (maps.shape[1], maps.shape[2]))
            facts, sha256 = write_square(context.store, f"{folder}/recursion/crops/{stem}", specimen, image, box)
            files[facts["image"]] = sha256
            heatmap, maximum = f"{folder}/recursion/heatmaps/{stem}", float(maps.max())
            files[heatmap] = write_heatmap(context.store, heatmap, maps[position], frame, size, maximum=maximum)
            found[name][part][number] = Crop(
                specimen=specimen.id,
                coefficient=coefficient,
                heatmap=heatmap,
                heatmap_max=maximum,
                kind="top",
                **facts,
            )
    crops = {name: [[part[number] for number in sorted(part)] for part in parts] for name, parts in found.items()}
    return crops, specimens, files


def _make_frame(context: Context, box: Box, image: NDArray[np.uint8]) -> Frame:
    """Return where the original lies in an input that shows a square of it alone."""
    rows, columns = context.model.preprocessing.input_size
    scale_x, scale_y = columns / (box[2] - box[0]), rows / (box[3] - box[1])
    return Frame(
        width=image.shape[1],
        height=image.shape[0],
        input_width=columns,
        input_height=rows,
        scale_x=scale_x,
        scale_y=scale_y,
        offset_x=-box[0] * scale_x,
        offset_y=-box[1] * scale_y,
    )


def _place_box(square: Box, row: int, column: int, map_shape: tuple[int, int]) -> Box:
    """Return the smaller square around a cell of a square's map, in pixels of the original."""
    x0, y0, x1, y1 = square
    x, y = (column + 0.5) * (x1 - x0) / map_shape[1], (row + 0.5) * (y1 - y0) / map_shape[0]
    box = centre_box(x, y, x1 - x0, y1 - y0, crop_side=SIDE)
    return (x0 + box[0], y0 + box[1], x0 + box[2], y0 + box[3])


def _write_visualizations(
    context: Context, classifier: Classifier, cut: Cut, divided: dict[str, _Divided]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Write one feature visualisation a sub-concept, at the earlier layer, each with its score."""
    from leaflineage.featviz.objective import COSINE_POWER
    from leaflineage.featviz.scoring import SQUARE_SIDES
    from leaflineage.stages.judging import judge_subconcepts, read_squares
    from leaflineage.stages.visualizing import Drawer, Precision, Sitter, prepare_canvas, write_visualizations

    folder, seed = f"families/{context.slug}", context.config.run.seed
    names = [(name, part) for name in divided for part in range(len(divided[name].division.concept_bank))]
    sitters = [
        Sitter(
            path=f"{folder}/recursion/visualizations/{name}-{part + 1:02d}.webp",
            direction=divided[name].division.concept_bank[part],
            seed=derive_seed(seed, context.slug, f"{name}-{part + 1:02d}", 0),
        )
        for name, part in names
    ]
    drawer = Drawer(
        lambda images: classifier.features_at(cut, images), cut.name, COSINE_POWER, str(classifier.device), Precision()
    )
    written = write_visualizations(
        context, drawer, sitters, prepare_canvas(context), steps=context.config.visualize.steps
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in divided}
    for (name, _), (facts, _) in zip(names, written, strict=True):
        found[name].append(facts)
    for name, each in divided.items():
        scores = judge_subconcepts(
            lambda images: classifier.features_at(cut, images),
            context.model.preprocessing,
            [read_squares(context, facts["image"], sides=SQUARE_SIDES) for facts in found[name]],
            each.division.concept_bank,
            each.division.coefficient_maps.mean(axis=(1, 2)),
        )
        found[name] = [{**facts, "score": score} for facts, score in zip(found[name], scores, strict=True)]
    return found, {name: sha256 for _, files in written for name, sha256 in files.items()}


def _describe(
    context: Context,
    name: str,
    uid: str,
    layer: str,
    divided: _Divided,
    crops: list[list[Crop]],
    visualizations: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return a concept's record of recursion as JSON, its sub-concepts by rank."""
    found, bank = divided.importances, divided.division.concept_bank
    order = sorted(range(len(bank)), key=lambda part: (-float(f"{found.indices[part]:.6g}"), part))
    parent = f"{context.slug}/{name}"
    subconcepts = [
        Subconcept(
            id=f"{parent}-{part + 1:02d}",
            uid=_make_uid(uid, bank[part]),
            parent=parent,
            concept_index=part,
            rank=rank,
            importance=Importance(
                total_sobol_index=found.indices[part],
                interval=found.intervals[part],
                exact=False,
                share=found.shares[part],
                share_interval=found.share_intervals[part],
                contribution=found.contributions[part],
                contribution_interval=found.contribution_intervals[part],
            ),
            visualizations=[Visualization.model_validate(visualizations[part])],
            crops=crops[part],
        )
        for rank, part in enumerate(order, start=1)
    ]
    return Recursion(
        layer=layer,
        method=divided.method,
        n_crops=len(divided.squares),
        rest_share=float(found.shares[-1]),
        rest_interval=found.share_intervals[-1],
        relative_error=divided.division.relative_error,
        coefficient_kept=divided.kept,
        subconcepts=subconcepts,
    ).model_dump(mode="json")


def _make_uid(parent: str, row: Floats) -> str:
    """Return what names a sub-concept for good: a hash of its parent's uid and its row, to half precision."""
    return hashlib.sha256(parent.encode() + row.astype(np.float16).tobytes()).hexdigest()[:12]
