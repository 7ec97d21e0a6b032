"""The data contracts: what passes between stages, and what the site reads.

Frozen models, one per record on disk. A field that is "not yet computed" is None and a list is empty, never
absent. Readers ignore fields they do not know, so adding a field keeps the schema's number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

SCHEMAS = {
    "run": "leaflineage.run/1",
    "report": "leaflineage.report/1",
    "model": "leaflineage.model/1",
    "catalogue": "leaflineage.catalogue/1",
    "specimens": "leaflineage.specimens/1",
    "activations": "leaflineage.activations/1",
    "concepts": "leaflineage.concepts/1",
    "importance": "leaflineage.importance/1",
    "crops": "leaflineage.crops/1",
    "queries": "leaflineage.queries/1",
    "visualizations": "leaflineage.visualizations/1",
    "visualization": "leaflineage.visualization/1",
    "probe": "leaflineage.probe/1",
    "fidelity": "leaflineage.fidelity/1",
    "recursion": "leaflineage.recursion/1",
    "contrasts": "leaflineage.contrasts/1",
    "zones": "leaflineage.zones/1",
    "family": "leaflineage.family/1",
    "atlas": "leaflineage.atlas/1",
    "index": "leaflineage.index/1",
    "manifest": "leaflineage.manifest/1",
    "site-manifest": "leaflineage.site-manifest/1",
    "site": "leaflineage.site/1",
}

DEVICE_NAMES = frozenset(["con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))])


class Record(BaseModel):
    """Base of all records: frozen, unknown fields ignored, every number finite."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)


# --- names ---------------------------------------------------------------------------------------------------


def make_slug(name: str) -> str:
    """Return the slug of one name: NFKD, ASCII, lower case, others to "-", at most 60 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "family"
    return f"{slug}-x" if slug in DEVICE_NAMES else slug


def make_slugs(names: Iterable[str]) -> dict[str, str]:
    """Return {name: slug}; names whose slugs collide get "-2", "-3", … in order of their UTF-8 bytes."""
    slugs: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names), key=lambda each: each.encode("utf-8", "surrogatepass")):
        base = make_slug(name)
        slug, n = base, 1
        while slug in taken:
            n += 1
            slug = f"{base[: 60 - len(str(n)) - 1].rstrip('-')}-{n}"
        taken.add(slug)
        slugs[name] = slug
    return slugs


def make_concept_id(number: int) -> str:
    """Return the id of concept ``number`` (1-based) inside its family: ``concept-03``."""
    return f"concept-{number:02d}"


def name_smaller(path: str, width: int) -> str:
    """Return the path of a picture's smaller copy, ``width`` px wide: ``a/b.webp`` is ``a/b-160.webp``."""
    return f"{path.removesuffix('.webp')}-{width}.webp"


# --- specimens -----------------------------------------------------------------------------------------------


class Specimen(Record):
    """One picture of a leaf and what is known of it, as the catalogue lists it."""

    id: str
    file: str  # POSIX, relative to the catalogue's root
    group: str
    role: Literal["reference", "query"] = "reference"
    family: str | None = None
    genus: str | None = None
    species: str | None = None
    source: str | None = None
    catalogue_number: str | None = None
    split: Literal["train", "held-out", "unknown"] = "unknown"
    in_training: bool | None = None
    licence: str | None = None
    credit: str | None = None
    px_per_mm: float | None = None
    width: int | None = None  # pixels, upright (EXIF orientation applied)
    height: int | None = None
    sha256: str | None = None  # of the file's bytes
    set_aside: str | None = None  # why this picture is not used; None where it is
    withheld: bool = False  # in no picture, page or table, though it still counts


class Catalogue(Record):
    """All specimens of a run, in order of id, those set aside included."""

    specimens: list[Specimen]
    families: list[str]  # sorted; families of reference specimens
    notes: list[str] = []  # what the scan wants a person to know


