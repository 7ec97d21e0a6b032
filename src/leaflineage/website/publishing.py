"""What must be true of a site before others may see it: every picture of a specimen carries licence and credit.

Rules: no-licence, no-credit, no-xmp, no-caption. What is computed (feature visualizations, heat maps without their
leaf) needs neither.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.check import UNREADABLE
from leaflineage.website.page_rules import Problem

IN_LOT = 20  # specimens named a problem; more are counted


def check_publishing(site: Path) -> list[Problem]:
    """Return what stands against publishing a baked site.

    Raises
    ------
    SiteError
        If the folder holds no site, or its data cannot be read.
    """
    try:
        return _check_rights(site, json.loads((site / links.ATLAS_DATA).read_bytes()))
    except UNREADABLE as error:
        raise SiteError(
            f"{site / links.ATLAS_DATA} should hold the site's data and does not ({type(error).__name__}: "
            f"{str(error)[:200]}). Bake it."
        ) from error


def _check_rights(site: Path, atlas: dict[str, Any]) -> list[Problem]:
    specimens, licences = atlas["specimens"], atlas["licences"]
    pictured = [each for each in specimens if each.get("image")]
    problems = []
    unlicensed = [each["id"] for each in pictured if not (each.get("licence") or licences.get("images"))]
    uncredited = [each["id"] for each in pictured if not each.get("credit")]
    if unlicensed:
        problems.append(
            Problem(
                links.ATLAS_DATA,
                "no-licence",
                f"{_count(unlicensed)} no licence. Give them one in the catalogue (column licence) or all of them in "
                '[atlas.licences] images, or leave them out with [site] images = "licensed".',
            )
        )
    if uncredited:
        problems.append(
            Problem(
                links.ATLAS_DATA,
                "no-credit",
                f"{_count(uncredited)} no credit. Say whose they are in the catalogue (column credit), or drop them.",
            )
        )
    for family in atlas["families"]:
        sheet = family.get("thumbnails")
        if sheet and not (sheet.get("licensed") or licences.get("images")):
            message = f"the picture of all specimens of {family['name']} shows some without a licence."
            problems.append(Problem(links.ATLAS_DATA, "no-licence", message))
    problems += _check_captions(site, pictured)
    problems += _check_pictures(site, atlas, pictured)
    return problems


def _count(names: list[str]) -> str:
    more = f" and {len(names) - IN_LOT} more" if len(names) > IN_LOT else ""
    noun = "picture of a specimen has" if len(names) == 1 else "pictures of specimens have"
    return f"{len(names)} {noun} ({', '.join(names[:IN_LOT])}{more})"


def _check_captions(site: Path, specimens: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield the specimens' pages that do not say what is known of their rights."""
    for each in specimens:
        address = links.specimen_page(each["id"])
        path = site / address
        if not path.is_file():
            continue
        text = html.unescape(path.read_text(encoding="utf-8"))
        missing = [name for name in ("licence", "credit", "source") if each.get(name) and each[name] not in text]
        if missing:
            yield Problem(address, "no-caption", f"the page does not tell the picture's {' and '.join(missing)}.")


def _check_pictures(site: Path, atlas: dict[str, Any], specimens: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield the pictures that do not carry what is known of their rights: the specimens' and what is cut from them."""
    rights = {
        each["id"]: [each[name] for name in ("licence", "credit", "source") if each.get(name)] for each in specimens
    }
    shown = [(each["image"], each["id"]) for each in specimens]
    for family in atlas["families"]:
        for concept in family["concepts"]:
            inside = (concept.get("recursion") or {}).get("subconcepts", [])
            for part in (concept, *inside):
                shown += [(crop["image"], crop["specimen"]) for crop in part["crops"]]
                shown += [(v["image"], v["specimen"]) for v in part["visualizations"] if v.get("specimen")]
    folder = (site / links.ATLAS_DATA).parent
    for image, name in shown:
        wanted = rights.get(name, [])
        if not wanted:
            continue
        path = (folder / image).resolve()
        try:
            found = read_xmp(path)
        except OSError:
            continue  # a missing picture is a rule of `check_site`
        if not all(text in found for text in wanted):
            address = path.relative_to(site.resolve()).as_posix()
            yield Problem(address, "no-xmp", "the picture does not carry its licence, credit and source. Build again.")


def read_xmp(path: Path) -> str:
    """Return the text of a WebP's XMP, entities resolved; empty where it has none.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WEBP":
            return ""
        while len(chunk := stream.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"XMP ":
                text = stream.read(size).decode("utf-8", "replace")
                return unescape(re.sub(r"<[^>]*>", "\n", text), {"&quot;": '"', "&apos;": "'"})
            stream.seek(size + size % 2, 1)
    return ""
