"""What two families share and what parts them, from each concept's contributions to all families.

A concept of either family adds, on the mean over its own family's specimens, so much to the logit of one and so much to
the logit of the other. The difference is how far it parts the two:

    difference = contribution to the first − contribution to the second

On the leaves of a family the differences of all its concepts, of its rest and of its bias sum to the difference of the
two centred logits, exactly.

The script of the page of comparisons, ``static/js/compare.js``, reads the same data, a file a family, and computes
the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from leaflineage.records import AtlasConcept, AtlasFamily, AtlasSpecimen, FamilyRecord, Index, Record
from leaflineage.website import links
from leaflineage.website.context import UNSTABLE, Site, identify, is_built
from leaflineage.website.figures import leaf_word, picture_of_concept
from leaflineage.website.pages.parts import Picture
from leaflineage.website.reading import read_record
from leaflineage.website.search import dump_script
from leaflineage.website.words import write_percent

MOST_PAIRS = 40  # pairs that have a page of their own: the most confused
FEW_PAIRS = 8  # with fewer, near families are compared too
MOST_COLUMNS = 400  # families that each is compared with; of more, those near it and those it is taken for
LEAST_SIMILARITY = 0.5  # cosine of bank rows from which two concepts are one thing to the eye
OPENING = "(globalThis.LEAFLINEAGE_COMPARE ||= {})"
DIGITS = 4  # decimals of a contribution, in logits
SMALL, LARGE = 200, 400  # px, the least widths of the pictures of concepts and of leaves

Column = tuple[float | None, ...]


# --- data ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A picture by its address from the site's root."""

    src: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class ComparedConcept:
    """A concept as a comparison needs it.

    Attributes
    ----------
    title, inside : str
        Its name as a title, and inside a sentence.
    share : str
        Its share of its own family's variance, written.
    to : tuple of float or None
        Its mean contribution to the families of ``ComparedFamily.compared``, in logits; None where it is not known.
    similar : tuple
        (id, cosine) of concepts of other families that it is like.
    """

    id: str
    title: str
    inside: str
    address: str
    share: str
    unstable: bool
    picture: Shown | None
    to: Column
    similar: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ComparedFamily:
    """A family as a comparison needs it; ``rest`` and ``bias`` are columns as ``ComparedConcept.to`` is."""

    slug: str
    name: str
    address: str
    n_counted: int
    held_out: bool
    picture: Shown | None
    compared: tuple[str, ...]
    concepts: tuple[ComparedConcept, ...]
    rest: Column
    bias: Column
    confused: Mapping[str, int]


def make_compared(
    site: Site, family: AtlasFamily, specimens: Mapping[str, AtlasSpecimen], record: FamilyRecord
) -> ComparedFamily:
    """Return what comparisons need of a family.

    Parameters
    ----------
    family, specimens
        As its pages show them: without what may not be shown.
    record
        Its record, which says what its concepts add to the logits of all families.
    """
    columns, contributions = _choose_columns(site, family, record)

    def column(name: str) -> Column:
        values = contributions.get(name, {})
        return tuple(round(values[each], DIGITS) if each in values else None for each in columns)

    accuracy = family.accuracy
    return ComparedFamily(
        slug=family.slug,
        name=family.name,
        address=links.family_page(family.slug),
        n_counted=accuracy.n_specimens if accuracy else 0,
        held_out=accuracy is not None and "held" in accuracy.split,
        picture=_show_leaf(site, family, specimens),
        compared=tuple(columns),
        concepts=tuple(
            ComparedConcept(
                id=each.id,
                title=site.name_concept(each),
                inside=site.name_inside(each),
                address=links.concept_page(each.id),
                share=write_percent(each.importance.share, site.words),
                unstable=UNSTABLE in each.flags,
                picture=_show_concept(site, family, each),
                to=column(each.id),
                similar=tuple(
                    (other.id, other.similarity) for other in each.similar if other.similarity >= LEAST_SIMILARITY
                ),
            )
            for each in family.concepts
        ),
        rest=column("rest"),
        bias=column("bias"),
        confused={each.slug: each.n for each in family.confused_with},
    )


def dump_compared(compared: ComparedFamily) -> str:
    """Return the script that adds a family to ``LEAFLINEAGE_COMPARE``."""
    return f"{OPENING}[{dump_script(compared.slug)}] = {dump_script(asdict(compared))};\n"


