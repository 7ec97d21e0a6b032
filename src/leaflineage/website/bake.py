"""Bake a run's records into a static site.

The addresses of all pages are gathered from ``index.json`` first, so that every link is held against them; then the
families' records are read one at a time. Everything is written into a folder beside the site and moved into place at
the end: a bake that fails leaves the former site as it was. Pictures are hard links of the run's, never encoded anew.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import escape as escape_xml

import jinja2
import pydantic

from leaflineage.errors import ArtifactError, SiteError
from leaflineage.records import SCHEMAS, AtlasFamily, AtlasSpecimen, FamilyRecord, Index
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.context import (
    Site,
    hide_withheld,
    is_built,
    list_all_crops,
    list_subconcepts,
    make_url,
    with_plan,
)
from leaflineage.website.pages import TEMPLATES
from leaflineage.website.search import make_script_words, make_search_index
from leaflineage.website.striking import measure_colour
from leaflineage.website.view_concept import view_concept
from leaflineage.website.view_families import view_families, view_family, view_missing
from leaflineage.website.view_home import view_home
from leaflineage.website.view_method import view_data, view_method, view_not_found
from leaflineage.website.view_specimen import view_specimen
from leaflineage.website.words import (
    Words,
    write_decimal,
    write_integer,
    write_interval,
    write_length,
    write_percent,
    write_percent_interval,
    write_signed,
)

R = TypeVar("R", bound=pydantic.BaseModel)
SITE_SCHEMA = "leaflineage.site/1"
PICTURE_KEY = re.compile(r'("(?:image|heatmap|attribution)"\s*:\s*")((?:[^"\\]|\\.)*)"')
CHUNK = 1 << 20
LONGEST_PATH = 4096
VENDORED = "vendor/minisearch.js"
INLINED = "css/404.css"


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
    budget_mb: float = 300,
    on_page: Callable[[str], None] | None = None,
) -> BakeReport:
    """Make the site of a run.

    Parameters
    ----------
    run : Path
        Folder that holds index.json, atlas.json and families/.
    out : Path, optional
        Folder of the site; ``run / "site"`` unless given.
    base_url : str, optional
        Public address of the site; gives the 404 page its links, and a sitemap.
    repository : str, optional
        Address of the source repository, for "report a wrong name".
    budget_mb : float
        Weight the site may have, in millions of bytes; ``check`` holds it.
    on_page : callable, optional
        Told the address of each page once it is made.

    Raises
    ------
    ArtifactError
        If a record is missing, of another schema or damaged.
    SiteError
        If the site would be wrong: a dead link, a missing picture, a template's name nobody declares.
    """
    out = run / "site" if out is None else out
    index = read_index(run)
    words = Words.load(find_resource("locale") / "en.toml")
    site = Site(index, words, frozenset(), base_url, repository)
    statics = list_statics()
    has_specimens = (run / "specimens.csv").is_file()
    pages = list_pages(index)
    plan = [*pages, links.ATLAS_DATA, links.SCRIPT_WORDS, links.SEARCH_INDEX, *statics]
    plan += [links.SPECIMENS_DATA] if has_specimens else []
    extras = list_extras(run, index)
    plan += extras
    hold_unique(plan)
    site = with_plan(site, frozenset(plan))

    former = read_former(out)
    staging = out.with_name(out.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    writer = Writer(staging, out, run)
    try:
        for address, source in statics.items():
            writer.write(address, source.read_bytes())
        writer.write(links.SEARCH_INDEX, make_search_index(site).encode("utf-8"))
        writer.write(links.SCRIPT_WORDS, make_script_words(site).encode("utf-8"))
        files = [(links.ATLAS_DATA, "data.atlas", *copy_atlas(run / "atlas.json", writer.open(links.ATLAS_DATA)))]
        if has_specimens:
            data = (run / "specimens.csv").read_bytes()
            writer.write(links.SPECIMENS_DATA, data)
            digest = hashlib.sha256(data).hexdigest()
            files.append((links.SPECIMENS_DATA, "data.specimens", len(data), digest))
        sizes = {address: writer.link_file(source, address) for address, source in extras.items()}
        if links.HEAD_DATA in extras:
            digest = hashlib.sha256(extras[links.HEAD_DATA].read_bytes()).hexdigest()
            files.append((links.HEAD_DATA, "data.head", sizes[links.HEAD_DATA], digest))
        render = make_renderer(words)
        for address, template, view in make_pages(site, run, files, sizes, writer):
            writer.write(address, render(template, view).encode("utf-8"))
            if on_page is not None:
                on_page(address)
        if base_url:
            listed = [make_url(base_url, page) for page in pages if page != links.NOT_FOUND]
            writer.write("sitemap.xml", write_sitemap(listed).encode("utf-8"))
        writer.write(".nojekyll", b"")
        manifest = {
            "schema": SITE_SCHEMA,
            "base_url": base_url,
            "budget_mb": budget_mb,
            "drawn": index.drawn,
            "files": sorted([*writer.addresses, links.MANIFEST]),
        }
        writer.write(links.MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode("utf-8"))
        n_removed = writer.move_into_place(former)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return BakeReport(
        site=out,
        n_pages=len(pages),
        n_pictures=len(writer.pictures),
        n_removed=n_removed,
        n_bytes=sum((out / address).stat().st_size for address in writer.addresses),
        budget_mb=budget_mb,
        notes=tuple(list_notes(index)),
    )


def list_notes(index: Index) -> list[str]:
    """Return what a person should know before publishing."""
    notes = []
    if not index.drawn and index.licences.images is None:
        notes.append(
            "No licence is stated for the pictures ([atlas] licences): do not publish them without asking their owners."
        )
    return notes


# --- what is read --------------------------------------------------------------------------------------------


def read_record(path: Path, model: type[R], name: str) -> R:
    """Return a record of the run.

    Raises
    ------
    ArtifactError
        If it is missing, of another schema, or damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path} is needed for the site and is not there. Build the run first (the stage collect writes it)."
        ) from error
    try:
        record = model.model_validate_json(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ArtifactError(
            f"{path} should be a {SCHEMAS[name]} record, and {place or 'it'} is wrong: {first['msg']}. "
            "It is damaged or of another version: run the stage collect again."
        ) from error
    schema = getattr(record, "schema_", None)
    if schema != SCHEMAS[name]:
        raise ArtifactError(
            f"{path} should be of schema {SCHEMAS[name]} and is of {schema!r}. Run the stage collect again."
        )
    return record


def read_index(run: Path) -> Index:
    """Return the index without the accentuated crops of specimens that are withheld: it tells of none itself."""
    index = read_record(run / "index.json", Index, "index")
    families = []
    for family in index.families:
        if any(each.kind == "accentuation" for concept in family.concepts for each in concept.visualizations):
            whole, _ = read_family(run, family.slug)
            shown = {concept.id: concept.visualizations for concept in whole.concepts}
            concepts = [each.model_copy(update={"visualizations": shown.get(each.id, [])}) for each in family.concepts]
            family = family.model_copy(update={"concepts": concepts})
        families.append(family)
    return index.model_copy(update={"families": families})


def read_family(run: Path, slug: str) -> tuple[AtlasFamily, dict[str, AtlasSpecimen]]:
    """Return a family whole and the specimens its pages show, those withheld left out."""
    record = read_record(run / "families" / slug / "family.json", FamilyRecord, "family")
    specimens = {each.id: each for each in record.specimens}
    for concept in record.family.concepts:
        for crop in list_all_crops(concept):
            if crop.specimen not in specimens:
                raise ArtifactError(
                    f"families/{slug}/family.json: a crop of {concept.id} is of specimen {crop.specimen!r}, "
                    "which the record does not hold. Run the stage collect again."
                )
    places, dominants = record.family.layout, record.family.image_dominants
    if places is not None and len(places) != len(dominants):
        raise ArtifactError(
            f"families/{slug}/family.json: each image needs its place and its dominant concept, and there are "
            f"{len(places)} places and {len(dominants)} dominant concepts. Run the stage collect again."
        )
    return hide_withheld(record.family, specimens), specimens


# --- what is made --------------------------------------------------------------------------------------------


def list_pages(index: Index) -> list[str]:
    """Return the addresses of all pages, in the order in which they are made."""
    pages = [links.HOME, links.FAMILIES]
    for family in index.families:
        pages.append(links.family_page(family.slug))
        pages += [links.concept_page(concept.id) for concept in family.concepts if is_built(family)]
    pages += [links.specimen_page(query.id) for query in index.queries if not query.withheld]
    return [*pages, links.METHOD, links.DATA, links.NOT_FOUND]


def list_extras(run: Path, index: Index) -> dict[str, Path]:
    """Return {address: file} of the arrays and tables to download that the run has; what it lacks is left out."""
    extras = {links.HEAD_DATA: run / "head.safetensors"}
    for family in index.families:
        if is_built(family):
            folder = run / "families" / family.slug
            extras[links.importances_file(family.slug)] = folder / "importances.csv"
            extras[links.bank_file(family.slug)] = folder / "bank.safetensors"
    return {address: source for address, source in extras.items() if source.is_file()}


def hold_unique(addresses: Iterable[str]) -> None:
    """Raise a SiteError if two files would stand at one address, in a file system that knows no case."""
    seen: set[str] = set()
    for address in addresses:
        if address.casefold() in seen:
            raise SiteError(
                f"Each page needs an address of its own, and two stand at {address}. "
                "Two families or specimens share a slug: run the stage collect again."
            )
        seen.add(address.casefold())


def make_pages(
    site: Site, run: Path, files: list[tuple[str, str, int, str]], sizes: dict[str, int], writer: Writer
) -> Iterator[tuple[str, str, Any]]:
    """Yield (address, template, view) of each page; families are read one at a time and their pictures linked."""
    index = site.index
    yield (
        links.HOME,
        "home.html",
        view_home(
            site,
            lambda slug: read_family(run, slug),
            lambda specimen, crop: measure_colour(run / specimen.image, run / crop.heatmap),
        ),
    )
    yield links.FAMILIES, "families.html", view_families(site)
    slugs = [family.slug for family in index.families if is_built(family)]
    for listed in index.families:
        if not is_built(listed):
            yield links.family_page(listed.slug), "missing.html", view_missing(site, listed)
            continue
        family, specimens = read_family(run, listed.slug)
        if [each.id for each in family.concepts] != [each.id for each in listed.concepts]:
            raise ArtifactError(
                f"index.json and families/{listed.slug}/family.json list different concepts. "
                "Run the stage collect again."
            )
        place = slugs.index(family.slug)
        turn = (slugs[place - 1] if place else None, slugs[place + 1] if place + 1 < len(slugs) else None)
        for picture in list_pictures(family, specimens):
            writer.link_picture(picture)
        yield links.family_page(family.slug), "family.html", view_family(site, family, specimens, turn)
        for concept in family.concepts:
            yield links.concept_page(concept.id), "concept.html", view_concept(site, family, concept, specimens)
    for query in index.queries:
        if not query.withheld:
            for picture in [query.image, *(each.heatmap for each in query.heatmaps)]:
                writer.link_picture(picture)
            yield links.specimen_page(query.id), "specimen.html", view_specimen(site, query)
    yield links.METHOD, "method.html", view_method(site)
    yield links.DATA, "data.html", view_data(site, files, sizes)
    style = (find_resource("static") / INLINED).read_text(encoding="utf-8")
    yield links.NOT_FOUND, "404.html", view_not_found(site, style)


def list_pictures(family: AtlasFamily, specimens: dict[str, AtlasSpecimen]) -> list[str]:
    """Return the paths of all pictures a family's pages may show."""
    pictures = [each.image for each in specimens.values() if not each.withheld]
    for concept in family.concepts:
        pictures += [each.image for each in concept.visualizations]
        pictures += [each.image for inside in list_subconcepts(concept) for each in inside.visualizations]
        for crop in list_all_crops(concept):
            pictures += [path for path in (crop.image, crop.heatmap, crop.attribution) if path]
    if family.visualization:
        pictures.append(family.visualization.image)
    return list(dict.fromkeys(pictures))


def make_environment(words: Words) -> jinja2.Environment:
    """Return the templates' environment: strict, escaping, with the words and the ways to write numbers."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(find_resource("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals["w"] = words
    environment.filters["percent"] = lambda fraction: write_percent(fraction, words)
    environment.filters["length_percent"] = write_length
    environment.filters["place"] = lambda fraction: write_length(fraction, 1)
    environment.filters["decimal"] = write_decimal
    environment.filters["signed"] = write_signed
    environment.filters["interval"] = lambda span: write_interval(span, words)
    environment.filters["signed_interval"] = lambda span: write_interval(span, words, write_signed)
    environment.filters["percent_interval"] = lambda span: write_percent_interval(span, words)
    environment.filters["thousands"] = write_integer
    return environment


def make_renderer(words: Words) -> Callable[[str, Any], str]:
    """Return a function from a template's name and its dataclass to a page."""
    environment = make_environment(words)

    def render(template: str, view: Any) -> str:
        if type(view) is not TEMPLATES[template]:
            raise SiteError(
                f"{template} takes a {TEMPLATES[template].__name__}, and was given a {type(view).__name__}."
            )
        try:
            places = {each.name: getattr(view, each.name) for each in fields(TEMPLATES[template])}
            return environment.get_template(template).render(places)
        except jinja2.UndefinedError as error:
            raise SiteError(f"{template}: {error.message}. Declare it in website/pages.py.") from error

    return render


def list_statics() -> dict[str, Path]:
    """Return {address: file} of styles, scripts, fonts and icons.

    Raises
    ------
    SiteError
        If MiniSearch, which the search needs, was not put there.
    """
    folder = find_resource("static")
    if not (folder / VENDORED).is_file():
        raise SiteError(
            f"The search needs MiniSearch at {VENDORED} in the folder static, and it is not there. "
            "In a checkout run `npm ci` and install the package again (its build hook copies the file), or copy "
            "node_modules/minisearch/dist/umd/index.js there."
        )
    statics = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != INLINED and not path.name.startswith("."):
            statics[links.asset(name)] = path
    return statics


def write_sitemap(urls: list[str]) -> str:
    """Return a sitemap of absolute addresses."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">']
    lines += [f"<url><loc>{escape_xml(url)}</loc></url>" for url in urls]
    return "\n".join([*lines, "</urlset>", ""])


def copy_atlas(source: Path, target: Path) -> tuple[int, str]:
    """Copy atlas.json with the paths of pictures made relative to the copy, in pieces; return its size and sha256.

    A path begins within a piece or at its seam: what may hold the beginning of one is kept for the next piece.
    """
    if not source.is_file():
        raise ArtifactError(f"{source} is needed for the site and is not there. Run the stage collect again.")

    def rewrite(match: re.Match[str]) -> str:
        path = json.loads(f'"{match[2]}"')
        link = links.relative(links.ATLAS_DATA, links.media(path)) if path else path
        return f'{match[1]}{link}"'

    digest, size, held = hashlib.sha256(), 0, ""
    with source.open(encoding="utf-8", newline="") as stream, target.open("wb") as copy:
        while True:
            piece = stream.read(CHUNK)
            held += piece
            end = len(held) if not piece else max(0, len(held) - LONGEST_PATH)
            parts, done = [], 0
            for match in PICTURE_KEY.finditer(held):
                if match.start() >= end:
                    break
                parts += [held[done : match.start()], rewrite(match)]
                done = match.end()
            parts.append(held[done : max(done, end)])
            held = held[max(done, end) :]
            data = "".join(parts).encode("utf-8")
            copy.write(data)
            digest.update(data)
            size += len(data)
            if not piece:
                return size, digest.hexdigest()


# --- what is written -----------------------------------------------------------------------------------------


def read_former(out: Path) -> set[str]:
    """Return the files of a former bake, as its manifest lists them; nothing else in the folder is ours.

    Raises
    ------
    SiteError
        If the folder holds files and no manifest of ours.
    """
    manifest = out / links.MANIFEST
    if not manifest.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise SiteError(
                f"The site should go to {out}, which holds files and no {links.MANIFEST} of a former bake. "
                "Choose an empty folder with --out, or empty this one."
            )
        return set()
    try:
        files = json.loads(manifest.read_bytes())["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(f"{manifest} is damaged. Empty the folder {out} and bake again.") from error
    return {str(name) for name in files if not str(name).startswith("/") and ".." not in str(name).split("/")}


class Writer:
    """Stages files beside the site and moves them into place at the end."""

    def __init__(self, staging: Path, out: Path, run: Path) -> None:
        self.staging = staging
        self.out = out
        self.run = run
        self.addresses: set[str] = set()
        self.pictures: set[str] = set()

    def open(self, address: str) -> Path:
        """Return the staged path of an address, its folder made."""
        path = self.staging / address
        path.parent.mkdir(parents=True, exist_ok=True)
        self.addresses.add(address)
        return path

    def write(self, address: str, data: bytes) -> None:
        """Stage a file; no two files share an address."""
        if address in self.addresses:
            raise SiteError(f"Two files would stand at {address}. This is a defect of the bake: report it.")
        self.open(address).write_bytes(data)

    def link_picture(self, path: str) -> None:
        """Stage a picture of the run as a hard link, as a copy where the file system has none."""
        address = links.media(path)
        if address in self.addresses:
            return
        source = self.run / path
        if not source.is_file():
            raise SiteError(
                f"The picture {path} is named by a record and is not in the run. Run the stages illustrate and "
                "visualize again."
            )
        self.pictures.add(address)
        self.link_file(source, address)

    def link_file(self, source: Path, address: str) -> int:
        """Stage a file as a hard link, as a copy where the file system has none; return its size in bytes."""
        target = self.open(address)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
        return target.stat().st_size

    def move_into_place(self, former: set[str]) -> int:
        """Move what is staged into the site, remove what a former bake left over; return how many were removed."""
        for address in [*sorted(self.addresses - {links.MANIFEST}), links.MANIFEST]:
            source, target = self.staging / address, self.out / address
            if target.is_file() and is_same(source, target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
        stale = sorted(former - self.addresses)
        for address in stale:
            path = self.out / address
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.out or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()
        return len(stale)


def is_same(first: Path, second: Path) -> bool:
    """Return whether two files are one, or hold the same bytes."""
    return first.samefile(second) or filecmp.cmp(first, second, shallow=False)
