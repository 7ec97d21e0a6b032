"""Score pictures against real crops, and find the crop that an accentuation starts from.

The real crops of a concept are the squares that `illustrate` cuts, around each leaf's strongest cell, of at most
``N_LEAVES`` leaves, from the strongest to the weakest. Crops and squares of pictures are enlarged to the input alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.crops import centre_box, find_top_cells
from leaflineage.concepts.encoding import encode
from leaflineage.featviz.scoring import fit_guess, guess, measure_percentile, place_squares, rank_own
from leaflineage.images import Box, cut_image, decode_colours, fit_image
from leaflineage.records import Preprocessing, Specimen
from leaflineage.stages.context import Context, choose_device
from leaflineage.stages.pictures import find_centre
from leaflineage.stages.reading import read_specimens, run_in_batches

if TYPE_CHECKING:
    from torch import Tensor

    from leaflineage.model.split import Classifier

Floats = NDArray[np.floating]
Pixels = NDArray[np.uint8]
N_LEAVES = 50  # a concept
N_DECIMALS = 1  # of a percentile


@dataclass(frozen=True)
class RealCrop:
    """A square of a specimen, around its strongest cell of a concept."""

    specimen: Specimen
    box: Box
    image: Pixels  # (side, side, 3)


@dataclass(frozen=True)
class Verdict:
    """What is found of one picture.

    Attributes
    ----------
    score
        As the atlas has it; None where the concept is on no leaf of the family.
    pooled
        (n_channels,) float32: pooled activations, the mean over its squares.
    """

    score: dict[str, float] | None
    pooled: Floats


class Judge:
    """Scores pictures of one family's concepts.

    Parameters
    ----------
    listed
        The family's specimens, in the order of ``maps``.
    bank
        (n_concepts, n_channels).
    maps
        (n_specimens, rows, columns, n_concepts).
    rows
        Those of the bank that are judged.
    second
        Another classifier, whose opinion is asked too; None where there is none.

    Attributes
    ----------
    crops
        The real crops of each row, from the strongest cell to the weakest.
    """

    def __init__(
        self,
        context: Context,
        classifier: Classifier,
        listed: Sequence[Specimen],
        bank: Floats,
        maps: Floats,
        rows: Sequence[int],
        second: Classifier | None,
    ) -> None:
        self._classifier, self._bank, self._second = classifier, bank, second
        self.crops = _cut_crops(context, listed, maps, rows)
        squares = [crop.image for row in rows for crop in self.crops[row]]
        coefficients = self._look(squares)[0]
        of_row = np.repeat(rows, [len(self.crops[row]) for row in rows])
        self._real = {row: coefficients[of_row == row, row] for row in rows}
        if second is not None and squares:
            pooled = _pool(second, squares)
            self._guess = fit_guess(pooled, coefficients)
            guessed = guess(pooled, self._guess)
            self._guessed = {row: guessed[of_row == row, row] for row in rows}

    def judge(self, pictures: Sequence[Sequence[Pixels]], rows: Sequence[int]) -> list[Verdict]:
        """Return what is found of pictures, each given by its squares and its row of the bank."""
        squares = [square for each in pictures for square in each]
        of_picture = np.repeat(np.arange(len(pictures)), [len(each) for each in pictures])
        coefficients, pooled = self._look(squares)
        guessed = None
        if self._second is not None and any(len(real) for real in self._real.values()):
            guessed = guess(_pool(self._second, squares), self._guess)
        verdicts = []
        for index, row in enumerate(rows):
            own, score = of_picture == index, None
            if len(self._real[row]):
                score = {
                    "percentile": round(measure_percentile(coefficients[own, row], self._real[row]), N_DECIMALS),
                    "own_rank": rank_own(coefficients[own], row),
                }
                if guessed is not None:
                    transfer = measure_percentile(guessed[own, row], self._guessed[row])
                    score["transfer"] = round(transfer, N_DECIMALS)
            verdicts.append(Verdict(score, pooled[own].mean(axis=0)))
        return verdicts

    def _look(self, squares: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """Return coefficients (n, n_concepts), means over cells, and pooled activations (n, n_channels)."""
        inputs = _enlarge(squares, self._classifier.record.preprocessing)
        coefficients, pooled = np.zeros((len(squares), len(self._bank))), np.zeros((len(squares), self._bank.shape[1]))
        for index, (cells,) in enumerate(run_in_batches(inputs, lambda images: (self._classifier.features(images),))):
            coefficients[index] = encode(cells.reshape(-1, cells.shape[-1]), self._bank).mean(axis=0)
            pooled[index] = cells.mean(axis=(0, 1))
        return coefficients, pooled.astype(np.float32)


def judge_family(classifier: Classifier, squares: Sequence[Pixels], logits: Floats, output: int) -> dict[str, float]:
    """Return the score of a family's picture: its centred logit against those of the family's specimens.

    Parameters
    ----------
    squares
        Of the picture.
    logits
        (n_specimens, n_outputs) of the family's specimens.
    """
    answers = run_in_batches(
        _enlarge(squares, classifier.record.preprocessing), lambda images: (classifier.logits(images),)
    )
    own = np.stack([answer for (answer,) in answers]).astype(np.float64)
    centred = own - own.mean(axis=1, keepdims=True)
    real = logits[:, output].astype(np.float64) - logits.astype(np.float64).mean(axis=1)
    return {
        "percentile": round(measure_percentile(centred[:, output], real), N_DECIMALS),
        "own_rank": rank_own(centred, output),
    }


def judge_subconcepts(
    features: Callable[[Tensor], Tensor],
    preprocessing: Preprocessing,
    pictures: Sequence[Sequence[Pixels]],
    bank: Floats,
    real: Floats,
) -> list[dict[str, float]]:
    """Return the scores of pictures of a concept's sub-concepts, against the squares that the concept was divided on.

    Parameters
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels) at the earlier layer.
    pictures
        Each by its squares, in the order of the bank.
    bank
        (n_subconcepts, n_channels).
    real
        (n_squares, n_subconcepts): coefficients of the real squares, means over cells.
    """
    inputs = _enlarge((square for each in pictures for square in each), preprocessing)
    answers = run_in_batches(inputs, lambda images: (features(images),))
    found = np.stack([encode(cells.reshape(-1, cells.shape[-1]), bank).mean(axis=0) for (cells,) in answers])
    of_picture = np.repeat(np.arange(len(pictures)), [len(each) for each in pictures])
    return [
        {
            "percentile": round(measure_percentile(found[of_picture == part, part], real[:, part]), N_DECIMALS),
            "own_rank": rank_own(found[of_picture == part], part),
        }
        for part in range(len(pictures))
    ]


def load_second_classifier(context: Context) -> Classifier | None:
    """Return the classifier that pictures are shown to beside the one they were made for, None where none is named."""
    path = context.config.visualize.transfer_classifier
    if path is None:
        return None
    sha256 = context.hash_second_classifier()
    return _load_second(str(path), sha256, choose_device(context.config.run.device))


@cache
def _load_second(source: str, sha256: str | None, device: str) -> Classifier:
    """Return it, loaded once a process; none of its outputs is read, so they may have any names."""
    from leaflineage.model.load import load_classifier

    return load_classifier(
        source,
        architecture=None,
        label_names=["not read"],
        catalogue_families=(),
        input_size=None,
        mean=None,
        std=None,
        interpolation=None,
        fit="squash",
        pad_colour=(255, 255, 255),
        trust_names=True,
        device=device,
    )


def read_squares(context: Context, path: str, *, sides: tuple[float, ...]) -> list[Pixels]:
    """Return the squares of a picture as it lies in the run, its opacity left aside: what was optimised is judged."""
    image = decode_colours(context.store.path(path))
    return [cut_image(image, box) for box in place_squares(len(image), sides=sides)]


def _cut_crops(
    context: Context, listed: Sequence[Specimen], maps: Floats, rows: Sequence[int]
) -> dict[int, list[RealCrop]]:
    """Return each row's real crops, from the strongest cell to the weakest; every picture is read once."""
    groups = [each.group for each in listed]
    tops = find_top_cells(maps[..., list(rows)].astype(np.float32), groups, n_crops=len(listed))
    cells = [found[:: max(1, -(-len(found) // N_LEAVES))] for found in tops]
    wanted: dict[int, list[tuple[int, int, int, int]]] = {}
    for place, found in enumerate(cells):
        for number, (index, row, column, _) in enumerate(found):
            wanted.setdefault(index, []).append((place, number, row, column))
    order = sorted(wanted)
    crops: list[dict[int, RealCrop]] = [{} for _ in rows]
    side = context.config.concepts.crop_side
    for position, image, _, frame in read_specimens(context, [listed[index] for index in order], {}):
        height, width = image.shape[:2]
        for place, number, row, column in wanted[order[position]]:
            x, y = find_centre(frame, (row, column), (maps.shape[1], maps.shape[2]))
            box = centre_box(x, y, width, height, crop_side=side)
            crops[place][number] = RealCrop(listed[order[position]], box, cut_image(image, box))
    return {row: [found[number] for number in sorted(found)] for row, found in zip(rows, crops, strict=True)}


def _enlarge(squares: Iterable[Pixels], preprocessing: Preprocessing) -> Iterable[Pixels]:
    squashed = preprocessing.model_copy(update={"fit": "squash"})
    return (fit_image(square, preprocessing=squashed)[0] for square in squares)


def _pool(classifier: Classifier, squares: Sequence[Pixels]) -> Floats:
    """Return (n, n_channels): a classifier's own pooled activations of squares."""
    inputs = _enlarge(squares, classifier.record.preprocessing)
    answers: Any = run_in_batches(inputs, lambda images: (classifier.features(images).mean(dim=(1, 2)),))
    return np.stack([pooled for (pooled,) in answers])
