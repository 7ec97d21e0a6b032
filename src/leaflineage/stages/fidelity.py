"""Try how far a family's concepts stand for what the classifier does, on leaves it was not trained on where known.

Curves, µFidelity and shares are taken on the family's held-out specimens; completeness also sends the probe's leaves of
other families through the family's bank; two floors say what a bank reaches that can know nothing of the family. Where
the head is not affine after pooling it is evaluated, for at most 64 specimens, and the floors have no explained share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.encoding import encode
from leaflineage.concepts.factorization import Method, factorize
from leaflineage.concepts.fidelity import (
    Game,
    correlate_subsets,
    draw_subsets,
    make_affine_game,
    measure_errors,
    measure_falls,
    order_concepts,
    trace_curves,
)
from leaflineage.concepts.intervals import bootstrap_ratio, compute_wilson
from leaflineage.errors import ActivationError, ModelError
from leaflineage.model.load import Classifier
from leaflineage.model.randomize import randomize
from leaflineage.records import Completeness, Fidelity, FidelityCurve, Floor, Measure, Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.masking import Head, Leaves
from leaflineage.stages.reading import read_specimens, run_in_batches
from leaflineage.stages.seeds import derive_seed

Floats = NDArray[np.floating]
Fitting = tuple[int, Method]  # how the family's bank was fitted: rows, and NMF or semi-NMF
LEAST_HELD_OUT = 5  # fewer say too little: all specimens are taken
MOST_EVALUATED = 64  # specimens at most where the head is evaluated, and for the floor of shuffled labels
N_ORDERS = 16  # random attributions a specimen: random orders, likewise
N_SUBSETS = 64
N_RANDOM_WEIGHTS = 24  # specimens sent through the random network
MOST_FLOOR_CELLS = 5000
TOLERANCE = 1e-3  # of the floors' factorizations: that of the families'
_randomized: WeakKeyDictionary[Classifier, tuple[int, Classifier]] = WeakKeyDictionary()  # with its seed


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write how a family's concepts fare: curves, µFidelity, completeness and the floors beneath them."""
    store, seed, folder = context.store, context.config.run.seed, f"families/{context.slug}"
    record = store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    concepts = store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")
    arrays = store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    ranks = store.read_arrays(f"{folder}/importance.safetensors", stage="rank")
    bank = arrays["concept_bank"]
    output = context.family.output_index
    assert output is not None, "families without an output are not built"
    by_id = {each.id: each for each in context.specimens}
    listed = [by_id[each] for each in record["specimens"]]
    chosen, split = _choose_specimens(listed)
    head = _open_head(context)
    leaves = _read_family(context, listed, output)
    tried = chosen if head.weight is not None else _thin(chosen, MOST_EVALUATED)
    some, maps = leaves.take(tried), arrays["maps"][tried].astype(np.float32)
    if head.weight is not None:
        indices, contributions, bias = head.measure_players(maps.mean(axis=(1, 2)), some.pooled, bank, output)
        game = make_affine_game(contributions, bias)
    else:
        indices, contributions = (ranks[name][tried].astype(np.float64) for name in ("indices", "contributions"))
        game = head.make_game(some, maps, bank, output)
    chance = derive_seed(seed, context.slug, "fidelity")  # what is random in one family is not the same in the next
    attributions = {
        "contribution": contributions[None, :, :-1],
        "importance": indices[None, :, :-1],
        "random": np.random.default_rng(chance).random((N_ORDERS, len(some), len(bank))),
    }
    others, fitting = _read_others(context), (len(bank), concepts["method"])
    floors = (
        _find_shuffled_floor(context, head, leaves.take(_thin(chosen, MOST_EVALUATED)), others, fitting, output),
        _find_random_floor(context, listed, fitting, output),
    )
    fidelity = Fidelity(
        n_specimens=len(some),
        split=split,
        explained_share=_measure(indices[:, :-1].sum(axis=1), indices.sum(axis=1), some.groups, seed),
        relative_error=_measure_error(some, maps, bank, seed),
        curves=_describe_curves(game, attributions, some.groups, chance),
        mu_fidelity=_describe_mu_fidelity(game, attributions, some.groups, chance),
        floors=[floor for floor in floors if floor is not None],
    )
    own, own_maps = leaves.take(chosen), arrays["maps"][chosen].astype(np.float32)
    completeness = _measure_completeness(head, own, own_maps, others, bank, output)
    return {"fidelity": fidelity.model_dump(mode="json"), "completeness": completeness.model_dump(mode="json")}, {}


# --- what is read --------------------------------------------------------------------------------------------


def _choose_specimens(listed: Sequence[Specimen]) -> tuple[list[int], str]:
    """Return the places of the specimens to try concepts on, and what they are."""
    held_out = [index for index, each in enumerate(listed) if each.split == "held-out"]
    if len(held_out) >= LEAST_HELD_OUT:
        return held_out, "held-out"
    return list(range(len(listed))), "training leaves included"


