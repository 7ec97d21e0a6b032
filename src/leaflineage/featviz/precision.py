"""Whether a network may answer in bfloat16 while pictures are drawn: if it reaches the same objective at the start.

MACO is chaotic: rounding alone gives another picture after a few steps, so pixels of two precisions cannot be compared.
What they reach can: the same pictures are begun in both, and the lower precision serves where its mean objective over
the last of a few steps is within a twentieth of the other's. Phases, colours and objectives stay in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leaflineage.featviz.maco import visualize_concepts
from leaflineage.featviz.spectrum import Palette

Floats = NDArray[np.floating]
Features = Callable[[Tensor], Tensor]
N_CHECKED = 12  # steps in both precisions
N_COMPARED = 4  # of them, the last
FIRST_CAPABILITY = (8, 0)  # of a CUDA device that computes in bfloat16
TOLERANCE = 0.05  # relative, between the mean objectives


def can_reduce(device: str) -> bool:
    """Tell whether bfloat16 is a gain on a device: on CUDA that computes in it; on a CPU it took 1.4 times as long."""
    return torch.device(device).type == "cuda" and torch.cuda.get_device_capability(device) >= FIRST_CAPABILITY


def reduce_precision(features: Features, device: str) -> Features:
    """Return the features in bfloat16 where autocast thinks it safe, with float32 at both ends."""
    kind = torch.device(device).type

    def reduced(images: Tensor) -> Tensor:
        # Without autocast's cache of cast weights, which a captured graph would read after it was emptied.
        with torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=False):
            maps = features(images)
        return maps.float()

    return reduced


def is_enough(
    plain: Features,
    reduced: Features,
    directions: Floats,
    magnitude_spectrum: Floats,
    palette: Palette,
    *,
    input_size: tuple[int, int],
    n_crops: int,
    seeds: Sequence[int],
    cosine_power: float,
    device: str,
) -> bool:
    """Tell whether a few steps of some pictures reach with the reduced features what they do with the plain ones.

    Parameters
    ----------
    plain, reduced
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels) float32, differentiable.
    directions, seeds
        Of the pictures that are begun. The others as ``visualize_concepts`` takes them.
    """

    def reach(features: Features) -> float:
        begun = visualize_concepts(
            features,
            directions,
            magnitude_spectrum,
            palette,
            input_size=input_size,
            steps=N_CHECKED,
            n_crops=n_crops,
            n_slots=len(directions),
            patience=None,
            seeds=seeds,
            repelled_from=[None] * len(directions),
            cosine_power=cosine_power,
            device=device,
        )
        return float(np.mean([picture.objectives[-N_COMPARED:] for picture in begun]))

    wanted, found = reach(plain), reach(reduced)
    return abs(found - wanted) <= TOLERANCE * abs(wanted)
