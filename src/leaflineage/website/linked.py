"""What pages say of themselves to machines: schema.org's terms as JSON-LD, and how to cite the atlas as CITATION.cff.

The only module that maps our records to others' vocabularies: the atlas is a Dataset, a family's concepts are a
DefinedTermSet about a Taxon, a concept is a DefinedTerm in it, a specimen's picture is an ImageObject with its licence.
A block of data inside a page is no script: the policy of content lets it pass, and nothing in it can close its element.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, TypeVar

from markupsafe import Markup

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Index
from leaflineage.website import links
from leaflineage.website.context import Site, make_url, species_of
from leaflineage.website.papers import PAPERS
from leaflineage.website.search import dump_script

V = TypeVar("V")
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+]*(?:-[A-Za-z0-9.+]+)*\d[A-Za-z0-9.+-]*|MIT|Unlicense|ISC|Zlib")
Plain = dict[str, Any]


def attach(view: V, described: Plain) -> V:
    """Return a page's view with what the page says of itself in its frame."""
    markup = Markup(dump_script({"@context": "https://schema.org", **described}))  # dump_script escapes <, > and &
    frame: Any = view.frame  # type: ignore[attr-defined]
    return replace(view, frame=replace(frame, linked=markup))  # type: ignore[type-var]


def describe_atlas(site: Site) -> Plain:
    """Return the atlas as a Dataset: its first page says this."""
    index, page = site.index, links.HOME
    data = links.versioned_data(index.version) if index.version else links.ATLAS_DATA
    download = data if data in site.plan else links.ATLAS_DATA
    return _drop_none(
        {
            "@type": "Dataset",
            "@id": _locate(site, page, links.HOME),
            "name": index.title,
            "description": site.words("linked.atlas", title=index.title),
            "version": index.version,
            "identifier": f"https://doi.org/{index.doi}" if index.doi else None,
            "datePublished": index.date,
            "creator": [{"@type": "Person", "name": author} for author in index.authors] or None,
            "license": locate_licence(index.licences.data),
            "citation": [paper.href for paper in PAPERS],
            "isBasedOn": _describe_generator(index),
            "distribution": {
                "@type": "DataDownload",
                "encodingFormat": "application/gzip" if download.endswith(".gz") else "application/json",
                "contentUrl": _locate(site, page, download),
            },
        }
    )


def describe_family(site: Site, family: AtlasFamily) -> Plain:
    """Return a family's concepts as a set of terms about a taxon."""
    page = links.family_page(family.slug)
    return _drop_none(
        {
            "@type": "DefinedTermSet",
            "@id": _locate(site, page, page),
            "name": site.words("linked.family", family=family.name),
            "about": _drop_none(
                {
                    "@type": "Taxon",
                    "name": family.name,
                    "taxonRank": site.index.rank,
                    "alternateName": family.aliases or None,
                    "parentTaxon": family.order,
                }
            ),
            "isPartOf": _locate(site, page, links.HOME),
            "hasDefinedTerm": [_locate(site, page, links.concept_page(each.id)) for each in family.concepts],
        }
    )


def describe_concept(site: Site, family: AtlasFamily, concept: AtlasConcept) -> Plain:
    """Return a concept as a term of its family's set."""
    page = links.concept_page(concept.id)
    drawn = next((each for each in concept.visualizations if each.kind == "concept"), None)
    image = {
        "@type": "ImageObject",
        "contentUrl": _locate(site, page, links.media(drawn.image)) if drawn else None,
        "license": locate_licence(site.index.licences.data),
        "creditText": site.words.join(list(site.index.authors)) if site.index.authors else None,
    }
    return _drop_none(
        {
            "@type": "DefinedTerm",
            "@id": _locate(site, page, page),
            "name": site.name_concept(concept),
            "alternateName": concept.name.plain if concept.name else None,
            "termCode": concept.uid,
            "inDefinedTermSet": _locate(site, page, links.family_page(family.slug)),
            "image": _drop_none(image) if drawn else None,
        }
    )


def describe_specimen(site: Site, specimen: AtlasSpecimen) -> Plain:
    """Return a specimen's picture with whose it is, and where to ask for more."""
    page = links.specimen_page(specimen.id)
    family = site.find_family(specimen.family) if specimen.family else None
    species = species_of(specimen)
    about = {
        "@type": "Taxon",
        "name": species or (family.name if family else None),
        "parentTaxon": family.name if family and species else None,
    }
    return _drop_none(
        {
            "@type": "ImageObject",
            "@id": _locate(site, page, page),
            "contentUrl": _locate(site, page, links.media(specimen.image)),
            "width": specimen.width,
            "height": specimen.height,
            "identifier": specimen.catalogue_number or specimen.id,
            "license": locate_licence(specimen.licence or site.index.licences.images),
            "creditText": specimen.credit,
            "copyrightNotice": specimen.credit,
            "acquireLicensePage": _locate(site, page, page),
            "isBasedOn": specimen.source,
            "about": _drop_none(about) if about["name"] else None,
        }
    )


def write_citation(index: Index, url: str | None) -> str:
    """Return how to cite the atlas, in the Citation File Format."""

    def quote(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML string

    lines = [
        "cff-version: 1.2.0",
        f"message: {quote('If you use this atlas, please cite it as below.')}",
        "type: dataset",
        f"title: {quote(index.title)}",
        "authors:",
        *(f"  - name: {quote(author)}" for author in index.authors or [index.title]),
    ]
    optional = (
        ("version", index.version),
        ("doi", index.doi),
        ("date-released", index.date),
        ("url", url),
        ("license", index.licences.data if index.licences.data and SPDX.fullmatch(index.licences.data) else None),
    )
    lines += [f"{name}: {quote(text)}" for name, text in optional if text]
    lines.append("references:")
    for paper in PAPERS:
        lines += [
            "  - type: conference-paper",
            f"    title: {quote(paper.title)}",
            "    authors:",
            *(f"      - name: {quote(name.strip())}" for name in paper.authors.split(",")),
            f"    url: {quote(paper.href)}",
        ]
    return "\n".join([*lines, ""])


def locate_licence(text: str | None) -> str | None:
    """Return the address of a licence named as SPDX does; what is an address or a sentence stays as it is."""
    return f"https://spdx.org/licenses/{text}.html" if text and SPDX.fullmatch(text) else text


def _describe_generator(index: Index) -> Plain | None:
    if not index.generator:
        return None
    return {"@type": "SoftwareApplication", **{key: str(value) for key, value in sorted(index.generator.items())}}


def _locate(site: Site, page: str, target: str) -> str:
    """Return the absolute address of a file of the site where its public address is known, else the way from a page."""
    return make_url(site.base_url, target) if site.base_url else links.relative(page, target)


def _drop_none(described: Plain) -> Plain:
    return {key: value for key, value in described.items() if value is not None}
