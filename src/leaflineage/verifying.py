"""Hold a run, or a site, against what it says of itself, at three levels.

*bytes*: every file that the manifest stands for is there, whole, as it was written. *numbers*: those of a sample of
families, computed again from the specimens and the classifier. *pictures*: those families' feature visualisations, sent
through the classifier again; a picture must score as is stored of it. None is drawn again.

A site knows no paths. Where the specimens and the classifier are not at hand, the first level alone is reached.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from leaflineage.config import Config, check_paths, load_config
from leaflineage.errors import (
    ArtifactError,
    ConfigError,
    LeafLineageError,
    ModelError,
    SiteError,
    SpecimenError,
    suggest,
)
from leaflineage.herbarium import write_herbarium
from leaflineage.integrity import check_files, check_run_files
from leaflineage.machine import describe_maker
from leaflineage.pipeline import list_drawn_families
from leaflineage.recomputing import (
    TOLERANCE,
    Claim,
    Difference,
    Scratch,
    compare_pictures,
    compare_run,
    compare_site,
    find_wrong_specimens,
)
from leaflineage.records import AtlasFamily, AtlasRecord, Catalogue, RunManifest
from leaflineage.stages.context import name_accelerator
from leaflineage.stages.describing import FamilyArtifacts
from leaflineage.stages.publishing import SETTINGS
from leaflineage.stages.selection import choose_probe
from leaflineage.store import Store
from leaflineage.website import links
from leaflineage.website.manifest import RUN_MANIFEST, read_manifest, read_run_manifest
from leaflineage.website.published import lay_settings, read_catalogue, rebuild_config
from leaflineage.website.reading import read_record

Say = Callable[[str], None]
N_TOLD = 20  # files of which the first level tells one by one


@dataclass
class Level:
    """What came of one level.

    Attributes
    ----------
    name
        "bytes", "numbers" or "pictures".
    reached
        Whether it was looked at.
    said
        What was looked at, or why it was not.
    problems
        A sentence a thing that is not as it was recorded.
    """

    name: str
    reached: bool
    said: str
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """What came of all levels."""

    place: Path
    levels: list[Level]

    @property
    def problems(self) -> list[str]:
        """What is not as it was recorded, at any level."""
        return [each for level in self.levels for each in level.problems]

    @property
    def reached(self) -> list[str]:
        """The names of the levels that were looked at."""
        return [level.name for level in self.levels if level.reached]


@dataclass(frozen=True)
class Choice:
    """Which families are computed again: ``count`` of them by chance, those that are named, or all (None)."""

    count: int | None = 2
    names: tuple[str, ...] = ()
    seed: int = 0

    @property
    def is_none(self) -> bool:
        """Whether no family is asked for."""
        return self.count == 0 and not self.names

    def take(self, names: Mapping[str, str]) -> list[str]:
        """Return the slugs chosen of {slug: name}, in order.

        Raises
        ------
        ConfigError
            Where one that is named has no concepts there.
        """
        if self.names:
            slugs = {name: slug for slug, name in names.items()} | {slug: slug for slug in names}
            unknown = [name for name in self.names if name not in slugs]
            if unknown:
                raise ConfigError(
                    f"--families asks for {unknown[0]}, and it has no concepts there.{suggest(unknown[0], slugs)} "
                    f"Families with concepts: {', '.join(list(names.values())[:8])}."
                )
            return sorted({slugs[name] for name in self.names})
        if self.count is None or self.count >= len(names):
            return sorted(names)
        return sorted(random.Random(self.seed).sample(sorted(names), self.count))


def verify_run(
    run: Path, config: Config | None, *, overrides: Sequence[str], device: str | None, choice: Choice, say: Say
) -> Verdict:
    """Hold a run against its manifest.

    Parameters
    ----------
    config
        What it was built with last; None where the run does not say.
    overrides
        Laid over that: where the specimens and the classifier are, if they have moved.
    say
        Told what is looked at.

    Raises
    ------
    LeafLineageError
        Where it is no finished run, or something named is not there.
    """
    manifest = read_run_manifest(run)
    say("bytes")
    n, problems = check_run_files(Store(run), manifest)
    level = Level("bytes", True, f"{n} files of the run were held against its manifest", problems)
    return Verdict(
        run, [level, *_go_on(level, lambda: _compute_run(run, manifest, config, overrides, device, choice, say))]
    )


def _compute_run(
    run: Path,
    manifest: RunManifest,
    config: Config | None,
    overrides: Sequence[str],
    device: str | None,
    choice: Choice,
    say: Say,
) -> list[Level]:
    """Return the levels of numbers and of pictures of a run."""
    if choice.is_none:
        return _skip("no family was asked for")
    if config is None:
        return _skip("the run does not say which config it was built with last: build it again")
    store, base = Store(run), lay_settings(config.model_dump(mode="json"), manifest, SETTINGS)
    settings = load_config(None, overrides=overrides, flags={"run.device": device}, base=base, name=config.name)
    why = _find_missing(settings, overrides)
    if why:
        return _skip(why)
    root = run / "specimens" if settings.specimens.draw is not None else settings.specimens.root
    source = _Source(
        config=settings,
        root=root or run,
        catalogue=Catalogue.model_validate(store.read_json("catalogue.json", "catalogue", stage="scan")),
        manifest=manifest,
        families={slug: name for name, slug in _read_families(store, manifest)},
        pictures=run,
        compare=lambda found, exact: compare_run(store, found, exact=exact),
        claim=lambda slug: _read_claims(store, slug),
    )
    return _check_families(source, choice, say)


def verify_site(site: Path, *, overrides: Sequence[str], device: str | None, choice: Choice, say: Say) -> Verdict:
    """Hold a site against its manifest.

    Parameters
    ----------
    overrides
        Where the specimens and the classifier are: ``specimens.root=…``, ``classifier.source=…``.
    say
        Told what is looked at.

    Raises
    ------
    LeafLineageError
        Where it is no site with a manifest, or something named is not there.
    """
    manifest = read_manifest(site)
    say("bytes")
    problems = list(check_files(site, manifest.files))
    level = Level("bytes", True, f"{len(manifest.files)} files of the site were held against its manifest", problems)
    return Verdict(
        site, [level, *_go_on(level, lambda: _compute_site(site, manifest.run, overrides, device, choice, say))]
    )


def _compute_site(
    site: Path, manifest: RunManifest | None, overrides: Sequence[str], device: str | None, choice: Choice, say: Say
) -> list[Level]:
    """Return the levels of numbers and of pictures of a site."""
    if choice.is_none:
        return _skip("no family was asked for")
    if manifest is None:
        return _skip("the site's run had no manifest of this version: build the run and bake it again")
    drawn = manifest.settings.get("specimens.draw") is not None
    given = {override.partition("=")[0].strip() for override in overrides}
    wanted = [key for key in ("specimens.root", "classifier.source") if key not in given]
    if wanted and not (drawn and "specimens.root" not in given):
        return _skip(
            f"a site knows no paths: say where they are with {' and '.join(f'--set {key}=…' for key in wanted)}"
        )
    atlas = read_record(site / links.ATLAS_DATA, AtlasRecord, "atlas")
    settings = rebuild_config(site, manifest, atlas, overrides, device, known=SETTINGS)
    with tempfile.TemporaryDirectory(prefix="leaflineage-verify-") as folder:
        root = settings.specimens.root
        if root is None:
            root = Path(folder)
            _draw(root, settings, say)
        built = {each.slug: each for each in atlas.families if each.missing is None and each.concepts}
        source = _Source(
            config=settings,
            root=root,
            catalogue=read_catalogue(site, settings, atlas, root=root),
            manifest=manifest,
            families={slug: each.name for slug, each in built.items()},
            pictures=site,
            compare=lambda found, exact: compare_site(site, built[found.selected.slug], found, exact=exact),
            claim=lambda slug: _list_claims(built[slug]),
        )
        return _check_families(source, choice, say)


def _go_on(level: Level, compute: Callable[[], list[Level]]) -> list[Level]:
    """Return the other levels; where files are damaged, what keeps them from being looked at is no error of its own."""
    try:
        return compute()
    except LeafLineageError as error:
        if not level.problems:
            raise
        return _skip(f"files are damaged, or what is needed is not there ({error})")


def _skip(why: str) -> list[Level]:
    return [Level(name, False, f"not reached: {why}") for name in ("numbers", "pictures")]


def _find_missing(config: Config, overrides: Sequence[str]) -> str | None:
    """Say which of a run's paths is not there any more; one that is given now has to be."""
    try:
        check_paths(config, None)
    except ConfigError as error:
        if overrides:
            raise
        places = [line.strip(" -") for line in str(error).splitlines() if line.startswith("  - ")]
        return f"{'; '.join(places)}: say where it is with --set"
    return None


