"""The map of all concepts and of all families, and the data its script draws.

The script ``assets/map-data.js`` defines ``LEAFLINEAGE_MAP``: rows of plain values, places as integers from 0 to
``SPAN``, x to the right and y downwards.

    families  [slug, name, common name, x, y, x and y of its name among the concepts, spread of its concepts, picture],
              by name; -1 for a place that is not known
    concepts  [family's row, number, name or "", x, y, 1 where refits do not find it again, picture,
               share in thousandths], family by family, by rank

A picture is a path inside its family's folder of visualizations, from the site's root where it opens with "/".
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from leaflineage.records import AtlasConcept, AtlasFamily, Index, Visualization
from leaflineage.website import links
from leaflineage.website.context import UNSTABLE, Site, is_built, number_of
from leaflineage.website.pages.map import Dot, ListedConcept, ListedFamily, MapPage, PlaceName, StillMap
from leaflineage.website.search import dump_script

SPAN = 10_000  # units of the map's longer side
MOST_LINKED = 400  # concepts that lead somewhere on the still map; of more, families alone do
MOST_LISTED = 3_000  # concepts in the list without scripts
THUMBNAIL = 112  # px, the least width of a picture on the map
STILL = 1_000  # units of the still map's width
AIR = 40  # around what stands on it
LETTER = 11  # units, the width of a letter of a name on it
LINE = 26  # units, the height of a name
LIFT = 14  # and how far it stands above its place, so that the dot there can be clicked

Place = tuple[float, float]


def has_map(index: Index) -> bool:
    """Return whether the run placed concepts, or families, on a map."""
    return any(family.position or any(each.position for each in family.concepts) for family in _list_placed(index))


def view_map(site: Site) -> MapPage:
    """Return the page of the map."""
    words, page = site.words, links.MAP
    families = _list_placed(site.index)
    concepts = [(family, each) for family in families for each in family.concepts if each.position and is_built(family)]
    shown = [family for family in families if is_built(family) or family.position]
    return MapPage(
        frame=site.make_frame(
            page,
            words("map.title"),
            words("map.description"),
            style="map",
            scripts=("map",),
            data=(links.MAP_DATA,),
        ),
        n_concepts=len(concepts),
        n_families=len(shown),
        n_unstable=sum(UNSTABLE in each.flags for _, each in concepts),
        has_both=bool(concepts) and any(family.position for family in families),
        still=_draw_still(site, page, shown, concepts),
        families=tuple(_list_family(site, page, family, len(concepts)) for family in shown),
        said=json.dumps(words.table("map.script"), ensure_ascii=False, sort_keys=True),
        caveats=(words("map.caveat_distance"), words("map.caveat_concept")),
    )


def make_map_data(site: Site) -> str:
    """Return the script that defines ``LEAFLINEAGE_MAP``."""
    families, concepts = [], []
    for row, family in enumerate(_list_placed(site.index)):
        placed = [each for each in family.concepts if each.position] if is_built(family) else []
        middle, spread = find_middle([each.position for each in placed if each.position])
        families.append(
            [
                family.slug,
                family.name,
                family.common_name or "",
                *_encode(family.position),
                *_encode(middle),
                round(spread * SPAN),
                _shorten(family.slug, family.visualization),
            ]
        )
        concepts += [
            [
                row,
                number_of(each),
                site.name_concept(each) if each.name else "",
                *_encode(each.position),
                int(UNSTABLE in each.flags),
                _shorten(family.slug, each.visualizations[0] if each.visualizations else None),
                round(each.importance.share * 1000),
            ]
            for each in sorted(placed, key=lambda each: each.rank)
        ]
    return f"const LEAFLINEAGE_MAP = {dump_script({'families': families, 'concepts': concepts})};\n"


def find_middle(places: Sequence[Place]) -> tuple[Place | None, float]:
    """Return the place nearest to all others, and its mean distance to them; None and 0 where there is none."""
    if not places:
        return None, 0.0
    means = [sum(math.dist(one, other) for other in places) / max(1, len(places) - 1) for one in places]
    best = min(range(len(places)), key=lambda i: (means[i], i))
    return places[best], means[best]


def _list_placed(index: Index) -> list[AtlasFamily]:
    """Return the families that stand on a map, or a concept of which does, by name."""
    placed = [family for family in index.families if family.position or any(each.position for each in family.concepts)]
    return sorted(placed, key=lambda each: (each.name, each.slug))


def _encode(place: Place | None) -> tuple[int, int]:
    return (-1, -1) if place is None else (round(place[0] * SPAN), round(place[1] * SPAN))


def _shorten(slug: str, picture: Visualization | None) -> str:
    """Return the path of the smallest copy that is large enough, without the folder it is expected in."""
    if picture is None:
        return ""
    width = next((each for each in picture.smaller if each >= THUMBNAIL), None)
    path = links.smaller(picture.image, width) if width else picture.image
    folder = f"families/{slug}/visualizations/"
    return path.removeprefix(folder) if path.startswith(folder) else f"/{links.media(path)}"


def _list_family(site: Site, page: str, family: AtlasFamily, n_concepts: int) -> ListedFamily:
    placed = [each for each in family.concepts if each.position] if is_built(family) else []
    return ListedFamily(
        slug=family.slug,
        name=family.name,
        href=site.link(page, links.family_page(family.slug)),
        concepts=tuple(
            ListedConcept(
                text=site.name_concept(each),
                href=site.link(page, links.concept_page(each.id)),
                unstable=UNSTABLE in each.flags,
            )
            for each in sorted(placed, key=lambda each: each.rank)
            if n_concepts <= MOST_LISTED
        ),
    )


def _draw_still(
    site: Site, page: str, families: list[AtlasFamily], concepts: list[tuple[AtlasFamily, AtlasConcept]]
) -> StillMap:
    """Return the map of the concepts, or that of the families where no concept has a place."""
    middles = {
        family.slug: find_middle([each.position for each in family.concepts if each.position])[0]
        if concepts
        else family.position
        for family in families
    }
    places = [each.position for _, each in concepts if each.position]
    places += [middle for middle in middles.values() if middle]
    left, top = (min(place[axis] for place in places) for axis in (0, 1))
    wide, high = (max(place[axis] for place in places) - low for axis, low in ((0, left), (1, top)))
    scale = (STILL - 2 * AIR) / (wide or high or 1.0)

    def place(of: Place) -> tuple[int, int]:
        return round((of[0] - left) * scale) + AIR, round((of[1] - top) * scale) + AIR

    height = round(high * scale) + 2 * AIR
    paths: dict[bool, list[str]] = {False: [], True: []}
    dots = []
    for family, concept in concepts:
        assert concept.position is not None
        x, y = place(concept.position)
        hollow = UNSTABLE in concept.flags
        if len(concepts) > MOST_LINKED:
            paths[hollow].append(f"M{x} {y}h0")
        else:
            label = site.words("concept.of_family", family=family.name, concept=site.name_concept(concept))
            dots.append(Dot(x, y, label, site.link(page, links.concept_page(concept.id)), hollow))
    named = [(family, place(middle)) for family in families if (middle := middles[family.slug])]
    return StillMap(
        view_box=f"0 0 {STILL} {height}",
        width=STILL,
        height=height,
        dots=tuple(dots),
        solid="".join(paths[False]),
        hollow="".join(paths[True]),
        names=tuple(
            PlaceName(x, y - LIFT, family.name, site.link(page, links.family_page(family.slug)))
            for family, (x, y) in _keep_apart(named)
        ),
    )


def _keep_apart(named: list[tuple[AtlasFamily, tuple[int, int]]]) -> list[tuple[AtlasFamily, tuple[int, int]]]:
    """Return the names that find room, those of the families with most specimens first."""
    kept: list[tuple[AtlasFamily, tuple[int, int]]] = []
    for family, (x, y) in sorted(named, key=lambda each: (-each[0].n_specimens, each[0].slug)):
        crowded = any(
            abs(x - u) < (len(family.name) + len(other.name)) * LETTER / 2 and abs(y - v) < LINE
            for other, (u, v) in kept
        )
        if not crowded:
            half = min(len(family.name) * LETTER / 2, STILL / 2)
            kept.append((family, (round(min(max(x, half), STILL - half)), y)))
    return sorted(kept, key=lambda each: each[0].slug)
