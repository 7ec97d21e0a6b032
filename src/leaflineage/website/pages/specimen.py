"""What ``specimen.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Bar, Frame, Link, Picture


@dataclass(frozen=True)
class LabelLine:
    """A line of a specimen's label: a term and what is said of it."""

    term: str
    text: str
    latin: bool = False
    href: str | None = None


@dataclass(frozen=True)
class ScoreRow:
    """The classifier's score for one family."""

    link: Link | None
    name: str
    note: str
    bar: Bar
    score: float


@dataclass(frozen=True)
class ConceptRow:
    """What a concept adds to a family's logit on this leaf, or takes from it, and where it is active."""

    label: str
    href: str | None
    sign: str
    bar: Bar
    logits: float
    index: float | None  # total Sobol index on this leaf
    heat: str | None  # the address of its map
    anchor: str  # of the map on the page
    alt: str


@dataclass(frozen=True)
class Explanation:
    """What speaks for one candidate family on a leaf and what against, and where."""

    family: Link
    anchor: str
    heading: str
    rows: tuple[ConceptRow, ...]
    zero: float
    gathered: str  # which concepts share a row; empty where each has its own
    total: str | None  # what bars and bias sum to
    has_maps: bool


@dataclass(frozen=True)
class Thumbnail:
    """A square of a family's sheet of thumbnails: the whole sheet's address and size, and where the square begins.

    ``first`` is where the sheet stands on the page under its anchor; the squares after it refer to that.
    """

    anchor: str
    first: bool
    src: str
    width: int
    height: int
    side: int
    x: int
    y: int


@dataclass(frozen=True)
class NearSpecimen:
    """A specimen near this one."""

    href: str | None  # its page
    thumbnail: Thumbnail | None
    species: str | None
    number: str  # empty where no page tells of it: then it is called by its family
    family: str | None
    similarity: float
    same_leaf: bool


@dataclass(frozen=True)
class SpecimenPage:
    """``specimen.html``: a leaf, what the classifier makes of it, and why."""

    frame: Frame
    crumbs: tuple[Link, ...]
    title: str
    latin: bool
    number: str | None
    sentence: str
    picture: Picture
    tall: bool
    label: tuple[LabelLine, ...]
    predicted: tuple[ScoreRow, ...]
    explanations: tuple[Explanation, ...]
    heat_caption: str
    neighbours: tuple[NearSpecimen, ...]
    caveats: tuple[str, ...]
    files: tuple[Link, ...]
    assumptions: str
