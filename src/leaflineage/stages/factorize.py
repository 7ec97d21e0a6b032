"""Fit a family's concept bank, and encode every cell of every specimen with it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.factorization import encode, factorize, measure_relative_error
from leaflineage.concepts.stability import measure_stability, refit
from leaflineage.errors import ActivationError
from leaflineage.records import make_concept_id
from leaflineage.stages.context import Context

Floats = NDArray[np.floating]


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the bank, the coefficient maps and their means; how stable each concept is."""
    settings, seed = context.config.concepts, context.config.run.seed
    folder = f"families/{context.slug}"
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    arrays = context.store.read_arrays(f"{folder}/activations.safetensors", stage="extract")
    ids = record["specimens"]
    group_of = {each.id: each.group for each in context.specimens}
    fitted_on, of_specimen = _choose_rows(context, arrays)
    try:
        fit = factorize(fitted_on, n_concepts=settings.n_concepts, seed=seed, max_iterations=settings.max_iterations)
    except ActivationError as error:
        raise ActivationError(
            f"{context.family.name}: {error} Look at its pictures, set [concepts] drop_blank = false where they are "
            "bare paper, or leave the family out: name the others in [atlas] families."
        ) from error
    bank = fit.concept_bank
    cells = arrays["cells"]
    maps = encode(cells, bank).astype(np.float16)  # (n_cells, n_concepts)
    rows, columns, _ = context.model.map_shape
    n_concepts = len(bank)
    stored = maps.reshape(len(ids), rows, columns, n_concepts)
    coefficients = stored.astype(np.float32).mean(axis=(1, 2))  # (n_specimens, n_concepts)
    payload: dict[str, Any] = {
        "ids": [make_concept_id(index + 1) for index in range(n_concepts)],
        "uids": [_make_uid(context.slug, row) for row in bank],
        "bank_sha256": hashlib.sha256(np.ascontiguousarray(bank).tobytes()).hexdigest(),
        "n_fitted": len(fitted_on),
        "n_iterations": fit.n_iterations,
        "relative_error": measure_relative_error(cells, maps.astype(np.float32), bank),
        "stability": None,
    }
    if settings.refits:
        groups = [group_of[ids[index]] for index in of_specimen]
        banks = refit(
            fitted_on,
            groups,
            n_concepts=settings.n_concepts,
            n_refits=settings.refits,
            seed=seed + 1,
            max_iterations=settings.max_iterations,
        )
        cosines, found = measure_stability(bank, banks)
        payload["stability"] = {"cosine": cosines, "found_in": found, "n_refits": settings.refits}
    name = f"{folder}/concepts.safetensors"
    sha256 = context.store.write_arrays(name, {"concept_bank": bank, "coefficients": coefficients, "maps": stored})
    return payload, {name: sha256}


def _choose_rows(context: Context, arrays: dict[str, NDArray[Any]]) -> tuple[Floats, NDArray[np.int32]]:
    """Return the activations a bank is fitted on, and the specimen (as listed) of each."""
    settings = context.config.concepts
    parts, owners = [], []
    if settings.fit_on != "crops":
        keep = np.flatnonzero(~arrays["blank"]) if settings.drop_blank else np.arange(len(arrays["cells"]))
        if not len(keep):  # bare paper everywhere: the classifier still sees something in it
            keep = np.arange(len(arrays["cells"]))
        stride = max(1, -(-len(keep) // settings.max_cells))
        chosen = keep[::stride]
        parts.append(arrays["cells"][chosen].astype(np.float32))
        owners.append(arrays["specimen"][chosen])
    if settings.fit_on != "cells":
        name = f"families/{context.slug}/crop-activations.safetensors"
        crops = context.store.read_arrays(name, stage="extract")
        parts.append(crops["crops"].astype(np.float32))
        owners.append(crops["specimen"])
    return np.concatenate(parts), np.concatenate(owners)


def _make_uid(slug: str, row: Floats) -> str:
    """Return what names a concept for good: a hash of its family and its bank row, to half precision."""
    return hashlib.sha256(slug.encode() + row.astype(np.float16).tobytes()).hexdigest()[:12]