def parse_compared(script: str) -> ComparedFamily:
    """Return the family that a script adds: the pages of pairs are made from the same data."""
    entry = json.loads(script.partition("] = ")[2].rstrip(";\n"))

    def show(picture: dict[str, Any] | None) -> Shown | None:
        return Shown(**picture) if picture else None

    concepts = [
        ComparedConcept(
            **{
                **each,
                "picture": show(each["picture"]),
                "to": tuple(each["to"]),
                "similar": tuple((name, value) for name, value in each["similar"]),
            }
        )
        for each in entry["concepts"]
    ]
    columns = {name: tuple(entry[name]) for name in ("compared", "rest", "bias")}
    return ComparedFamily(**{**entry, **columns, "picture": show(entry["picture"]), "concepts": tuple(concepts)})


def _choose_columns(
    site: Site, family: AtlasFamily, record: FamilyRecord
) -> tuple[list[str], dict[str, dict[str, float]]]:
    """Return the families that a family is compared with, and {concept, rest or bias: {family: logits}}.

    A run without contributions to all families has those to the nearest, and neither rest nor bias.
    """
    if not record.contributions:
        known = [set(each.contributions) for each in family.concepts]
        near = sorted(set.intersection(*known)) if known else []
        return near, {each.id: each.contributions for each in family.concepts}
    columns = [slug for slug in record.compared if slug in site.families]
    if len(columns) > MOST_COLUMNS:
        near_ones = {family.slug, *(each.slug for each in family.neighbours)}
        near_ones |= {each.slug for each in family.confused_with}
        columns = [slug for slug in columns if slug in near_ones]
    found = {name: dict(zip(record.compared, values, strict=True)) for name, values in record.contributions.items()}
    return columns, found


def _show(picture: Picture, smaller: Sequence[int], path: str, least: int) -> Shown:
    """Return a picture's smallest copy that is at least so wide."""
    width = next((each for each in smaller if each >= least), None)
    if width is None:
        return Shown(links.media(path), picture.width, picture.height, picture.alt)
    height = max(1, round(picture.height * width / picture.width))
    return Shown(links.media(links.smaller(path, width)), width, height, picture.alt)


def _show_concept(site: Site, family: AtlasFamily, concept: AtlasConcept) -> Shown | None:
    picture = picture_of_concept(site, links.HOME, family, concept)
    if picture is None:
        return None
    first = concept.visualizations[0]
    return _show(picture, first.smaller, first.image, SMALL)


def _show_leaf(site: Site, family: AtlasFamily, specimens: Mapping[str, AtlasSpecimen]) -> Shown | None:
    """Return the leaf that stands for a family on cards."""
    chosen = specimens.get(family.representative or "")
    if chosen is None:
        return None
    who = identify(chosen, site.words)
    alt = site.words("compare.alt_leaf", leaf=leaf_word(site), specimen=who, family=family.name)
    picture = Picture("", chosen.width, chosen.height, alt)
    return _show(picture, chosen.smaller, chosen.image, LARGE)


# --- pairs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """What can be compared.

    Attributes
    ----------
    slugs : tuple of str
        Families that can be chosen, by name.
    baked : tuple
        Pairs of slugs, each in order, that have a page of their own; those most often confused first.
    confused : dict
        {pair: specimens of either taken for the other}.
    """

    slugs: tuple[str, ...]
    baked: tuple[tuple[str, str], ...]
    confused: Mapping[tuple[str, str], int]

    def list_pages(self) -> list[str]:
        """Return the addresses of all pages of comparisons; none where nothing can be compared."""
        return [links.COMPARE, *(links.compare_page(*pair) for pair in self.baked)] if self.baked else []

    def list_files(self) -> list[str]:
        """Return the addresses of the scripts that the page of comparisons loads."""
        return [links.compare_file(slug) for slug in self.slugs] if self.baked else []


class _KnownConcept(Record):
    contributions: dict[str, float] = Field(default_factory=dict)


class _KnownFamily(Record):
    concepts: tuple[_KnownConcept, ...]


class _Known(Record):
    """As much of a family's record as says what its concepts are known to add to others."""

    schema_: str = Field(alias="schema")
    compared: tuple[str, ...] = ()
    family: _KnownFamily


