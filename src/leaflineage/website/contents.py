"""What the site holds: the addresses of all pages and files, and the pages one after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from leaflineage.errors import ArtifactError, SiteError
from leaflineage.records import AtlasFamily, AtlasSpecimen, Index
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.context import Site, is_built, list_all_crops, list_subconcepts
from leaflineage.website.reading import read_family
from leaflineage.website.striking import measure_colour
from leaflineage.website.view_concept import view_concept
from leaflineage.website.view_data import view_data, view_not_found
from leaflineage.website.view_families import view_families
from leaflineage.website.view_family import view_family, view_missing
from leaflineage.website.view_home import view_home
from leaflineage.website.view_method import view_method
from leaflineage.website.view_specimen import view_specimen
from leaflineage.website.writing import Writer

VENDORED = "vendor/minisearch.js"
INLINED = "css/404.css"


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
