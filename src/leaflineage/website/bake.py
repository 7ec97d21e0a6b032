"""Bake a run's records into a static site.

The addresses of all pages are gathered from ``index.json`` first, so that every link is held against them; then the
families' records are read one at a time. Everything is written into a folder beside the site and moved into place at
the end: a bake that fails leaves the former site as it was. Pictures are hard links of the run's, never encoded anew.
"""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from leaflineage.errors import ArtifactError
from leaflineage.records import Index
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.atlas_data import Part, write_atlas
from leaflineage.website.comparing import Pairs, list_pairs, parse_compared
from leaflineage.website.contents import (
    hold_slugs,
    hold_unique,
    list_extras,
    list_listed,
    list_made,
    list_pages,
    list_query_pictures,
    list_statics,
    make_back_pages,
    make_front_pages,
)
from leaflineage.website.context import Site, is_built, make_url
from leaflineage.website.facts import RecordFacts
from leaflineage.website.family_bake import PARTS, Workers, list_parts, write_parts
from leaflineage.website.holdings import ChangedError, pack_files
from leaflineage.website.linked import write_citation
from leaflineage.website.listing import write_lists
from leaflineage.website.manifest import describe_run
from leaflineage.website.reading import read_index
from leaflineage.website.rendering import make_renderer
from leaflineage.website.rights import WITHDRAWN, Images, Rights, read_withdrawn, redact_importances, redact_specimens
from leaflineage.website.search import make_script_words, make_search_index
from leaflineage.website.shown import hide_in_index, list_shown
from leaflineage.website.state import NAILED, BakeState, FamilyState, forget_state, read_state, write_state
from leaflineage.website.striking import Opening
from leaflineage.website.styles import list_sheets, make_sheet
from leaflineage.website.surroundings import Surveyor, hash_facts
from leaflineage.website.unchanged import NUMBERS, Whole, hash_read, is_unchanged
from leaflineage.website.view_compare import list_compare_pages, view_compare
from leaflineage.website.view_map import make_map_data
from leaflineage.website.words import Words
from leaflineage.website.writing import Writer, hash_file, pack, read_former, write_robots, write_sitemap

SITE_SCHEMA = "leaflineage.site/1"


@dataclass(frozen=True)
class BakeReport:
    """What a bake made.

    Attributes
    ----------
    site : Path
        The folder of the site; ``site / "index.html"`` opens it.
    n_pages, n_pictures, n_removed : int
        Pages written, pictures linked, files of a former bake removed.
    n_bytes : int
        Weight of the whole site.
    budget_mb : float
        The weight it may have, in millions of bytes.
    notes : tuple of str
        What a person should know before publishing.
    """

    site: Path
    n_pages: int
    n_pictures: int
    n_removed: int
    n_bytes: int
    budget_mb: float
    notes: tuple[str, ...] = ()

    @property
    def over_budget(self) -> bool:
        """Whether the site weighs more than it may."""
        return self.n_bytes > self.budget_mb * 1e6


