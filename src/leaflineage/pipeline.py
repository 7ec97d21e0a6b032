"""The stages in order: which are stale, run them, then the site.

One direction, family by family, no step back. What is fresh is skipped; a build that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from leaflineage.config import DRAWN_CLASSIFIER, Config, check_places
from leaflineage.errors import ArtifactError, ConfigError, LeafLineageError, SiteError, suggest
from leaflineage.executors import Executor, LocalExecutor
from leaflineage.freshness import find_staleness, has_activations, list_cell_readers
from leaflineage.herbarium import FAMILIES, write_catalogue
from leaflineage.machine import measure_cpu_seconds, measure_peak_mb
from leaflineage.records import Catalogue, make_slug
from leaflineage.resources import find_resource
from leaflineage.specimens import scan_specimens
from leaflineage.stages.context import Context
from leaflineage.stages.memory import check_memory
from leaflineage.stages.table import FAMILY_STAGES, SHARDED_STAGES, STAGES
from leaflineage.store import SITE_RECORD, Store, hash_json
from leaflineage.website.bake import BakeReport, bake
from leaflineage.website.check import check_site
from leaflineage.website.links import MANIFEST
from leaflineage.website.looks import MEMORY
from leaflineage.website.rights import WITHDRAWN, read_withdrawn
from leaflineage.website.writing import unfold_files

LARGEST_REST = 0.5  # share of the importance beyond which a family's rest is warned of


class Reporter(Protocol):
    """Who shows a build's progress."""

    def start(self, stage: str, total: int, fresh: int) -> None:
        """Say that a stage begins, of how many items, how many of them fresh."""

    def advance(self, stage: str, item: str = "") -> None:
        """Say that one more item is done."""

    def finish(self, stage: str, seconds: float) -> None:
        """Say that a stage is done."""

    def say(self, text: str) -> None:
        """Say something worth a line."""


@dataclass(frozen=True)
class Shard:
    """One part of a build whose families are shared out over several processes: part ``number`` of ``count``.

    Part 0 holds no family: what all parts have in common, for them to start from.
    """

    number: int  # from 1
    count: int

    def take(self, slugs: Sequence[str]) -> list[str]:
        """Return this part's families."""
        return list(slugs[self.number - 1 :: self.count]) if self.number else []


@dataclass
class BuildReport:
    """What a build did."""

    site: Path
    seconds: dict[str, float] = field(default_factory=dict)  # by stage and by the clock
    cpu_seconds: dict[str, float] = field(default_factory=dict)  # by stage, of all processes
    built: dict[str, list[str]] = field(default_factory=dict)  # slugs, by stage
    reused: dict[str, int] = field(default_factory=dict)  # fresh items, by stage
    set_aside: dict[str, str] = field(default_factory=dict)  # reason by specimen
    missing: dict[str, str] = field(default_factory=dict)  # reason by family
    notes: list[str] = field(default_factory=list)
    peak_mb: float = 0.0  # largest process, this one and those that bake included
    problems: list[str] = field(default_factory=list)  # of the site
    n_families: int = 0
    n_pages: int = 0
    shard: Shard | None = None  # where this build was a part of one; it has no site
    made_with: dict[str, str] = field(default_factory=dict)  # versions and processor, by record that was made

    @property
    def all_fresh(self) -> bool:
        """Whether nothing had to be made."""
        return not any(self.built.values())


def build(
    config: Config,
    run: Path,
    *,
    out: Path | None,
    reporter: Reporter,
    jobs: int | None = None,
    shard: Shard | None = None,
    ray: str | None = None,
    mixed: bool = False,
) -> BuildReport:
    """Bring a run and its site up to date.

    Parameters
    ----------
    run
        The run folder.
    out
        The site's folder; ``run/site`` unless given.
    jobs
        Processes; as the config says unless given.
    shard
        Build the families of one part only, and neither atlas nor site: `merging.merge` makes those of all parts.
    ray
        Address of a Ray cluster to run the tasks on, or "auto"; see `executors_ray.RayExecutor`.
    mixed
        Whether workers of that cluster with other versions or another processor may join.

    Raises
    ------
    LeafLineageError
        Whatever stops the build; what is finished by then is kept.
    """
    check_places(run, out, config)
    store = Store(run)
    with store.lock(shared=shard is not None):
        jobs, shared = config.run.jobs if jobs is None else jobs, shard is not None
        executor: Executor
        if ray is None:
            executor = LocalExecutor(run, config, jobs=jobs, shared=shared)
        else:
            from leaflineage.executors_ray import RayExecutor

            executor = RayExecutor(run, config, address=ray, jobs=jobs, shared=shared, mixed=mixed, say=reporter.say)
        return _build(store, config, BuildReport(site=out or run / "site", shard=shard), reporter, executor)


