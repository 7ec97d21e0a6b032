"""The page of what can be downloaded, and the page of an address where nothing is."""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

from leaflineage.website import links
from leaflineage.website.context import Site, base_path_of
from leaflineage.website.pages.data import DataFile, DataPage, FamilyFiles
from leaflineage.website.pages.not_found import NotFoundPage
from leaflineage.website.pages.parts import Fact, Link
from leaflineage.website.words import write_bytes


def view_data(site: Site, files: list[tuple[str, str, int, str]], sizes: dict[str, int]) -> DataPage:
    """Return the page of files to download.

    Parameters
    ----------
    files : list of (address, key of its note, size in bytes, sha256)
    sizes : {address: bytes} of the families' own files
    """
    words, page = site.words, links.DATA
    return DataPage(
        frame=site.make_frame(page, words("data.title"), words("data.description"), style="method"),
        files=tuple(
            DataFile(Link(address.rpartition("/")[2], site.link(page, address)), words(key), write_bytes(size), digest)
            for address, key, size, digest in files
        ),
        again=words("data.again_affine" if site.index.classifier.affine_head else "data.again_other"),
        family_files=tuple(_list_family_files(site, page, sizes)),
        manifest=Link(links.HASHES.rpartition("/")[2], site.link(page, links.HASHES)),
        licences=site.list_licences(),
        fields=tuple(Fact(name, text) for name, text in words.table("data.field").items()),
    )


def _list_family_files(site: Site, page: str, sizes: dict[str, int]) -> list[FamilyFiles]:
    """Return the files of each family that has any."""

    def find(address: str) -> tuple[Link, str] | None:
        if address not in sizes:
            return None
        return Link(address.rpartition("/")[2], site.link(page, address)), write_bytes(sizes[address])

    listed = []
    for family in site.index.families:
        importances, bank = find(links.importances_file(family.slug)), find(links.bank_file(family.slug))
        link = site.family_link(page, family.slug)
        if link is not None and (importances or bank):
            listed.append(FamilyFiles(link, importances, bank))
    return listed


def view_not_found(site: Site, style: str) -> NotFoundPage:
    """Return the page for an address that is none; it links only where the site's public address is known."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    root = base_path_of(site.base_url) if site.base_url else None
    return NotFoundPage(
        title=site.words("not_found.title", atlas=site.index.title),
        atlas=site.index.title,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        home=f"{root}{links.HOME}" if root else None,
        families=f"{root}{links.FAMILIES}" if root else None,
        drawn=site.index.drawn,
    )
