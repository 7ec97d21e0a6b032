"""What ``families.html`` is given, and ``missing.html``, the page of a family without concepts."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.home import Start
from leaflineage.website.pages.parts import Badge, Fact, Frame, Link, Picture


@dataclass(frozen=True)
class FamilyLine:
    """A family in the list of all."""

    name: str
    href: str
    common_name: str | None
    order: str | None
    first_of_order: bool
    missing: str | None
    picture: Picture | None
    concept: str
    concept_href: str
    concept_share: float
    n_specimens: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    explained: float | None
    explained_interval: tuple[float, float] | None
    badges: tuple[Badge, ...]
    terms: str
    values: str  # specimens, accuracy, explained share, share of the first concept: numbers to sort by, "-" for none


@dataclass(frozen=True)
class FamiliesPage:
    """``families.html``."""

    frame: Frame
    lead: str
    lines: tuple[FamilyLine, ...]
    orders: tuple[str, ...]
    queries: tuple[Start, ...]
    further_queries: tuple[Link, ...]  # those beyond the plates
    unlisted: tuple[Fact, ...]


@dataclass(frozen=True)
class MissingPage:
    """``missing.html``: a family that the classifier names and the atlas cannot show."""

    frame: Frame
    crumbs: tuple[Link, ...]
    name: str
    common_name: str | None
    reason: str
    label: tuple[Fact, ...]
    caveats: tuple[str, ...]
