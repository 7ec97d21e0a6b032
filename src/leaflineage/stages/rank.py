"""Find how much each concept of a family matters: total Sobol indices, shares, signed contributions, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.bootstrap import draw_counts, draw_scramblings, resample_mean, take_interval
from leaflineage.concepts.importance import (
    SpecimenImportances,
    compute_exact_importances,
    compute_sampled_importances,
)
from leaflineage.concepts.intervals import compute_wilson
from leaflineage.records import ModelRecord
from leaflineage.stages.context import Context

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating]
BATCH_SIZE = 128  # pooled activations that meet the head at once
BATCH_BYTES = 4 * 2**20  # of feature maps likewise, where the head does not begin by pooling
LEAST_DOMINATED = 5  # specimens, below which nobody speaks of reliability


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write each concept's index, share, contribution, prevalence and reliability, and the rest's; each an interval."""
    folder, seed = f"families/{context.slug}", context.config.run.seed
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    concepts = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")
    arrays = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")
    stored = context.store.read_arrays(f"{folder}/pooled.safetensors", stage="extract")
    output = context.family.output_index
    assert output is not None, "families without an output are not built"
    prefix = stored["prefix"] if context.model.prefix_matters else None
    found = compute_importances(context, arrays, stored["pooled"], output, prefix=prefix)
    group_of = {each.id: each.group for each in context.specimens}
    groups = [group_of[each] for each in record["specimens"]]
    counts = draw_counts(groups, seed=seed)  # one set of draws for all that follows
    indices = found.mean_indices
    own = found.contributions[:, :, output].astype(np.float64)
    mean, draws = _average_indices(found.indices, counts, seed=seed)
    ids = concepts["ids"]
    order = sorted(range(len(ids)), key=lambda index: (-float(f"{mean[index]:.6g}"), ids[index]))
    shown = order[: min(context.config.atlas.n_shown, len(ids))]
    right = stored["logits"].argmax(axis=1) == output
    summary = {
        **_take_spans("total_sobol_index", "interval", mean, draws),
        **_take_spans("share", "share_interval", _compute_shares(mean[None])[0], _compute_shares(draws)),
        **_take_spans("contribution", "contribution_interval", own.mean(axis=0), resample_mean(own, counts)),
    }
    silent = indices.sum(axis=1) == 0
    dominant = np.where(silent, -1, indices[:, :-1].argmax(axis=1))
    residual = {key: values[-1] for key, values in summary.items()}
    low, high = residual["share_interval"]
    bias, bias_interval = _summarise_bias(found.biases, output, counts)
    payload: dict[str, Any] = {
        "exact": found.exact,
        "n_evaluations": found.n_evaluations,
        "n_groups": len(set(groups)),
        "n_silent": int(silent.sum()),  # specimens whose logit no player moves; left out of the mean indices
        "shown": [ids[index] for index in shown],
        "concepts": [
            {
                "id": ids[index],
                "rank": order.index(index) + 1,
                **{key: values[index] for key, values in summary.items()},
                **_describe_dominated(dominant == index, right, groups),
            }
            for index in range(len(ids))
        ],
        "residual": residual,
        "rest": {
            **_summarise_rest(mean, draws, own, counts, shown),
            "residual_share": residual["share"],
            "residual_interval": residual["share_interval"],
        },
        "explained_interval": [1 - high, 1 - low],
        "bias": bias,
        "bias_interval": bias_interval,
    }
    name = f"{folder}/importance.safetensors"
    lows, highs = _bound_contributions(found.contributions, counts)
    sha256 = context.store.write_arrays(
        name,
        {
            "indices": indices.astype(np.float32),
            "contributions": own.astype(np.float32),
            "mean_contributions": found.contributions.mean(axis=0, dtype=np.float64).astype(
                np.float32
            ),  # (n_players, n_outputs)
            "contributions_low": lows,
            "contributions_high": highs,
        },
    )
    return payload, {name: sha256}


# --- numbers of a family, with intervals ------------------------------------------------------------------------


def _average_indices(values: Floats, counts: Floats, *, seed: int) -> tuple[Floats, Floats]:
    """Return the mean index (n_players,) over specimens whose logit moves, and the same in each draw."""
    counted = np.flatnonzero(values.mean(axis=0).sum(axis=1) > 0)
    if not len(counted):
        return np.zeros(values.shape[2]), np.zeros((1, values.shape[2]))
    scramblings = draw_scramblings(len(values), seed=seed)
    draws = resample_mean(values[:, counted], counts[:, counted], scramblings)
    return np.clip(values[:, counted].mean(axis=(0, 1)), 0, 1), np.clip(draws, 0, 1)