# --- classifier ----------------------------------------------------------------------------------------------


class Preprocessing(Record):
    """How an upright image becomes the classifier's input."""

    input_size: tuple[int, int]  # (height, width)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos", "box", "hamming"]
    fit: Literal["pad", "crop", "squash"]
    pad_colour: tuple[int, int, int]
    crop_pct: float = 1.0


class ModelRecord(Record):
    """What was read, found and verified of the classifier: ``model.json``."""

    name: str
    architecture: str
    layer: str
    map_shape: tuple[int, int, int]  # (rows, columns, n_channels)
    affine_head: bool
    pools_first: bool
    depends_on_cells: bool
    signed: bool  # more than 2 % of the activations' energy is negative
    negative_energy: float
    split_error: float  # largest relative difference of head(features(x)) to the classifier
    n_outputs: int
    label_names: list[str | None]  # one an output; None where no public name is known
    preprocessing: Preprocessing
    sha256: str
    stated_accuracy: float | None = None
    n_parameters: int | None = None
    licence: str | None = None
    notes: list[str] = []
    n_prefix_tokens: int = 0  # class and register tokens beside the cells
    prefix_matters: bool = False  # the head reads them too; each specimen keeps its own while concepts are masked


# --- the atlas -----------------------------------------------------------------------------------------------


class Licences(Record):
    """Licences of the four kinds of things an atlas publishes."""

    code: str | None = None
    text: str | None = None
    data: str | None = None
    images: str | None = None


class Accuracy(Record):
    """Share of specimens whose family the classifier ranks first (top1) or among five (top5)."""

    top1: float | None
    top5: float | None
    n_specimens: int
    n_groups: int | None = None
    interval: tuple[float, float] | None  # Wilson, 95 %, of top1: groups count, not the pictures of them
    chance: float
    split: str  # "held-out" | "training leaves included"


class AtlasClassifier(Record):
    """The classifier an atlas explains."""

    name: str
    architecture: str
    layer: str
    affine_head: bool
    pools_first: bool
    input_size: tuple[int, int]
    map_size: tuple[int, int]
    n_outputs: int
    n_families: int
    unnamed_outputs: list[int]
    sha256: str
    accuracy: Accuracy | None
    notes: list[str] = []
    signed: bool = False
    negative_energy: float | None = None
    prefix_matters: bool = False


class AtlasRun(Record):
    """How the numbers were made."""

    config_fingerprint: str
    seed: int
    versions: dict[str, str]
    fit_on: str
    logit: Literal["centred"] = "centred"
    settings: dict[str, Any] = {}  # the resolved settings that shape numbers and pictures, by section


Span = tuple[float, float]  # low and high end of a 95 % interval


class Importance(Record):
    """How much a concept moves its family's centred logit (a sub-concept: its parent's coefficient)."""

    total_sobol_index: float
    interval: Span
    exact: bool  # free of mask-sampling error; the interval is over leaves all the same
    share: float
    share_interval: Span | None = None
    contribution: float  # logits (a sub-concept: units of the coefficient), signed, mean over the family's specimens
    contribution_interval: Span | None = None


class Measure(Record):
    """A number with its 95 % interval: bootstrap over groups, Wilson's for a proportion."""

    value: float
    interval: Span | None = None


class Visualization(Record):
    """One feature visualization (MACO), the picture of a concept; or a real crop in which it was made clearer."""

    image: str
    width: int
    height: int
    kind: Literal["concept", "accentuation", "family"] = "concept"
    seed: int
    steps: int | None = None  # taken
    objective: float | None = None
    # Of the picture's squares. percentile: of pairs with a real crop, the share in which the square holds more of the
    # concept, 0 to 100. own_rank: of the concept in the family's bank, 1 is best. transfer: the percentile as a second
    # classifier sees it. None where the concept is on no leaf of the family.
    score: dict[str, float] | None = None
    apart: float | None = None  # of a second try: the share of what other concepts span, taken off its direction
    smaller: list[int] = []  # px, widths at which the picture lies as <stem>-<width>.webp too, rising
    specimen: str | None = None  # of an accentuation: whose crop it was
    box: tuple[int, int, int, int] | None = None  # and where, as Crop's


