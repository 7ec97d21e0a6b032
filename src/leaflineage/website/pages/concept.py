"""What ``concept.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Badge, Bar, Fact, Frame, Link, Overlay, Picture


@dataclass(frozen=True)
class CropGroup:
    """Crops of one kind, strongest first."""

    heading: str
    note: str
    crops: tuple[Picture, ...]


@dataclass(frozen=True)
class MapPair:
    """One leaf under its coefficient map, and under its attribution map."""

    coefficient: Overlay
    attribution: Overlay
    who: str


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
    crops: tuple[Picture, ...]


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
    title: str
    number: int
    name_note: str
    badges: tuple[Badge, ...]
    family: Link
    share: float
    share_interval: str | None
    against: bool
    sentence: str
    picture: Picture | None
    picture_caption: str
    picture_badges: tuple[Badge, ...]
    views: tuple[View, ...]  # the concept's pictures after the first
    views_caption: str
    facts: tuple[Fact, ...]
    also: str | None
    crops: tuple[Picture, ...]
    crop_heading: str
    overlays: tuple[Overlay, ...]
    heat_caption: str
    pairs: tuple[MapPair, ...]
    coefficient_caption: str
    inside: Inside | None
    groups: tuple[CropGroup, ...]
    histogram: tuple[Bar, ...]
    histogram_ticks: tuple[float, ...]
    histogram_mean: float
    histogram_note: str
    histogram_alt: str
    others: tuple[tuple[Link, float, tuple[float, float] | None], ...]
    others_interval: bool
    similar: tuple[tuple[Link, float], ...]
    caveats: tuple[str, ...]
    files: tuple[Link, ...]
    assumptions: str
    turn: tuple[Link | None, Link | None]
