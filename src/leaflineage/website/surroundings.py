"""What the pages of one family may know of the rest of the atlas.

A bake makes a family's pages again only where something that they read has changed. So they are made from the family's
record and from a narrow site. It holds what all families are called, what a link or a card to those that the record
mentions shows, and of nobody the numbers. A page that asks for more fails with an AttributeError: what it may know is
what its fingerprint holds, and both are listed here.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from leaflineage.records import AtlasFamily, Record
from leaflineage.website import links
from leaflineage.website.context import ShownSpecimen, Site, is_built
from leaflineage.website.facts import RecordFacts

R = TypeVar("R", bound=Record)

NAMED = ("slug", "name", "aliases", "order", "clade", "common_name", "output_index", "missing")
MENTIONED = (*NAMED, "representative", "thumbnails", "visualization", "concepts")
OF_CONCEPT = ("id", "uid", "concept_index", "rank", "name", "flags", "visualizations")
OF_ATLAS = ("title", "rank", "version", "doi", "date", "authors", "licences", "drawn", "generator", "classifier", "run")
OF_CLASSIFIER = (
    "name", "architecture", "layer", "affine_head", "pools_first", "input_size", "map_size", "n_outputs", "n_families",
    "sha256", "signed", "negative_energy", "prefix_matters",
)  # fmt: skip
Turn = tuple[str | None, str | None]
MOST_OUTLINES = 256  # of families held at once


@dataclass(frozen=True)
class Shared:
    """What all families' pages are made from: the site without families, and what each family is called."""

    site: Site
    named: tuple[AtlasFamily, ...]


@dataclass(frozen=True)
class Surroundings:
    """What the pages of one family are made from, beside `Shared` and its record.

    Attributes
    ----------
    slug
        The family.
    turn
        Slugs of the families before and after it.
    mentioned
        The families that its record names, by slug.
    plan
        Addresses that its pages may link to, beside those that all pages may.
    shown
        The specimens with a page that its record names, by id.
    """

    slug: str
    turn: Turn
    mentioned: dict[str, AtlasFamily]
    plan: frozenset[str]
    shown: dict[str, ShownSpecimen]

    def narrow(self, shared: Shared) -> Site:
        """Return the site as the family's pages see it."""
        families = [self.mentioned.get(each.slug, each) for each in shared.named]
        index = _keep(shared.site.index, (*OF_ATLAS, "families"), families=families)
        return replace(shared.site, index=index, plan=shared.site.plan | self.plan, shown=self.shown)


