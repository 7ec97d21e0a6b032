"""Draw each shown concept of a family by MACO, several in one batch of fixed shape."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.featviz.maco import visualize_concepts
from leaflineage.featviz.spectrum import estimate_spectrum
from leaflineage.images import encode_webp, fit_image
from leaflineage.stages.context import Context
from leaflineage.stages.reading import read_specimens

MAX_BATCH_PIXELS = 24 * 128 * 128  # of the crops that meet the network at once: bounds memory
MAX_SPECIMENS = 2000  # that a spectrum is taken from
LEAST_SIDE = 32  # px; smaller pictures are enlarged: a spectrum's slope is not to be had from them
QUALITY = 84


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write one picture a view of each shown concept: colours in RGB, opacity in alpha."""
    settings, folder = context.config.visualize, f"families/{context.slug}"
    shown = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"]
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    bank = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["concept_bank"]
    classifier = context.load_classifier()
    spectrum, palette = _estimate(context)
    views = [(name, view) for name in sorted(shown) for view in range(settings.n_visualizations)]
    height, width = context.model.preprocessing.input_size
    n_batches = -(-len(views) // max(1, MAX_BATCH_PIXELS // (height * width * settings.crops)))
    n_slots = -(-len(views) // max(1, n_batches))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in shown}
    files: dict[str, str] = {}
    for start in range(0, len(views), n_slots):
        batch = views[start : start + n_slots]
        filled = batch + [batch[-1]] * (n_slots - len(batch))
        seeds = [derive_seed(context.config.run.seed, context.slug, name, view) for name, view in filled]
        pictures = visualize_concepts(
            classifier.features_differentiable,
            bank[[ids.index(name) for name, _ in filled]],
            spectrum,
            palette,
            input_size=context.model.preprocessing.input_size,
            steps=settings.steps,
            n_crops=settings.crops,
            seeds=seeds,
            device=str(classifier.device),
        )
        for (name, view), seed, picture in zip(batch, seeds, pictures, strict=False):
            path = f"{folder}/visualizations/{name}{f'-{view + 1}' if view else ''}.webp"
            alpha = np.round(picture.opacity * 255).astype(np.uint8)
            content = encode_webp(np.dstack([picture.image, alpha]), quality=QUALITY)
            files[path] = context.store.write_bytes(path, content)
            found[name].append(
                {
                    "image": path,
                    "width": settings.size,
                    "height": settings.size,
                    "kind": "concept",
                    "seed": seed,
                    "steps": settings.steps,
                    "objective": float(picture.objectives[-max(1, settings.steps // 10) :].mean()),
                }
            )
    context.store.remove_strays(f"{folder}/visualizations", files)
    return {"visualizations": found}, files


def derive_seed(run_seed: int, slug: str, concept_id: str, view: int) -> int:
    """Return the seed of one view of one concept; it depends on no other."""
    text = f"{run_seed}/{slug}/{concept_id}/{view}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _estimate(context: Context) -> Any:
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
