"""Pages that compare two families: any two, chosen on one page, and the most confused pairs, a page each.

``static/js/compare.js`` makes the same of the same data; a test holds the two equal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from markupsafe import Markup

from leaflineage.errors import SiteError
from leaflineage.website import links
from leaflineage.website.comparing import (
    Balance,
    ComparedConcept,
    ComparedFamily,
    Pairs,
    Parting,
    Shown,
    find_shared,
    rank_partings,
    weigh,
)
from leaflineage.website.context import Site
from leaflineage.website.figures import make_axis, place_zero
from leaflineage.website.pages.compare import (
    BalanceRow,
    ComparePage,
    Comparison,
    PairLine,
    PartingRow,
    SharedRow,
    Side,
    Tick,
)
from leaflineage.website.pages.parts import Link, Picture
from leaflineage.website.words import write_decimal, write_integer, write_signed

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
MOST_TICKS = 6
N_TOLD = 3  # concepts that the opening sentence names


def list_compare_pages(pairs: Pairs) -> list[tuple[str, tuple[str, str]]]:
    """Return (address, slugs) of the page on which two families are chosen, and of each pair's own page."""
    chosen = [(links.COMPARE, pairs.baked[0])] if pairs.baked else []
    return [*chosen, *((links.compare_page(*pair), pair) for pair in pairs.baked)]


def view_compare(site: Site, page: str, pairs: Pairs, first: ComparedFamily, second: ComparedFamily) -> ComparePage:
    """Return a page that compares two families; on that of any two they can be chosen."""
    words, chooses = site.words, page == links.COMPARE
    names = words("compare.script.both", first=first.name, second=second.name)
    return ComparePage(
        frame=site.make_frame(
            page,
            words("compare.title") if chooses else names,
            words("compare.description") if chooses else words("compare.description_pair", pair=names),
            style="compare",
            scripts=("compare",) if chooses else (),
        ),
        comparison=compare(site, page, first, second),
        families=tuple((slug, site.families[slug].name) for slug in pairs.slugs) if chooses else (),
        choose=None if chooses else site.link(page, links.compare_pair(first.slug, second.slug)),
        pairs_heading=words("compare.pairs") if pairs.confused else words("compare.pairs_near"),
        pairs=tuple(_list_pair(site, page, pairs, pair, (first.slug, second.slug)) for pair in pairs.baked),
        data=links.relative(page, links.compare_file("")[:-3]) + "/" if chooses else "",
        said=json.dumps(words.table("compare.script"), ensure_ascii=False, sort_keys=True) if chooses else "",
        caveats=(
            words("compare.caveat"),
            words("compare.caveat_means"),
            words("caveat.sign"),
            words("caveat.direction"),
        ),
    )


def compare(site: Site, page: str, first: ComparedFamily, second: ComparedFamily) -> Comparison:
    """Return two families compared.

    Raises
    ------
    SiteError
        If the run does not know what the concepts of one add to the other.
    """
    partings = rank_partings(first, second)
    if partings is None:
        raise SiteError(
            f"{page}: the concepts of {first.name} and of {second.name} should say what they add to either, and a "
            "family's record does not. Run the stage collect again."
        )
    axis = make_axis([value for each in partings for value in (each.first, each.second)])
    return Comparison(
        first=_view_side(site, page, first),
        second=_view_side(site, page, second),
        lead=_tell(site, page, first, second, partings),
        ticks=tuple(make_ticks(axis)),
        zero=place_zero(axis),
        rows=tuple(_view_parting(site, page, first, second, each, axis) for each in partings),
        shared=tuple(
            SharedRow(
                first=_name(site, page, first, one),
                second=_name(site, page, second, other),
                first_picture=_picture(page, one.picture),
                second_picture=_picture(page, other.picture),
                similarity=site.words("compare.script.cosine", value=write_decimal(similarity)),
                unstable=one.unstable or other.unstable,
            )
            for one, other, similarity in find_shared(first, second)
        ),
        balance=tuple(
            _view_balance(site, own, other, balance)
            for own, other in ((first, second), (second, first))
            if (balance := weigh(own, other)) is not None
        ),
        n_unstable=sum(each.concept.unstable for each in partings),
    )