def _build(store: Store, config: Config, report: BuildReport, reporter: Reporter, executor: Executor) -> BuildReport:
    specimen_hashes = store.load_hash_cache()
    with executor:
        try:
            if config.specimens.draw is not None:
                _draw(store, config, executor, reporter, report)
            specimen_hashes = _scan(store, config, specimen_hashes, reporter, report)
            context = Context(store, config)
            for name in ("inspect", "probe"):
                _run_whole(name, context, executor, reporter, report)
            report.n_families = len(context.list_built())
            report.missing = {
                family.name: family.missing or "" for family in context.families if family.missing is not None
            }
            _describe_classifier(context, reporter, report)
            slugs = context.list_built()
            if report.shard is not None:
                slugs = report.shard.take(slugs)
            check_memory(
                config, context.model, {each.name: each.n_specimens for each in context.families if each.slug in slugs}
            )
            for name in FAMILY_STAGES if report.shard is None else SHARDED_STAGES:
                _run_family_stage(name, context, slugs, executor, reporter, report)
                if name == "fidelity" and not config.run.keep_activations:
                    _drop_activations(context, slugs)
            _note_rest(context, slugs, report)
            if report.shard is None:
                _save_facts(store, config, specimen_hashes, report)  # the manifest tells by what all was made
                for name in ("explain", "collect"):
                    _run_whole(name, context, executor, reporter, report)
                _note_names(context, report)
        finally:
            with contextlib.suppress(ArtifactError):  # a folder that cannot be written has its own error under way
                _save_facts(store, config, specimen_hashes, report)
    if report.shard is None:
        _bake(store, config, reporter, report)
        _save_facts(store, config, specimen_hashes, report)
    report.peak_mb = max(report.peak_mb, measure_peak_mb(), measure_peak_mb(children=True))
    store.write_json("report.json", "report", describe_report(report))
    return report


def _save_facts(store: Store, config: Config, specimen_hashes: dict[str, list[Any]], report: BuildReport) -> None:
    """Write what is true of this machine and this build only: hashes by time of change, the config, the versions."""
    with contextlib.nullcontext() if report.shard is None else store.claim("facts", ""):
        made_with = {**store.read_makers(), **report.made_with}  # other parts of the build write theirs meanwhile
        store.save_hash_cache(
            specimen_hashes,
            platform=platform.platform(),
            python=platform.python_version(),
            config=config.model_dump(mode="json"),
            name=config.name,
            made_with={name: maker for name, maker in made_with.items() if store.exists(name)},
        )


def describe_report(report: BuildReport) -> dict[str, Any]:
    """Return a build's report as plain values."""
    return {
        "seconds": report.seconds,
        "cpu_seconds": report.cpu_seconds,
        "built": report.built,
        "reused": report.reused,
        "set_aside": report.set_aside,
        "missing": report.missing,
        "notes": report.notes,
        "peak_mb": report.peak_mb,
        "problems": report.problems,
        "n_families": report.n_families,
        "n_pages": report.n_pages,
        "shard": [report.shard.number, report.shard.count] if report.shard else None,
    }


def check_drawn_families(names: Sequence[str]) -> None:
    """Raise a ConfigError where the herbarium does not draw a family."""
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise ConfigError(
            f"[specimens.draw] families asks for {unknown[0]}, which the herbarium does not draw."
            f"{suggest(unknown[0], FAMILIES)} It draws {', '.join(FAMILIES)}."
        )


def list_drawn_families(config: Config) -> list[str]:
    """Return the families that a config draws: all it names, less those that this build does not ask for.

    Raises
    ------
    ConfigError
        Where it asks for a family that the herbarium does not draw.
    """
    settings = config.specimens.draw
    assert settings is not None, "asked only where the config draws"
    check_drawn_families(settings.families)
    drawn = list(settings.families or FAMILIES)
    unknown = [name for name in config.atlas.families if name not in drawn]
    if unknown:
        raise ConfigError(
            f"{unknown[0]} was asked for ([atlas] families, or --families), and this config does not draw it."
            f"{suggest(unknown[0], drawn)} It draws {', '.join(drawn)}."
        )
    return [name for name in drawn if not config.atlas.families or name in config.atlas.families]


