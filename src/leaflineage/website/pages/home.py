"""What ``home.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.family import Card
from leaflineage.website.pages.parts import Fact, Frame, Link, Overlay, Picture, Row


@dataclass(frozen=True)
class Paper:
    """A paper to cite."""

    authors: str
    title: str
    venue: str
    href: str
    bibtex: str
    anchor: str


@dataclass(frozen=True)
class Start:
    """A family to start with."""

    name: str
    note: str
    href: str
    picture: Picture | None


@dataclass(frozen=True)
class HomePage:
    """``home.html``."""

    frame: Frame
    sentences: tuple[str, ...]
    n_families: int
    families: str
    method: str
    featured: Card | None
    featured_told: str  # what its picture is
    featured_note: str  # and what it is no evidence of
    featured_family: Link | None
    featured_others: tuple[Card, ...]
    plate: Overlay | None
    plate_bars: tuple[Row, ...]
    map_size: tuple[int, int]
    samples: tuple[Card, ...]
    starts: tuple[Start, ...]
    papers: tuple[Paper, ...]
    all_bibtex: str
    licences: tuple[Fact, ...]
