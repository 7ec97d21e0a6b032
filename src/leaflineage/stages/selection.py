"""Which families are built, and why the others are not."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from leaflineage.config import Config
from leaflineage.errors import ConfigError, suggest
from leaflineage.records import Catalogue, ModelRecord, Specimen, make_slugs

N_PROBED = 128
PROBE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class SelectedFamily:
    """One named output, or a catalogue's family that the classifier does not know.

    Attributes
    ----------
    output_index
        None where the classifier has no output of this name.
    missing
        Why no concepts are made; None where they are.
    """

    name: str
    slug: str
    output_index: int | None
    n_specimens: int
    missing: str | None


def list_specimens(catalogue: Catalogue) -> dict[str, list[Specimen]]:
    """Return each family's reference specimens in use, in order of id."""
    found: dict[str, list[Specimen]] = defaultdict(list)
    for specimen in catalogue.specimens:
        if specimen.family is not None and specimen.set_aside is None:
            found[specimen.family].append(specimen)
    return dict(found)


def list_queries(catalogue: Catalogue) -> list[Specimen]:
    """Return the specimens without a family that can be used and shown."""
    usable = [each for each in catalogue.specimens if each.role == "query" and each.set_aside is None]
    return [each for each in usable if not each.withheld]


def choose_evenly(specimens: list[Specimen], n: int) -> list[Specimen]:
    """Return at most ``n`` specimens, families in turn, held-out ones first, one of each leaf first."""
    queues: dict[str | None, list[Specimen]] = defaultdict(list)
    seen: dict[tuple[str | None, str], int] = defaultdict(int)  # pictures of a leaf so far
    repeats: dict[str, int] = {}
    for each in sorted(specimens, key=lambda e: e.id):
        repeats[each.id] = seen[each.family, each.group]
        seen[each.family, each.group] += 1
    for each in sorted(specimens, key=lambda e: (e.split != "held-out", repeats[e.id], e.id)):
        queues[each.family].append(each)
    chosen: list[Specimen] = []
    depth = 0
    while len(chosen) < n and any(len(queue) > depth for queue in queues.values()):
        chosen += [queues[name][depth] for name in sorted(queues, key=str) if len(queues[name]) > depth]
        depth += 1
    return chosen[:n]


def choose_probe(catalogue: Catalogue, model: ModelRecord) -> list[Specimen]:
    """Return the specimens of all families that every family's concepts are tried on, in order of id.

    At most 128, and no more than fit into 128 MB as float16 cells; of families that the classifier names.
    """
    bytes_each = 2 * math.prod(model.map_shape)
    known = [
        each
        for each in catalogue.specimens
        if each.family is not None and each.family in model.label_names and each.set_aside is None
    ]
    return sorted(choose_evenly(known, max(1, min(N_PROBED, PROBE_BYTES // bytes_each))), key=lambda each: each.id)


def select_families(config: Config, catalogue: Catalogue, model: ModelRecord) -> list[SelectedFamily]:
    """Return every named output and every family of the catalogue, in order of slug.

    Raises
    ------
    ConfigError
        Where the config asks for a family that neither the classifier nor the catalogue knows, or nothing is left.
    """
    specimens = list_specimens(catalogue)
    outputs = {name: index for index, name in enumerate(model.label_names) if name is not None}
    slugs = make_slugs([*outputs, *specimens])
    unknown = [name for name in config.atlas.families if name not in slugs]
    if unknown:
        hint = suggest(unknown[0], slugs)
        raise ConfigError(
            f"[atlas] families asks for {', '.join(unknown)}, which neither the classifier nor the specimens "
            f"know.{hint}"
        )
    families = [
        SelectedFamily(
            name=name,
            slug=slugs[name],
            output_index=outputs.get(name),
            n_specimens=len(specimens.get(name, [])),
            missing=_explain_absence(name, config, specimens, outputs),
        )
        for name in sorted(slugs, key=lambda each: slugs[each])
    ]
    if all(family.missing for family in families):
        reasons = "; ".join(f"{family.name}: {family.missing}" for family in families[:5])
        raise ConfigError(f"No family can be built. {reasons}. Mend [specimens], or lower min_specimens.")
    return families


def _explain_absence(
    name: str, config: Config, specimens: dict[str, list[Specimen]], outputs: dict[str, int]
) -> str | None:
    """Say why a family gets no concepts."""
    if name not in outputs:
        return "the classifier has no output of this name"
    n, least = len(specimens.get(name, [])), config.specimens.min_specimens
    if n == 0:
        return "no specimens"
    if n < least:
        return f"{n} specimen{'s' if n > 1 else ''}, fewer than the {least} needed"
    if config.atlas.families and name not in config.atlas.families:
        return "not asked for in this build"
    return None