def bake(
    run: Path,
    out: Path | None = None,
    *,
    base_url: str | None = None,
    repository: str | None = None,
    images: Images = "all",
    budget_mb: float = 300,
    jobs: int = 1,
    on_page: Callable[[str], None] | None = None,
) -> BakeReport:
    """Make the site of a run; of a site that is there, what would be made anew in the same way stays.

    Parameters
    ----------
    run : Path
        Folder that holds index.json, families/, and the list of withdrawn specimens if there is one.
    out : Path, optional
        Folder of the site; ``run / "site"`` unless given.
    base_url : str, optional
        Public address of the site; gives the 404 page its links, and a sitemap.
    repository : str, optional
        Address of the source repository, for "report a wrong name".
    images : str
        Which pictures of specimens the site holds: "all", the "licensed" ones, "none".
    budget_mb : float
        Weight the site may have, in millions of bytes; ``check`` holds it.
    jobs : int
        Processes; 0 for one a core. They change no byte. Like all that starts processes, more than one wants to be
        called from under ``if __name__ == "__main__":``.
    on_page : callable, optional
        Told the address of each page once it is made, or left as it is.

    Raises
    ------
    ArtifactError
        If a record is missing, of another schema or damaged.
    SiteError
        If the site would be wrong: a dead link, a missing picture, a template's name nobody declares.
    """
    out, began = run / "site" if out is None else out, time.time_ns()
    state = read_state(run, out)
    settings = {"base_url": base_url, "repository": repository, "images": images, "budget_mb": budget_mb}
    made_by = hash_facts([hash_code(), hash_statics(), settings])
    if state.whole is not None and is_unchanged(run, out, state, made_by):
        whole = Whole.parse(state.whole)
        for each in state.families.values():
            _tell_family(on_page, each)
        _tell(on_page, whole.others)
        return BakeReport(**{"site": out, **whole.told, "budget_mb": budget_mb, "notes": tuple(whole.told["notes"])})
    read = hash_read(run)
    staging = out.with_name(out.name + ".part")
    with Workers(staging, out, run, jobs=jobs) as workers:
        if not state.facts:
            workers.start(_count_families(run))
        known = _look_at_run(run, state, workers, base_url=base_url, repository=repository, images=images)
        site = known.site
        former = read_former(out)
        shutil.rmtree(staging, ignore_errors=True)
        writer = Writer(staging, out, run)
        is_thawed = gc.get_freeze_count() == 0  # who calls has set nothing aside
        try:
            if is_thawed:
                gc.freeze()  # what is known stays: a tenth of the time would go into looking through it for rubbish
            families = _write_families(known, writer, state, workers, on_page=on_page)
            compared = _write_comparisons(known, writer, state, on_page=on_page)
            families = _write_others(known, writer, families, on_page=on_page)
            said = {
                "schema": SITE_SCHEMA,
                "base_url": base_url,
                "budget_mb": budget_mb,
                "drawn": site.index.drawn,
                "images": images,
            }
            packets = [*(each.packed for each in families.values()), pack_files(writer.addresses, writer.hashes)]
            listed = write_lists(writer, packets, former, said=said, run=describe_run(run))
            forget_state(run)
            writer.move_into_place(former, listed.stale, is_same_list=listed.is_same)
        except ChangedError:
            forget_state(run)  # what it tells of that file is wrong
            raise
        except ArithmeticError as error:
            raise ArtifactError(
                f"Numbers that can be written and drawn were wanted, and one in index.json or in a family's record is "
                f"beyond all measure ({error}). Run the stage collect again."
            ) from error
        finally:
            if is_thawed:
                gc.unfreeze()
            shutil.rmtree(staging, ignore_errors=True)
    for slug, each in families.items():
        if not each.stamped:
            families[slug] = each.stamp(run, out, writer.copied, began=began)
    report = BakeReport(
        site=out,
        n_pages=listed.n_pages,
        n_pictures=listed.n_pictures,
        n_removed=len(listed.stale),
        n_bytes=listed.n_bytes,
        budget_mb=budget_mb,
        notes=tuple(list_notes(site.index, images)),
    )
    hashes = {**writer.hashes, **listed.hashes}
    whole = _describe(site, hashes, report, made_by, read)
    state = BakeState(known.facts, families, compared, whole.dump(), known.opening.remembered)
    write_state(run, out, state, hashes)
    return report


def _describe(
    site: Site, hashes: Mapping[str, str], report: BakeReport, made_by: str, read: dict[str, str | None]
) -> Whole:
    """Return what is remembered of the site as a whole, from the hashes of files that belong to no family alone."""
    others = {
        address: sha256
        for address, sha256 in hashes.items()
        if address not in NAILED and not address.startswith(links.MEDIA)
    }
    told: dict[str, Any] = {name: getattr(report, name) for name in ("n_pages", "n_pictures", "n_bytes")}
    told |= {"n_removed": 0, "notes": list(report.notes)}
    pictures = sorted({picture for query in site.index.queries for picture in list_query_pictures(query)})
    return Whole(made_by, read, others, pictures, told)