class Crop(Record):
    """A square of a specimen in which a concept is strong (or, by kind, less so)."""

    specimen: str
    box: tuple[int, int, int, int]  # (x0, y0, x1, y1) px of the upright original, half-open
    coefficient: float
    image: str
    width: int
    height: int
    heatmap: str  # grey+alpha WebP in the specimen's frame: alpha = 1 − heat, to lay over the specimen
    heatmap_max: float  # the coefficient at which heat is 1
    kind: Literal["top", "p99", "p90", "p50", "counter"] = "top"
    attribution: str | None = None  # as heatmap: which pixels the concept's coefficient depends on
    attribution_max: float | None = None  # the gradient's magnitude at which heat is 1
    attribution_min: float | None = None  # and up to which it is 0: what any pixel reaches, paper too


class Stability(Record):
    """How a concept fared in refits on resampled groups."""

    cosine: float  # mean matched cosine
    found_in: int  # refits with a matched cosine of at least 0.75
    n_refits: int


class ConceptName(Record):
    """A name for a concept and who gave it."""

    text: str
    plain: str | None = None  # in everybody's words
    terms: list[str] = []  # ids of the glossary
    source: Literal["suggested", "expert"]
    author: str | None = None
    date: str | None = None
    confidence: float | None = None
    reasons: list[str] = []  # of a suggestion: its evidence, one a term
    note: str | None = None
    agree: list[str] = []
    disagree: list[str] = []
    suggested: str | None = None  # beside an expert's name, what the program would have said
    file: str | None = None  # where an expert's line stands, from the top of its repository,
    line: int | None = None  # and in which line, from 1
    zones: list[dict[str, Any]] = []  # as AtlasConcept.zones: earlier versions kept them here


class ZoneShare(Record):
    """How much of a concept lies on one zone of the leaf, or beside it."""

    zone: str  # "petiole", "midvein", …, "background", "foreign", "padding"
    share: float  # of the concept's activation
    share_interval: Span
    enrichment: float  # share over what an evenly spread map would put there
    interval: Span  # of the enrichment


class LeafPicture(Record):
    """The leaf that stands for all, drawn, and shaded by a concept's mean map over the family's leaves."""

    image: str
    width: int
    height: int


class SimilarConcept(Record):
    """A concept of another family whose bank row points the same way."""

    id: str
    similarity: float


class Subconcept(Record):
    """A concept inside a concept: its crops factorised again, at an earlier layer."""

    id: str  # "fagaceae/concept-03-01"
    uid: str
    parent: str  # "fagaceae/concept-03"
    concept_index: int
    rank: int  # 1-based, within the parent
    importance: Importance  # of the parent's coefficient
    visualizations: list[Visualization] = []
    crops: list[Crop] = []


class Recursion(Record):
    """How a concept was divided."""

    layer: str  # where the crops were factorised again
    method: Literal["nmf", "semi-nmf"]
    n_crops: int
    rest_share: float  # of the parent's coefficient's variance under masking, in what no sub-concept holds
    rest_interval: Span | None = None
    relative_error: float
    coefficient_kept: float | None = None  # the parent's, in the crops enlarged, over that in their whole specimens
    subconcepts: list[Subconcept]  # by rank


