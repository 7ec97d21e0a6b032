"""Bake a run's records into a static site.

The addresses of all pages are gathered from ``index.json`` first, so that every link is held against them; then the
families' records are read one at a time. Everything is written into a folder beside the site and moved into place at
the end: a bake that fails leaves the former site as it was. Pictures are hard links of the run's, never encoded anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leaflineage.records import Index
from leaflineage.resources import find_resource
from leaflineage.website import links
from leaflineage.website.contents import hold_unique, list_extras, list_pages, list_statics, make_pages
from leaflineage.website.context import Site, make_url, with_plan
from leaflineage.website.reading import read_index
from leaflineage.website.rendering import make_renderer
from leaflineage.website.search import make_script_words, make_search_index
from leaflineage.website.words import Words
from leaflineage.website.writing import Writer, copy_atlas, read_former, write_sitemap

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
    words = Words.load(find_resource("locale") / "en")
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
