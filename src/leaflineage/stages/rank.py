"""Find how much each concept of a family matters: total Sobol indices, shares, signed contributions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.importance import (
    SpecimenImportances,
    bootstrap_mean,
    compute_exact_importances,
    compute_sampled_importances,
)
from leaflineage.stages.context import Context
from leaflineage.stages.reading import BATCH_SIZE

Floats = NDArray[np.floating]


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write each concept's index, interval, share, contribution, prevalence and reliability."""
    folder, seed = f"families/{context.slug}", context.config.run.seed
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    concepts = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    pooled = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")
    output = context.family.output_index
    assert output is not None, "families without an output are not built"
    found = compute_importances(context, arrays, pooled["pooled"], output)
    group_of = {each.id: each.group for each in context.specimens}
    indices = found.indices.mean(axis=0)  # (n_specimens, n_players)
    counted = np.flatnonzero(indices.sum(axis=1) > 0)
    n_silent = len(indices) - len(counted)
    mean = low = high = np.zeros(indices.shape[1])
    if len(counted):
        mean = indices[counted].mean(axis=0)
        groups = [group_of[record["specimens"][index]] for index in counted]
        low, high = bootstrap_mean(found.indices[:, counted], groups, seed=seed)
    total = float(mean.sum())
    shares = mean / total if total > 0 else np.eye(len(mean))[-1]
    own = found.contributions[:, :, output]
    right = pooled["logits"].argmax(axis=1) == output
    dominant = np.where(indices.sum(axis=1) > 0, indices[:, :-1].argmax(axis=1), -1)
    ids = concepts["ids"]
    order = sorted(range(len(ids)), key=lambda index: (-float(f"{mean[index]:.6g}"), ids[index]))
    n_shown = min(context.config.atlas.n_shown, len(ids))
    payload: dict[str, Any] = {
        "exact": found.exact,
        "n_evaluations": found.n_evaluations,
        "n_silent": n_silent,  # specimens whose logit no player moves; left out of the means
        "shown": [ids[index] for index in order[:n_shown]],
        "concepts": [
            {
                "id": ids[index],
                "rank": order.index(index) + 1,
                "total_sobol_index": mean[index],
                "interval": [min(low[index], mean[index]), max(high[index], mean[index])],
                "share": shares[index],
                "contribution": own[:, index].mean(),
                "prevalence": float((dominant == index).mean()),
                "reliability": float(right[dominant == index].mean()) if (dominant == index).sum() >= 5 else None,
            }
            for index in range(len(ids))
        ],
        "residual": {"share": shares[-1], "contribution": own[:, -1].mean(), "total_sobol_index": mean[-1]},
        "bias": float(np.broadcast_to(found.biases, (len(own), found.biases.shape[-1]))[:, output].mean()),
    }
    name = f"{folder}/importance.safetensors"
    sha256 = context.store.write_arrays(
        name,
        {
            "indices": indices.astype(np.float32),
            "contributions": own.astype(np.float32),
            "mean_contributions": found.contributions.mean(axis=0).astype(np.float32),  # (n_players, n_outputs)
        },
    )
    return payload, {name: sha256}


def compute_importances(
    context: Context, arrays: dict[str, NDArray[Any]], pooled: Floats, output: int, *, cells: Floats | None = None
) -> SpecimenImportances:
    """Return exact importances where the head is affine after pooling, sampled ones elsewhere.

    Parameters
    ----------
    arrays
        ``concept_bank``, ``coefficients`` and ``maps``.
    pooled
        (n_specimens, n_channels).
    cells
        (n_specimens, rows, columns, n_channels), where the head does not begin by pooling; read from the family's
        activations unless given.
    """
    bank, coefficients = arrays["concept_bank"], arrays["coefficients"]
    if context.model.affine_head:
        head = context.store.read_arrays("head.safetensors", stage="inspect")
        return compute_exact_importances(
            coefficients, pooled, bank, head_weight=head["weight"], head_bias=head["bias"], output=output
        )
    settings = context.config.importance
    players, evaluate = _make_players(context, arrays, pooled, cells)
    return compute_sampled_importances(
        players,
        evaluate,
        n_specimens=len(coefficients),
        output=output,
        half_width=settings.half_width,
        max_evaluations=settings.max_evaluations,
        seed=context.config.run.seed,
    )


def _make_players(
    context: Context, arrays: dict[str, NDArray[Any]], pooled: Floats, cells: Floats | None
) -> tuple[Any, Any]:
    """Return what each mask scales, and the head at a masked sum; pooled first where the head begins by pooling."""
    import torch

    classifier = context.load_classifier()
    bank, coefficients, maps = arrays["concept_bank"], arrays["coefficients"], arrays["maps"]
    if context.model.pools_first:
        cells = None
    elif cells is None:
        stored = context.store.read_arrays(f"families/{context.slug}/activations.safetensors", stage="extract")
        cells = stored["cells"].reshape(*maps.shape[:3], -1)

    def players(index: int) -> Floats:
        if cells is None:
            each = coefficients[index, :, None] * bank  # (n_concepts, n_channels)
            whole = pooled[index]
        else:
            each = np.moveaxis(maps[index].astype(np.float32), -1, 0)[..., None] * bank[:, None, None]
            whole = cells[index].astype(np.float32)
        everything: Floats = np.concatenate([each, (whole - each.sum(axis=0))[None]])
        return everything if cells is not None else everything[:, None, None]  # (n_players, rows, columns, channels)

    def evaluate(masks: Floats, each: Floats) -> Floats:
        flat = each.reshape(len(each), -1)
        logits = []
        with torch.inference_mode():
            for start in range(0, len(masks), BATCH_SIZE * 8):
                batch = masks[start : start + BATCH_SIZE * 8].astype(np.float32)
                filled = np.zeros((BATCH_SIZE * 8, batch.shape[1]), dtype=np.float32)
                filled[: len(batch)] = batch
                summed = torch.from_numpy((filled @ flat).reshape(-1, *each.shape[1:]))
                scores = classifier.head(summed.to(classifier.device)).float().cpu().numpy()
                logits.append(scores[: len(batch)])
        return np.concatenate(logits).astype(np.float64)

    return players, evaluate
