"""Fit a family's concept bank, and encode every cell of every specimen with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.arrays import MappedArray
from leaflineage.concepts.encoding import encode
from leaflineage.concepts.factorization import (
    Factorization,
    Method,
    factorize,
    measure_negative_energy,
    measure_relative_error,
)
from leaflineage.concepts.n_concepts import Candidate, choose_n_concepts
from leaflineage.concepts.rows import Rows, may_hold
from leaflineage.concepts.stability import Refit, measure_stability, refit
from leaflineage.concepts.unseen import Estimate, UnseenMeasures, measure_predicted_error, measure_unseen
from leaflineage.errors import ActivationError
from leaflineage.records import make_concept_id
from leaflineage.stages.context import Context, choose_device

Floats = NDArray[np.floating]
# Of the KKT conditions. NMF is then within a few parts in 10,000 of the error where it would end; semi-NMF creeps on
# for hundreds of iterations after its concepts have settled.
TOLERANCES: dict[Method, float] = {"nmf": 1e-3, "semi-nmf": 3e-3}
REFIT_FACTOR = 3  # a refit may stop sooner: the mean matched cosine then moves by about 0.01
LEAST_REFITS = 5  # for a stability-error curve, whatever the config says


@dataclass(frozen=True)
class _Fit:
    """A bank, its refits, and what they are worth on leaves they had not drawn."""

    found: Factorization
    refits: list[Refit]
    unseen: UnseenMeasures | None  # None without refits


@dataclass(frozen=True)
class _Family:
    """What a family's banks are fitted on and measured with."""

    fitted_on: Rows  # (n_cells or n_crops, n_channels)
    fitted_groups: list[str]  # one a row of them
    cells: MappedArray  # (n_specimens, n_cells, n_channels), all of them
    groups: list[str]  # one a specimen
    direction: Floats | None  # the family's row of an affine head, centred