def _compute_shares(indices: Floats) -> Floats:
    """Return each player's part of the sum of all, a row each; all of it is the residual's where no player moves."""
    total = indices.sum(axis=1, keepdims=True)
    nothing = np.zeros_like(indices)
    nothing[:, -1] = 1
    shares: Floats = np.divide(indices, total, out=nothing, where=total > 0)
    return shares


def _take_spans(name: str, interval: str, estimate: Floats, draws: Floats) -> dict[str, list[Any]]:
    """Return numbers, one a player, and their intervals, by the names a record gives them."""
    low, high = take_interval(draws, estimate)
    return {
        name: [float(each) for each in estimate],
        interval: [[float(each), float(other)] for each, other in zip(low, high, strict=True)],
    }


def _summarise_rest(mean: Floats, draws: Floats, own: Floats, counts: Floats, shown: Sequence[int]) -> dict[str, Any]:
    """Return share and contribution of all that is not shown: the residual and the other fitted concepts."""
    others = [index for index in range(len(mean)) if index not in shown]
    shares, drawn = _compute_shares(mean[None]), _compute_shares(draws)
    share = _take_spans(
        "share", "share_interval", shares[:, others].sum(axis=1), drawn[:, others].sum(axis=1, keepdims=True)
    )
    rest = own[:, others].sum(axis=1, keepdims=True)  # (n_specimens, 1)
    contribution = _take_spans("contribution", "contribution_interval", rest.mean(axis=0), resample_mean(rest, counts))
    return {key: values[0] for key, values in {**share, **contribution}.items()}


def _describe_dominated(
    dominated: NDArray[np.bool_], right: NDArray[np.bool_], groups: Sequence[str]
) -> dict[str, Any]:
    """Return prevalence and reliability of a concept, with Wilson's intervals: leaves count, not pictures of them."""
    n_dominated = int(dominated.sum())
    prevalence = float(dominated.mean())
    n_groups = len(set(groups))
    found: dict[str, Any] = {
        "n_dominated": n_dominated,
        "prevalence": prevalence,
        "prevalence_interval": compute_wilson(prevalence * n_groups, n_groups),
        "reliability": None,
        "reliability_interval": None,
    }
    if n_dominated >= LEAST_DOMINATED:
        reliability = float(right[dominated].mean())
        n_groups = len({group for group, its in zip(groups, dominated, strict=True) if its})
        found["reliability"] = reliability
        found["reliability_interval"] = compute_wilson(reliability * n_groups, n_groups)
    return found


def _summarise_bias(biases: Floats, output: int, counts: Floats) -> tuple[float, list[float] | None]:
    """Return the family's bias and its interval, None where it is the same for every specimen."""
    if biases.ndim == 1:
        return float(biases[output]), None
    own = biases[:, output, None]
    if np.ptp(own) == 0:
        return float(own[0, 0]), None
    low, high = take_interval(resample_mean(own, counts), own.mean(axis=0))
    return float(own.mean()), [float(low[0]), float(high[0])]


