"""The numbers behind a family's pages, as files: importances, contributions and what follows from them, computed again.

``importances.csv`` has a line a specimen: whether it is counted and named rightly, its centred logit, and each player's
total Sobol index and contribution (the residual's last), and the bias: contributions and bias sum to the centred logit.
A specimen that is withheld keeps its numbers there and loses its name; in the table of specimens it has no line.
``bank.safetensors`` holds the concept bank and every specimen's coefficients; with the head's weights
(``head.safetensors``) they give the contributions again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import numpy as np

from leaflineage.records import Specimen
from leaflineage.stages.context import Context
from leaflineage.stages.describing import WITHHELD, FamilyArtifacts
from leaflineage.store import Store

CATALOGUE_COLUMNS = (
    "id", "file", "group", "role", "family", "genus", "species", "source", "catalogue_number", "split",
    "in_training", "licence", "credit", "px_per_mm", "width", "height", "sha256", "set_aside",
)  # fmt: skip

# The records of a run that its manifest stands for, those of a family below its folder; collect's own come beside them.
WHOLE_RECORDS = ("model.json", "probe.json", "queries/queries.json")
FAMILY_RECORDS = (
    "activations", "concepts", "contrasts", "crops", "fidelity", "importance", "recursion", "visualizations", "zones",
)  # fmt: skip
# What the numbers of a family can be computed again with, where the specimens and the classifier are at hand.
SETTINGS = (
    "atlas.families", "atlas.n_shown", "classifier.architecture", "classifier.fit", "classifier.input_size",
    "classifier.interpolation", "classifier.layer", "classifier.mean", "classifier.pad_colour", "classifier.std",
    "classifier.trust_names", "concepts", "importance", "run.seed", "specimens.draw", "specimens.max_pixels",
    "specimens.min_specimens", "specimens.split",
)  # fmt: skip


def describe_artifacts(context: Context) -> dict[str, Any]:
    """Return the hash of each record of a run, which stands for its files too, and what they were made with."""
    names = [*WHOLE_RECORDS]
    names += [f"families/{slug}/{name}.json" for slug in context.list_built() for name in FAMILY_RECORDS]
    found = {name: context.store.describe_artifact(name) for name in names}
    return {
        "artifacts": {name: sha256 for name, (sha256, _) in found.items()},
        "makers": sorted({maker for _, maker in found.values() if maker}),
    }


def publish_family(store: Store, found: FamilyArtifacts) -> dict[str, str]:
    """Write a family's numbers beside its record; return each file's sha256."""
    folder = f"families/{found.selected.slug}"
    arrays = {name: found.bank[name].astype(np.float32) for name in ("concept_bank", "coefficients")}
    return {
        f"{folder}/importances.csv": store.write_bytes(f"{folder}/importances.csv", encode_importances(found)),
        f"{folder}/bank.safetensors": store.write_arrays(f"{folder}/bank.safetensors", arrays),
    }


def encode_importances(found: FamilyArtifacts) -> bytes:
    """Return a line a specimen: its label, its logit, the index and the contribution of each player."""
    players = [*found.ids, "residual"]
    header = ["specimen", "group", "split", "named_rightly", "centred_logit"]
    header += [f"total_sobol_index {player}" for player in players]
    header += [f"contribution {player}" for player in players] + ["bias"]
    logits = found.pooled["logits"].astype(np.float64)
    centred = logits[:, found.output] - logits.mean(axis=1)
    lines = []
    for index, specimen in enumerate(found.specimens):
        contributions = found.ranks["contributions"][index].astype(np.float64)
        bias = centred[index] - contributions.sum()
        numbers = [centred[index], *found.ranks["indices"][index], *contributions, bias]
        right = "true" if found.order[index][0] == found.output else "false"
        name = [WITHHELD, WITHHELD] if specimen.withheld else [specimen.id, specimen.group]
        label = [*name, specimen.split, right]
        lines.append([*label, *(f"{float(number):.9g}" for number in numbers)])
    return encode_table([header, *lines])


def encode_catalogue(specimens: Iterable[Specimen]) -> bytes:
    """Return all specimens as CSV, those set aside included and those withheld left out."""
    lines = []
    for each in specimens:
        if each.withheld:
            continue
        row = each.model_dump(mode="json")
        lines.append(["" if row[column] is None else str(row[column]) for column in CATALOGUE_COLUMNS])
    return encode_table([list(CATALOGUE_COLUMNS), *lines])


def encode_table(lines: Iterable[list[str]]) -> bytes:
    """Return lines as CSV; text that a spreadsheet would run as a formula gets an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for line in lines:
        writer.writerow([f"'{cell}" if _would_run(cell) else cell for cell in line])
    return buffer.getvalue().encode()


def _would_run(cell: str) -> bool:
    """Tell whether a spreadsheet would take a cell for a formula; a negative number is none."""
    if cell[:1] not in ("=", "+", "-", "@", "\t"):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
