"""Which families are built, and why the others are not."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from leaflineage.config import Config
from leaflineage.errors import ConfigError, suggest
from leaflineage.records import Catalogue, ModelRecord, Specimen, make_slugs


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
    """Return the specimens without a family that can be used."""
    return [each for each in catalogue.specimens if each.role == "query" and each.set_aside is None]


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