def list_pairs(run: Path, index: Index) -> Pairs:
    """Return the families that can be compared and the pairs that have a page.

    All can be, where the run holds contributions to all families; else those that are among one another's nearest,
    to which contributions were kept from the beginning.

    Raises
    ------
    ArtifactError
        If the first family's record is missing or damaged.
    """
    built = {family.slug: family for family in index.families if is_built(family)}
    if len(built) < 2:
        return Pairs((), (), {})
    known = read_record(run / "families" / next(iter(built)) / "family.json", _Known, "family")
    everything = bool(known.compared) and len(built) <= MOST_COLUMNS
    if not known.compared and not all(each.contributions for each in known.family.concepts):
        return Pairs((), (), {})
    near = {
        slug: {each.slug for each in family.neighbours} | {each.slug for each in family.confused_with if known.compared}
        for slug, family in built.items()
    }

    def comparable(one: str, other: str) -> bool:
        if one == other or one not in built or other not in built:
            return False
        return everything or (other in near[one] and one in near[other])

    confused: Counter[tuple[str, str]] = Counter()
    for slug, family in built.items():
        for each in family.confused_with:
            if comparable(slug, each.slug):
                confused[sort_pair(slug, each.slug)] += each.n
    baked = sorted(confused, key=lambda pair: (-confused[pair], pair))[:MOST_PAIRS]
    for slug in spread_slugs(list(built)):
        for neighbour in built[slug].neighbours if len(baked) < FEW_PAIRS else []:
            if comparable(slug, neighbour.slug) and sort_pair(slug, neighbour.slug) not in baked:
                baked.append(sort_pair(slug, neighbour.slug))
                break
    slugs = sorted(built, key=lambda slug: (built[slug].name, slug))
    return Pairs(tuple(slugs) if baked else (), tuple(baked), dict(confused))


def spread_slugs(slugs: list[str], n: int = FEW_PAIRS) -> list[str]:
    """Return up to n families at even distances through the list."""
    return slugs if len(slugs) <= n else [slugs[round(i * (len(slugs) - 1) / (n - 1))] for i in range(n)]


def sort_pair(one: str, other: str) -> tuple[str, str]:
    """Return two slugs in order."""
    return (one, other) if one < other else (other, one)


# --- comparing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parting:
    """How far a concept parts two families, in logits; ``difference`` is signed: above 0 for the first."""

    concept: ComparedConcept
    owner: ComparedFamily
    first: float
    second: float
    difference: float
    shared: bool


@dataclass(frozen=True)
class Balance:
    """What a family's logit stands above another's by, on its own leaves, in logits; the parts sum to ``total``."""

    concepts: float
    unstable: float
    rest: float
    bias: float
    total: float


def rank_partings(first: ComparedFamily, second: ComparedFamily) -> list[Parting] | None:
    """Return the concepts of two families, those that part them most first; None where contributions are not known.

    Ties go by id, so that the order does not depend on which family is named first.
    """
    alike = {name for pair in find_shared(first, second) for name in (pair[0].id, pair[1].id)}
    partings = []
    for owner in (first, second):
        if first.slug not in owner.compared or second.slug not in owner.compared:
            return None
        to_first, to_second = owner.compared.index(first.slug), owner.compared.index(second.slug)
        for concept in owner.concepts:
            one, other = concept.to[to_first], concept.to[to_second]
            if one is None or other is None:
                return None
            partings.append(Parting(concept, owner, one, other, one - other, concept.id in alike))
    return sorted(partings, key=lambda each: (-abs(each.difference), each.concept.id))


def find_shared(first: ComparedFamily, second: ComparedFamily) -> list[tuple[ComparedConcept, ComparedConcept, float]]:
    """Return pairs of concepts, one of either family, that are alike: the most alike first, ties by ids in order."""
    pairs = []
    for one in first.concepts:
        for other in second.concepts:
            found = [value for name, value in one.similar if name == other.id]
            found += [value for name, value in other.similar if name == one.id]
            if found:
                pairs.append((one, other, max(found)))
    return sorted(pairs, key=lambda each: (-each[2], sorted((each[0].id, each[1].id))))


def weigh(own: ComparedFamily, other: ComparedFamily) -> Balance | None:
    """Return what parts two families on the leaves of the first; None where rest or bias are not known."""
    if own.slug not in own.compared or other.slug not in own.compared:
        return None
    mine, theirs = own.compared.index(own.slug), own.compared.index(other.slug)

    def differ(values: Column) -> float | None:
        one, two = values[mine], values[theirs]
        return None if one is None or two is None else one - two

    rest, bias = differ(own.rest), differ(own.bias)
    sums = {False: 0.0, True: 0.0}
    for concept in own.concepts:
        difference = differ(concept.to)
        if difference is None:
            return None
        sums[concept.unstable] += difference
    if rest is None or bias is None:
        return None
    return Balance(sums[False], sums[True], rest, bias, sums[False] + sums[True] + rest + bias)
