"""A family's numbers computed again, in a scratch run, and held against those that are stored.

The same stages run as in a build, on the specimens and the classifier. Of what was made with the same versions on the
same type of processor, every bit must be equal. Elsewhere numbers agree to 1e-3: of an array, of its largest entry; of
a number by itself, of 1 or its own size. There nothing is said of counts that a last digit may tip, nor of what follows
from them: iterations, refits in which a concept was found, leaves that it dominates, leaves that are named rightly.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaflineage.config import Config
from leaflineage.errors import ArtifactError, LeafLineageError
from leaflineage.executors import limit_threads, run_task
from leaflineage.records import AtlasFamily, Catalogue
from leaflineage.stages.context import Context
from leaflineage.stages.describing import FamilyArtifacts, describe_concept_numbers, describe_numbers
from leaflineage.stages.publishing import encode_importances
from leaflineage.stages.table import STAGES
from leaflineage.store import ABOUT, Store, encode_json
from leaflineage.website import links

TOLERANCE = 1e-3
PERCENTILE_TOLERANCE = 3.0  # of a picture's score, elsewhere: six of the two hundred pairs of squares and crops
RANK_TOLERANCE = 1
AGAIN = ("extract", "factorize", "rank", "fidelity")  # whose numbers are computed again
TIPPED = frozenset(
    {
        "accuracy", "completeness", "curve", "found_in", "n_dominated", "n_evaluations", "n_iterations",
        "named_rightly", "prevalence", "prevalence_interval", "reliability", "reliability_interval", "stability",
    }
)  # fmt: skip
Arrays = Mapping[str, NDArray[Any]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Difference:
    """What of an artifact is not what was computed again.

    Attributes
    ----------
    artifact
        The file, and what in it.
    message
        How it differs.
    """

    artifact: str
    message: str

    def __str__(self) -> str:
        return f"{self.artifact} {self.message}"


class Scratch:
    """A run in a temporary folder, with the catalogue of another and nothing else of it."""

    def __init__(self, folder: Path, config: Config, catalogue: Catalogue, say: Say) -> None:
        limit_threads()
        self.config, self._say = config, say
        self.store = Store(folder)
        self.store.write_json("catalogue.json", "catalogue", catalogue.model_dump(mode="json"))
        self._run("inspect", "")
        self.context = Context(self.store, config)
        self._probed = False

    def compute(self, slug: str) -> FamilyArtifacts:
        """Run a family's stages.

        Raises
        ------
        LeafLineageError
            Whatever stops one.
        """
        if not self._probed:
            self._run("probe", "")
            self._probed = True
        context = self.context.of(slug)
        for name in AGAIN:
            self._run(name, slug)
        return FamilyArtifacts(context, context.family)

    def drop(self, slug: str) -> None:
        """Remove what was computed of a family."""
        self.store.remove_strays(f"families/{slug}", [])

    def _run(self, name: str, slug: str) -> None:
        self._say(f"{slug}: {name}" if slug else name)
        done = run_task(name, slug, str(self.store.folder), self.config.model_dump_json())
        if done.error is not None:
            raise done.error


# --- a run -----------------------------------------------------------------------------------------------------


def compare_run(run: Store, found: FamilyArtifacts, *, exact: bool) -> list[Difference]:
    """Return what of a family's artifacts in a run is not what was computed again, arrays first.

    Raises
    ------
    ArtifactError
        Where an artifact of the run is missing or damaged.
    """
    folder, again = f"families/{found.selected.slug}", found.context.store
    differences = []
    for name, stage in (("pooled", "extract"), ("concepts", "factorize"), ("importance", "rank")):
        path = f"{folder}/{name}.safetensors"
        stored, computed = run.read_arrays(path, stage=stage), again.read_arrays(path, stage=stage)
        differences += compare_arrays(path, stored, computed, exact=exact)
    for stage in AGAIN:
        path, kind = STAGES[stage].record_path(found.selected.slug), STAGES[stage].kind
        records = [_drop_about(store.read_json(path, kind, stage=stage)) for store in (run, again)]
        differences += compare_values(path, records[0], records[1], exact=exact)
    return differences


def _drop_about(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ABOUT}


# --- a site ----------------------------------------------------------------------------------------------------


def compare_site(site: Path, family: AtlasFamily, found: FamilyArtifacts, *, exact: bool) -> list[Difference]:
    """Return what of a family's numbers on a site is not what was computed again, arrays first.

    Raises
    ------
    ArtifactError
        Where a file of the site is missing or damaged.
    """
    slug = found.selected.slug
    bank, table = links.bank_file(slug), links.importances_file(slug)
    computed = {name: found.bank[name].astype(np.float32) for name in ("concept_bank", "coefficients")}
    differences = compare_arrays(bank, Store(site).read_arrays(bank, stage="bake"), computed, exact=exact)
    try:
        stored = (site / table).read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{table} was wanted in {site}, and cannot be read ({error.strerror}). Bake again, or get the site anew."
        ) from error
    differences += compare_tables(table, stored, encode_importances(found), exact=exact)
    ids = found.shown
    told = {
        **describe_numbers(found),
        "concepts": [describe_concept_numbers(found, name) for name in ids],
        "slug": slug,
    }
    again = json.loads(encode_json("family", told))  # as the store rounds it
    plain = family.model_dump(mode="json")
    return differences + compare_values(links.ATLAS_DATA, plain, again, exact=exact)


def compare_tables(artifact: str, stored: bytes, again: bytes, *, exact: bool) -> list[Difference]:
    """Return where two tables of importances differ; the names of specimens that are withheld are not compared."""
    tables = []
    for data in (stored, again):
        try:
            tables.append(list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))))
        except (UnicodeDecodeError, csv.Error):
            return [Difference(artifact, "is no table")]
    first, second = tables
    columns = list(second[0]) if second else []
    if len(first) != len(second) or (first and list(first[0]) != columns):
        return [Difference(artifact, f"has {len(first)} lines where {len(second)} were computed, or other columns")]
    labels = [
        name for name in columns if name in ("specimen", "group", "split", *(("named_rightly",) if exact else ()))
    ]
    for number, (one, other) in enumerate(zip(first, second, strict=True), 2):
        for name in labels:
            if one[name] != other[name] and "withheld" not in (one[name], other[name]):
                return [Difference(f"{artifact}, line {number}", f"has {name} {one[name]!r} and not {other[name]!r}")]
    differences = []
    for name in columns[len([each for each in columns if each in ("specimen", "group", "split", "named_rightly")]) :]:
        arrays = [np.array([_read_number(line[name]) for line in lines]) for lines in (first, second)]
        differences += compare_arrays(artifact, {name: arrays[0]}, {name: arrays[1]}, exact=exact)
    return differences


def _read_number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return math.nan


# --- numbers ---------------------------------------------------------------------------------------------------


def compare_arrays(artifact: str, stored: Arrays, again: Arrays, *, exact: bool) -> list[Difference]:
    """Return how stored arrays differ from those computed again, one difference an array."""
    differences = []
    for name, wanted in again.items():
        found = stored.get(name)
        if found is None or found.shape != wanted.shape or found.dtype.kind != wanted.dtype.kind:
            came = "is not there" if found is None else f"is of shape {found.shape} and not {wanted.shape}"
            differences.append(Difference(f"{artifact}, {name},", came))
            continue
        if np.array_equal(found, wanted):
            continue
        first, second = found.astype(np.float64), wanted.astype(np.float64)
        largest = float(np.abs(first - second).max())
        if exact or not largest <= TOLERANCE * float(np.abs(second).max()):  # NaN is not
            differences.append(Difference(f"{artifact}, {name},", _say_largest(largest)))
    return differences


def _say_largest(largest: float) -> str:
    return f"differs by up to {largest:.3g}" if math.isfinite(largest) else "holds what is no number"


def compare_values(artifact: str, stored: Any, again: Any, *, exact: bool) -> list[Difference]:
    """Return how a stored record differs from one computed again, in one difference that names the largest.

    Only what both have is compared: a site keeps a part of what stages say.
    """
    found: list[tuple[float, str, str]] = []
    _walk(stored, again, "", exact, found)
    if not found:
        return []
    _, place, message = max(found, key=lambda each: (each[0], each[1]))
    more = f" (and {len(found) - 1} more of its numbers)" if len(found) > 1 else ""
    return [Difference(f"{artifact}, {place},", message + more)]


def _walk(stored: Any, again: Any, place: str, exact: bool, found: list[tuple[float, str, str]]) -> None:
    if isinstance(again, Mapping) and isinstance(stored, Mapping):
        for key in sorted(again.keys() & stored.keys()):
            if exact or key not in TIPPED:
                _walk(stored[key], again[key], f"{place}.{key}" if place else key, exact, found)
    elif isinstance(again, list) and isinstance(stored, list):
        if len(stored) != len(again):
            found.append((math.inf, place, f"has {len(stored)} entries and not {len(again)}"))
            return
        for index, (one, other) in enumerate(zip(stored, again, strict=True)):
            _walk(one, other, f"{place}[{index}]", exact, found)
    elif _is_number(stored) and _is_number(again):
        first, second = _read_number(stored), float(again)
        size = abs(first - second)
        if size != 0 and (exact or (isinstance(again, float) and not size <= TOLERANCE * max(1.0, abs(second)))):
            message = f"is {first:.6g} and not {second:.6g}: it differs by {size:.3g}"
            found.append((size if math.isfinite(size) else math.inf, place, message))
    elif stored != again and (exact or not isinstance(stored, str) or not isinstance(again, str)):
        found.append((math.inf, place, f"is {_shorten(stored)} and not {_shorten(again)}"))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


# --- pictures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """What is stored of one picture.

    Attributes
    ----------
    path
        Of the picture, below the folder that holds it.
    kind
        "concept", "accentuation" or "family".
    concept
        Id inside the family, as "concept-03"; empty for a family's.
    score
        As it is stored.
    """

    path: str
    kind: str
    concept: str
    score: Mapping[str, Any] | None


def compare_pictures(folder: Path, claims: Sequence[Claim], found: FamilyArtifacts, *, exact: bool) -> list[Difference]:
    """Return which pictures do not score, in the classifier, as is stored of them.

    Each is sent through the classifier as it lies in ``folder``, and held against the real crops of the family's
    specimens that were computed again.
    """
    from leaflineage.featviz.scoring import ACCENTED_SIDES, SQUARE_SIDES
    from leaflineage.stages.judging import Judge, judge_family, read_squares

    context = found.context
    pictures, classifier = Context(Store(folder), context.config), context.load_classifier()
    shown = [index for index, each in enumerate(found.specimens) if not each.withheld]
    known = [each for each in claims if each.kind == "family" or each.concept in found.ids]
    differences = [
        Difference(each.path, f"is of {each.concept}, which is no concept") for each in claims if each not in known
    ]
    rows = sorted({found.ids.index(each.concept) for each in known if each.kind != "family"})
    judge = Judge(
        context,
        classifier,
        [found.specimens[index] for index in shown],
        found.bank["concept_bank"],
        found.bank["maps"][shown],
        rows,
        None,
    )
    for each in known:
        try:
            sides = ACCENTED_SIDES if each.kind == "accentuation" else SQUARE_SIDES
            squares = read_squares(pictures, each.path, sides=sides)
        except LeafLineageError as error:
            differences.append(Difference(each.path, f"cannot be read: {error}"))
            continue
        if each.kind == "family":
            score: Mapping[str, Any] | None = judge_family(classifier, squares, found.pooled["logits"], found.output)
        else:
            score = judge.judge([squares], [found.ids.index(each.concept)])[0].score
        message = _compare_scores(each.score, score, exact=exact)
        if message:
            differences.append(Difference(each.path, message))
    return differences


def _compare_scores(stored: Mapping[str, Any] | None, again: Mapping[str, Any] | None, *, exact: bool) -> str | None:
    if stored is None or again is None:
        return None if stored is again else "has a score where none can be had, or none where one can"
    for name, words, tolerance in (
        ("percentile", "scores at percentile", PERCENTILE_TOLERANCE),
        ("own_rank", "shows its concept at rank", RANK_TOLERANCE),
    ):
        one, other = stored.get(name), again[name]
        if not _is_number(one) or not abs(_read_number(one) - other) <= (0 if exact else tolerance):
            return f"{words} {other:g}, and {_shorten(one)} is stored of it"
    return None


def find_wrong_specimens(context: Context, ids: Iterable[str]) -> list[str]:
    """Return which specimens' pictures are not those that the catalogue lists, by id."""
    import hashlib

    wanted = set(ids)
    wrong = []
    for each in context.catalogue.specimens:
        if each.id not in wanted or each.sha256 is None:
            continue
        try:
            with (context.specimens_root / each.file).open("rb") as stream:
                same = hashlib.file_digest(stream, "sha256").hexdigest() == each.sha256
        except (OSError, ValueError):
            same = False
        if not same:
            wrong.append(each.id)
    return wrong