class Surveyor:
    """Tells each family's surroundings, and their fingerprint.

    Parameters
    ----------
    site
        The whole site, its plan made.
    extras
        Addresses of files to download that belong to one family, by slug.
    """

    def __init__(self, site: Site, extras: Mapping[str, list[str]]) -> None:
        self._site = site
        self._own: dict[str, list[str]] = {}
        for family in site.index.families:
            concepts = [links.concept_page(each.id) for each in family.concepts] if is_built(family) else []
            compared = [address for address in [links.compare_file(family.slug)] if address in site.plan]
            own = [*concepts, *compared, *extras.get(family.slug, [])]
            self._own[family.slug] = [links.family_page(family.slug), *own]
        self._comparisons: dict[str, list[str]] = {}
        for pair in filter(None, map(links.split_compare_page, sorted(site.plan))):
            for slug in pair:
                self._comparisons.setdefault(slug, []).append(links.compare_page(*pair))
        self._named = {family.name: family.slug for family in reversed(site.index.families)}
        self._named |= {family.slug: family.slug for family in site.index.families}
        self._queries = {each.id for each in site.index.queries}
        self._outlines: OrderedDict[str, AtlasFamily] = OrderedDict()
        self._digests: dict[str, str] = {}
        built = [family.slug for family in site.index.families if is_built(family)]
        self._turns: dict[str, Turn] = {
            slug: (built[place - 1] if place else None, built[place + 1] if place + 1 < len(built) else None)
            for place, slug in enumerate(built)
        }

    @cached_property
    def shared(self) -> Shared:
        """What all families' pages are made from."""
        site = self._site
        classifier = _keep(site.index.classifier, OF_CLASSIFIER)
        index = _keep(site.index, OF_ATLAS, classifier=classifier)
        of_one = {address for own in (*self._own.values(), *self._comparisons.values()) for address in own}
        of_one.update(links.specimen_page(each) for each in (*site.shown, *self._queries))
        named = tuple(_keep(family, NAMED) for family in site.index.families)
        return Shared(replace(site, index=index, plan=site.plan - of_one, shown={}), named)

    @cached_property
    def shared_print(self) -> str:
        """The sha256 of what all families' pages are made from."""
        index = self._site.index
        header = index.model_dump(mode="json", include=set(OF_ATLAS) - {"classifier"})
        classifier = index.classifier.model_dump(mode="json", include=set(OF_CLASSIFIER))
        named = [[getattr(family, name) for name in NAMED] for family in index.families]
        rights = [self._site.rights.images, self._site.rights.atlas_licence]
        settings = [self._site.base_url, self._site.repository, *rights]
        return hash_facts([header, classifier, named, settings, sorted(self.shared.site.plan)])

    def fingerprint(self, slug: str, facts: RecordFacts) -> str:
        """Return the fingerprint of all that a family's pages are made from, code aside."""
        mentions = facts.mentions
        slugs, specimens, plan = self._look_around(slug, mentions)
        hidden = sorted(self._site.rights.withdrawn.intersection(mentions))
        found = [(each, self._site.shown[each]) for each in specimens if each in self._site.shown]
        seen = [[name, each.slug, each.species, each.number] for name, each in found]
        outlines = [self._hash_outline(each) for each in slugs]
        told = [self.shared_print, facts.sha256, self._turns[slug], outlines, sorted(plan), seen, hidden]
        return hash_facts(told)

    def survey(self, slug: str, facts: RecordFacts) -> Surroundings:
        """Return the surroundings of a family."""
        slugs, specimens, plan = self._look_around(slug, facts.mentions)
        shown = {each: self._site.shown[each] for each in specimens if each in self._site.shown}
        return Surroundings(slug, self._turns[slug], {each: self._outline(each) for each in slugs}, plan, shown)

    def _look_around(self, slug: str, mentions: Iterable[str]) -> tuple[list[str], list[str], frozenset[str]]:
        """Return the families that a family's pages name, the specimens, and the addresses that they may link to."""
        slugs = {slug, *(each for each in self._turns[slug] if each)}
        specimens = []
        for text in mentions:
            named = self._named.get(text) or self._named.get(text.partition("/")[0])
            if named is not None:
                slugs.add(named)
            if text in self._site.shown or text in self._queries:
                specimens.append(text)
        ordered = sorted(slugs)
        plan = {address for each in ordered for address in self._own[each]} | {*self._comparisons.get(slug, [])}
        plan.update(links.specimen_page(each) for each in specimens)
        return ordered, specimens, frozenset(plan)

    def _hash_outline(self, slug: str) -> str:
        """Return the sha256 of a family's outline."""
        if slug not in self._digests:
            include: dict[str, Any] = {name: True for name in MENTIONED if name != "concepts"}
            include["concepts"] = {"__all__": dict.fromkeys(OF_CONCEPT, True)}
            self._digests[slug] = hash_facts(self._site.families[slug].model_dump(mode="json", include=include))
        return self._digests[slug]

    def _outline(self, slug: str) -> AtlasFamily:
        """Return what pages of another family may know of a family; the last few are remembered."""
        if slug in self._outlines:
            self._outlines.move_to_end(slug)
            return self._outlines[slug]
        family = self._site.families[slug]
        concepts = [_keep(concept, OF_CONCEPT) for concept in family.concepts]
        self._outlines[slug] = _keep(family, MENTIONED, concepts=concepts)
        if len(self._outlines) > MOST_OUTLINES:
            self._outlines.popitem(last=False)
        return self._outlines[slug]


def _keep(record: R, names: Iterable[str], **others: Any) -> R:
    """Return a record that has the named fields alone: to ask it for another is an AttributeError."""
    kind = type(record)
    kept = kind.__new__(kind)
    for name in names:
        object.__setattr__(kept, name, others[name] if name in others else getattr(record, name))
    for name, value in (("fields_set", set(names)), ("extra", None), ("private", None)):
        object.__setattr__(kept, f"__pydantic_{name}__", value)
    return kept


def hash_facts(facts: Any) -> str:
    """Return the sha256 of plain values."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
