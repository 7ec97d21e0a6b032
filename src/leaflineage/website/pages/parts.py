"""What pages are made of: links, facts, pictures, bars, and the frame around every page.

Texts in here come from the data or from the catalogue of words; addresses come from ``links`` and are relative to the
page. Fractions are in [0, 1]; ``Bar`` positions are fractions of the figure's width.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """A text and where it leads; ``here`` marks the page the reader is on."""

    text: str
    href: str
    here: bool = False


@dataclass(frozen=True)
class Fact:
    """A term and what is said of it, with links where they help."""

    term: str
    text: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Picture:
    """An image with its size in pixels and a text that stands for it; ``srcset`` names its smaller copies too."""

    src: str
    width: int
    height: int
    alt: str
    srcset: str = ""


@dataclass(frozen=True)
class Overlay:
    """A specimen, the address of the heat map laid over it, and the crop's box in fractions of its picture."""

    specimen: Picture
    heat: str
    box: tuple[float, float, float, float]  # x, y, width, height
    species: str | None
    tall: bool


@dataclass(frozen=True)
class Badge:
    """A word in a thin frame; a warning's frame is dashed."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Bar:
    """One segment or bar of a figure: where it starts, how long it is, how it is filled."""

    start: float
    length: float
    fill: str  # "for" | "against" | "rest"
    label: str = ""
    note: str = ""
    name: str = ""
    href: str = ""


@dataclass(frozen=True)
class Interval:
    """A value with its interval, as positions in [0, 1] of an axis."""

    low: float
    value: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table for and against."""

    label: str
    href: str | None
    sign: str
    bar: Bar
    logits: float
    share: float | None
    reach: Interval | None = None  # the interval of the logits, on their axis
    logits_interval: tuple[float, float] | None = None
    share_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Frame:
    """What every page shares: head, header and footer."""

    title: str
    description: str
    atlas: str
    root: str
    home: str
    navigation: tuple[Link, ...]
    drawn: bool
    policy: str
    canonical: str | None
    style: str
    early_scripts: tuple[str, ...]
    late_scripts: tuple[str, ...]
    icon: str
    colophon: tuple[Fact, ...]
    rights: str  # what may be done with the pictures, or that nobody said
    report: str | None
    left_out: str = ""  # why pictures of leaves are missing; empty where all are there
    linked: str = ""  # JSON-LD, escaped