@dataclass(frozen=True)
class _Known:
    """What is known before the first page is made.

    Attributes
    ----------
    site
        With its plan of addresses.
    facts
        Of the records of families with concepts, by slug.
    extras
        Files to download that the run has, by address.
    pairs
        Families that can be compared.
    opening
        Chooses the leaf on the first page.
    """

    site: Site
    facts: dict[str, RecordFacts]
    extras: dict[str, Path]
    pairs: Pairs
    opening: Opening

    @cached_property
    def render(self) -> Callable[[str, Any], str]:
        """The function from a template's name and its dataclass to a page."""
        return make_renderer(self.site.words)

    @cached_property
    def surveyor(self) -> Surveyor:
        """Tells what each family's pages are made from."""
        return Surveyor(self.site, {slug: list(self.list_numbers(slug)) for slug in self.facts})

    def list_numbers(self, slug: str) -> dict[str, str]:
        """Return the paths in the run of a family's files to download, by address."""
        files = {name(slug): f"families/{slug}/{file}" for name, file in NUMBERS.items()}
        return {address: path for address, path in files.items() if address in self.extras}


def _look_at_run(
    run: Path,
    state: BakeState,
    workers: Workers,
    *,
    base_url: str | None,
    repository: str | None,
    images: Images,
) -> _Known:
    """Read the index and look through the records."""
    index = read_index(run)
    hold_slugs(index)
    rights = Rights(images, bool(index.licences.images), frozenset(read_withdrawn(run / WITHDRAWN)))
    built = [family.slug for family in index.families if is_built(family)]
    facts = workers.look_through(built, state.facts)
    index = hide_in_index(index, facts, rights)
    words = Words.load(find_resource("locale") / "en")
    shown = list_shown(facts, {family.slug: family for family in index.families}, rights)
    extras = list_extras(run, index)
    pairs = list_pairs(run, index)
    pages = [*list_pages(index, shown), *pairs.list_pages()]
    scripts = [*pairs.list_files(), *([links.MAP_DATA] if links.MAP in pages else [])]
    plan = [*pages, *scripts, *list_made(index, base_url), *list_statics(), *extras]
    hold_unique(plan)
    allowed = [hash_code(), rights.images, rights.atlas_licence, sorted(rights.withdrawn)]
    opening = Opening(run, lambda slug: hash_facts([*allowed, slug, facts[slug].sha256]), state.opening)
    site = Site(index, words, frozenset(plan), base_url, repository, shown, rights)
    return _Known(site, facts, extras, pairs, opening)


def _write_families(
    known: _Known,
    writer: Writer,
    state: BakeState,
    workers: Workers,
    *,
    on_page: Callable[[str], None] | None,
) -> dict[str, FamilyState]:
    """Make the files of families where something that they read has changed, and keep the others.

    Meanwhile everything is made that concerns all families and none of these files.
    """
    site, surveyor = known.site, known.surveyor
    code = hash_code()
    families: dict[str, FamilyState] = {}
    stale: dict[str, str] = {}
    for slug, found in known.facts.items():
        fingerprint = hash_facts([code, surveyor.fingerprint(slug, found)])
        former = state.families.get(slug)
        redacted = bool(site.rights.withdrawn) and _is_redacted(known, writer.run, slug, found)
        kept = None
        if former is not None and former.fingerprint == fingerprint and not redacted:
            kept = former.find_kept(writer.run, writer.out, known.list_numbers(slug))
        if former is None or kept is None:
            stale[slug] = fingerprint
            continue
        families[slug] = former if kept.is_stamped else replace(former, stamped=b"")
        writer.copied |= kept.copied
        _tell_family(on_page, former)
    tasks = (surveyor.survey(slug, known.facts[slug]) for slug in stale)  # one by one: together they are large
    meanwhile = partial(_write_front, known, writer, on_page)
    for files in workers.bake(tasks, len(stale), surveyor.shared, meanwhile):
        writer.copied |= files.copied
        families[files.slug] = FamilyState(stale[files.slug], files.packed)
        _tell(on_page, files.pages)
    return {slug: families[slug] for slug in known.facts}


