"""What the site holds: the addresses of all pages and files, and the pages one after another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from leaflineage.errors import SiteError
from leaflineage.records import AtlasFamily, AtlasSpecimen, Index, Visualization
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.context import ShownSpecimen, Site, is_built, list_all_crops, list_subconcepts
from leaflineage.website.linked import (
    attach,
    describe_atlas,
    describe_concept,
    describe_family,
    describe_specimen,
)
from leaflineage.website.reading import read_family
from leaflineage.website.striking import Opening
from leaflineage.website.styles import list_sheets
from leaflineage.website.surroundings import Turn
from leaflineage.website.view_concept import view_concept
from leaflineage.website.view_data import view_data, view_not_found
from leaflineage.website.view_families import view_families
from leaflineage.website.view_family import view_family, view_missing
from leaflineage.website.view_glossary import view_glossary
from leaflineage.website.view_home import view_home
from leaflineage.website.view_map import has_map, view_map
from leaflineage.website.view_method import view_method
from leaflineage.website.view_specimen import view_specimen

VENDORED = "vendor/minisearch.js"
STYLES = "css/"  # sources: pages have sheets made of them
INLINED = f"{STYLES}404.css"
SLUG = re.compile(r"[a-z0-9-]{1,80}")
NONE_SHOWN: Mapping[str, ShownSpecimen] = {}


def list_pages(index: Index, shown: Mapping[str, ShownSpecimen] = NONE_SHOWN) -> list[str]:
    """Return the addresses of all pages, in the order in which they are made."""
    pages = [links.HOME, links.FAMILIES, *([links.MAP] if has_map(index) else [])]
    specimens: dict[str, list[str]] = {}
    for specimen_id, specimen in shown.items():
        specimens.setdefault(specimen.slug, []).append(links.specimen_page(specimen_id))
    for family in index.families:
        pages.append(links.family_page(family.slug))
        pages += [links.concept_page(concept.id) for concept in family.concepts if is_built(family)]
        pages += specimens.get(family.slug, [])
    pages += [links.specimen_page(query.id) for query in index.queries]
    return [*pages, links.METHOD, links.DATA, links.GLOSSARY, links.NOT_FOUND]


def list_made(index: Index, base_url: str | None) -> list[str]:
    """Return the addresses of what is made beside the pages: data, and what scripts and machines read."""
    made = [links.ATLAS_DATA, links.HASHES, links.SCRIPT_WORDS, links.SEARCH_INDEX, links.CITATION, links.ROBOTS]
    made += list_sheets().values()
    made += [links.versioned_data(index.version)] if index.version is not None else []
    return [*made, links.SITEMAP] if base_url and not index.drawn else made


def list_extras(run: Path, index: Index) -> dict[str, Path]:
    """Return {address: file} of the arrays and tables to download that the run has; what it lacks is left out."""
    extras = {links.HEAD_DATA: run / "head.safetensors", links.SPECIMENS_DATA: run / "specimens.csv"}
    for family in index.families:
        if is_built(family):
            folder = run / "families" / family.slug
            extras[links.importances_file(family.slug)] = folder / "importances.csv"
            extras[links.bank_file(family.slug)] = folder / "bank.safetensors"
    return {address: source for address, source in extras.items() if source.is_file()}


def hold_slugs(index: Index) -> None:
    """Raise a SiteError if a family's slug is none: it names folders of the run and of the site."""
    for family in index.families:
        if not SLUG.fullmatch(family.slug):
            raise SiteError(
                f"Each family needs a slug of lower-case letters, digits and hyphens, and index.json gives "
                f"{family.slug[:200]!r} to {family.name[:200]!r}. Run the stage collect again."
            )


def hold_unique(addresses: Iterable[str]) -> None:
    """Raise a SiteError if an address leads out of the site, or two are one in a file system that knows no case."""
    seen: set[str] = set()
    for address in addresses:
        if not links.is_inside(address):
            raise SiteError(
                f"Each page should stand inside the site, and one would stand at {address[:200]!r}. A slug or an id in "
                "index.json or in a family's record is none of ours: run the stage collect again."
            )
        if address.casefold() in seen:
            raise SiteError(
                f"Each page needs an address of its own, and two stand at {address}. "
                "Two families or specimens share a slug: run the stage collect again."
            )
        seen.add(address.casefold())


