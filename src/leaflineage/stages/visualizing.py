"""What `visualize` and `recurse` share: the family's spectrum, and drawing many directions in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.featviz.maco import visualize_concepts
from leaflineage.featviz.spectrum import Palette, estimate_spectrum
from leaflineage.images import encode_webp, fit_image
from leaflineage.stages.context import Context
from leaflineage.stages.reading import read_specimens

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating]
MAX_BATCH_PIXELS = 24 * 128 * 128  # of the crops that meet the network at once: bounds memory
MAX_SPECIMENS = 2000  # that a spectrum is taken from
LEAST_SIDE = 32  # px; smaller pictures are enlarged: a spectrum's slope is not to be had from them
QUALITY = 84


@dataclass(frozen=True)
class Sitter:
    """What a picture is to be made of: where it goes, its row of a bank, its seed."""

    path: str
    direction: Floats  # (n_channels,)
    seed: int


def estimate_family_spectrum(context: Context) -> tuple[Floats, Palette]:
    """Return magnitude spectrum and palette of the family's specimens, or of all."""
    config = context.config
    specimens = context.specimens if config.visualize.spectrum == "family" else context.list_used()
    chosen = specimens[:: -(-len(specimens) // MAX_SPECIMENS)]
    sides = sorted(max(each.width or config.visualize.size, each.height or config.visualize.size) for each in chosen)
    side = min(config.visualize.size, max(sides[len(sides) // 2], LEAST_SIDE))
    # As the classifier sees them, padding and all, but in the pictures' resolution.
    square = context.model.preprocessing.model_copy(update={"input_size": (side, side)})

    def read() -> Iterator[NDArray[np.uint8]]:
        for _, image, _, _ in read_specimens(context, chosen, {}):
            yield fit_image(image, preprocessing=square)[0]

    return estimate_spectrum(read, size=config.visualize.size)


def write_visualizations(
    context: Context,
    features: Callable[[Tensor], Tensor],
    sitters: Sequence[Sitter],
    magnitude_spectrum: Floats,
    palette: Palette,
    *,
    device: str,
) -> list[tuple[dict[str, Any], str]]:
    """Write one picture a sitter, colours in RGB, opacity in alpha; return what the atlas says of it, and its sha256.

    Parameters
    ----------
    features
        (n, 3, height, width) in [0, 1] → (n, rows, columns, n_channels), differentiable.
    """
    settings = context.config.visualize
    height, width = context.model.preprocessing.input_size
    n_batches = -(-len(sitters) // max(1, MAX_BATCH_PIXELS // (height * width * settings.crops)))
    n_slots = -(-len(sitters) // max(1, n_batches))
    written = []
    for start in range(0, len(sitters), n_slots):
        batch = list(sitters[start : start + n_slots])
        filled = batch + [batch[-1]] * (n_slots - len(batch))
        pictures = visualize_concepts(
            features,
            np.stack([sitter.direction for sitter in filled]),
            magnitude_spectrum,
            palette,
            input_size=context.model.preprocessing.input_size,
            steps=settings.steps,
            n_crops=settings.crops,
            seeds=[sitter.seed for sitter in filled],
            device=device,
        )
        for sitter, picture in zip(batch, pictures, strict=False):
            alpha = np.round(picture.opacity * 255).astype(np.uint8)
            content = encode_webp(np.dstack([picture.image, alpha]), quality=QUALITY)
            facts = {
                "image": sitter.path,
                "width": settings.size,
                "height": settings.size,
                "kind": "concept",
                "seed": sitter.seed,
                "steps": settings.steps,
                "objective": float(picture.objectives[-max(1, settings.steps // 10) :].mean()),
            }
            written.append((facts, context.store.write_bytes(sitter.path, content)))
    return written