# --- numbers, pictures -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """What families are computed again from, and what they are held against.

    Attributes
    ----------
    root
        The folder that specimens' files are relative to.
    families
        Those with concepts: {slug: name}.
    pictures
        The folder that paths of pictures are relative to.
    compare, claim
        Of a family: what differs from what is stored; what is stored of its pictures.
    """

    config: Config
    root: Path
    catalogue: Catalogue
    manifest: RunManifest
    families: Mapping[str, str]
    pictures: Path
    compare: Callable[[FamilyArtifacts, bool], list[Difference]]
    claim: Callable[[str], list[Claim]]


def _check_families(source: _Source, choice: Choice, say: Say) -> list[Level]:
    """Compute a sample of families again; return the levels of numbers and of pictures."""
    chosen = choice.take(source.families)
    if not chosen:
        return _skip("no family has concepts")
    config = source.config
    accelerator = name_accelerator(config.run.device)
    # An accelerator adds in an order of its own each time: nobody promises bits there.
    exact = source.manifest.makers == [describe_maker()] and not accelerator
    specimens = config.specimens.model_copy(update={"root": source.root, "draw": None})
    config = config.model_copy(update={"specimens": specimens})
    _hold_root(source)
    numbers, pictures = Level("numbers", True, ""), Level("pictures", True, "")
    n_specimens = n_pictures = 0
    with tempfile.TemporaryDirectory(prefix="leaflineage-verify-") as folder:
        scratch = Scratch(Path(folder), config, source.catalogue, say)
        _hold_classifier(scratch, source.manifest)
        same_pictures = exact or source.config.specimens.draw is None  # elsewhere a leaf's file may be drawn otherwise
        if same_pictures:
            _hold_specimens(scratch)
        for slug in chosen:
            name = source.families[slug]
            try:
                found = _compute_family(scratch, slug, same_pictures=same_pictures)
            except LeafLineageError as error:
                numbers.problems.append(f"{name} cannot be computed again: {error}")
                continue
            n_specimens += len(found.specimens)
            numbers.problems += _tell(name, "artifacts or arrays", partial(source.compare, found, exact))
            say(f"{slug}: pictures")
            try:
                claims = source.claim(slug)
            except LeafLineageError as error:
                pictures.problems.append(f"{name}: {error}")
                continue
            n_pictures += len(claims)
            # Who withdrew a specimen after the pictures were judged has other real crops to judge them by.
            whole = exact and not any(each.withheld for each in found.specimens)
            judge = partial(compare_pictures, source.pictures, claims, found, exact=whole)
            pictures.problems += _tell(name, "pictures", judge)
            scratch.drop(slug)
    named = ", ".join(source.families[slug] for slug in chosen[:8]) + (" …" if len(chosen) > 8 else "")
    how = (
        "every bit was to be equal"
        if exact
        else f"agreement to {TOLERANCE:g} was wanted, for other versions or processors made them, or an accelerator"
    )
    numbers.said = f"{named}, computed again from {n_specimens} specimens and the classifier; {how}"
    pictures.said = (
        f"{n_pictures} pictures of the same families, sent through the classifier again; none was drawn again"
    )
    if not n_specimens and not pictures.problems:
        pictures.reached = False
        pictures.said = "none was looked at, for no family's numbers were computed"
    return [numbers, pictures]


def _compute_family(scratch: Scratch, slug: str, *, same_pictures: bool) -> FamilyArtifacts:
    """Return what was computed again of a family.

    Raises
    ------
    LeafLineageError
        Where its specimens are not those that are recorded, or whatever stops a stage.
    """
    if slug not in scratch.context.list_built():
        raise SpecimenError("the specimens, or the names of the classifier's outputs, lack it")
    own = scratch.context.of(slug)
    wrong = find_wrong_specimens(own, [each.id for each in own.specimens]) if same_pictures else []
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise SpecimenError(
            f"at {own.specimens_root} the picture of {wrong[0]}{more} is missing, or another one than is recorded"
        )
    return scratch.compute(slug)


def _tell(family: str, what: str, compare: Callable[[], list[Difference]]) -> list[str]:
    """Return one sentence on a family where anything of it differs or cannot be read, none where all is well."""
    try:
        differences = compare()
    except LeafLineageError as error:
        return [f"{family}: {error}"]
    if not differences:
        return []
    more = f" ({len(differences) - 1} more of its {what} differ)" if len(differences) > 1 else ""
    return [f"{family}: {differences[0]}{more}"]


def _hold_root(source: _Source) -> None:
    """Raise where none of the specimens' pictures is where they are said to be."""
    files = [each.file for each in source.catalogue.specimens if each.set_aside is None]
    if not any((source.root / file).is_file() for file in files):
        raise SpecimenError(
            f"The pictures of {len(files)} specimens were wanted below {source.root}, and none is there"
            f"{f' (as {files[0]})' if files else ''}. Say where they are: --set specimens.root=…"
        )


