"""The first page: a living example, how it works, four families, the map, how far to trust it, citation."""

from __future__ import annotations

import math
import statistics

from leaflineage.records import AtlasConcept, AtlasFamily, Visualization
from leaflineage.website import links
from leaflineage.website.context import Site, identify, is_built, list_stable, species_of
from leaflineage.website.figures import leaf_word, make_picture, sign_of
from leaflineage.website.outlines import Line, enlarge, find_middle, trace
from leaflineage.website.pages.home import (
    Example,
    HomePage,
    How,
    MapDot,
    MapPlate,
    MapTeaser,
    Outline,
    Plate,
    Start,
    Told,
    TrustFigure,
    TrustMark,
)
from leaflineage.website.pages.parts import Bar, Link, Picture
from leaflineage.website.papers import PAPERS, cite_atlas, list_datasets
from leaflineage.website.scores import is_accentuated
from leaflineage.website.striking import (
    HALF,
    N_OUTLINED,
    Opening,
    ReadFamily,
    Shown,
    choose_concept,
)
from leaflineage.website.striking import Example as Chosen
from leaflineage.website.view_families import explained_of
from leaflineage.website.words import write_measured_percent, write_percent

N_STARTS = 4
N_CROPS = 4
N_BARS = 7  # concepts in the picture of shares
MOST_NAMED = 16  # families under whose marks there is room for a name

PLATE = 100.0  # units of the opening plate's side
LEAF = 84.0  # of the leaf's longer side on it
LETTER_X = (4.0, 96.0)  # where letters stand, left and right of the leaf
LETTER_GAP = 9.0  # between letters of one side
DIGITS = 1  # decimals of a place on the plate

MAP_SIZE = (900, 520)
MAP_SIDE = 92  # of a picture on the still map
MAP_LABEL = 12  # and what its name takes below it
N_MAP_PLATES = 11

MIDDLE = 0.09  # of the picture, to either side of its middle, that is called so
PLACES = (("top_left", "top", "top_right"), ("left", "middle", "right"), ("bottom_left", "bottom", "bottom_right"))


def view_home(site: Site, read_family: ReadFamily, opening: Opening) -> HomePage:
    """Return the first page; ``read_family`` reads the few records that it needs."""
    words, page, index = site.words, links.HOME, site.index
    built = [family for family in index.families if is_built(family)]
    chosen = opening.choose(built, read_family, max(index.classifier.map_size))
    others = [each for each in built if chosen is None or each.slug != chosen.family.slug]
    starts = spread(others if len(others) >= N_STARTS else built, N_STARTS)
    datasets, unknown = list_datasets(index)
    venue = words("cite.version", version=index.version) if index.version else words("cite.unversioned")
    return HomePage(
        frame=site.make_frame(page, index.title, words("home.description", n=len(built)), style="home"),
        lead=words("home.lead", rank=index.rank, n=len(built), count=words.number(len(built))),
        n_families=len(index.families),
        families=site.link(page, links.FAMILIES),
        method=site.link(page, links.METHOD),
        data=site.link(page, links.DATA),
        example=_view_example(site, page, chosen) if chosen else None,
        how=_view_how(site, page, chosen) if chosen else None,
        map_size=index.classifier.map_size,
        starts=tuple(_make_start(site, page, each, read_family) for each in starts),
        teaser=_view_map(site, page, built),
        trust=_view_trust(site, page, built),
        papers=(*PAPERS, *datasets),
        atlas=cite_atlas(index, site.base_url, venue),
        sources=words("cite.sources", sources=words.join(unknown)) if unknown else "",
        licences=site.list_licences(),
    )


def spread(families: list[AtlasFamily], n: int) -> list[AtlasFamily]:
    """Return up to n families at even distances through the list."""
    if len(families) <= n:
        return families
    return [families[round(i * (len(families) - 1) / (n - 1))] for i in range(n)]


# --- the living example --------------------------------------------------------------------------------------


def _view_example(site: Site, page: str, chosen: Chosen) -> Example:
    family, shown = chosen.family, chosen.shown
    letters = {each.concept.id: "abcdefgh"[place] for place, each in enumerate(shown)}
    told = [each.concept for each in shown]
    told += [each for each in family.concepts if each not in told][: max(0, N_OUTLINED - len(told))]
    return Example(
        family=Link(family.name, site.link(page, links.family_page(family.slug))),
        common_name=family.common_name,
        told=tuple(
            Told(
                letter=letters.get(concept.id, ""),
                label=site.name_concept(concept),
                href=site.link(page, links.concept_page(concept.id)),
                picture=_picture(site, page, family, concept, "opening"),
                text=_tell(site, family, concept, next((each for each in shown if each.concept is concept), None)),
            )
            for concept in told
        ),
        plate=_make_plate(site, page, chosen),
    )


