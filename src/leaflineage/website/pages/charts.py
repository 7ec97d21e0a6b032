"""What charts are made of: lines, ticks, marks, and the tables that say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leaflineage.website.pages.parts import Fact, Interval, Link, Picture


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it stands in [0, 1], and what is written beside it."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A line of a chart; ``kind`` says how it is drawn."""

    kind: str  # "contribution" | "importance" | "random" | "error" | "stability"
    label: str
    points: str  # "x,y x,y …" in a square of 100 by 100, y downwards
    dots: tuple[tuple[float, float], ...]  # the same in [0, 1], y downwards


@dataclass(frozen=True)
class Chart:
    """Lines over an axis; nought stands at ``zero``; ``chosen`` and ``least`` are places marked on x and y."""

    heading: str
    label: str  # what stands for the figure
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    zero: float | None = None
    chosen: Tick | None = None
    least: Tick | None = None
    table: tuple[tuple[str, tuple[str, ...]], ...] = ()  # each line's label and values, "" where it has none
    columns: tuple[str, ...] = ()  # what stands over the values


@dataclass(frozen=True)
class SpreadMark:
    """One image of a family: which it is, whose mark it carries, and its square on the grid."""

    place: int  # in image_specimens, and so in the thumbnails
    line: int  # of the table: whose mark it carries
    column: int
    row: int  # downwards


@dataclass(frozen=True)
class SpreadLine:
    """One mark of the figure of images and what it stands for."""

    tone: str  # how it is drawn: "1" … "6", "plain", "rest", "none"
    number: str  # what stands in it
    label: str
    href: str | None
    n: int
    share: float


@dataclass(frozen=True)
class Spread:
    """How a family's images spread over its concepts: its marks by place, and the same for the script."""

    figure: int
    heading: str
    label: str
    marks: tuple[SpreadMark, ...]
    lines: tuple[SpreadLine, ...]
    caption: str
    sheet: Picture | None  # the thumbnails of all images
    data: dict[str, Any]


@dataclass(frozen=True)
class NumberCurve:
    """Relative error and stability against the number of concepts."""

    figure: int
    chart: Chart
    caption: str


@dataclass(frozen=True)
class OrderLine:
    """What deletion, insertion and µFidelity give in one order of the concepts."""

    kind: str
    label: str
    deletion: str
    insertion: str
    mu_fidelity: str


@dataclass(frozen=True)
class FloorLine:
    """What a bank explains, its error, and the accuracy through it; "–" where it was not measured."""

    label: str
    explained: str
    error: str
    accuracy: str


@dataclass(frozen=True)
class Trust:
    """How far a family's concepts stand for what the classifier does."""

    figure: int
    measured_on: str
    charts: tuple[Chart, ...]
    caption: str
    orders: tuple[OrderLine, ...]
    has_intervals: bool  # whether a figure of the orders has one
    sentences: tuple[str, ...]
    floors: tuple[FloorLine, ...]
    floor_note: str | None
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class StripRow:
    """One measure over all families: a stroke for each, the median as a dot."""

    label: str
    strokes: tuple[float, ...]  # in [0, 1]
    middle: float
    text: str


@dataclass(frozen=True)
class StripGroup:
    """Measures on one axis."""

    heading: str
    note: str
    ticks: tuple[Tick, ...]
    rows: tuple[StripRow, ...]


@dataclass(frozen=True)
class TrustRow:
    """The fidelity of one family in a line of the method page."""

    family: Link
    whisker: Interval
    explained: str
    mu_fidelity: str
    own: str
    others: str
    taken: str
