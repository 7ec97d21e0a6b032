"""What is fresh in a run, what is stale and why, who works on it, and what lies there that no build of it wants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from leaflineage.claims import FOLDER as CLAIMS
from leaflineage.claims import list_claims
from leaflineage.config import Config
from leaflineage.errors import ArtifactError
from leaflineage.freshness import find_mixture, find_reasons, list_records
from leaflineage.stages.context import Context
from leaflineage.stages.table import FAMILY_STAGES
from leaflineage.store import HASH_CACHE, Store
from leaflineage.website.links import MANIFEST
from leaflineage.website.writing import unfold_files

OURS = ("families", "queries", "specimens", "schema", CLAIMS)  # folders of a run that hold nothing but what we wrote


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Attributes
    ----------
    n_artifacts
        {stage: how many a whole build has}.
    reasons
        {stage: {slug: why it would be made again}}; the slug of what concerns all families is empty.
    claims
        Who works on it now, as `claims.list_claims` gives it.
    mixture
        A sentence a maker where artifacts were made with more than one set of versions or type of processor.
    """

    n_artifacts: dict[str, int]
    reasons: dict[str, dict[str, str]]
    claims: list[dict[str, Any]] = field(default_factory=list)
    mixture: list[str] = field(default_factory=list)

    @property
    def n_stale(self) -> int:
        """How many artifacts would be made again."""
        return sum(len(found) for found in self.reasons.values())


def read_config(run: Path) -> Config:
    """Return the config that a run was built with last.

    Raises
    ------
    ArtifactError
        Where the run does not say.
    """
    facts = Store(run).read_facts()
    try:
        return Config.model_validate({**facts["config"], "name": facts["name"]})
    except (KeyError, TypeError, pydantic.ValidationError) as error:
        raise ArtifactError(
            f"{run} should say in {HASH_CACHE} which config it was built with last, and does not. Is it a run "
            "folder? Name the config too, with --config."
        ) from error


def describe_status(config: Config, run: Path) -> Status:
    """Return how a run stands; nothing is touched.

    Raises
    ------
    ArtifactError
        Where it holds no catalogue or no record of its classifier.
    """
    store = Store(run)
    reasons = find_reasons(config, run)
    n_built = len(Context(store, config).list_built())
    return Status(
        n_artifacts={name: n_built if name in FAMILY_STAGES else 1 for name in reasons},
        reasons=reasons,
        claims=list_claims(run),
        mixture=find_mixture(store.read_makers()),
    )


def write_status(status: Status, name_of: dict[str, str]) -> Iterator[str]:
    """Yield the lines that tell a status, the families by their names."""
    width = max((len(name) for name in status.n_artifacts), default=0)
    for name, n in status.n_artifacts.items():
        found = status.reasons[name]
        yield f"{name:<{width}}  {n - len(found)} fresh, {len(found)} stale" if found else f"{name:<{width}}  {n} fresh"
        by_reason: dict[str, list[str]] = {}
        for slug, reason in sorted(found.items()):
            by_reason.setdefault(reason, []).append(name_of.get(slug, slug))
        for reason, families in by_reason.items():
            who = ", ".join(each for each in families[:6] if each)
            more = f" and {len(families) - 6} more" if len(families) > 6 else ""
            yield f"{'':<{width}}    {who}{more}{': ' if who else ''}{reason}"
    for each in status.claims:
        job = f", job {each['job']}" if each.get("job") else ""
        who = name_of.get(each["slug"], each["slug"]) or "all families"
        yield (
            f"At work: {each['stage']} of {who}, process {each.get('pid')} on {each.get('host')}{job}, "
            f"last heard of {each['seconds']:.0f} s ago"
        )
    yield from status.mixture
    if status.mixture:
        yield "Bytes are equal only within one set of versions and one type of processor; numbers agree to 1e-3."


@dataclass(frozen=True)
class Garbage:
    """A file of a run that no build of its config reads, and why it lies there."""

    path: str  # relative to the run
    size: int
    reason: str


def find_garbage(config: Config, run: Path) -> list[Garbage]:
    """Return what lies in a run's own folders and no build of this config wants, in order of path.

    Families that the config does not build, files that no record stands for, and what was killed while it was written.
    Files that are not ours (beside the folders that we write) are left out.

    Raises
    ------
    ArtifactError
        Where the run has no catalogue or no record of its classifier to tell the families by.
    """
    store = Store(run)
    context = Context(store, config)
    records = {record for _, _, record in list_records(context)}
    # Of a family that was stopped while it was drawn, each picture has a record of its own, to go on from.
    alone = {
        path.relative_to(run).as_posix()
        for path in run.glob("families/*/visualizations/*.json")
        if not (path.parent.parent / "visualizations.json").is_file()
    }
    wanted = alone.union(records, *(_list_files_of(run / record) for record in records | alone))
    built = {f"families/{slug}/" for slug in context.list_built()}
    drawn = config.specimens.draw is not None
    site = {f"site/{name}" for name in _list_site(run)}
    found = []
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run).as_posix()
        top = name.partition("/")[0]
        if path.name.endswith(".part") and (top in OURS or "/" not in name or top == "site.part"):
            reason = "was killed while it was written"
        elif top not in OURS or name in wanted or name in site or top == CLAIMS:
            continue
        elif name.endswith(".json") and f"{name.removesuffix('.json')}.webp" in wanted:
            continue  # of one picture, so that a build that is stopped does not draw it again
        elif top == "specimens" and drawn:
            continue  # the herbarium's own, which the catalogue stands for
        elif top == "families" and not any(name.startswith(folder) for folder in built):
            reason = "of a family that the config does not build"
        elif top == "schema" or path.name == "family.json" or _is_published(name):
            continue  # of collect, which its manifest stands for
        else:
            reason = "no record stands for it"
        found.append(Garbage(name, path.stat().st_size, reason))
    return found


def _is_published(name: str) -> bool:
    return name.endswith(("/importances.csv", "/bank.safetensors"))


def _list_files_of(record: Path) -> Iterable[str]:
    try:
        files = json.loads(record.read_bytes()).get("files", {})
    except (OSError, ValueError, AttributeError):
        return ()
    return [str(name) for name in files] if isinstance(files, dict) else ()


def _list_site(run: Path) -> Iterable[str]:
    try:
        return unfold_files(json.loads((run / "site" / MANIFEST).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def remove_garbage(config: Config, run: Path, garbage: Iterable[Garbage]) -> int:
    """Remove what is still garbage, and the folders that it leaves empty; return how many bytes that frees.

    Raises
    ------
    ArtifactError
        Where a build is at work in the run.
    """
    freed = 0
    with Store(run).lock():
        still = {each.path for each in find_garbage(config, run)}  # a build may have ended since it was listed
        for each in [each for each in garbage if each.path in still]:
            path = run / each.path
            path.unlink(missing_ok=True)
            freed += each.size
            for folder in path.parents:
                if folder == run or any(folder.iterdir()):
                    break
                folder.rmdir()
    return freed


def name_families(config: Config, run: Path) -> dict[str, str]:
    """Return {slug: name} of a run's families."""
    return {family.slug: family.name for family in Context(Store(run), config).families}
