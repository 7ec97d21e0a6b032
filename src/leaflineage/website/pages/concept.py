"""What ``concept.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.leaves import CropView, LeafView, Zones
from leaflineage.website.pages.parts import Badge, Bar, Fact, Frame, Interval, Link, Picture


@dataclass(frozen=True)
class CropGroup:
    """Crops of one kind, strongest first."""

    heading: str
    note: str
    crops: tuple[CropView, ...]


@dataclass(frozen=True)
class MapPair:
    """One leaf under its coefficient map, and under its attribution map."""

    coefficient: LeafView
    attribution: LeafView
    who: str


@dataclass(frozen=True)
class Histogram:
    """Over how many images a concept's index is how large: bars over [0, 1], and the same as rows of a table."""

    bars: tuple[Bar, ...]
    ticks: tuple[float, ...]
    mean: float
    note: str
    alt: str
    rows: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class OtherFamily:
    """What a concept adds to a family's logit or takes from it."""

    link: Link
    is_own: bool
    bar: Bar
    reach: Interval | None
    sign: str
    logits: float
    span: tuple[float, float] | None


@dataclass(frozen=True)
class SimilarView:
    """A concept of another family that points the same way."""

    href: str
    label: str
    family: str
    similarity: float
    picture: Picture | None


@dataclass(frozen=True)
class Numbers:
    """Where the numbers of a page stand in the data: a file, and the JSON pointer (RFC 6901) in it."""

    href: str
    pointer: str


@dataclass(frozen=True)
class Subplate:
    """A concept inside a concept, as a plate with its crops."""

    anchor: str
    label: str
    share: float
    share_text: str
    widest: float
    against: bool
    sentence: str
    picture: Picture | None
    crops: tuple[tuple[Picture, str | None], ...]  # each with the address of its specimen's page


@dataclass(frozen=True)
class Inside:
    """How a concept was divided, and into what."""

    root: str
    sentence: str
    rest: str
    kept: str | None
    error: str
    plates: tuple[Subplate, ...]


@dataclass(frozen=True)
class View:
    """A further picture of a concept, with what it is and what it scored."""

    picture: Picture
    caption: str
    badges: tuple[Badge, ...]


@dataclass(frozen=True)
class ConceptPage:
    """``concept.html``."""

    frame: Frame
    crumbs: tuple[Link, ...]
    crumb: str
    title: str
    whose: str
    name_notes: tuple[str, ...]  # what the name means, and what others say of it
    determination: str | None  # who named it
    line: str | None  # the address of the expert's line
    by_person: bool
    badges: tuple[Badge, ...]
    alarms: str  # why it is flagged as a possible shortcut, in numbers; empty where it is not
    share: float
    share_interval: str | None
    sentence: str
    zones: Zones | None
    picture: Picture | None
    picture_href: str  # its specimen's page where it is a crop made clearer, the picture itself where it is not
    picture_caption: str
    picture_badges: tuple[Badge, ...]
    views: tuple[View, ...]  # the concept's pictures after the first
    views_caption: str
    facts: tuple[Fact, ...]
    also: str | None
    crops: tuple[CropView, ...]
    crop_heading: str
    whole_leaves: tuple[LeafView, ...]
    heat_caption: str
    pairs: tuple[MapPair, ...]
    coefficient_caption: str
    inside: Inside | None
    groups: tuple[CropGroup, ...]
    histogram: Histogram | None
    others: tuple[OtherFamily, ...]
    others_zero: float  # where nought stands on the axis of logits
    similar: tuple[SimilarView, ...]
    caveats: tuple[str, ...]
    numbers: Numbers
    files: tuple[Link, ...]
    assumptions: str
    turn: tuple[Link | None, Link | None]
