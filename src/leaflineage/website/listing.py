"""Write the lists of a site's files: ``site.json``, names alone, and ``data/manifest.json``, with the hash of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from leaflineage.records import SCHEMAS
from leaflineage.website import links
from leaflineage.website.holdings import JsonFolders, add_name, merge_files
from leaflineage.website.writing import Writer


@dataclass(frozen=True)
class Listed:
    """What the lists hold.

    Attributes
    ----------
    n_pages, n_pictures, n_bytes : int
        Of the whole site, the lists included.
    hashes : dict
        The sha256 of both lists, by address.
    stale : list of str
        Addresses of files that a former bake left and this one does not.
    is_same : bool
        Whether the former bake listed the same files.
    """

    n_pages: int
    n_pictures: int
    n_bytes: int
    hashes: dict[str, str]
    stale: list[str]
    is_same: bool


def write_lists(
    writer: Writer,
    packets: Sequence[bytes],
    former: Mapping[str, Sequence[str]],
    *,
    said: Mapping[str, Any],
    run: Mapping[str, Any] | None,
) -> Listed:
    """Stage both lists.

    Parameters
    ----------
    packets
        All other files, as `pack_files` gives them; some lie in the site's root, which is listed last.
    former
        The names of the files of the former bake, by folder.
    said
        What ``site.json`` says beside.
    run
        What the run's manifest says, its files aside.

    Raises
    ------
    SiteError
        If a file changed meanwhile.
    """
    names = JsonFolders(writer.open(links.MANIFEST), before=said, after={})
    hashes = JsonFolders(writer.open(links.HASHES), before={"schema": SCHEMAS["site-manifest"]}, after={"run": run})
    own = {folder: name for folder, _, name in (each.rpartition("/") for each in (links.MANIFEST, links.HASHES))}
    n_pages = n_pictures = n_bytes = 0
    stale: list[str] = []
    is_same = True
    remaining = dict(former)
    sums: dict[str, str] = {}
    with closing(names), closing(hashes):
        for folder in merge_files(packets, lambda address: writer.find(address).stat().st_size):
            n_pages += folder.lines.count(b".html\t")
            n_pictures += folder.n if folder.is_pictured else 0
            n_bytes += folder.n_bytes
            listed = add_name(folder, own[folder.name], "") if folder.name in own else folder
            dumped = listed.dump_names()
            names.add(folder.name, dumped)
            before, held = remaining.pop(folder.name, None), json.loads(dumped)
            if before != held:
                is_same = False
                stale += _list_stale(folder.name, held, before or ())
            if not folder.name:  # the last
                sums[links.MANIFEST] = names.end()
                folder = add_name(folder, links.MANIFEST, sums[links.MANIFEST])
            hashes.add(folder.name, folder.dump_hashes())
        sums[links.HASHES] = hashes.end()
    stale += [f"{folder}/{name}" if folder else name for folder, left in remaining.items() for name in left]
    return Listed(
        n_pages, n_pictures, n_bytes + names.n_bytes + hashes.n_bytes, sums, sorted(stale), is_same and not stale
    )


def _list_stale(folder: str, held: list[str], former: Sequence[str]) -> list[str]:
    """Return the addresses of files that a folder held and no longer holds."""
    lead = f"{folder}/" if folder else ""
    return [lead + name for name in sorted({*former} - {*held})]