def _hold_classifier(scratch: Scratch, manifest: RunManifest) -> None:
    found = scratch.context.model.sha256
    if found != manifest.classifier_sha256:
        raise ModelError(
            f"The classifier with the sha256 {manifest.classifier_sha256[:12]}… was wanted, and the one at "
            f"{scratch.context.locate_classifier()} has {found[:12]}…. Say where the right one is: --set "
            "classifier.source=…"
        )


def _hold_specimens(scratch: Scratch) -> None:
    """Raise where the sample of all families, on which each is tried, is not what it was."""
    sample = [each.id for each in choose_probe(scratch.context.catalogue, scratch.context.model)]
    wrong = find_wrong_specimens(scratch.context, sample)
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise SpecimenError(
            f"The specimens that are recorded were wanted at {scratch.context.specimens_root}, and the picture of "
            f"{wrong[0]}{more} is missing there or another one. Say where they are: --set specimens.root=…"
        )


# --- what a run says -------------------------------------------------------------------------------------------


def _read_families(store: Store, manifest: RunManifest) -> Iterator[tuple[str, str]]:
    """Yield (name, slug) of the families of a run that have concepts."""
    for record in manifest.artifacts:
        parts = record.split("/")
        if len(parts) == 3 and parts[0] == "families" and parts[2] == "importance.json":
            family = store.read_json(f"families/{parts[1]}/family.json", "family", stage="collect")["family"]
            yield str(family["name"]), parts[1]


