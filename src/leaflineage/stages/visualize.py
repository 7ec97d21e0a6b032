"""Draw each shown concept of a family by MACO, several in one batch of fixed shape."""

from __future__ import annotations

from typing import Any

from leaflineage.stages.context import Context
from leaflineage.stages.seeds import derive_seed
from leaflineage.stages.visualizing import Sitter, estimate_family_spectrum, write_visualizations


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write one picture a view of each shown concept."""
    folder, seed = f"families/{context.slug}", context.config.run.seed
    shown = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")["shown"]
    ids = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")["ids"]
    bank = context.store.read_arrays(f"{folder}/concepts.safetensors", stage="factorize")["concept_bank"]
    classifier = context.load_classifier()
    spectrum, palette = estimate_family_spectrum(context)
    views = [(name, view) for name in sorted(shown) for view in range(context.config.visualize.n_visualizations)]
    sitters = [
        Sitter(
            path=f"{folder}/visualizations/{name}{f'-{view + 1}' if view else ''}.webp",
            direction=bank[ids.index(name)],
            seed=derive_seed(seed, context.slug, name, view),
        )
        for name, view in views
    ]
    written = write_visualizations(
        context,
        classifier.features_differentiable,
        sitters,
        spectrum,
        palette,
        device=str(classifier.device),
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in shown}
    files: dict[str, str] = {}
    for (name, _), (facts, sha256) in zip(views, written, strict=True):
        found[name].append(facts)
        files[facts["image"]] = sha256
    context.store.remove_strays(f"{folder}/visualizations", files)
    return {"visualizations": found}, files