def run(context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the bank, the coefficient maps and their means; how stable each concept is."""
    folder = f"families/{context.slug}"
    record = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    arrays = context.store.map_arrays(f"{folder}/activations.safetensors", stage="extract")
    ids = record["specimens"]
    method = _choose_method(context)
    family = _gather(context, arrays, ids, method)
    try:
        fit, curve = _fit_chosen(context, family, method)
    except ActivationError as error:
        raise ActivationError(
            f"{context.family.name}: {error} Look at its pictures, set [concepts] drop_blank = false where they are "
            "bare paper, or leave the family out: name the others in [atlas] families."
        ) from error
    bank = fit.found.concept_bank
    cells = arrays["cells"]
    maps = _halve(encode(cells, bank), context)  # (n_cells, n_concepts)
    rows, columns, _ = context.model.map_shape
    n_concepts = len(bank)
    stored = maps.reshape(len(ids), rows, columns, n_concepts)
    coefficients = stored.astype(np.float32).mean(axis=(1, 2))  # (n_specimens, n_concepts)
    payload: dict[str, Any] = {
        "ids": [make_concept_id(index + 1) for index in range(n_concepts)],
        "uids": [_make_uid(context.slug, row) for row in bank],
        "bank_sha256": hashlib.sha256(np.ascontiguousarray(bank).tobytes()).hexdigest(),
        "method": method,
        "negative_energy": measure_negative_energy(cells),
        "n_concepts": n_concepts,
        "n_fitted": len(family.fitted_on),
        "n_iterations": fit.found.n_iterations,
        "relative_error": measure_relative_error(cells, maps, bank),
        "relative_error_unseen": _describe(fit.unseen.relative_error) if fit.unseen else None,
        "explained_unseen": _describe(fit.unseen.explained) if fit.unseen else None,
        "stability": None,
        "curve": curve,
    }
    if fit.refits:
        cosines, found = measure_stability(bank, fit.refits)
        payload["stability"] = {"cosine": cosines, "found_in": found, "n_refits": len(fit.refits)}
    name = f"{folder}/concepts.safetensors"
    sha256 = context.store.write_arrays(name, {"concept_bank": bank, "coefficients": coefficients, "maps": stored})
    return payload, {name: sha256}


def _halve(coefficients: Floats, context: Context) -> NDArray[np.float16]:
    """Return coefficients as float16; one cell's may be larger than any of its activations."""
    largest = float(coefficients.max(initial=0.0))
    if largest > float(np.finfo(np.float16).max):
        raise ActivationError(
            f"Coefficients no larger than 65504 were wanted, for they are kept in 16 bits, and one is {largest:.3g}, "
            f"of {context.family.name} at {context.model.layer}. Split the model elsewhere ([classifier] layer = ...), "
            "after a normalisation for instance."
        )
    return coefficients.astype(np.float16)


def _choose_method(context: Context) -> Method:
    """Return the method of the config; where it is left open, semi-NMF for activations of either sign."""
    wanted = context.config.concepts.factorization
    if wanted != "auto":
        return wanted
    return "semi-nmf" if context.model.signed else "nmf"


def _gather(context: Context, arrays: dict[str, MappedArray], ids: list[str], method: Method) -> _Family:
    """Return what banks are fitted on, and what is needed to measure them on leaves they have not seen."""
    group_of = {each.id: each.group for each in context.specimens}
    groups = [group_of[each] for each in ids]
    fitted_on, of_specimen = _choose_rows(context, arrays, method)
    direction = None
    output = context.family.output_index
    if context.model.affine_head and output is not None:
        weight = context.store.read_arrays("head.safetensors", stage="inspect")["weight"].astype(np.float64)
        direction = weight[output] - weight.mean(axis=0)
    cells = arrays["cells"]
    return _Family(
        fitted_on=fitted_on,
        fitted_groups=[groups[index] for index in of_specimen],
        cells=cells.reshape(len(ids), -1, cells.shape[-1]),
        groups=groups,
        direction=direction,
    )


def _choose_rows(context: Context, arrays: dict[str, MappedArray], method: Method) -> tuple[Rows, NDArray[np.int32]]:
    """Return the activations a bank is fitted on, and the specimen (as listed) of each."""
    settings = context.config.concepts
    parts: list[tuple[MappedArray, NDArray[np.intp]]] = []
    owners = []
    if settings.fit_on != "crops":
        left_out = arrays["blank"][:] & settings.drop_blank
        if "off_leaf" in arrays:
            left_out = left_out | arrays["off_leaf"][:]
        keep = np.flatnonzero(~left_out)
        if not len(keep):  # bare paper everywhere: the classifier still sees something in it
            keep = np.arange(len(arrays["cells"]))
        stride = max(1, -(-len(keep) // settings.max_cells))
        parts.append((arrays["cells"], keep[::stride]))
        owners.append(arrays["specimen"][keep[::stride]])
    if settings.fit_on != "cells":
        crops = context.store.map_arrays(f"families/{context.slug}/crop-activations.safetensors", stage="extract")
        parts.append((crops["crops"], np.arange(len(crops["crops"]))))
        owners.append(crops["specimen"][:])
    rows = Rows(parts, None, held=False)
    memory_gb = context.config.run.memory_gb
    held = may_hold(rows.shape, settings.most_concepts, signed=method == "semi-nmf", memory_gb=memory_gb)
    return replace(rows, held=held), np.concatenate(owners)


def _fit_chosen(context: Context, family: _Family, method: Method) -> tuple[_Fit, list[dict[str, Any]]]:
    """Return the fit with the config's number of concepts, or the one that the stability-error curve chooses.

    Returns
    -------
    fit, curve
        The curve has a point for each number tried that the activations have the rank for; it is empty where the
        number was given, or where no leaf is ever left out (all pictures show one leaf) and the smallest is taken.
    """
    settings = context.config.concepts
    if settings.n_concepts != "auto":
        return _fit_one(context, family, method, settings.n_concepts, n_refits=settings.refits), []
    fits: list[_Fit] = []
    candidates: list[Candidate] = []
    curve: list[dict[str, Any]] = []
    for n_wanted in settings.n_concepts_tried:
        fit = _fit_one(context, family, method, n_wanted, n_refits=max(settings.refits, LEAST_REFITS))
        n_found = len(fit.found.concept_bank)
        if fits and n_found <= candidates[-1].n_concepts:
            break
        fits.append(fit)
        error = fit.unseen.relative_error if fit.unseen else None
        seed = context.config.run.seed + 3
        predicted = measure_predicted_error(family.cells, family.groups, fit.refits, seed=seed)
        if error is None or predicted is None:
            return fits[0], []
        stability = float(measure_stability(fit.found.concept_bank, fit.refits)[0].mean())
        candidates.append(Candidate(n_found, stability, predicted.value, predicted.standard_error))
        curve.append(
            {
                "n_concepts": n_found,
                "relative_error": error.value,
                "predicted_error": predicted.value,
                "stability": stability,
            }
        )
        if n_found < n_wanted:  # the rank is reached: more concepts than this are not to be had
            break
    chosen = choose_n_concepts(candidates)
    chosen_fit = next(fit for fit in fits if len(fit.found.concept_bank) == chosen)
    return chosen_fit, [{**point, "chosen": point["n_concepts"] == chosen} for point in curve]


def _fit_one(context: Context, family: _Family, method: Method, n_concepts: int, *, n_refits: int) -> _Fit:
    """Fit a bank, refit it on resampled groups, and measure the refits on the leaves they had not drawn."""
    seed, max_iterations = context.config.run.seed, context.config.concepts.max_iterations
    device = choose_device(context.config.run.device)
    found = factorize(
        family.fitted_on,
        n_concepts=n_concepts,
        seed=seed,
        max_iterations=max_iterations,
        tolerance=TOLERANCES[method],
        method=method,
        device=device,
    )
    if not n_refits:
        return _Fit(found, [], None)
    refits = refit(
        family.fitted_on,
        family.fitted_groups,
        n_concepts=n_concepts,
        n_refits=n_refits,
        seed=seed + 1,
        max_iterations=max_iterations,
        tolerance=REFIT_FACTOR * TOLERANCES[method],
        method=method,
        device=device,
    )
    return _Fit(
        found,
        refits,
        measure_unseen(family.cells, family.groups, refits, direction=family.direction, seed=seed + 2),
    )


def _describe(estimate: Estimate | None) -> dict[str, Any] | None:
    return {"value": estimate.value, "interval": list(estimate.interval)} if estimate else None


def _make_uid(slug: str, row: Floats) -> str:
    """Return what names a concept for good: a hash of its family and its bank row, to half precision."""
    return hashlib.sha256(slug.encode() + row.astype(np.float16).tobytes()).hexdigest()[:12]
