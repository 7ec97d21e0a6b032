"""What ``family.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.charts import NumberCurve, Spread, Trust
from leaflineage.website.pages.concept import View
from leaflineage.website.pages.parts import Badge, Bar, Fact, Frame, Link, Overlay, Picture, Row


@dataclass(frozen=True)
class Card:
    """A concept as a plate, and what opens under it."""

    anchor: str
    number: int
    label: str
    href: str
    share: float
    widest: float  # the share of the family's first concept, for the scale of the line
    against: bool
    told: str  # share and contribution with their intervals
    picture: Picture | None
    leaf: Picture | None  # where on the leaf it is
    stability: str  # how much of it refits find again, in words
    badges: tuple[Badge, ...]
    crops: tuple[Picture, ...]
    overlays: tuple[Overlay, ...]


@dataclass(frozen=True)
class Near:
    """A family near this one: its weightiest concept, and the page that compares the two."""

    family: Link
    similarity: float
    picture: Picture | None
    compare: Link | None


@dataclass(frozen=True)
class MistakeView:
    """A specimen that the classifier takes for another family."""

    picture: Picture
    who: str
    latin: bool  # whether that is a species
    number: str
    href: str | None  # the specimen's page
    family: Link
    sentence: str  # the classifier's scores
    note: str  # whether the specimen was used in training


@dataclass(frozen=True)
class Mistakes:
    """The specimens that the classifier gets wrong: those shown, and how many are taken for which family."""

    sentence: str
    shown: tuple[MistakeView, ...]
    counts: tuple[tuple[Link, int, Link | None], ...]  # the family, how many, and the page that compares


@dataclass(frozen=True)
class FamilyPage:
    """``family.html``."""

    frame: Frame
    crumbs: tuple[Link, ...]
    name: str
    common_name: str | None
    sentence: str
    account: str
    warning: str | None
    alarm: str | None  # what of its importance may be shortcuts
    count: str
    n_concepts: int
    plate: tuple[tuple[Picture, str | None], ...]
    label: tuple[Fact, ...]
    bars: tuple[Bar, ...]
    cards: tuple[Card, ...]
    cards_caption: str
    whole: View | None  # the family's own picture
    rows: tuple[Row, ...]
    zero: float  # where nought stands on the axis of logits
    precision: str  # what the intervals of importances hold
    bias: str | None
    spread: Spread | None
    number_curve: NumberCurve | None
    trust: Trust | None
    neighbours: tuple[Near, ...]
    none_near: str
    mistakes: Mistakes
    caveats: tuple[str, ...]
    files: tuple[Link, ...]
    assumptions: str
    turn: tuple[Link | None, Link | None]