def _is_redacted(known: _Known, run: Path, slug: str, facts: RecordFacts) -> bool:
    """Return whether a family's record or its table names a specimen that was withdrawn."""
    withdrawn = known.site.rights.withdrawn
    if not withdrawn.isdisjoint(facts.mentions):
        return True
    table = known.list_numbers(slug).get(links.importances_file(slug))
    if table is None:
        return False
    data = (run / table).read_bytes()
    return redact_importances(data, withdrawn) != data


def _write_comparisons(
    known: _Known, writer: Writer, state: BakeState, *, on_page: Callable[[str], None] | None
) -> dict[str, str]:
    """Make the pages that compare two families, and keep those whose families did not change.

    Returns
    -------
    dict of str
        The fingerprint of what each is made from, by address.
    """
    site, pairs = known.site, known.pairs
    others = state.whole["others"] if state.whole is not None and state.families else {}
    counts = sorted([*pair, n] for pair, n in pairs.confused.items())
    common = hash_facts([hash_code(), known.surveyor.shared_print, pairs.slugs, pairs.baked, counts])
    scripts: dict[str, Path] = {}
    fingerprints: dict[str, str] = {}
    for address, pair in list_compare_pages(pairs):
        for slug in pair:
            scripts[slug] = writer.find(links.compare_file(slug))
        fingerprints[address] = hash_facts([common, *(hash_file(scripts[slug]) for slug in pair)])
        same = state.compared.get(address) == fingerprints[address]
        if same and address in others and writer.keep(address, others[address]):
            _tell(on_page, [address])
            continue
        one, other = (parse_compared(scripts[slug].read_text(encoding="utf-8")) for slug in pair)
        _write_pages(
            known, writer, [(address, "compare.html", view_compare(site, address, pairs, one, other))], on_page
        )
    return fingerprints


def _write_front(known: _Known, writer: Writer, on_page: Callable[[str], None] | None) -> None:
    """Make what concerns all families and reads none of their files."""
    site = known.site
    for address, source in list_statics().items():
        writer.write(address, source.read_bytes())
    for kind, address in list_sheets().items():
        writer.write(address, make_sheet(kind).encode("utf-8"))
    writer.write(links.SEARCH_INDEX, make_search_index(site).encode("utf-8"))
    writer.write(links.SCRIPT_WORDS, make_script_words(site).encode("utf-8"))
    for query in site.index.queries:
        for picture in list_query_pictures(query):
            writer.link_picture(picture)
    if links.MAP_DATA in site.plan:
        writer.write(links.MAP_DATA, make_map_data(site).encode("utf-8"))
    _write_pages(known, writer, make_front_pages(site, writer.run, known.opening), on_page)
    _write_for_machines(site, writer)


def _write_others(
    known: _Known,
    writer: Writer,
    families: dict[str, FamilyState],
    *,
    on_page: Callable[[str], None] | None,
) -> dict[str, FamilyState]:
    """Make what concerns all families and reads their files; return where each family lies in the data."""
    site, extras = known.site, known.extras
    files, places = _write_data(site, writer, families, extras)
    sizes = {address: source.stat().st_size for address, source in extras.items()}
    _write_pages(known, writer, make_back_pages(site, files, sizes), on_page)
    return places


def _write_pages(
    known: _Known, writer: Writer, pages: Iterable[tuple[str, str, Any]], on_page: Callable[[str], None] | None
) -> None:
    for address, template, view in pages:
        writer.write(address, known.render(template, view).encode("utf-8"))
        _tell(on_page, [address])


def _write_for_machines(site: Site, writer: Writer) -> None:
    """Write what search engines, hosts and libraries look for."""
    url = make_url(site.base_url, links.HOME) if site.base_url else None
    writer.write(links.CITATION, write_citation(site.index, url).encode("utf-8"))
    sitemap = None
    if links.SITEMAP in site.plan and site.base_url:
        listed = [make_url(site.base_url, page) for page in list_listed(site)]
        writer.write(links.SITEMAP, write_sitemap(listed).encode("utf-8"))
        sitemap = make_url(site.base_url, links.SITEMAP)
    writer.write(links.ROBOTS, write_robots(sitemap).encode("utf-8"))
    writer.write(".nojekyll", b"")


