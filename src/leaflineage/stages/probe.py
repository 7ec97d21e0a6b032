"""Send a sample of all families' specimens through the classifier: what every family's concepts are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.stages.context import Context
from leaflineage.stages.extract import halve
from leaflineage.stages.reading import read_specimens, run_in_batches
from leaflineage.stages.selection import choose_probe


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the sample's cells (float16), pooled activations, logits and, where the head reads it, its prefix."""
    classifier, prefix_matters = context.load_classifier(), context.model.prefix_matters
    chosen = choose_probe(context.catalogue, context.model)
    outputs = {name: index for index, name in enumerate(context.model.label_names) if name}
    set_aside: dict[str, str] = {}
    indices: list[int] = []

    def read() -> Iterator[NDArray[np.uint8]]:
        for index, _, fitted, _ in read_specimens(context, chosen, set_aside):
            indices.append(index)
            yield fitted

    def compute(images: Any) -> Any:
        maps, prefix = classifier.features_with_prefix(images)
        found = (maps, maps.mean(dim=(1, 2)), classifier.head(maps, prefix))
        return (*found, prefix) if prefix_matters else found

    names = ("cells", "pooled", "logits", *(("prefix",) if prefix_matters else ()))
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for count, each in enumerate(run_in_batches(read(), compute)):
        where = chosen[indices[count]].id
        for name, array in zip(names, each, strict=True):
            rows[name].append(halve(array, context, where) if name == "cells" else array)
    shapes = {"cells": context.model.map_shape, "logits": (context.model.n_outputs,)}
    arrays = {
        # (n_specimens, rows, columns, n_channels), (n_specimens, n_channels), …
        name: np.stack(listed) if listed else np.zeros((0, *shapes.get(name, context.model.map_shape[2:])), np.float32)
        for name, listed in rows.items()
    }
    sha256 = context.store.write_arrays("probe.safetensors", arrays)
    read_ones = [chosen[index] for index in indices]
    payload = {
        "specimens": [each.id for each in read_ones],
        "groups": [each.group for each in read_ones],
        "families": [each.family for each in read_ones],
        "outputs": [outputs[str(each.family)] for each in read_ones],
        "set_aside": set_aside,
    }
    return payload, {"probe.safetensors": sha256}
