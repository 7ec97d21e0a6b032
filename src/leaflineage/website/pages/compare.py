"""What ``compare.html`` is given: two families side by side, and the pairs that may be looked at."""

from __future__ import annotations

from dataclasses import dataclass

from leaflineage.website.pages.parts import Frame, Link, Picture


@dataclass(frozen=True)
class Side:
    """One of the two families."""

    slug: str
    name: str
    href: str
    picture: Picture | None


@dataclass(frozen=True)
class Tick:
    """A number on the axis and where it stands, in [0, 1]."""

    at: float
    text: str


@dataclass(frozen=True)
class PartingRow:
    """A concept and what it adds to the logit of either family; positions in [0, 1] of the axis."""

    title: str
    href: str
    whose: str
    picture: Picture | None
    first: str
    second: str
    first_at: float
    second_at: float
    difference: str
    leader: str
    shared: bool
    unstable: bool


@dataclass(frozen=True)
class SharedRow:
    """Two concepts, one of either family, whose bank rows point nearly the same way; sources of their pictures."""

    first: Link
    second: Link
    first_picture: Picture | None
    second_picture: Picture | None
    similarity: str
    unstable: bool


@dataclass(frozen=True)
class BalanceRow:
    """How far one family's logit stands above the other's on its own leaves, and what makes that up."""

    label: str
    values: tuple[str, ...]  # concepts found again, unstable ones, rest, bias, all together


@dataclass(frozen=True)
class Comparison:
    """Two families compared."""

    first: Side
    second: Side
    lead: str
    ticks: tuple[Tick, ...]
    zero: float
    rows: tuple[PartingRow, ...]
    shared: tuple[SharedRow, ...]
    balance: tuple[BalanceRow, ...]
    n_unstable: int


@dataclass(frozen=True)
class PairLine:
    """A pair in the list of pairs."""

    first: str
    second: str
    href: str
    note: str
    here: bool


@dataclass(frozen=True)
class ComparePage:
    """``compare.html``: the page on which any two families are chosen, or that of one pair."""

    frame: Frame
    comparison: Comparison
    families: tuple[tuple[str, str], ...]
    choose: str | None
    pairs_heading: str
    pairs: tuple[PairLine, ...]
    data: str
    said: str
    caveats: tuple[str, ...]