class AtlasConcept(Record):
    """One concept of one family."""

    id: str  # "fagaceae/concept-03"
    uid: str
    concept_index: int  # 0-based row of the bank
    rank: int  # 1-based by falling total_sobol_index
    parent: str | None = None
    children: list[str] = []  # ids of its sub-concepts
    recursion: Recursion | None = None
    name: ConceptName | None = None
    importance: Importance
    contributions: dict[str, float] = {}  # logits, to the own and the ten nearest families, by slug
    contribution_intervals: dict[str, Span] = {}  # likewise
    prevalence: float
    prevalence_interval: Span | None = None
    n_dominated: int | None = None  # specimens it dominates
    reliability: float | None
    reliability_interval: Span | None = None
    stability: Stability | None = None
    source_auc: dict[str, float] = {}  # how well it tells a source among other families' images, 0 to 1
    told_source: str | None = None  # a source that its family has and it tells from all others, where there is one
    zones: list[ZoneShare] = []  # by falling share
    leaf: LeafPicture | None = None
    off_leaf_share: float | None = None  # of its activation, on what is no leaf
    foreign_share: float | None = None  # on foreign objects alone
    border_share: float | None = None  # on the outermost ring of the map's cells
    flags: list[str] = []  # "unstable"; "background", "foreign", "border" by place; "source" by source
    position: tuple[float, float] | None = None  # on the map of all concepts, in [0, 1]
    visualizations: list[Visualization] = []
    crops: list[Crop] = []
    image_importances: list[float] = []  # total Sobol index of each of the family's specimens
    similar: list[SimilarConcept] = []


class Rest(Record):
    """What no shown concept explains: the residual plus the fitted concepts that are not shown."""

    share: float
    share_interval: Span | None = None
    residual_share: float
    residual_interval: Span | None = None
    contribution: float
    contribution_interval: Span | None = None
    concepts: list[int] = []  # indices of fitted concepts that are not shown
    image_importances: list[float] = []  # total Sobol index of each of the family's specimens


class Neighbour(Record):
    """A family near this one: cosine of mean activations minus the mean of all."""

    slug: str
    similarity: float


class Confusion(Record):
    """How many of this family's counted specimens were taken for another family."""

    slug: str
    n: int


class CurvePoint(Record):
    """What a number of concepts gives: one point of the stability-error curve."""

    n_concepts: int
    relative_error: float  # on leaves that the refits had not drawn
    stability: float  # mean matched cosine over refits
    predicted_error: float | None = None  # as relative_error, each half of the channels rebuilt from the other
    chosen: bool = False


class FactorizationFacts(Record):
    """How a family's bank was fitted."""

    method: Literal["nmf", "semi-nmf"]
    n_concepts: int
    n_fitted: int  # cells, or crops
    n_iterations: int
    negative_energy: float  # share of the activations' energy below 0; up to 2 % is clipped, into the residual
    relative_error_unseen: Measure | None = None  # of refits, on the leaves each had not drawn
    explained_unseen: Measure | None = None  # explained share likewise; None where the head is not affine
    curve: list[CurvePoint] = []  # where n_concepts = "auto"


class FidelityCurve(Record):
    """The centred logit while concepts are switched off (or on) in an order; the mean over specimens, in logits."""

    order: Literal["contribution", "importance", "random"]
    deletion: list[float]  # 0, 1, … n_concepts of them off; the residual stays
    insertion: list[float]  # 0, 1, … n_concepts of them on; the residual stays away
    deletion_area: Measure  # mean over the curve; less is better
    insertion_area: Measure  # more is better


class Completeness(Record):
    """Accuracy where activations are replaced by what the family's bank makes of them."""

    accuracy: Measure  # of the family's own specimens, as they are
    reconstructed_accuracy: Measure
    n: int
    others_accuracy: Measure | None = None  # of other families' specimens, as they are
    others_reconstructed_accuracy: Measure | None = None
    others_taken: Measure | None = None  # share of them named this family, as they are
    others_reconstructed_taken: Measure | None = None  # and through this family's bank: a bank may pull everything in
    n_others: int  # where it is 0, the four before are None