# --- stages --------------------------------------------------------------------------------------------------


def _draw(store: Store, config: Config, executor: Executor, reporter: Reporter, report: BuildReport) -> None:
    """Draw the herbarium and join its rows into a catalogue."""
    settings = config.specimens.draw
    assert settings is not None, "draw runs only where the config draws"
    families = list_drawn_families(config)
    contexts = {make_slug(name): Context(store, config, make_slug(name)) for name in families}
    stale = [slug for slug, context in contexts.items() if find_staleness("draw", context)]
    _run("draw", stale, len(contexts), executor, reporter, report)
    split = "held-out" if _is_held_out(store, config) else ""
    rows = [
        {**row, "split": split}
        for slug in sorted(contexts)
        for row in store.read_json(f"specimens/{slug}.json", "specimens", stage="draw")["rows"]
    ]
    write_catalogue(store.path("specimens"), rows)


def _is_held_out(store: Store, config: Config) -> bool:
    """Tell whether the classifier that ships with the drawn leaves was trained on other seeds than these."""
    if config.classifier.source != DRAWN_CLASSIFIER or config.specimens.draw is None:
        return False
    path = Path(Context(store, config).locate_classifier()) / "config.json"
    trained = json.loads(path.read_text(encoding="utf-8"))["trained_on"]["seed"]
    return config.specimens.draw.seed not in (trained, trained + 1)


def _scan(
    store: Store, config: Config, known: dict[str, list[Any]], reporter: Reporter, report: BuildReport
) -> dict[str, list[Any]]:
    """List the specimens into catalogue.json; return the new cache of their hashes."""
    began, spent = time.monotonic(), measure_cpu_seconds()
    drawn = config.specimens.draw is not None
    root = store.path("specimens") if drawn else config.specimens.root
    assert root is not None, "the config has root or draw"
    started = False

    def on_scanned(done: int, total: int) -> None:
        nonlocal started
        if not started:
            reporter.start("scan", total, 0)
            started = True
        reporter.advance("scan")

    catalogue, hashes = scan_specimens(
        root=root,
        catalogue=store.path("specimens/catalogue.csv") if drawn else config.specimens.catalogue,
        split=config.specimens.split,
        max_pixels=config.specimens.max_pixels,
        follow_symlinks=config.specimens.follow_symlinks,
        known_hashes={name: tuple(entry) for name, entry in known.items()},
        on_scanned=on_scanned,
    )
    if started:
        reporter.finish("scan", time.monotonic() - began)
    report.seconds["scan"], report.cpu_seconds["scan"] = time.monotonic() - began, measure_cpu_seconds() - spent
    catalogue = _settle_rights(store, config, catalogue, report)
    report.set_aside = {each.id: each.set_aside for each in catalogue.specimens if each.set_aside}
    report.notes += catalogue.notes
    _write_if_changed(store, catalogue)
    return {name: list(entry) for name, entry in hashes.items()}


def _settle_rights(store: Store, config: Config, catalogue: Catalogue, report: BuildReport) -> Catalogue:
    """Return the catalogue with withdrawn specimens marked, and the atlas's licence where one has none of its own.

    Specimens are withdrawn in the run (``leaflineage withdraw``) or beside the config ([specimens] withdrawn).
    """
    kept, licence = config.specimens.withdrawn, config.atlas.licences.images
    named = {**(read_withdrawn(kept) if kept else {}), **read_withdrawn(store.path(WITHDRAWN))}
    unknown = sorted(named.keys() - {each.id for each in catalogue.specimens})
    if unknown:
        report.notes.append(
            f"{len(unknown)} withdrawn {'specimen is' if len(unknown) == 1 else 'specimens are'} not in the catalogue, "
            f"so nothing is left out for {'it' if len(unknown) == 1 else 'them'}: {', '.join(unknown[:5])}"
        )
    if not named and licence is None:
        return catalogue
    specimens = [
        each.model_copy(update={"withheld": each.id in named, "licence": each.licence or licence})
        for each in catalogue.specimens
    ]
    return catalogue.model_copy(update={"specimens": specimens})