def make_front_pages(site: Site, run: Path, opening: Opening) -> Iterator[tuple[str, str, Any]]:
    """Yield (address, template, view) of the pages that tell of all families."""
    home = view_home(site, lambda slug: read_family(run, slug, site.rights), opening)
    yield links.HOME, "home.html", attach(home, describe_atlas(site))
    yield links.FAMILIES, "families.html", view_families(site)
    if links.MAP in site.plan:
        yield links.MAP, "map.html", view_map(site)


def make_family_pages(
    site: Site, family: AtlasFamily, specimens: Mapping[str, AtlasSpecimen], turn: Turn
) -> Iterator[tuple[str, str, Any]]:
    """Yield (address, template, view) of the pages of one family: its own, its concepts', its specimens'.

    They are made again only where something they read has changed. So they read the family's record, and of the site
    what `surroundings` lets through: the names of the families and concepts that the record mentions, and facts that
    are the same on all pages. Whatever else a page wants to know of other families must be let through there.

    Parameters
    ----------
    turn
        Slugs of the families before and after it.
    """
    held = dict(specimens)
    whole = attach(view_family(site, family, held, turn), describe_family(site, family))
    yield links.family_page(family.slug), "family.html", whole
    for concept in family.concepts:
        one = attach(view_concept(site, family, concept, held), describe_concept(site, family, concept))
        yield links.concept_page(concept.id), "concept.html", one
    for specimen in specimens.values():
        owner = site.shown.get(specimen.id)
        if owner is not None and owner.slug == family.slug:
            yield _make_specimen_page(site, specimen)


def _make_specimen_page(site: Site, specimen: AtlasSpecimen) -> tuple[str, str, Any]:
    view = attach(view_specimen(site, specimen), describe_specimen(site, specimen))
    return links.specimen_page(specimen.id), "specimen.html", view


def make_back_pages(
    site: Site, files: list[tuple[str, str, int, str]], sizes: dict[str, int]
) -> Iterator[tuple[str, str, Any]]:
    """Yield (address, template, view) of the pages of families without concepts, of queries, and of method and data."""
    for listed in site.index.families:
        if not is_built(listed):
            yield links.family_page(listed.slug), "missing.html", view_missing(site, listed)
    for query in site.index.queries:
        yield _make_specimen_page(site, query)
    yield links.METHOD, "method.html", view_method(site)
    yield links.DATA, "data.html", view_data(site, files, sizes)
    yield links.GLOSSARY, "glossary.html", view_glossary(site)
    style = (find_resource("static") / INLINED).read_text(encoding="utf-8")
    yield links.NOT_FOUND, "404.html", view_not_found(site, style)


def list_pictures(family: AtlasFamily, specimens: dict[str, AtlasSpecimen]) -> list[str]:
    """Return the paths of all pictures a family's pages may show."""
    pictures = [path for each in specimens.values() for path in list_widths(each)]
    for concept in family.concepts:
        for each in [
            *concept.visualizations,
            *(v for inside in list_subconcepts(concept) for v in inside.visualizations),
        ]:
            pictures += list_widths(each)
        for crop in list_all_crops(concept):
            pictures += [path for path in (crop.image, crop.heatmap, crop.attribution) if path]
        if concept.leaf:
            pictures.append(concept.leaf.image)
    if family.visualization:
        pictures += list_widths(family.visualization)
    if family.thumbnails:
        pictures.append(family.thumbnails.image)
    return list(dict.fromkeys(pictures))


def list_query_pictures(query: AtlasSpecimen) -> list[str]:
    """Return the paths of all pictures a query's page may show."""
    return [*list_widths(query), *(each.heatmap for each in query.heatmaps if not each.heatmap.startswith("data:"))]


def list_listed(site: Site) -> list[str]:
    """Return the addresses of the pages that a sitemap lists."""
    return [page for page in sorted(site.plan) if page.endswith(".html") and page != links.NOT_FOUND]


def list_widths(pictured: AtlasSpecimen | Visualization) -> list[str]:
    """Return the paths of a picture and of its smaller copies."""
    return [pictured.image, *(links.smaller(pictured.image, width) for width in pictured.smaller)]


def list_statics() -> dict[str, Path]:
    """Return {address: file} of scripts, fonts and icons.

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
        if path.is_file() and not name.startswith(STYLES) and not path.name.startswith("."):
            statics[links.asset(name)] = path
    return statics