def make_ticks(axis: tuple[float, float]) -> Iterator[Tick]:
    """Yield round numbers along an axis."""
    low, high = axis
    step = next((each for each in STEPS if (high - low) / each <= MOST_TICKS), STEPS[-1])
    digits = 2 if step < 0.1 else 1 if step < 1 else 0
    for n in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield Tick((n * step - low) / (high - low), write_signed(n * step, digits))


def _view_side(site: Site, page: str, family: ComparedFamily) -> Side:
    return Side(family.slug, family.name, site.link(page, family.address), _picture(page, family.picture))


def _picture(page: str, shown: Shown | None) -> Picture | None:
    return Picture(links.relative(page, shown.src), shown.width, shown.height, shown.alt) if shown else None


def _latin(name: str) -> Markup:
    return Markup('<span lang="la">{}</span>').format(name)


def _name(site: Site, page: str, family: ComparedFamily, concept: ComparedConcept) -> Link:
    text = site.words("compare.script.concept_of", concept=concept.title, family=_latin(family.name))
    return Link(text, site.link(page, concept.address))


def _view_parting(
    site: Site, page: str, first: ComparedFamily, second: ComparedFamily, parting: Parting, axis: tuple[float, float]
) -> PartingRow:
    words, (low, high) = site.words, axis
    return PartingRow(
        title=parting.concept.title,
        href=site.link(page, parting.concept.address),
        whose=words("compare.script.whose", family=_latin(parting.owner.name), share=parting.concept.share),
        picture=_picture(page, parting.concept.picture),
        first=write_signed(parting.first),
        second=write_signed(parting.second),
        first_at=(parting.first - low) / (high - low),
        second_at=(parting.second - low) / (high - low),
        difference=write_decimal(abs(parting.difference)),
        leader=_lead(site, first, second, parting.difference),
        shared=parting.shared,
        unstable=parting.concept.unstable,
    )


def _lead(site: Site, first: ComparedFamily, second: ComparedFamily, difference: float) -> str:
    if difference == 0:
        return site.words("compare.script.for_neither")
    return site.words("compare.script.for_one", family=_latin(first.name if difference > 0 else second.name))


def _view_balance(site: Site, own: ComparedFamily, other: ComparedFamily, balance: Balance) -> BalanceRow:
    label = site.words("compare.script.above", family=_latin(own.name), other=_latin(other.name))
    parts = (balance.concepts, balance.unstable, balance.rest, balance.bias, balance.total)
    return BalanceRow(label, tuple(write_signed(value) for value in parts))


def _tell(site: Site, page: str, first: ComparedFamily, second: ComparedFamily, partings: list[Parting]) -> str:
    """Return the opening sentences: what parts the two most, what they share, how often they are confused."""
    words = site.words
    told = []
    for each in [each for each in partings if not each.concept.unstable][:N_TOLD]:
        name = words("compare.script.inside_of", concept=each.concept.inside, family=_latin(each.owner.name))
        link = Markup('<a href="{}">{}</a>').format(site.link(page, each.concept.address), name)
        told.append(
            words(
                "compare.script.told",
                concept=link,
                difference=write_decimal(abs(each.difference)),
                leader=_lead(site, first, second, each.difference),
            )
        )
    n_shared = sum(not (one.unstable or other.unstable) for one, other, _ in find_shared(first, second))
    sentences: list[str] = [Markup(words("compare.script.parts", concepts=words.join(told)))] if told else []
    sentences.append(_count(site, "shares", n_shared))
    n_counted = first.n_counted + second.n_counted
    if n_counted:
        n = first.confused.get(second.slug, 0) + second.confused.get(first.slug, 0)
        held = "held_" if first.held_out and second.held_out else ""
        sentences.append(_count(site, f"confused_{held}", n, all=write_integer(n_counted)))
    return Markup(" ").join(sentences)


def _count(site: Site, key: str, n: int, **places: str) -> str:
    ending = "none" if n == 0 else "one" if n == 1 else "other"
    joint = "" if key.endswith("_") else "_"
    return site.words(f"compare.script.{key}{joint}{ending}", n=n, **places)


def _list_pair(site: Site, page: str, pairs: Pairs, pair: tuple[str, str], here: tuple[str, str]) -> PairLine:
    first, second = (site.families[slug].name for slug in pair)
    n, address = pairs.confused.get(pair, 0), links.compare_page(*pair)
    note = site.words("compare.pair_confused", n=n) if n else site.words("compare.pair_near")
    return PairLine(first, second, site.link(page, address), note, here=page != links.COMPARE and pair == here)
