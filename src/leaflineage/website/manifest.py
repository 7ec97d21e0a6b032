"""The lists of a site's files: ``site.json``, their names alone, and ``data/manifest.json``, with the hash of each.

The second also says what the run that the site shows is made of. With it somebody else can tell whether the site is as
it was baked, and compute families again: ``leaflineage verify``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic

from leaflineage.errors import ArtifactError, SiteError
from leaflineage.records import SCHEMAS, RunManifest, SiteManifest
from leaflineage.website import links
from leaflineage.website.reading import read_record

RUN_MANIFEST = "manifest.json"  # of the run


def describe_run(run: Path) -> dict[str, Any] | None:
    """Return what a run's manifest says, its files aside; None where it has none, or one of an earlier version."""
    try:
        return read_record(run / RUN_MANIFEST, RunManifest, None).model_dump(mode="json", exclude={"files"})
    except ArtifactError:
        return None


def read_manifest(site: Path) -> SiteManifest:
    """Return what a site says of its files and of its run.

    Raises
    ------
    SiteError
        If it says nothing, or is damaged, or names a file outside the site.
    """
    path = site / links.HASHES
    try:
        manifest = SiteManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SiteError(
            f"The hashes of a site were wanted in {path}, and no file is there. Is {site} a baked site? One of an "
            "earlier version has none: bake it again."
        ) from None
    except (OSError, pydantic.ValidationError) as error:
        raise SiteError(
            f"{path} should hold the hashes of the site's files, and is damaged ({_say(error)}). Bake again, or get "
            "the site anew from where it came."
        ) from error
    if manifest.schema_ != SCHEMAS["site-manifest"]:
        raise SiteError(
            f"{path} should be of schema {SCHEMAS['site-manifest']} and is of {manifest.schema_!r}. Use the version of "
            "LeafLineage that baked the site, or bake it again."
        )
    outside = next((name for name in manifest.files if not links.is_inside(name)), None)
    if outside is not None:
        raise SiteError(
            f"{path} should name files of the site, and names {outside!r}, which is none. Do not trust this site; bake "
            "it again."
        )
    return manifest


def read_run_manifest(run: Path) -> RunManifest:
    """Return what a run is made of.

    Raises
    ------
    ArtifactError
        If it does not say, or is damaged, or names a file outside the run.
    """
    manifest = read_record(run / RUN_MANIFEST, RunManifest, None)
    outside = next((name for name in (*manifest.files, *manifest.artifacts) if not links.is_inside(name)), None)
    if outside is not None:
        raise ArtifactError(
            f"{run / RUN_MANIFEST} should name files of the run, and names {outside!r}, which is none. Do not trust "
            "this run; build it again."
        )
    return manifest


def _say(error: Exception) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