class Floor(Record):
    """What figures a bank reaches that can know nothing of the family."""

    kind: Literal["shuffled-labels", "random-weights"]
    explained_share: Measure | None = None
    relative_error: Measure | None = None
    accuracy: Measure | None = None  # of reconstructed activations; None for random weights


class Fidelity(Record):
    """How far a family's concepts stand for what the classifier does, on specimens not used in training if known."""

    n_specimens: int
    split: str  # "held-out" | "training leaves included"
    explained_share: Measure
    relative_error: Measure
    curves: list[FidelityCurve]
    mu_fidelity: dict[str, Measure]  # by order, as the curves: correlation of summed attributions with the logit's fall
    floors: list[Floor] = []


class Thumbnails(Record):
    """All specimens of a family in one picture: squares in rows, in the order of image_specimens.

    The square of a specimen that is withheld is left empty.
    """

    image: str
    width: int
    height: int
    side: int  # px of a square
    columns: int
    licensed: bool = False  # whether every specimen in it carries a licence


class Mistake(Record):
    """A specimen that the classifier takes for another family."""

    specimen: str
    family: str  # the output it was taken for, by name
    score: float  # of that output (softmax; not a probability)
    own_score: float
    held_out: bool


class AtlasFamily(Record):
    """One named output of the classifier."""

    slug: str
    name: str
    aliases: list[str] = []
    order: str | None = None
    clade: str | None = None
    common_name: str | None = None
    output_index: int | None
    n_specimens: int
    n_groups: int
    n_species: int
    n_held_out: int
    species: list[str] = []  # "Betula pendula", sorted
    source_shares: dict[str, float] = {}
    accuracy: Accuracy | None = None
    training_accuracy: Accuracy | None = None
    missing: str | None = None  # why this family has no concepts; None where it has
    explained_share: float | None = None
    explained_interval: Span | None = None
    relative_error: float | None = None
    bias: float | None = None
    bias_interval: Span | None = None  # None where the bias is the same for every specimen
    factorization: FactorizationFacts | None = None
    completeness: Completeness | None = None
    fidelity: Fidelity | None = None
    shortcut_share: float | None = None  # of the family's importance, in concepts that are flagged by place or source
    n_located: int | None = None  # specimens whose zones could be trusted
    place_alarm: bool | None = None  # whether it was raised at all: enough of those, and no cell left out of the fit
    flags: list[str] = []  # "one_source", "one_species": of what its images are
    rest: Rest | None = None
    neighbours: list[Neighbour] = []
    confused_with: list[Confusion] = []
    # Ids of the family's specimens, in the order of image_importances and layout; "withheld" for those that are.
    image_specimens: list[str] = []
    image_dominants: list[str | None] = []  # id of the concept that dominates each; one that is not shown is "rest"
    layout: list[tuple[float, float]] | None = None  # each specimen's place, in [0, 1], by its importances
    thumbnails: Thumbnails | None = None
    mistakes: list[Mistake] = []  # held-out specimens first, surest mistake first; those whose picture is there
    position: tuple[float, float] | None = None  # on the map of families, in [0, 1]
    visualization: Visualization | None = None
    representative: str | None = None  # id of the specimen that stands for the family on cards
    concepts: list[AtlasConcept] = []  # the shown ones, by rank


class Prediction(Record):
    """A family and the classifier's score for it (softmax; not a probability)."""

    family: str
    score: float


class SpecimenNeighbour(Record):
    """A specimen near another by cosine of pooled activations."""

    id: str
    similarity: float
    same_group: bool
    family: str | None = None  # slug of the neighbour's family
    place: int | None = None  # its place in that family's image_specimens, and so in its thumbnails


class SpecimenHeatmap(Record):
    """Where a concept of a candidate family (a reference's own, or one it was taken for) is active on a specimen."""

    concept: str  # "fagaceae/concept-03"
    coefficient: float
    heatmap: str  # a path; of references a data: address, since there are too many for a file each
    heatmap_max: float