def _tell(site: Site, family: AtlasFamily, concept: AtlasConcept, shown: Shown | None) -> str:
    """Return in words where a concept is on the leaf, how much it counts and how often it outweighs all others."""
    words, importance = site.words, concept.importance
    sentences = []
    if shown is not None:
        lines = _trace(site, shown)
        x, y = find_middle(lines[0]) if lines else (0.5, 0.5)
        sentences.append(words(f"home.place_{PLACES[_third(y)][_third(x)]}"))
    sentences.append(
        words(
            f"home.told_{sign_of(importance.contribution)}",
            share=write_percent(importance.share, words),
            family=family.name,
        )
    )
    if concept.n_dominated:
        sentences.append(words("home.outweighs", n=family.n_specimens, images=concept.n_dominated, family=family.name))
    return " ".join(sentences)


def _third(value: float) -> int:
    return 0 if value < 0.5 - MIDDLE else 2 if value > 0.5 + MIDDLE else 1


def _picture(site: Site, page: str, family: AtlasFamily, concept: AtlasConcept, use: str) -> Picture | None:
    """Return a concept's first picture with a text of this page's own, since one picture may stand on it twice."""
    if not concept.visualizations:
        return None
    first = concept.visualizations[0]
    kind = "accentuation" if is_accentuated(concept) else "visualization"
    places = {"concept": site.tell_concept(concept), "family": family.name, "rank": concept.rank}
    alt = site.words(f"home.alt_{use}_{kind}", leaf=leaf_word(site), **places)
    return make_picture(page, first.image, first.width, first.height, alt, first.smaller)


def _make_plate(site: Site, page: str, chosen: Chosen) -> Plate:
    words, family, specimen = site.words, chosen.family, chosen.specimen
    scale = LEAF / max(specimen.width, specimen.height)
    width, height = specimen.width * scale, specimen.height * scale
    x, y = (PLATE - width) / 2, (PLATE - height) / 2
    rows, columns = site.index.classifier.map_size
    named = [site.tell_concept(each.concept) for each in chosen.shown]
    who = identify(specimen, words)
    alt = words(
        "home.alt_opening",
        n=len(named),
        leaf=leaf_word(site),
        specimen=who,
        concepts=words.join(named),
        family=family.name,
    )
    return Plate(
        src=links.relative(page, links.media(specimen.image)),
        x=round(x, 2),
        y=round(y, 2),
        width=round(width, 2),
        height=round(height, 2),
        alt=alt if named else words("home.alt_start", leaf=leaf_word(site), specimen=who, family=family.name),
        species=species_of(specimen),
        caption=words(
            "home.plate_caption",
            n=len(named),
            count=words.number(len(named)).capitalize(),
            all=words.number(len(family.concepts)),
            family=family.name,
            rows=rows,
            columns=columns,
        )
        if named
        else "",
        href=site.specimen_link(page, specimen.id),
        outlines=_outline(site, chosen.shown, (x, y, width, height)),
        across=tuple(round(x + width * i / columns, 2) for i in range(columns + 1)),
        down=tuple(round(y + height * i / rows, 2) for i in range(rows + 1)),
        cells_alt=words("home.alt_cells", leaf=leaf_word(site), specimen=who, rows=rows, columns=columns),
    )