def _write_data(
    site: Site, writer: Writer, families: dict[str, FamilyState], extras: dict[str, Path]
) -> tuple[list[tuple[str, str, int, str]], dict[str, FamilyState]]:
    """Write what is there to download; return (address, word, bytes, sha256) of each file, and where families lie."""
    run, withdrawn = writer.run, site.rights.withdrawn
    parts: dict[str, tuple[Part, Part]] = {}
    for family in site.index.families:
        known = families.get(family.slug)
        if known is not None and known.family and known.specimens:
            parts[family.slug] = known.family, known.specimens
            continue
        parts[family.slug] = list_parts(writer.staging, family.slug)
        if known is None:  # it has no concepts
            write_parts(writer.staging, site, family, {})
    former = writer.out / links.ATLAS_DATA
    size, digest, places = write_atlas(writer.open(links.ATLAS_DATA), former, site.index, parts)
    shutil.rmtree(writer.staging / PARTS, ignore_errors=True)
    writer.addresses[links.ATLAS_DATA] = size
    writer.hashes[links.ATLAS_DATA] = digest
    files = [(links.ATLAS_DATA, "data.atlas", size, digest)]
    if site.index.version is not None:
        address = links.versioned_data(site.index.version)
        size, digest = pack(writer.staging / links.ATLAS_DATA, writer.open(address))
        writer.addresses[address] = size
        writer.hashes[address] = digest
        files.append((address, "data.version", size, digest))
    if links.SPECIMENS_DATA in extras:
        data = extras[links.SPECIMENS_DATA].read_bytes()
        data = redact_specimens(data, withdrawn) if withdrawn else data
        writer.write(links.SPECIMENS_DATA, data)
        files.append((links.SPECIMENS_DATA, "data.specimens", len(data), hashlib.sha256(data).hexdigest()))
    if links.HEAD_DATA in extras:
        data = extras[links.HEAD_DATA].read_bytes()
        writer.link_file(extras[links.HEAD_DATA].relative_to(run).as_posix(), links.HEAD_DATA)
        files.append((links.HEAD_DATA, "data.head", len(data), hashlib.sha256(data).hexdigest()))
    located = {
        slug: replace(known, family=places[slug][0], specimens=places[slug][1]) for slug, known in families.items()
    }
    return files, located


def _count_families(run: Path) -> int:
    """Return about how many families a run has, before its index is read."""
    try:
        return len(os.listdir(run / "families"))  # noqa: PTH208
    except OSError:
        return 0


def _tell_family(on_page: Callable[[str], None] | None, known: FamilyState) -> None:
    for folder in known.list_folders() if on_page is not None else ():
        _tell(on_page, folder.list_addresses())


def _tell(on_page: Callable[[str], None] | None, addresses: Iterable[str]) -> None:
    for address in addresses if on_page is not None else ():
        if address.endswith(".html") and on_page is not None:
            on_page(address)


@cache
def hash_code() -> str:
    """Return the sha256 of everything that pages are made by: templates, words, and the modules of the website."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent
    folders = (find_resource("templates"), find_resource("locale"), package)
    for path in [
        *(path for folder in folders for path in sorted(folder.rglob("*"))),
        package.parent / "records.py",
        package.parent / "workers.py",
    ]:
        if path.is_file() and path.suffix in (".html", ".toml", ".py"):
            digest.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def hash_statics() -> str:
    """Return the sha256 of styles, scripts, fonts and icons."""
    folder = find_resource("static")
    files = [*sorted((folder / "css").glob("*.css")), *list_statics().values()]
    return hash_facts([[path.relative_to(folder).as_posix(), hash_file(path)] for path in files])


def list_notes(index: Index, images: Images) -> list[str]:
    """Return what a person should know before publishing."""
    notes = []
    if not index.drawn and index.licences.images is None and images == "all":
        notes.append(
            "No licence is stated for the pictures ([atlas.licences] images): do not publish them without asking their "
            'owners. [site] images = "licensed" leaves out those that have no licence of their own, "none" all of them.'
        )
    return notes