def _read_claims(store: Store, slug: str) -> list[Claim]:
    """Return what a run says of a family's pictures."""
    record = store.read_json(f"families/{slug}/visualizations.json", "visualizations", stage="visualize")
    try:
        listed = [(name, each) for name, several in record["visualizations"].items() for each in several]
        listed += [("", record["family"])] if record["family"] else []
        claims = [Claim(each["image"], each["kind"], name, each["score"]) for name, each in listed]
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"families/{slug}/visualizations.json should list pictures with their scores, and does not ({error!r}). "
            "Run the stage 'visualize' again: `leaflineage build`."
        ) from error
    return [each for each in claims if links.is_inside(each.path)]


# --- what a site says ------------------------------------------------------------------------------------------


def _list_claims(family: AtlasFamily) -> list[Claim]:
    """Return what a site says of a family's pictures, whose paths are relative to its data."""
    listed = [(each.id.rpartition("/")[2], picture) for each in family.concepts for picture in each.visualizations]
    listed += [("", family.visualization)] if family.visualization else []
    claims = [Claim(picture.image.removeprefix("../"), picture.kind, name, picture.score) for name, picture in listed]
    outside = next((each.path for each in claims if not links.is_inside(each.path)), None)
    if outside is not None:
        raise SiteError(
            f"{links.ATLAS_DATA} should name pictures of the site, and names {outside!r}, which is none. Do not trust "
            "this site; bake it again."
        )
    return claims


def _draw(root: Path, config: Config, say: Say) -> None:
    """Draw a drawn atlas's leaves again."""
    settings = config.specimens.draw
    assert settings is not None, "a site whose specimens have no root is a drawn one"
    say(f"drawing {settings.n} leaves a family")
    families = list_drawn_families(config)
    write_herbarium(root, families=families, n=settings.n, size=settings.size, seed=settings.seed)


def is_run(place: Path) -> bool:
    """Tell whether a folder is a run, and no site, whose manifest lies among its data."""
    return (place / RUN_MANIFEST).is_file()


# --- in words --------------------------------------------------------------------------------------------------


def write_verdict(verdict: Verdict) -> Iterator[str]:
    """Yield the lines that tell a verdict."""
    for level in verdict.levels:
        if not level.reached:
            yield f"{level.name}: {level.said}."
            continue
        end = "all is as it was recorded" if not level.problems else f"{len(level.problems)} not as recorded"
        yield f"{level.name}: {level.said}: {end}."
        for problem in level.problems[:N_TOLD]:
            yield f"  {problem}."
        if len(level.problems) > N_TOLD:
            yield f"  … and {len(level.problems) - N_TOLD} more."
    yield f"Reached: {', '.join(verdict.reached)}."


def hold_verdict(verdict: Verdict) -> None:
    """Raise where something is not as it was recorded.

    Raises
    ------
    ArtifactError
        It says at which levels.
    """
    wrong = [level for level in verdict.levels if level.problems]
    if wrong:
        counts = ", ".join(f"{len(level.problems)} at the level of {level.name}" for level in wrong)
        raise ArtifactError(
            f"{verdict.place} should be what it says of itself, and is not: {counts}; see above. Build the run again, "
            "or get the site anew from where it came."
        )