def _outline(site: Site, shown: tuple[Shown, ...], frame: tuple[float, float, float, float]) -> tuple[Outline, ...]:
    """Return the concepts' outlines on the plate; letters stand beside the leaf, on the side that is nearer."""
    x, y, width, height = frame
    traced: list[tuple[str, list[Line]]] = []
    for letter, each in zip("abcdefgh", shown, strict=False):
        lines = _trace(site, each)
        traced.append((letter, [tuple((x + u * width, y + v * height) for u, v in line) for line in lines]))
    middles = {letter: find_middle(placed[0]) for letter, placed in traced}
    order = sorted(middles, key=lambda letter: middles[letter][0])
    left = set(order[: len(order) // 2]) if len(order) > 1 else {each for each in order if middles[each][0] < PLATE / 2}
    heights: dict[str, float] = {}
    for side in (left, set(order) - left):
        last = 0.0
        for letter in sorted(side, key=lambda each: middles[each][1]):
            last = heights[letter] = max(middles[letter][1], last + LETTER_GAP)
        excess = max(0.0, last - (PLATE - LETTER_GAP / 2))
        heights.update({letter: heights[letter] - excess for letter in side})
    outlines = []
    for letter, placed in traced:
        place = (LETTER_X[letter not in left], heights[letter])
        end = min(placed[0], key=lambda point: math.dist(point, place))
        start_x = place[0] + (3.0 if letter in left else -3.0)
        outlines.append(
            Outline(
                letter=letter,
                path="".join(_write_path(line) for line in placed),
                place=(round(place[0], DIGITS), round(place[1], DIGITS)),
                leader=(
                    round(start_x, DIGITS),
                    round(place[1], DIGITS),
                    round(end[0], DIGITS),
                    round(end[1], DIGITS),
                ),
            )
        )
    return tuple(outlines)


def _trace(site: Site, shown: Shown) -> tuple[Line, ...]:
    """Return the lines along which a concept is half as strong as at its strongest on the leaf."""
    heat = enlarge(shown.heat, max(site.index.classifier.map_size))
    return trace(heat, HALF * float(heat.max()))


def _write_path(line: Line) -> str:
    return "M" + "L".join(f"{x:.{DIGITS}f} {y:.{DIGITS}f}" for x, y in line) + "Z"


# --- how it works --------------------------------------------------------------------------------------------


def _view_how(site: Site, page: str, chosen: Chosen) -> How:
    words, family = site.words, chosen.family
    shown = chosen.shown[0].concept if chosen.shown else choose_concept(family)
    kind = "accentuation" if is_accentuated(shown) else "visualization"
    crops = []
    for n, crop in enumerate([each for each in shown.crops if each.kind == "top"][:N_CROPS], 1):
        alt = words(
            "home.alt_crop",
            leaf=leaf_word(site),
            specimen=identify(chosen.specimens[crop.specimen], words),
            n=n,
            all=N_CROPS,
            concept=site.tell_concept(shown),
            family=family.name,
            rank=shown.rank,
        )
        crops.append(make_picture(page, crop.image, crop.width, crop.height, alt))
    bars, told = [], []
    widest = max([*(each.importance.share for each in family.concepts), family.rest.share if family.rest else 0.0])
    for each in family.concepts[:N_BARS]:
        share = each.importance.share
        fill = "against" if each.importance.contribution < 0 else "for"
        note = write_percent(share, words)
        bars.append(Bar(0.0, share / (widest or 1.0), fill, label=site.name_concept(each), note=note))
        told.append(words("home.bar", concept=site.name_concept(each), share=note))
    rest = max(0.0, 1 - sum(each.importance.share for each in family.concepts[:N_BARS]))
    note = write_percent(rest, words)
    bars.append(Bar(0.0, min(1.0, rest / (widest or 1.0)), "rest", label=words("home.bar_rest"), note=note))
    told.append(words("home.bar", concept=words("home.bar_rest"), share=note))
    return How(
        concept=site.name_inside(shown),
        crops=tuple(crops),
        drawn=_picture(site, page, family, shown, "reading"),
        drawn_told=words(f"home.step_drawn_{kind}"),
        drawn_note=words(f"caveat.{kind}"),
        bars=tuple(bars),
        bars_alt=words("home.bars_alt", family=family.name, shares=words("list.semicolon").join(told)),
    )


def _make_start(site: Site, page: str, family: AtlasFamily, read_family: ReadFamily) -> Start:
    words = site.words
    record, specimens = read_family(family.slug)
    crops = [crop.specimen for concept in record.concepts for crop in concept.crops]
    chosen = specimens.get(family.representative or record.representative or "") or next(
        (specimens[name] for name in crops if name in specimens), None
    )
    picture = None
    if chosen is not None and not chosen.withheld:
        alt = words("home.alt_start", leaf=leaf_word(site), specimen=identify(chosen, words), family=family.name)
        picture = make_picture(page, chosen.image, chosen.width, chosen.height, alt, chosen.smaller)
    explained = explained_of(family)
    first = (list_stable(family) or family.concepts)[0]
    note = words(
        "home.start_note",
        concept=site.name_concept(first),
        share=write_percent(first.importance.share, words),
        explained=write_percent(explained, words) if explained is not None else "–",
    )
    return Start(family.name, note, site.link(page, links.family_page(family.slug)), picture, family.common_name or "")


# --- the map -------------------------------------------------------------------------------------------------


def _view_map(site: Site, page: str, families: list[AtlasFamily]) -> MapTeaser | None:
    """Return a still of the map: a dot a concept, and a few far apart as pictures; None where there is no map."""
    placed = [(family, concept) for family in families for concept in family.concepts if concept.position]
    if links.MAP not in site.plan or len(placed) < N_STARTS:
        return None
    xs, ys = zip(*(concept.position for _, concept in placed if concept.position), strict=True)
    left, bottom = min(xs), min(ys)
    across, up = (max(xs) - left) or 1.0, (max(ys) - bottom) or 1.0
    (width, height), air = MAP_SIZE, MAP_SIDE * 0.62

    def place(concept: AtlasConcept) -> tuple[float, float]:
        assert concept.position is not None
        x, y = concept.position
        u, v = (x - left) / across, (y - bottom) / up
        return round(air + u * (width - 2 * air), 1), round(air + v * (height - 2 * air - MAP_LABEL), 1)

    pictured = [(family, each) for family, each in placed if each in list_stable(family) and each.visualizations]
    pictured.sort(key=lambda pair: (is_accentuated(pair[1]), -pair[1].importance.share, pair[1].id))
    kept: list[tuple[AtlasFamily, AtlasConcept]] = []
    while pictured and len(kept) < N_MAP_PLATES:
        kept.append(pictured[0])
        there = place(kept[-1][1])
        pictured = [pair for pair in pictured if _far(place(pair[1]), there)]
    plates = []
    for family, concept in kept:
        x, y = place(concept)
        plates.append(MapPlate(_smallest(page, concept.visualizations[0], MAP_SIDE), x, y, family.name))
    return MapTeaser(
        href=site.link(page, links.MAP),
        width=width,
        height=height,
        side=MAP_SIDE,
        n=len(placed),
        dots=tuple(MapDot(*place(concept)) for _, concept in placed),
        plates=tuple(plates),
        alt=site.words("home.map_alt", n=len(placed), families=site.words.join([each.label for each in plates])),
    )


def _far(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) >= MAP_SIDE * 1.15 or abs(one[1] - other[1]) >= MAP_SIDE * 1.3


def _smallest(page: str, picture: Visualization, width: int) -> str:
    """Return the address of the smallest copy of a picture that is at least so wide, or of the picture itself."""
    path = next((links.smaller(picture.image, each) for each in picture.smaller if each >= width), picture.image)
    return links.relative(page, links.media(path))


# --- how far to trust it -------------------------------------------------------------------------------------


def _view_trust(site: Site, page: str, families: list[AtlasFamily]) -> TrustFigure:
    words = site.words
    measured = [(family, share) for family in families if (share := _explained(family)) is not None]
    measured.sort(key=lambda pair: (-pair[1], pair[0].name))
    floors = {family.slug: _floor(family, "shuffled-labels") for family, _ in measured}
    marks = [
        TrustMark(
            family=Link(family.name, site.link(page, links.family_page(family.slug))),
            x=round((place + 0.5) / len(measured), 4),
            explained=min(1.0, max(0.0, share)),
            explained_text=write_percent(share, words),
            floor=None if (floor := floors[family.slug]) is None else min(1.0, max(0.0, floor)),
            floor_text="–" if floor is None else write_percent(floor, words),
        )
        for place, (family, share) in enumerate(measured)
    ]
    n = len(measured)
    found = [floor for floor in floors.values() if floor is not None]
    random = [floor for family, _ in measured if (floor := _floor(family, "random-weights")) is not None]
    sentences = []
    if measured:
        shares = [share for _, share in measured]
        held_out = all(family.fidelity and "held" in family.fidelity.split for family, _ in measured)
        key = "home.trust_explained_held_out" if held_out else "home.trust_explained"
        span = {"low": write_percent(min(shares), words), "high": write_percent(max(shares), words)}
        sentences.append(words(key, n=n, middle=write_percent(statistics.median(shares), words), **span))
    if found:
        sentences.append(words("home.trust_floor", n=n, floor=write_percent(statistics.median(found), words)))
    if random:
        middle = statistics.median(random)
        key = "home.trust_random_high" if middle >= HALF else "home.trust_random"
        sentences.append(words(key, floor=write_percent(middle, words)))
    accuracy = site.index.classifier.accuracy
    if accuracy is not None and accuracy.top1 is not None:
        key = "home.trust_accuracy_held_out" if "held" in accuracy.split else "home.trust_accuracy"
        value = write_measured_percent(accuracy.top1, accuracy.interval, words)
        sentences.append(words(key, value=value, chance=write_percent(accuracy.chance, words)))
    told = [
        words("home.trust_told", family=mark.family.text, explained=mark.explained_text, floor=mark.floor_text)
        for mark in marks
    ]
    return TrustFigure(
        marks=tuple(marks),
        named=n <= MOST_NAMED,
        alt=words("home.trust_alt", families=words("list.semicolon").join(told))
        if n <= MOST_NAMED
        else words("home.trust_alt_many"),
        caption=words("home.trust_caption", n=n),
        sentences=tuple(sentences),
    )


def _explained(family: AtlasFamily) -> float | None:
    return family.fidelity.explained_share.value if family.fidelity else explained_of(family)


def _floor(family: AtlasFamily, kind: str) -> float | None:
    """Return a floor's explained share, or None where it was not measured."""
    for floor in family.fidelity.floors if family.fidelity else []:
        if floor.kind == kind and floor.explained_share is not None:
            return floor.explained_share.value
    return None
