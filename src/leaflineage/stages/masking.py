"""What the classifier says of some leaves, and what its head says where concepts are switched off or on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaflineage.arrays import MappedArray
from leaflineage.concepts.fidelity import Game
from leaflineage.concepts.importance import compute_exact_importances
from leaflineage.stages.context import Context
from leaflineage.stages.rank import MaskedHead, choose_batch_size

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Leaves:
    """What the classifier says of some specimens.

    Attributes
    ----------
    cells
        (n_specimens, rows, columns, n_channels); a family's are read from its activations when they are asked for.
    pooled
        (n_specimens, n_channels).
    logits
        (n_specimens, n_outputs).
    prefix
        (n_specimens, n_prefix_tokens, n_channels); None where the head does not read it.
    groups
        One a specimen.
    outputs
        (n_specimens,): the right output of each.
    """

    cells: Floats | MappedArray
    pooled: Floats
    logits: Floats
    prefix: Floats | None
    groups: list[str]
    outputs: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, chosen: Sequence[int]) -> Leaves:
        """Return some of them."""
        index = np.asarray(chosen, dtype=np.intp)
        prefix = None if self.prefix is None else self.prefix[index]
        groups = [self.groups[each] for each in index]
        cells = self.cells.pick(index) if isinstance(self.cells, MappedArray) else self.cells[index]
        return Leaves(cells, self.pooled[index], self.logits[index], prefix, groups, self.outputs[index])


@dataclass(frozen=True)
class Head:
    """The classifier's second part, in closed form where it is affine after pooling.

    Attributes
    ----------
    weight, bias
        (n_outputs, n_channels) and (n_outputs,); None where the head has to be evaluated.
    """

    context: Context
    weight: Floats | None
    bias: Floats | None

    def measure_players(
        self, coefficients: Floats, pooled: Floats, bank: Floats, output: int
    ) -> tuple[Floats, Floats, float]:
        """Return total Sobol indices and contributions, (n_specimens, n_players), and the bias, of an affine head."""
        assert self.weight is not None, "asked of affine heads only"
        assert self.bias is not None, "asked of affine heads only"
        found = compute_exact_importances(
            coefficients, pooled, bank, head_weight=self.weight, head_bias=self.bias, output=output
        )
        return found.indices[0], found.contributions[:, :, output], float(found.biases[output])

    def read_reconstructed(self, maps: Floats, bank: Floats, prefix: Floats | None) -> Floats:
        """Return (n_specimens, n_outputs) logits of what coefficient maps become through a bank."""
        if self.weight is not None and self.bias is not None:
            pooled: Floats = maps.mean(axis=(1, 2), dtype=np.float64) @ bank
            return pooled @ self.weight.T.astype(np.float64) + self.bias
        if self.context.model.pools_first:
            maps = _pool(maps)
        size = choose_batch_size(self.context.model)
        parts = [
            self._evaluate(
                maps[start : start + size] @ bank, None if prefix is None else prefix[start : start + size], size
            )
            for start in range(0, len(maps), size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.context.model.n_outputs))

    def make_game(self, leaves: Leaves, maps: Floats, bank: Floats, output: int) -> Game:
        """Return the game of a head that has to be evaluated: centred logits at masked sums of concepts and rest."""
        classifier, size = self.context.load_classifier(), choose_batch_size(self.context.model)
        whole = leaves.pooled[:, None, None] if self.context.model.pools_first else leaves.cells
        masked = MaskedHead(
            classifier.head,
            bank,
            maps=_pool(maps) if self.context.model.pools_first else maps,
            read=whole.__getitem__,
            prefix=leaves.prefix,
            device=str(classifier.device),
        )

        def play(specimen: int, masks: Floats) -> Floats:
            answers = []
            for start in range(0, len(masks), size):
                some = masks[start : start + size]
                logits = masked(specimen, _fill(some, size))[: len(some)].astype(np.float64)
                answers.append(logits[:, output] - logits.mean(axis=1))
            return np.concatenate(answers)

        return play

    def _evaluate(self, maps: Floats, prefix: Floats | None, size: int) -> Floats:
        """Return the logits of at most ``size`` maps, filled up to exactly as many: bits do not depend on the count."""
        import torch

        head = self.context.load_classifier().head
        tokens = None if prefix is None else torch.from_numpy(_fill(prefix, size))
        with torch.inference_mode():
            logits = head(torch.from_numpy(_fill(maps, size)), tokens)
        answers: Floats = logits[: len(maps)].double().cpu().numpy()
        return answers


def _pool(maps: Floats) -> Floats:
    """Return maps as a head wants them that begins by pooling: one cell, their mean."""
    mean: Floats = maps.mean(axis=(1, 2), dtype=np.float32)
    return mean[:, None, None]


def _fill(rows: Floats, size: int) -> NDArray[np.float32]:
    """Return rows with as many of zeros after them as make ``size``."""
    filled = np.zeros((size, *rows.shape[1:]), dtype=np.float32)
    filled[: len(rows)] = rows
    return filled
