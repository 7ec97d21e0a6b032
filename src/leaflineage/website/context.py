"""What every page is made from: the index, the words, and the plan of addresses that links are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlsplit

from leaflineage.errors import SiteError
from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, Crop, Index, Subconcept
from leaflineage.website import links
from leaflineage.website.pages.parts import Fact, Frame, Link
from leaflineage.website.rights import EVERYTHING, Rights
from leaflineage.website.words import Words

# Nothing on a page connects to anything; auditors fetch robots.txt from within it.
POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: file:; style-src 'self' file:; "
    "script-src 'self' file:; font-src 'self' file:; base-uri 'none'; form-action 'none'"
)

UNSTABLE = "unstable"  # the flag of a concept that refits do not find again


@dataclass(frozen=True)
class ShownSpecimen:
    """A specimen that has a page.

    Attributes
    ----------
    slug : str
        The family whose record its page is made from: its own where that shows it, else the first that does.
    species : str or None
        "Betula pendula", or as much of it as is known.
    number : str
        Its catalogue number, its id where it has none.
    """

    slug: str
    species: str | None
    number: str


@dataclass(frozen=True)
class Site:
    """The whole site while it is baked: what is known before the first page is made."""

    index: Index
    words: Words
    plan: frozenset[str]
    base_url: str | None
    repository: str | None
    shown: Mapping[str, ShownSpecimen] = field(default_factory=dict)  # references that have a page, by id

    rights: Rights = EVERYTHING

    @cached_property
    def families(self) -> dict[str, AtlasFamily]:
        """All families of the index by slug."""
        return {family.slug: family for family in self.index.families}

    @cached_property
    def _slugs(self) -> dict[str, str]:
        """Slugs of all families by name; of two of one name, the first."""
        return {family.name: family.slug for family in reversed(self.index.families)}

    def link(self, page: str, target: str) -> str:
        """Return a relative link to a planned address.

        Raises
        ------
        SiteError
            If nothing will stand at that address.
        """
        if target.partition("#")[0] not in self.plan:
            raise SiteError(
                f"{page}: a link leads to {target}, and no such page is baked. "
                "index.json and the families' records disagree: run the stage collect again."
            )
        return links.relative(page, target)

    def find_concept(self, concept_id: str) -> tuple[AtlasFamily, AtlasConcept] | None:
        """Return a shown concept and its family, or None where no page shows it."""
        family = self.families.get(concept_id.partition("/")[0])
        for concept in family.concepts if family else []:
            if concept.id == concept_id:
                assert family is not None
                return family, concept
        return None

    def concept_link(self, page: str, concept_id: str) -> Link | None:
        """Return a link to a concept's page, its family named first, or None where no page shows it."""
        found = self.find_concept(concept_id)
        if found is None:
            return None
        family, concept = found
        text = self.words("concept.of_family", family=family.name, concept=self.name_concept(concept))
        return Link(text, self.link(page, links.concept_page(concept_id)))

    def find_family(self, name: str) -> AtlasFamily | None:
        """Return the family of that slug or name, or None where the index does not know it."""
        return self.families.get(name) or self.families.get(self._slugs.get(name, ""))

    def family_link(self, page: str, slug: str) -> Link | None:
        """Return a link to a family's page, by its slug or name, or None where the index does not know it."""
        family = self.find_family(slug)
        return Link(family.name, self.link(page, links.family_page(family.slug))) if family else None

    def specimen_link(self, page: str, specimen_id: str) -> str | None:
        """Return the address of a specimen's page, from another page, or None where it has none."""
        address = links.specimen_page(specimen_id)
        return links.relative(page, address) if address in self.plan else None

    def compare_link(self, page: str, first: str, second: str) -> str | None:
        """Return the address at which two families are compared, or None where the run does not know enough.

        A pair without a page of its own is compared on the page of all pairs, which needs scripts.
        """
        own = links.compare_page(first, second)
        if own in self.plan:
            return links.relative(page, own)
        if {links.compare_file(first), links.compare_file(second), links.COMPARE} <= self.plan:
            return links.relative(page, links.compare_pair(first, second))
        return None

    def name_concept(self, concept: AtlasConcept) -> str:
        """Return the concept's name as a title, or "Concept 3" where it has none.

        A name that another concept of the family bears too is told apart by the number.
        """
        if concept.name is None:
            return self.words("concept.label", number=number_of(concept))
        name = concept.name.text[:1].upper() + concept.name.text[1:]
        return self._tell_apart(name, concept) if self._is_repeated(concept) else name

    def tell_concept(self, concept: AtlasConcept) -> str:
        """Return what tells a concept from all others of its family: its name, if any, and its number."""
        if concept.name is None:
            return self.name_concept(concept)
        return self._tell_apart(concept.name.text[:1].upper() + concept.name.text[1:], concept)

    def name_inside(self, concept: AtlasConcept) -> str:
        """Return the concept's name as it stands inside a sentence."""
        name = concept.name
        if name is None:
            return self.words("concept.inside", number=number_of(concept))
        # A program's name is made of common words; a person's may begin with a proper name.
        text = name.text if name.source == "expert" else name.text[:1].lower() + name.text[1:]
        return self._tell_apart(text, concept) if self._is_repeated(concept) else text

    def _tell_apart(self, name: str, concept: AtlasConcept) -> str:
        return self.words("concept.told", name=name, number=number_of(concept))

    def _is_repeated(self, concept: AtlasConcept) -> bool:
        """Tell whether another concept of the family has the same name."""
        family = self.families.get(concept.id.partition("/")[0])
        own = concept.name.text.casefold() if concept.name else None
        named = [each.name.text.casefold() for each in family.concepts if each.name] if family else []
        return own is not None and named.count(own) > 1

    def list_files(self, page: str, slug: str) -> tuple[Link, ...]:
        """Return links to the files that hold a family's numbers, those that are baked, and to the page of data."""
        files = [
            ("data.link_importances", links.importances_file(slug)),
            ("data.link_bank", links.bank_file(slug)),
            ("data.link_head", links.HEAD_DATA),
            ("data.link_all", links.DATA),
        ]
        return tuple(Link(self.words(key), self.link(page, target)) for key, target in files if target in self.plan)

    def make_frame(
        self,
        page: str,
        title: str,
        description: str,
        *,
        style: str,
        scripts: tuple[str, ...] = (),
        data: tuple[str, ...] = (),
    ) -> Frame:
        """Return head, header and footer of one page.

        ``style`` is its kind of style sheet, ``scripts`` are those that it has beside every page's, and ``data``
        are addresses of scripts that define what they read.
        """
        index, folder = self.index, page.rpartition("/")[0]
        section = page.partition("/")[0].removesuffix(".html")
        key = (folder, section, style, scripts, data)
        if key not in self._frames:  # the pages of a folder share all but what they are called
            self._frames[key] = self._make_common_frame(page, section, style, scripts, data)
        return replace(
            self._frames[key],
            title=title if title == index.title else self.words("chrome.title", page=title, atlas=index.title),
            description=description,
            canonical=make_url(self.base_url, page) if self.base_url else None,
        )

    @cached_property
    def _frames(self) -> dict[tuple[Any, ...], Frame]:
        return {}

    def _make_common_frame(
        self, page: str, section: str, style: str, scripts: tuple[str, ...], data: tuple[str, ...]
    ) -> Frame:
        words, index = self.words, self.index

        def here(target: str) -> str:
            return self.link(page, target)

        navigation = tuple(
            Link(words(key), here(target), section == target.partition("/")[0].removesuffix(".html"))
            for key, target in (
                ("chrome.families", links.FAMILIES),
                ("chrome.map", links.MAP),
                ("chrome.compare", links.COMPARE),
                ("chrome.method", links.METHOD),
                ("chrome.data", links.DATA),
                ("chrome.glossary", links.GLOSSARY),
            )
            if target in self.plan
        )
        report = f"{self.repository.rstrip('/')}/issues" if self.repository else None
        return Frame(
            title="",
            description="",
            atlas=index.title,
            root=links.root_of(page),
            home=here(links.HOME),
            navigation=navigation,
            drawn=index.drawn,
            policy=POLICY,
            canonical=None,
            style=here(links.style(style)),
            early_scripts=(here(links.asset("js/theme.js")),),
            late_scripts=(
                here(links.SCRIPT_WORDS),
                here(links.asset("js/search.js")),
                here(links.asset("js/site.js")),
                *(here(address) for address in data),
                *(here(links.asset(f"js/{name}.js")) for name in scripts),
            ),
            icon=here(links.asset("icons/leaf.svg")),
            colophon=tuple(self._make_colophon(page)),
            rights=self._tell_rights(),
            left_out=words(f"foot.images_{self.rights.images}") if self.rights.images != "all" else "",
            report=report,
        )

    def _tell_rights(self) -> str:
        """Return whose the pictures are: nobody's leaves where all are drawn, under a licence, or not stated."""
        licence, images = self.index.licences.images, self.rights.images
        if images == "none":
            return self.words("foot.images_none")
        if licence is None and images == "licensed":
            return self.words("foot.images_licensed")
        if licence is None:
            return self.words("foot.rights_none_drawn" if self.index.drawn else "foot.rights_none")
        return self.words("foot.rights_drawn" if self.index.drawn else "foot.rights", licence=licence)

    def _make_colophon(self, page: str) -> list[Fact]:
        words, index = self.words, self.index
        facts = []
        if index.version:
            facts.append(Fact(words("foot.version"), index.version))
        if index.doi:
            facts.append(Fact(words("foot.doi"), "", (Link(index.doi, f"https://doi.org/{index.doi}"),)))
        if index.authors:
            facts.append(Fact(words("foot.authors"), words.join(list(index.authors))))
        if index.generator:
            facts.append(Fact(words("foot.made_by"), " ".join(str(v) for _, v in sorted(index.generator.items()))))
        facts += [
            Fact(words("foot.code"), index.licences.code or words("licence.none")),
            Fact(words("foot.text"), index.licences.text or words("licence.none")),
            Fact(words("foot.data"), index.licences.data or words("licence.none")),
            Fact(words("foot.images"), index.licences.images or words("licence.none")),
        ]
        return facts

    def list_licences(self) -> tuple[Fact, ...]:
        """Return the four licences as facts; an unstated licence is said to be unstated."""
        words, licences = self.words, self.index.licences
        return (
            Fact(words("licence.code"), licences.code or words("licence.none")),
            Fact(words("licence.text"), licences.text or words("licence.none")),
            Fact(words("licence.data"), licences.data or words("licence.none")),
            Fact(words("licence.images"), licences.images or words("licence.none_images")),
        )