def _bound_contributions(contributions: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return low and high ends of the mean contributions to every output, (n_players, n_outputs) float32 each."""
    ends = [
        take_interval(resample_mean(each, counts), each.mean(axis=0, dtype=np.float64))
        for each in np.moveaxis(contributions, 1, 0)  # a player at a time: (n_specimens, n_outputs)
    ]
    return np.stack([low for low, _ in ends]).astype(np.float32), np.stack([high for _, high in ends]).astype(
        np.float32
    )


# --- importances of specimens -----------------------------------------------------------------------------------


def compute_importances(
    context: Context,
    arrays: dict[str, NDArray[Any]],
    pooled: Floats,
    output: int,
    *,
    prefix: Floats | None,
    cells: Floats | None = None,
    half_width: float | None = None,
) -> SpecimenImportances:
    """Return exact importances where the head is affine after pooling, sampled ones elsewhere.

    Parameters
    ----------
    arrays
        ``concept_bank``, ``coefficients`` and ``maps``.
    pooled
        (n_specimens, n_channels).
    prefix
        (n_specimens, n_prefix_tokens, n_channels), kept as they are while cells are masked; None where the head reads
        cells alone.
    cells
        (n_specimens, rows, columns, n_channels), where the head does not begin by pooling; read from the family's
        activations, a specimen at a time, unless given.
    half_width
        Wanted of sampled ones; as the config says unless given.
    """
    bank, coefficients, maps = arrays["concept_bank"], arrays["coefficients"], arrays["maps"]
    if context.model.affine_head:
        head = context.store.read_arrays("head.safetensors", stage="inspect")
        return compute_exact_importances(
            coefficients, pooled, bank, head_weight=head["weight"], head_bias=head["bias"], output=output
        )
    classifier, settings = context.load_classifier(), context.config.importance
    if context.model.pools_first:
        maps, read = coefficients[:, None, None], lambda index: pooled[index, None, None]
    elif cells is not None:
        read = cells.__getitem__
    else:
        read = _open_maps(context, maps.shape[1:3])
    return compute_sampled_importances(
        MaskedHead(classifier.head, bank, maps=maps, read=read, prefix=prefix, device=str(classifier.device)),
        n_specimens=len(maps),
        n_players=len(bank) + 1,
        output=output,
        batch_size=choose_batch_size(context.model),
        half_width=settings.half_width if half_width is None else half_width,
        max_evaluations=settings.max_evaluations,
        seed=context.config.run.seed,
    )


def choose_batch_size(model: ModelRecord) -> int:
    """Return how many masked maps meet the head at once: one number a classifier, so that bits depend on no more."""
    rows, columns, n_channels = model.map_shape
    if model.pools_first:
        return BATCH_SIZE
    return max(1, min(BATCH_SIZE, BATCH_BYTES // (4 * rows * columns * n_channels)))


class MaskedHead:
    """The head's answers where players of a specimen are masked; holds one specimen's maps at a time.

    A masked map is (mask ∘ coefficient cells) · bank + m_r · residual map. Where the head begins by pooling, a map is
    its one mean cell.

    Parameters
    ----------
    head
        (maps (n, rows, columns, n_channels), prefix) → (n, n_outputs) logits.
    bank
        (n_concepts, n_channels).
    maps
        (n_specimens, rows, columns, n_concepts) coefficients.
    read
        Specimen index → (rows, columns, n_channels): its feature map.
    prefix
        (n_specimens, n_prefix_tokens, n_channels), or None.
    device
        As torch names it.
    """

    def __init__(
        self,
        head: Callable[[Tensor, Tensor | None], Tensor],
        bank: Floats,
        *,
        maps: Floats,
        read: Callable[[int], Floats],
        prefix: Floats | None,
        device: str,
    ) -> None:
        import torch

        self._head, self._maps, self._read, self._prefix = head, maps, read, prefix
        self._device = torch.device(device)
        self._bank = torch.from_numpy(bank.astype(np.float32)).to(self._device)
        self._specimen: tuple[int, Tensor, Tensor] | None = None

    def __call__(self, index: int, masks: Floats) -> Floats:
        """Return the logits (n_masks, n_outputs) of a specimen whose players are scaled by masks, the residual last."""
        import torch

        with torch.inference_mode():
            coefficients, residual = self._open_specimen(index)
            each = torch.from_numpy(masks.astype(np.float32)).to(self._device)[:, None, None]
            masked = (each[..., :-1] * coefficients) @ self._bank  # (n_masks, rows, columns, n_channels)
            masked.addcmul_(each[..., -1:], residual)  # in place: no second batch of maps
            prefix = None
            if self._prefix is not None:
                own = torch.from_numpy(self._prefix[index].astype(np.float32)).to(self._device)
                prefix = own.expand(len(masks), *own.shape)
            logits: Floats = self._head(masked, prefix).float().cpu().numpy()
            return logits

    def _open_specimen(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a specimen's coefficient map and residual map."""
        import torch

        if self._specimen is None or self._specimen[0] != index:
            coefficients = torch.from_numpy(self._maps[index].astype(np.float32)).to(self._device)
            whole = torch.from_numpy(np.asarray(self._read(index)).astype(np.float32)).to(self._device)
            self._specimen = (index, coefficients, whole - coefficients @ self._bank)
        return self._specimen[1:]


def _open_maps(context: Context, size: tuple[int, ...]) -> Callable[[int], Floats]:
    """Return what reads a specimen's feature map (rows, columns, n_channels) from the family's activations."""
    cells = context.store.map_arrays(f"families/{context.slug}/activations.safetensors", stage="extract")["cells"]
    return cells.reshape(-1, *size, cells.shape[-1]).__getitem__