def _write_if_changed(store: Store, catalogue: Catalogue) -> None:
    payload = catalogue.model_dump(mode="json")
    try:
        same = store.read_json("catalogue.json", "catalogue") == {"schema": "leaflineage.catalogue/1", **payload}
    except ArtifactError:
        same = False
    if not same:
        store.write_json("catalogue.json", "catalogue", payload)


def _run_whole(name: str, context: Context, executor: Executor, reporter: Reporter, report: BuildReport) -> None:
    """Run a stage that concerns all families, where it is stale."""
    stale = [""] if find_staleness(name, context) else []
    _run(name, stale, 1, executor, reporter, report)


def _run_family_stage(
    name: str, context: Context, slugs: Sequence[str], executor: Executor, reporter: Reporter, report: BuildReport
) -> None:
    """Run a stage for those of some families in which it is stale."""
    stale = [slug for slug in slugs if find_staleness(name, context.of(slug))]
    if name in list_cell_readers(context):  # cells are dropped once their readers are done, and made again for them
        dropped = [slug for slug in stale if not has_activations(context.of(slug))]
        if dropped:
            _run("extract", dropped, len(slugs), executor, reporter, report)
    _run(name, stale, len(slugs), executor, reporter, report)


def _drop_activations(context: Context, slugs: Sequence[str]) -> None:
    """Remove the cells of families whose readers are done: they are large and can be made again."""
    for slug in slugs:
        for name in STAGES["extract"].list_disposable(slug):
            context.store.remove(name)


def _run(name: str, stale: list[str], total: int, executor: Executor, reporter: Reporter, report: BuildReport) -> None:
    """Run a stage's tasks; the first error ends the build once the others are done."""
    began = time.monotonic()
    report.built[name] = sorted({*report.built.get(name, []), *stale})
    report.reused[name] = total - len(report.built[name])
    if not stale:
        return
    reporter.start(name, total, total - len(stale))
    errors: list[LeafLineageError] = []
    for done in executor.run(name, stale):
        report.peak_mb = max(report.peak_mb, done.peak_mb)
        report.cpu_seconds[name] = report.cpu_seconds.get(name, 0.0) + done.cpu_seconds
        if done.error is not None:
            errors.append(done.error)
        else:
            report.made_with[STAGES[name].record_path(done.slug)] = done.maker
        reporter.advance(name, done.slug)
    seconds = time.monotonic() - began
    report.seconds[name] = report.seconds.get(name, 0.0) + seconds
    reporter.finish(name, seconds)
    if errors:
        raise _join(errors)


def _join(errors: list[LeafLineageError]) -> LeafLineageError:
    """Return one error that says what all of them say."""
    if len(errors) == 1:
        return errors[0]
    return type(errors[0])("\n".join(sorted({str(error) for error in errors})))


def warn_of_rest(rests: Mapping[str, float]) -> str | None:
    """Return a sentence where some family's rest holds more than half of the importance, None where none does."""
    named = [f"{name} {share:.0%}" for name, share in sorted(rests.items()) if share > LARGEST_REST]
    if not named:
        return None
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"what no shown concept explains takes more than half of the importance of {', '.join(named[:5])}{more}: fit "
        "more concepts ([concepts] n_concepts), show more of them ([atlas] n_shown), or fit them on cells ([concepts] "
        'fit_on = "cells")'
    )


def _note_rest(context: Context, slugs: Sequence[str], report: BuildReport) -> None:
    """Put a warning into the report where concepts leave more unexplained than they explain."""
    rests = {}
    for slug in slugs:
        record = context.store.read_json(f"families/{slug}/importance.json", "importance", stage="rank")
        rests[context.of(slug).family.name] = float(record["rest"]["share"])
    warning = warn_of_rest(rests)
    if warning:
        report.notes.append(f"warning: {warning}")


def _note_names(context: Context, report: BuildReport) -> None:
    """Put into the report which of the experts' names went over to another concept, and which name none."""
    if context.config.anatomy.names is None:
        return
    found = context.store.read_json("manifest.json", "manifest", stage="collect")["names"]
    for place, now, name, cosine in found["moved"]:
        report.notes.append(f"the name {name!r} of {place} now stands at {now} (cosine {cosine:.2f})")
    for place, name in found["lost"]:
        report.notes.append(
            f"warning: the name {name!r} of {place} names no concept of this run: `leaflineage names "
            f"{context.store.folder}` lists those there are"
        )


