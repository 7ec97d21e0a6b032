"""What ``home.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Bar, Fact, Frame, Link, Picture


@dataclass(frozen=True)
class Paper:
    """A paper, a set of pictures or an atlas to cite."""

    authors: str
    title: str
    venue: str
    href: str
    bibtex: str
    anchor: str


@dataclass(frozen=True)
class Start:
    """A family to start with, or a leaf without a family."""

    name: str
    note: str
    href: str
    picture: Picture | None
    detail: str = ""


@dataclass(frozen=True)
class Told:
    """A concept of the living example: its letter on the leaf ("" where it is not outlined) and what is said of it."""

    letter: str
    label: str
    href: str
    picture: Picture | None
    text: str


@dataclass(frozen=True)
class Outline:
    """A concept outlined on the leaf: a path, its letter's place and the line between them, in the plate's units."""

    letter: str
    path: str
    place: tuple[float, float]
    leader: tuple[float, float, float, float]  # x1, y1, x2, y2


@dataclass(frozen=True)
class Plate:
    """The leaf of the living example on a square of 100 × 100 units, its concepts outlined."""

    src: str
    x: float
    y: float
    width: float
    height: float
    alt: str
    species: str | None
    caption: str
    href: str | None  # the specimen's own page
    outlines: tuple[Outline, ...]
    across: tuple[float, ...]  # lines between the cells of the network's map: their x
    down: tuple[float, ...]  # and their y
    cells_alt: str


@dataclass(frozen=True)
class Example:
    """One family's leading concepts, told in words and outlined on a leaf."""

    family: Link
    common_name: str | None
    told: tuple[Told, ...]
    plate: Plate


@dataclass(frozen=True)
class How:
    """The four pictures of how it works, of the living example's first concept."""

    concept: str
    crops: tuple[Picture, ...]
    drawn: Picture | None
    drawn_told: str
    drawn_note: str
    bars: tuple[Bar, ...]
    bars_alt: str


@dataclass(frozen=True)
class TrustMark:
    """A family's explained share and its floor, with texts; heights in [0, 1]."""

    family: Link
    x: float
    explained: float
    explained_text: str
    floor: float | None
    floor_text: str


@dataclass(frozen=True)
class TrustFigure:
    """Explained share of all families against the floor of shuffled labels."""

    marks: tuple[TrustMark, ...]
    named: bool  # whether there is room for names under the marks
    alt: str
    caption: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class MapDot:
    """A concept on the still map."""

    x: float
    y: float


@dataclass(frozen=True)
class MapPlate:
    """A concept on the still map that is shown as a picture."""

    src: str
    x: float
    y: float
    label: str


@dataclass(frozen=True)
class MapTeaser:
    """A still of the map of concepts, in units of its own."""

    href: str
    width: int
    height: int
    side: int  # of a picture
    n: int
    dots: tuple[MapDot, ...]
    plates: tuple[MapPlate, ...]
    alt: str


@dataclass(frozen=True)
class HomePage:
    """``home.html``."""

    frame: Frame
    lead: str
    n_families: int
    families: str
    method: str
    data: str
    example: Example | None
    how: How | None
    map_size: tuple[int, int]
    starts: tuple[Start, ...]
    teaser: MapTeaser | None
    trust: TrustFigure
    papers: tuple[Paper, ...]
    atlas: Paper
    sources: str  # the sources of the pictures that are not cited above
    licences: tuple[Fact, ...]
