"""What each template is given: one frozen dataclass a template, nothing else.

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
    """An image with its size in pixels and a text that stands for it."""

    src: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Overlay:
    """A specimen, the heat map laid over it, and a box in the original's pixels."""

    specimen: Picture
    heat: Picture
    frame: tuple[int, int]
    box: tuple[int, int, int, int] | None  # x, y, width, height
    species: str | None
    coefficient: float
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
    index: float | None
    interval: tuple[float, float] | None
    whisker: Interval | None
    reach: Interval | None = None  # the interval of the logits, on their axis
    logits_interval: tuple[float, float] | None = None
    share_interval: tuple[float, float] | None = None


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


@dataclass(frozen=True)
class SpreadMark:
    """One image of a family: whose mark it carries, and its place in [0, 1], y downwards."""

    symbol: str
    x: float
    y: float


@dataclass(frozen=True)
class SpreadLine:
    """One mark of the figure of images and what it stands for."""

    symbol: str  # id of the mark
    tone: str  # how it is drawn: "1" … "4", "plain", "rest", "none"
    number: str  # what stands in it
    label: str
    href: str | None
    n: int
    share: float


@dataclass(frozen=True)
class Spread:
    """How a family's images spread over its concepts."""

    figure: int
    label: str
    radius: float  # px
    marks: tuple[SpreadMark, ...]
    lines: tuple[SpreadLine, ...]
    caption: str


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


@dataclass(frozen=True)
class Group:
    """Facts under one heading."""

    heading: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class CropGroup:
    """Crops of one kind, strongest first."""

    heading: str
    note: str
    crops: tuple[Picture, ...]


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
class Paper:
    """A paper to cite."""

    authors: str
    title: str
    venue: str
    href: str
    bibtex: str
    anchor: str


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
    styles: tuple[str, ...]
    early_scripts: tuple[str, ...]
    late_scripts: tuple[str, ...]
    icon: str
    colophon: tuple[Fact, ...]
    report: str | None


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


@dataclass(frozen=True)
class FamiliesPage:
    """``families.html``."""

    frame: Frame
    lines: tuple[FamilyLine, ...]
    n_built: int
    n_missing: int
    has_orders: bool
    queries: tuple[Start, ...]
    unlisted: tuple[Fact, ...]


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


@dataclass(frozen=True)
class Explanation:
    """What speaks for one candidate family on a leaf and what against, and where."""

    family: Link
    anchor: str
    rows: tuple[Row, ...]
    zero: float
    overlays: tuple[tuple[Overlay, Link], ...]


@dataclass(frozen=True)
class SpecimenPage:
    """``specimen.html``: a picture without a family, which is only explained."""

    frame: Frame
    crumbs: tuple[Link, ...]
    title: str
    sentence: str
    picture: Picture
    tall: bool
    label: tuple[Fact, ...]
    predicted: tuple[tuple[Link | None, str, Bar, float], ...]
    explanations: tuple[Explanation, ...]
    heat_caption: str
    neighbours: tuple[tuple[Link | None, str, float, str], ...]
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class MethodPage:
    """``method.html``."""

    frame: Frame
    sentences: tuple[str, ...]
    steps: tuple[Fact, ...]
    assumptions: tuple[Fact, ...]
    strips: tuple[StripGroup, ...]
    strips_alt: str
    strips_caption: str
    trust_rows: tuple[TrustRow, ...]
    classifier: tuple[Fact, ...]
    figures: tuple[Fact, ...]
    settings: tuple[Group, ...]
    versions: tuple[Fact, ...]
    caveats: tuple[str, ...]
    missing: tuple[Fact, ...]
    unlisted: tuple[Fact, ...]
    set_aside: tuple[Fact, ...]
    papers: tuple[Paper, ...]


@dataclass(frozen=True)
class DataFile:
    """A file to download."""

    link: Link
    note: str
    size: str
    sha256: str


@dataclass(frozen=True)
class FamilyFiles:
    """The files of one family: links with their sizes, None where the run has none."""

    family: Link
    importances: tuple[Link, str] | None
    bank: tuple[Link, str] | None


@dataclass(frozen=True)
class DataPage:
    """``data.html``."""

    frame: Frame
    files: tuple[DataFile, ...]
    family_files: tuple[FamilyFiles, ...]
    licences: tuple[Fact, ...]
    fields: tuple[Fact, ...]
    again: str  # what can be computed again from the files, and what cannot


@dataclass(frozen=True)
class NotFoundPage:
    """``404.html``: works at any depth, so it carries its own style and links from the host's root, or not at all."""

    title: str
    atlas: str
    policy: str
    style: str
    home: str | None
    families: str | None
    drawn: bool


TEMPLATES: dict[str, type] = {
    "home.html": HomePage,
    "families.html": FamiliesPage,
    "family.html": FamilyPage,
    "missing.html": MissingPage,
    "concept.html": ConceptPage,
    "specimen.html": SpecimenPage,
    "method.html": MethodPage,
    "data.html": DataPage,
    "404.html": NotFoundPage,
}
