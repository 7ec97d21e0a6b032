"""What a site says of how it was made: the config, paths aside, and the catalogue of its specimens."""

from __future__ import annotations

import copy
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from leaflineage.config import DRAWN_CLASSIFIER, Config, check_paths, load_config
from leaflineage.errors import ArtifactError, SiteError
from leaflineage.records import AtlasRecord, Catalogue, RunManifest, Specimen
from leaflineage.specimens import scan_specimens
from leaflineage.website import links

DRAWN_CATALOGUE = "catalogue.csv"  # beside drawn leaves
FORMULAS = ("=", "+", "-", "@", "\t")  # with which a cell begins that got an apostrophe


def rebuild_config(
    site: Path,
    manifest: RunManifest,
    atlas: AtlasRecord,
    overrides: Sequence[str],
    device: str | None,
    *,
    known: Sequence[str],
) -> Config:
    """Return the config that a site was made with, paths as they are given; ``known`` as `lay_settings` takes them.

    Raises
    ------
    SiteError, ConfigError
        If the site contradicts itself; if what is given is not there, or no config follows.
    """
    names = _list_outputs(site, atlas)
    base = {"specimens": {}, "classifier": {"source": DRAWN_CLASSIFIER, "label_names": names}, "run": {}}
    base = lay_settings(base, manifest, known)
    config = load_config(None, overrides=overrides, flags={"run.device": device}, base=base, name="verify")
    check_paths(config, None)
    return config


def lay_settings(base: Mapping[str, Any], manifest: RunManifest, known: Sequence[str]) -> dict[str, Any]:
    """Return the tables of a config with the settings of a manifest laid over them.

    Parameters
    ----------
    known
        Keys, and tables, that a manifest may set: none says where anything lies or how much of a machine is taken.

    Raises
    ------
    ArtifactError
        If the manifest's settings contradict each other, or set anything else.
    """
    values = copy.deepcopy(dict(base))
    for key, value in manifest.settings.items():
        if not any(key == each or key.startswith(f"{each}.") for each in known):
            raise ArtifactError(
                f"The settings of a manifest were to be followed, and no manifest of this version sets {key!r}. Build "
                "the run again; if it is somebody else's site, do not trust it."
            )
        *tables, last = key.split(".")
        table = values
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ArtifactError(
                    f"The settings of a manifest were to be followed, and {key} contradicts another of them. Build the "
                    "run again, or get the site anew from where it came."
                )
        table[last] = value
    return values


def _list_outputs(site: Path, atlas: AtlasRecord) -> list[str]:
    """Return the name of each output, "-" for one that has none."""
    named = {each.output_index: each.name for each in atlas.families if each.output_index is not None}
    n = atlas.classifier.n_outputs
    if n != len(named) + len(atlas.classifier.unnamed_outputs) or not all(0 <= index < n for index in named):
        raise SiteError(
            f"{site / links.ATLAS_DATA} should name each of the classifier's {n} outputs once, or say that it has no "
            "name, and does not. Bake the site again."
        )
    return [named.get(index, "-") for index in range(n)]


def read_catalogue(site: Path, config: Config, atlas: AtlasRecord, *, root: Path) -> Catalogue:
    """Return the catalogue that a site's table gives; what is withheld there is sought among the specimens.

    Raises
    ------
    SiteError
        If the table is missing or damaged, or names files outside the root.
    """
    path = site / links.SPECIMENS_DATA
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            listed = [_read_specimen(line) for line in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error, pydantic.ValidationError) as error:
        raise SiteError(
            f"{path} should list the specimens, and cannot be read ({str(error).splitlines()[0]}). Bake the site "
            "again, or get it anew from where it came."
        ) from error
    outside = next((each.file for each in listed if not links.is_inside(each.file)), None)
    if outside is not None:
        raise SiteError(
            f"{path} should name files below [specimens] root, and names {outside!r}. Do not trust this site; bake it "
            "again."
        )
    counts = {each.name: sum(e.family == each.name and e.set_aside is None for e in listed) for each in atlas.families}
    short = {each.name for each in atlas.families if counts[each.name] < each.n_specimens}
    if short:
        known, drawn = {each.id for each in listed}, config.specimens.draw is not None
        scanned, _ = scan_specimens(
            root=root,
            catalogue=root / DRAWN_CATALOGUE if drawn else config.specimens.catalogue,
            split=config.specimens.split,
            max_pixels=config.specimens.max_pixels,
            follow_symlinks=config.specimens.follow_symlinks,
        )
        others = [each for each in scanned.specimens if each.id not in known and each.family in short]
        same = {"split": listed[0].split} if drawn and listed else {}  # it is one of all drawn leaves
        listed += [each.model_copy(update={"withheld": True, **same}) for each in others]
    listed.sort(key=lambda each: each.id)
    families = sorted({each.family for each in listed if each.family is not None})
    return Catalogue(specimens=listed, families=families)


def _read_specimen(line: Mapping[str, str | None]) -> Specimen:
    """Return a line of the table of specimens as the catalogue had it."""
    fields = {name: _read_cell(cell) for name, cell in line.items() if name is not None and cell}
    return Specimen.model_validate(fields)


def _read_cell(cell: str) -> str:
    return cell[1:] if cell[0] == "'" and cell[1:2] in FORMULAS else cell