def _describe_classifier(context: Context, reporter: Reporter, report: BuildReport) -> None:
    """Say what was found of the classifier."""
    model = context.model
    rows, columns, channels = model.map_shape
    head = "affine after pooling" if model.affine_head else "not affine after pooling: importance is sampled"
    reporter.say(f"{model.architecture}, split at {model.layer}: {rows}×{columns}×{channels}, head {head}")
    unnamed = sum(name is None for name in model.label_names)
    if unnamed:
        report.notes.append(f"{unnamed} of {model.n_outputs} outputs have no name and get no page")


# --- the site ------------------------------------------------------------------------------------------------


def bake_site(config: Config, run: Path, *, out: Path, reporter: Reporter) -> tuple[BakeReport, list[str]]:
    """Bake a finished run's site and check it; return what was baked and the problems found."""
    began = time.monotonic()
    reporter.start("bake", _count_pages(run), 0)
    settings = config.site
    baked = bake(
        run,
        out,
        base_url=settings.base_url,
        repository=settings.repository,
        images=settings.images,
        budget_mb=settings.budget_mb,
        jobs=config.run.jobs,
        on_page=lambda page: reporter.advance("bake", page),
    )
    reporter.finish("bake", time.monotonic() - began)
    return baked, [str(problem) for problem in check_site(out, jobs=config.run.jobs, memory=run / MEMORY)]


def hash_site_inputs(store: Store, config: Config, site: Path) -> str:
    """Return what a site depends on: the records, the templates and the settings."""
    digest = hashlib.sha256()
    for name in ("templates", "static", "locale"):
        for path in _list_files(find_resource(name)):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    for path in _list_files(Path(__file__).parent / "website"):
        if path.suffix == ".py":
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    inputs = {
        "resources": digest.hexdigest(),
        "manifest": store.hash_file("manifest.json"),
        "site": config.site.model_dump(mode="json"),
        "out": os.path.relpath(site, store.folder),
        "withdrawn": sorted(read_withdrawn(store.path(WITHDRAWN))),
    }
    return hash_json(inputs)


def _list_files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _bake(store: Store, config: Config, reporter: Reporter, report: BuildReport) -> None:
    """Bake and check the site where it is stale."""
    began, spent = time.monotonic(), measure_cpu_seconds()
    fingerprint = hash_site_inputs(store, config, report.site)
    known: dict[str, Any] = {}
    with contextlib.suppress(ArtifactError):  # a record that is missing or damaged: the site is baked again
        known = store.read_json(SITE_RECORD, "site", stage="bake")
    if known.get("fingerprint") == fingerprint and _is_whole(report.site, known.get("manifest")):
        report.reused["bake"], report.built["bake"] = 1, []
        report.problems, report.n_pages = list(known["problems"]), int(known["n_pages"])
        report.notes += known.get("notes", [])
        return
    baked, report.problems = bake_site(config, store.folder, out=report.site, reporter=reporter)
    report.n_pages = baked.n_pages
    report.notes += baked.notes
    report.built["bake"] = [""]
    report.seconds["bake"], report.cpu_seconds["bake"] = time.monotonic() - began, measure_cpu_seconds() - spent
    record = {
        "fingerprint": fingerprint,
        "manifest": hashlib.sha256((report.site / MANIFEST).read_bytes()).hexdigest(),
        "n_pages": report.n_pages,
        "notes": list(baked.notes),
        "problems": report.problems,
        "settings": config.site.model_dump(mode="json"),
    }
    store.write_json(SITE_RECORD, "site", record)


def _is_whole(site: Path, manifest_sha256: str | None) -> bool:
    """Tell whether a site is as it was baked last: its manifest the same, every file there."""
    try:
        content = (site / MANIFEST).read_bytes()
        same = hashlib.sha256(content).hexdigest() == manifest_sha256
        return same and all((site / name).is_file() for name in unfold_files(json.loads(content)["files"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _count_pages(run: Path) -> int:
    """Return roughly how many pages a site will have, for the progress bar."""
    try:
        index = Store(run).read_json("index.json", "index", stage="collect")
    except ArtifactError as error:
        raise SiteError(f"{error} A site is baked from a finished run.") from error
    return 8 + sum(1 + len(family["concepts"]) for family in index["families"]) + len(index["queries"])
