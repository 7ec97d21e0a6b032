"""What ``family.html`` is given."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.charts import NumberCurve, Spread, Trust
from leaflineage.website.pages.concept import View
from leaflineage.website.pages.parts import Badge, Bar, Fact, Frame, Link, Overlay, Picture, Row


@dataclass(frozen=True)
class Card:
    """A concept as a plate: on the page of its family and on the first page."""

    anchor: str
    number: int
    label: str
    family: str
    href: str
    share: float
    widest: float  # the share of the family's first concept, for the scale of the line
    against: bool
    sign: str
    told: str  # share and contribution with their intervals
    rank: int
    n_ranks: int
    picture: Picture | None
    badges: tuple[Badge, ...] = ()
    crops: tuple[Picture, ...] = ()
    overlays: tuple[Overlay, ...] = ()


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
    neighbours: tuple[tuple[Link, float, Picture | None], ...]
    none_near: str
    confused: tuple[tuple[Link, int], ...]
    caveats: tuple[str, ...]
    files: tuple[Link, ...]
    assumptions: str
    turn: tuple[Link | None, Link | None]
