"""Reference specimens near others by their pooled activations: families are read one at a time, none is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.concepts.nearest import find_nearest
from leaflineage.stages.context import Context

N_NEIGHBOURS = 6
Floats = NDArray[np.floating]


@dataclass
class References:
    """All reference specimens of built families that are not withheld, in order of family and place.

    Attributes
    ----------
    labels
        (slug, place in the family's list, id, group) of each that was read so far.
    """

    context: Context
    labels: list[tuple[str, int, str, str]] = field(default_factory=list)

    def read(self) -> Iterator[Floats]:
        """Yield pooled activations (n, n_channels), a family each."""
        self.labels.clear()
        known = {each.id: each for each in self.context.list_used()}
        for slug in self.context.list_built():
            record = self.context.store.read_json(f"families/{slug}/activations.json", "activations", stage="extract")
            name = f"families/{slug}/pooled.safetensors"
            pooled = self.context.store.read_arrays(name, stage="extract")["pooled"]
            kept = [i for i, each in enumerate(record["specimens"]) if not known[each].withheld]
            for place in kept:
                identifier = record["specimens"][place]
                self.labels.append((slug, place, identifier, known[identifier].group))
            yield pooled[kept]


def find_nearest_references(
    context: Context, rows: Floats, groups: Sequence[str], *, own: NDArray[np.integer] | None = None
) -> list[list[dict[str, Any]]]:
    """Return the reference specimens nearest to each of some specimens, as their records carry them.

    Parameters
    ----------
    rows
        (n_specimens, n_channels): pooled activations.
    groups
        One a specimen.
    own
        (n_specimens,): their places among the references, where they are of them.
    """
    references = References(context)
    places, cosines = find_nearest(rows, references.read(), n=N_NEIGHBOURS, own=own)
    return [
        [
            {
                "id": references.labels[place][2],
                "similarity": float(cosine),
                "same_group": references.labels[place][3] == group,
                "family": references.labels[place][0],
                "place": references.labels[place][1],
            }
            for place, cosine in zip(nearest, values, strict=True)
            if place >= 0
        ]
        for nearest, values, group in zip(places.tolist(), cosines.tolist(), groups, strict=True)
    ]