def make_url(base_url: str, page: str) -> str:
    """Return the absolute address of a page under the site's public address."""
    address = links.relative(links.HOME, page)
    return base_url.rstrip("/") + "/" + ("" if address == links.HOME else address)


def base_path_of(base_url: str) -> str:
    """Return the path of the site's public address, with a slash at both ends."""
    path = urlsplit(base_url).path.strip("/")
    return f"/{path}/" if path else "/"


def number_of(concept: AtlasConcept) -> int:
    """Return the number of a concept inside its family: the 3 of ``fagaceae/concept-03``."""
    tail = concept.id.rpartition("-")[2]
    return int(tail) if tail.isdigit() else concept.concept_index + 1


def is_built(family: AtlasFamily) -> bool:
    """Return whether a family has concepts to show."""
    return bool(family.concepts) and family.missing is None


def list_stable(family: AtlasFamily) -> list[AtlasConcept]:
    """Return the concepts of a family that refits find again, by rank: those a search may lead to."""
    return [concept for concept in family.concepts if UNSTABLE not in concept.flags]


def species_of(specimen: AtlasSpecimen) -> str | None:
    """Return "Betula pendula", "Betula" or None."""
    return join_species(specimen.genus, specimen.species)


@lru_cache(maxsize=1 << 12)
def join_species(genus: str | None, species: str | None) -> str | None:
    """Return a genus and an epithet as one name; an epithet that holds the genus stands alone."""
    if genus and species and not species.lower().startswith(genus.lower()):
        return f"{genus} {species}"
    return species or genus


def identify(specimen: AtlasSpecimen, words: Words) -> str:
    """Return what tells a specimen from all others: its species, if known, and its catalogue number."""
    return _join_identity(species_of(specimen), specimen.catalogue_number or specimen.id, words)


@lru_cache(maxsize=1 << 12)  # on its family's pages a specimen stands in many places
def _join_identity(species: str | None, number: str, words: Words) -> str:
    return words("alt.identity", species=species, number=number) if species else number


def list_subconcepts(concept: AtlasConcept) -> list[Subconcept]:
    """Return the concepts inside a concept, by rank; none where it was not divided."""
    return list(concept.recursion.subconcepts) if concept.recursion else []


def list_all_crops(concept: AtlasConcept) -> list[Crop]:
    """Return the crops of a concept and of the concepts inside it."""
    return [*concept.crops, *(crop for each in list_subconcepts(concept) for crop in each.crops)]


def with_plan(site: Site, plan: frozenset[str]) -> Site:
    """Return the site with its plan of addresses."""
    return replace(site, plan=plan)