def _thin(chosen: list[int], most: int) -> list[int]:
    """Return at most so many, at a regular stride."""
    return chosen[:: max(1, -(-len(chosen) // most))]


def _open_head(context: Context) -> Head:
    if not context.model.affine_head:
        return Head(context, None, None)
    arrays = context.store.read_arrays("head.safetensors", stage="inspect")
    return Head(context, arrays["weight"], arrays["bias"])


def _read_family(context: Context, listed: Sequence[Specimen], output: int) -> Leaves:
    """Return what `extract` found of the family's specimens."""
    folder = f"families/{context.slug}"
    stored = context.store.map_arrays(f"{folder}/activations.safetensors", stage="extract")
    pooled = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")
    return Leaves(
        cells=stored["cells"].reshape(len(listed), *context.model.map_shape),
        pooled=pooled["pooled"],
        logits=pooled["logits"],
        prefix=pooled["prefix"] if context.model.prefix_matters else None,
        groups=[each.group for each in listed],
        outputs=np.full(len(listed), output),
    )


def _read_others(context: Context) -> Leaves:
    """Return the probe's specimens of other families."""
    record = context.store.read_json("probe.json", "probe", stage="probe")
    arrays = context.store.read_arrays("probe.safetensors", stage="probe")
    probe = Leaves(
        cells=arrays["cells"],
        pooled=arrays["pooled"],
        logits=arrays["logits"],
        prefix=arrays["prefix"] if context.model.prefix_matters else None,
        groups=record["groups"],
        outputs=np.array(record["outputs"], dtype=np.intp),
    )
    return probe.take([index for index, name in enumerate(record["families"]) if name != context.family.name])


# --- measures ------------------------------------------------------------------------------------------------


def _measure(numerators: Floats, denominators: Floats, groups: Sequence[str], seed: int) -> Measure:
    value, interval = bootstrap_ratio(numerators, denominators, groups, seed=seed)
    return Measure(value=value, interval=interval)


def _measure_mean(values: Floats, groups: Sequence[str], seed: int) -> Measure:
    return _measure(values, np.ones(len(values)), groups, seed)


def _measure_error(leaves: Leaves, maps: Floats, bank: Floats, seed: int) -> Measure:
    """Return the relative error, a root of a ratio of sums."""
    squared = _measure(*measure_errors(leaves.cells, maps, bank), leaves.groups, seed)
    low, high = squared.interval or (0.0, 0.0)
    interval = None if squared.interval is None else (float(np.sqrt(low)), float(np.sqrt(high)))
    return Measure(value=float(np.sqrt(squared.value)), interval=interval)


def _measure_proportion(is_so: NDArray[np.bool_], groups: Sequence[str]) -> Measure:
    """Return a proportion with Wilson's interval, in which leaves count, not pictures of them."""
    value, n_groups = float(is_so.mean()), len(set(groups))
    return Measure(value=value, interval=compute_wilson(value * n_groups, n_groups))


def _describe_curves(
    game: Game, attributions: dict[str, Floats], groups: Sequence[str], seed: int
) -> list[FidelityCurve]:
    """Return the curves of orders by falling attribution, (n_drawn, n_specimens, n_concepts) each."""
    orders = {
        name: np.concatenate([order_concepts(each) for each in drawn], axis=1) for name, drawn in attributions.items()
    }  # (n_specimens, n_drawn, n_concepts) each
    return [
        FidelityCurve.model_validate(
            {
                "order": name,
                "deletion": curves.deletion.mean(axis=0).tolist(),
                "insertion": curves.insertion.mean(axis=0).tolist(),
                "deletion_area": _measure_mean(curves.deletion.mean(axis=1), groups, seed),
                "insertion_area": _measure_mean(curves.insertion.mean(axis=1), groups, seed),
            }
        )
        for name, curves in trace_curves(game, orders).items()
    ]


def _describe_mu_fidelity(
    game: Game, attributions: dict[str, Floats], groups: Sequence[str], seed: int
) -> dict[str, Measure]:
    """Return µFidelity by attribution; none where no specimen defines it, as with a single concept."""
    _, n_specimens, n_concepts = attributions["contribution"].shape
    subsets = draw_subsets(n_concepts, n_subsets=N_SUBSETS, seed=seed)
    falls = measure_falls(game, subsets, n_specimens=n_specimens)
    found = {}
    for name, drawn in attributions.items():
        correlations = np.mean([correlate_subsets(each, falls, subsets) for each in drawn], axis=0)
        defined = np.flatnonzero(np.isfinite(correlations)).tolist()
        if defined:
            found[name] = _measure_mean(correlations[defined], [groups[index] for index in defined], seed)
    return found


def _measure_completeness(
    head: Head, own: Leaves, maps: Floats, others: Leaves, bank: Floats, output: int
) -> Completeness:
    """Return accuracies as things are and through the family's bank, of its own leaves and of other families'."""
    through = head.read_reconstructed(maps, bank, own.prefix).argmax(axis=1)
    found: dict[str, Any] = {
        "accuracy": _measure_proportion(own.logits.argmax(axis=1) == own.outputs, own.groups),
        "reconstructed_accuracy": _measure_proportion(through == own.outputs, own.groups),
        "n": len(own),
        "n_others": len(others),
    }
    if len(others):
        as_they_are = others.logits.argmax(axis=1)
        through = head.read_reconstructed(_encode(others.cells[:], bank), bank, others.prefix).argmax(axis=1)
        found |= {
            "others_accuracy": _measure_proportion(as_they_are == others.outputs, others.groups),
            "others_reconstructed_accuracy": _measure_proportion(through == others.outputs, others.groups),
            "others_taken": _measure_proportion(as_they_are == output, others.groups),
            "others_reconstructed_taken": _measure_proportion(through == output, others.groups),
        }
    return Completeness.model_validate(found)


def _encode(cells: Floats, bank: Floats) -> Floats:
    """Return coefficient maps, (n_specimens, rows, columns, n_concepts)."""
    return encode(cells.reshape(-1, cells.shape[3]), bank).reshape(*cells.shape[:3], len(bank))


# --- floors --------------------------------------------------------------------------------------------------


def _fit(context: Context, cells: Floats, n_concepts: int, method: Method) -> Floats | None:
    """Return a bank of (n_cells, n_channels) cells, fitted as the family's was; None where none can be fitted."""
    stride = max(1, -(-len(cells) // MOST_FLOOR_CELLS))
    try:
        return factorize(
            cells[::stride].astype(np.float32),
            n_concepts=n_concepts,
            seed=context.config.run.seed,
            max_iterations=context.config.concepts.max_iterations,
            tolerance=TOLERANCE,
            method=method,
            device="cpu",
        ).concept_bank
    except ActivationError:
        return None


def _find_shuffled_floor(
    context: Context, head: Head, own: Leaves, others: Leaves, fitting: Fitting, output: int
) -> Floor | None:
    """Return what a bank of other families' cells makes of this family's leaves."""
    seed = context.config.run.seed
    bank = _fit(context, others.cells[:].reshape(-1, others.cells.shape[3]), *fitting)
    if bank is None:
        return None
    maps = _encode(own.cells[:], bank)  # of at most so many leaves as are evaluated
    explained = None
    if head.weight is not None:
        indices, _, _ = head.measure_players(maps.mean(axis=(1, 2)), own.pooled, bank, output)
        explained = _measure(indices[:, :-1].sum(axis=1), indices.sum(axis=1), own.groups, seed)
    through = head.read_reconstructed(maps, bank, own.prefix).argmax(axis=1)
    return Floor(
        kind="shuffled-labels",
        explained_share=explained,
        relative_error=_measure_error(own, maps, bank, seed),
        accuracy=_measure_proportion(through == own.outputs, own.groups),
    )


def _find_random_floor(context: Context, listed: Sequence[Specimen], fitting: Fitting, output: int) -> Floor | None:
    """Return what a bank makes of a network that has learned nothing: fitted on half of the leaves, tried on others."""
    seed = context.config.run.seed
    try:
        classifier = _load_random_classifier(context)
    except ModelError:  # some networks do nothing to speak of before they are trained
        return None
    specimens = [listed[index] for index in _thin(list(range(len(listed))), N_RANDOM_WEIGHTS)]
    indices: list[int] = []

    def read() -> Iterator[NDArray[np.uint8]]:
        for index, _, fitted, _ in read_specimens(context, specimens, {}):
            indices.append(index)
            yield fitted

    def compute(images: Any) -> Any:
        maps = classifier.features(images)
        return maps, maps.mean(dim=(1, 2))

    answers = list(run_in_batches(read(), compute))
    groups = sorted({specimens[index].group for index in indices})
    fitted_on = set(groups[::2])
    first, second = (
        [place for place, index in enumerate(indices) if (specimens[index].group in fitted_on) == is_fitted]
        for is_fitted in (True, False)
    )
    cells = np.stack([maps for maps, _ in answers]) if answers else np.zeros(0)  # (n_specimens, rows, columns, …)
    if not first or not second or not np.isfinite(cells).all():
        return None
    bank = _fit(context, cells[first].reshape(-1, cells.shape[3]), *fitting)
    if bank is None:
        return None
    maps, pooled = _encode(cells[second], bank), np.stack([answers[place][1] for place in second])
    others = [specimens[indices[place]].group for place in second]
    weight, bias = classifier.head_weight, classifier.head_bias
    explained = None
    if context.model.affine_head and weight is not None and bias is not None:
        head = Head(context, weight.cpu().numpy(), bias.cpu().numpy())
        found, _, _ = head.measure_players(maps.mean(axis=(1, 2)), pooled, bank, output)
        explained = _measure(found[:, :-1].sum(axis=1), found.sum(axis=1), others, seed)
    blank = np.zeros((len(second), 0))
    tried = Leaves(cells[second], pooled, blank, None, others, np.full(len(second), output))
    return Floor(
        kind="random-weights", explained_share=explained, relative_error=_measure_error(tried, maps, bank, seed)
    )


def _load_random_classifier(context: Context) -> Classifier:
    """Return the classifier with random weights, made once a process."""
    classifier, seed = context.load_classifier(), context.config.run.seed
    known = _randomized.get(classifier)
    if known is None or known[0] != seed:
        known = _randomized[classifier] = (seed, randomize(classifier, seed))
    return known[1]