class AtlasSpecimen(Record):
    """A specimen that some page shows."""

    id: str
    group: str
    role: Literal["reference", "query"]
    family: str | None = None
    genus: str | None = None
    species: str | None = None
    split: str
    in_training: bool | None = None
    source: str | None = None
    catalogue_number: str | None = None
    licence: str | None = None
    credit: str | None = None
    px_per_mm: float | None = None
    image: str
    width: int  # of the picture at `image`
    height: int
    original_width: int  # of the upright original, in which boxes are given
    original_height: int
    predicted: list[Prediction] = []
    dominant: str | None = None  # concept id
    contributions: dict[str, float] = {}  # concept id (or "rest", "bias") -> logits, for its family
    importances: dict[str, float] = {}  # concept id (or "rest") -> total Sobol index
    neighbours: list[SpecimenNeighbour] = []
    heatmaps: list[SpecimenHeatmap] = []
    smaller: list[int] = []  # as Visualization's
    withheld: bool = False


class AtlasHeader(Record):
    """What `atlas.json` and `index.json` both open with."""

    title: str
    rank: str = "family"
    version: str | None = None
    doi: str | None = None
    date: str | None = None
    authors: list[str] = []
    licences: Licences = Licences()
    drawn: bool = False
    generator: dict[str, str] = {}
    classifier: AtlasClassifier
    run: AtlasRun
    unlisted_families: list[dict[str, str]] = []  # families of the catalogue without an output: {name, reason}


class Index(AtlasHeader):
    """`index.json`: the atlas without crops, image importances and specimens (but queries' ids)."""

    schema_: str = Field(default=SCHEMAS["index"], alias="schema")
    families: list[AtlasFamily]
    n_specimens: int
    n_set_aside: int
    set_aside_reasons: dict[str, int] = {}
    queries: list[AtlasSpecimen] = []


class FamilyRecord(Record):
    """`families/<slug>/family.json`: one family whole, with the specimens its pages show."""

    schema_: str = Field(default=SCHEMAS["family"], alias="schema")
    family: AtlasFamily
    specimens: list[AtlasSpecimen]
    compared: list[str] = []  # slugs of all families with concepts, in order
    contributions: dict[str, list[float]] = {}  # concept id (or "rest", "bias") -> logits, to each family of `compared`


class AtlasRecord(AtlasHeader):
    """`atlas.json`: everything the site shows, as data."""

    schema_: str = Field(default=SCHEMAS["atlas"], alias="schema")
    families: list[AtlasFamily]
    specimens: list[AtlasSpecimen]


# --- what a run and a site are held against --------------------------------------------------------------------


class RunManifest(Record):
    """`manifest.json`: what a run is made of, so that somebody else can hold it against that."""

    classifier_sha256: str
    catalogue_sha256: str
    versions: dict[str, str]
    seed: int
    settings: dict[str, Any]  # by dotted key: what the numbers can be computed again with, paths aside
    makers: list[str]  # versions and processor of all artifacts, a line each; one line where all were made alike
    artifacts: dict[str, str]  # record -> sha256 of what it says and of the hashes of its files
    files: dict[str, str] = {}  # file of `collect` -> sha256


class SiteManifest(Record):
    """`data/manifest.json` of a site: every file of it, and what the run's manifest says."""

    schema_: str = Field(default=SCHEMAS["site-manifest"], alias="schema")
    files: dict[str, str]  # address -> sha256, of all files but this one; in the file by folder: there are many
    run: RunManifest | None  # None where the run had no manifest

    @field_validator("files", mode="before")
    @classmethod
    def _unfold(cls, files: Any) -> Any:
        if not isinstance(files, dict):
            return files
        flat: dict[Any, Any] = {}
        for place, found in files.items():
            if isinstance(found, dict):
                flat.update({f"{place}/{name}" if place else name: sha256 for name, sha256 in found.items()})
            else:
                flat[place] = found
        return flat
