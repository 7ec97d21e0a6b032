"""The stages, declared: what each reads and writes, which settings and sources its result depends on.

Deciding whether an artifact is fresh needs this table and the store, neither torch nor timm. An artifact's
fingerprint is the sha256 of canonical JSON of {stage, schema, code, settings, inputs}; a test walks the imports of
each stage's module and fails where ``sources`` lacks one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from leaflineage.expert_names import locate_directions, locate_in_repository
from leaflineage.records import SCHEMAS
from leaflineage.stages.context import Context
from leaflineage.stages.selection import choose_probe
from leaflineage.store import hash_json

PACKAGE = Path(__file__).resolve().parent.parent
CONTRACTS = ("records.py", "store.py", "arrays.py", "claims.py", "machine.py", "errors.py", "images.py")


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    name
        Its module below `leaflineage.stages`.
    kind
        Schema of its record.
    record
        Path of its record, with ``{slug}`` where there is one a family.
    settings
        Dotted config keys its result depends on.
    sources
        Files (or folders, "/" at the end) of the package its result depends on, beside its own module.
    reads
        Stages whose artifacts it reads (of the same family where there is one a family).
    specimen_fields
        Fields of the family's specimens its result depends on; empty where it reads none.
    disposable
        Files of its artifact that may be dropped once their readers are done.
    crosses
        Whether it reads other families' artifacts, so that a part of a build cannot make it.
    inputs
        What it reads beyond that.
    """

    name: str
    kind: str
    record: str
    settings: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    specimen_fields: tuple[str, ...] = ()
    disposable: tuple[str, ...] = ()
    crosses: bool = False
    inputs: Callable[[Context], dict[str, Any]] | None = None

    @property
    def per_family(self) -> bool:
        """Whether there is one artifact a family."""
        return "{slug}" in self.record

    def record_path(self, slug: str = "") -> str:
        """Return the path of the record, relative to the run."""
        return self.record.format(slug=slug)

    def list_disposable(self, slug: str) -> list[str]:
        """Return the paths of files that may be absent."""
        return [name.format(slug=slug) for name in self.disposable]


def _read_classifier(context: Context) -> dict[str, Any]:
    """Return what `inspect` found, less what depends on the specimens it looked at."""
    record = context.store.read_json("model.json", "model", stage="inspect")
    volatile = (
        "fingerprint",
        "files",
        "basis",
        "split_error",
        "negative_energy",
        "score_check",
        "notes",
        "n_scored",
        "set_aside",
        "made_with",
    )
    return {"model": {key: value for key, value in record.items() if key not in volatile}}


def _read_classifier_files(context: Context) -> dict[str, Any]:
    """Return the classifier's own hash, and the catalogue as far as names and the check of scores read it."""
    label_names = context.config.classifier.label_names
    return {
        "classifier": context.hash_classifier(),
        "label_names": label_names if isinstance(label_names, list) else context.hash_outside(label_names),
        "specimens": [[each.id, each.sha256, each.family, each.split] for each in context.list_used()],
    }


def _read_shown(context: Context) -> dict[str, Any]:
    """Return what pictures and their scores depend on of `extract`, `factorize` and `rank`, and where the output is."""
    folder = f"families/{context.slug}"
    importance = context.store.read_json(f"{folder}/importance.json", "importance", stage="rank")
    concepts = context.store.read_json(f"{folder}/concepts.json", "concepts", stage="factorize")
    activations = context.store.read_json(f"{folder}/activations.json", "activations", stage="extract")
    pooled = {} if context.config.visualize.spectrum == "family" else {"all": [e.sha256 for e in context.list_used()]}
    return {
        **_read_head(context),
        **pooled,
        "shown": importance["shown"],
        "bank": [concepts["bank_sha256"], concepts["files"]],
        "listed": activations.get("specimens"),
        "logits": activations["files"].get(f"{folder}/pooled.safetensors"),
        "second": context.hash_second_classifier(),
    }


def _read_divided(context: Context) -> dict[str, Any]:
    """Return what `inspect` found and, where a spectrum is taken from all specimens, those."""
    pooled = {} if context.config.visualize.spectrum == "family" else {"all": [e.sha256 for e in context.list_used()]}
    return {**_read_classifier(context), **pooled}


def _read_head(context: Context) -> dict[str, Any]:
    """Return what `inspect` found and where the family's output is."""
    return {**_read_classifier(context), "output": context.family.output_index}


def _read_probed(context: Context) -> dict[str, Any]:
    """Return what `inspect` found, and of the catalogue the sample alone: other leaves may change."""
    sample = choose_probe(context.catalogue, context.model)
    specimens = [[each.id, each.sha256, each.family, each.split, each.group] for each in sample]
    return {**_read_classifier(context), "specimens": specimens}


def _read_importances(context: Context) -> dict[str, Any]:
    """Return what `rank` found of specimens, whichever concepts are shown, and what was found of the head."""
    name = f"families/{context.slug}/importance.safetensors"
    return {**_read_head(context), "importances": context.store.hash_file(name)}


def _read_sampled(context: Context) -> dict[str, Any]:
    """Return what `inspect` found, and where the pictures of the sample of all families come from."""
    sampled = context.store.read_json("probe.json", "probe", stage="probe")["specimens"]
    sources = {each.id: each.source for each in context.list_used()}
    return {
        **_read_classifier(context),
        "sources": [[name, sources.get(name)] for name in sampled],
    }


def _read_mistakes(context: Context) -> dict[str, Any]:
    """Return which of the family's specimens are mistaken and shown, and the banks of the families they were taken for.

    Other families change: only those that a mistake leads to are an input.
    """
    crops = context.store.read_json(f"families/{context.slug}/crops.json", "crops", stage="illustrate")
    taken_for = {each["specimen"]: each["family"] for each in crops.get("mistakes", ())}
    named = set(taken_for.values())
    return {
        **_read_classifier(context),
        "mistakes": taken_for,
        "specimens": [[each.id, each.sha256] for each in context.specimens if each.id in taken_for],
        "families": {
            family.slug: [family.output_index, _hash_family(context, family.slug, ("factorize", "rank"))]
            for family in context.families
            if family.name in named and family.missing is None
        },
    }


def _read_banks(context: Context) -> dict[str, Any]:
    """Return the queries and, where there are any, every family's bank and activations and the leaves' groups."""
    queries = [[e.id, e.sha256, e.group, e.licence, e.credit, e.source] for e in context.list_queries()]
    inputs = {**_read_classifier(context), "queries": queries}
    if queries:
        stages = ("extract", "factorize", "rank")
        inputs["families"] = {slug: _hash_family(context, slug, stages) for slug in context.list_built()}
        inputs["references"] = [[each.id, each.group, each.withheld] for each in context.list_used()]
    return inputs


def _read_everything(context: Context) -> dict[str, Any]:
    """Return every artifact's hash, the catalogue, the taxonomy and the date; what made them where it is not one."""
    makers = context.count_makers()
    return {
        **({"makers": makers} if len(makers) > 1 else {}),
        "date": os.environ.get("SOURCE_DATE_EPOCH"),
        "model": context.store.hash_artifact("model.json"),
        "catalogue": context.store.hash_file("catalogue.json"),
        "queries": context.store.hash_artifact("queries/queries.json"),
        "taxonomy": context.hash_outside(context.config.atlas.taxonomy),
        "names": _read_names(context),
        "families": {slug: _hash_family(context, slug, FAMILY_STAGES) for slug in context.list_built()},
    }


def _read_names(context: Context) -> list[Any] | None:
    """Return where the experts' names stand, and the hashes of that file and of the one of their directions."""
    path = context.config.anatomy.names
    if path is None:
        return None
    hashes = [context.hash_outside(each) for each in (path, locate_directions(path))]
    return [locate_in_repository(path), *hashes]


def _hash_family(context: Context, slug: str, stages: tuple[str, ...]) -> dict[str, Any]:
    return {name: context.store.hash_artifact(STAGES[name].record_path(slug)) for name in stages}


CLASSIFIER_SETTINGS = (
    "classifier.architecture",
    "classifier.layer",
    "classifier.input_size",
    "classifier.mean",
    "classifier.std",
    "classifier.interpolation",
    "classifier.fit",
    "classifier.pad_colour",
)

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            name="draw",
            kind="specimens",
            record="specimens/{slug}.json",
            settings=("specimens.draw.n", "specimens.draw.size", "specimens.draw.seed"),
            sources=("herbarium/", *CONTRACTS),
        ),
        Stage(
            name="inspect",
            kind="model",
            record="model.json",
            settings=(
                *CLASSIFIER_SETTINGS,
                "classifier.trust_names",
                "concepts.factorization",
                "specimens.max_pixels",
            ),
            sources=("model/", "stages/reading.py", *CONTRACTS),
            inputs=_read_classifier_files,
        ),
        Stage(
            name="probe",
            kind="probe",
            record="probe.json",
            settings=("specimens.max_pixels",),
            sources=("concepts/crops.py", "model/", "stages/extract.py", "stages/reading.py", *CONTRACTS),
            inputs=_read_probed,
        ),
        Stage(
            name="extract",
            kind="activations",
            record="families/{slug}/activations.json",
            settings=(
                "concepts.fit_on",
                "concepts.crop_side",
                "concepts.crop_stride",
                "concepts.drop_blank",
                "concepts.min_leaf_share",
                "specimens.max_pixels",
            ),
            sources=("anatomy/", "model/", "concepts/crops.py", "stages/lying.py", "stages/reading.py", *CONTRACTS),
            specimen_fields=("id", "sha256"),
            disposable=("families/{slug}/activations.safetensors",),
            inputs=_read_classifier,
        ),
        Stage(
            name="factorize",
            kind="concepts",
            record="families/{slug}/concepts.json",
            settings=(
                "concepts.fit_on",
                "concepts.n_concepts",
                "concepts.n_concepts_tried",
                "concepts.factorization",
                "concepts.max_cells",
                "concepts.max_iterations",
                "concepts.drop_blank",
                "concepts.refits",
                "run.seed",
            ),
            sources=(
                "concepts/bootstrap.py",
                "concepts/encoding.py",
                "concepts/factorization.py",
                "concepts/n_concepts.py",
                "concepts/rows.py",
                "concepts/stability.py",
                "concepts/unseen.py",
                *CONTRACTS,
            ),
            reads=("extract",),
            specimen_fields=("id", "group"),
            inputs=_read_head,
        ),
        Stage(
            name="rank",
            kind="importance",
            record="families/{slug}/importance.json",
            settings=("importance.half_width", "importance.max_evaluations", "atlas.n_shown", "run.seed"),
            sources=(
                "concepts/bootstrap.py",
                "concepts/importance.py",
                "concepts/intervals.py",
                "concepts/sobol.py",
                "model/",
                *CONTRACTS,
            ),
            reads=("extract", "factorize"),
            specimen_fields=("id", "group"),
            inputs=_read_head,
        ),
        Stage(
            name="fidelity",
            kind="fidelity",
            record="families/{slug}/fidelity.json",
            settings=("concepts.max_iterations", "specimens.max_pixels", "run.seed"),
            sources=(
                "concepts/bootstrap.py",
                "concepts/encoding.py",
                "concepts/factorization.py",
                "concepts/fidelity.py",
                "concepts/importance.py",
                "concepts/intervals.py",
                "concepts/rows.py",
                "concepts/sobol.py",
                "model/",
                "stages/masking.py",
                "stages/rank.py",
                "stages/reading.py",
                "stages/seeds.py",
                *CONTRACTS,
            ),
            reads=("extract", "factorize", "probe"),
            specimen_fields=("id", "sha256", "group", "split"),
            inputs=_read_importances,
        ),
        Stage(
            name="illustrate",
            kind="crops",
            record="families/{slug}/crops.json",
            settings=(
                "concepts.crop_side",
                "concepts.n_crops",
                "concepts.n_attributions",
                "specimens.max_pixels",
                "run.seed",
            ),
            sources=(
                "concepts/attribution.py",
                "concepts/crops.py",
                "concepts/encoding.py",
                "concepts/rows.py",
                "model/",
                "stages/pictures.py",
                "stages/reading.py",
                "stages/seeds.py",
                *CONTRACTS,
            ),
            reads=("extract", "factorize", "rank"),
            specimen_fields=("id", "sha256", "group", "split", "licence", "credit", "source", "withheld"),
            inputs=_read_head,
        ),
        Stage(
            name="contrast",
            kind="contrasts",
            record="families/{slug}/contrasts.json",
            settings=("importance.half_width", "importance.max_evaluations", "specimens.max_pixels", "run.seed"),
            sources=(
                "concepts/bootstrap.py",
                "concepts/crops.py",
                "concepts/encoding.py",
                "concepts/importance.py",
                "concepts/intervals.py",
                "concepts/rows.py",
                "concepts/sobol.py",
                "model/",
                "stages/laying.py",
                "stages/pictures.py",
                "stages/rank.py",
                "stages/reading.py",
                *CONTRACTS,
            ),
            crosses=True,
            inputs=_read_mistakes,
        ),
        Stage(
            name="name",
            kind="zones",
            record="families/{slug}/zones.json",
            settings=(
                "anatomy.suggest",
                "concepts.crop_side",
                "concepts.min_leaf_share",
                "specimens.max_pixels",
                "run.seed",
            ),
            sources=(
                "anatomy/",
                "concepts/crops.py",
                "concepts/encoding.py",
                "concepts/rows.py",
                "stages/lying.py",
                "stages/pictures.py",
                "stages/reading.py",
                "stages/seeds.py",
                *CONTRACTS,
            ),
            reads=("extract", "factorize", "rank", "probe"),
            specimen_fields=("id", "sha256", "group", "source", "px_per_mm"),
            inputs=_read_sampled,
        ),
        Stage(
            name="visualize",
            kind="visualizations",
            record="families/{slug}/visualizations.json",
            settings=(
                "atlas.licences",
                "concepts.crop_side",
                "visualize.size",
                "visualize.steps",
                "visualize.crops",
                "visualize.n_visualizations",
                "visualize.spectrum",
                "specimens.max_pixels",
                "run.seed",
            ),
            sources=(
                "concepts/crops.py",
                "concepts/encoding.py",
                "concepts/rows.py",
                "featviz/",
                "model/",
                "stages/judging.py",
                "stages/pictures.py",
                "stages/reading.py",
                "stages/seeds.py",
                "stages/visualizing.py",
                *CONTRACTS,
            ),
            specimen_fields=("id", "sha256", "group", "licence", "credit", "source", "withheld"),
            inputs=_read_shown,
        ),
        Stage(
            name="recurse",
            kind="recursion",
            record="families/{slug}/recursion.json",
            settings=(
                "atlas.licences",
                "concepts.crop_side",
                "concepts.drop_blank",
                "concepts.max_iterations",
                "concepts.n_subconcepts",
                "concepts.recurse",
                "specimens.max_pixels",
                "visualize.size",
                "visualize.steps",
                "visualize.crops",
                "visualize.spectrum",
                "run.seed",
            ),
            sources=(
                "concepts/bootstrap.py",
                "concepts/crops.py",
                "concepts/encoding.py",
                "concepts/factorization.py",
                "concepts/recursion.py",
                "concepts/rows.py",
                "concepts/sobol.py",
                "featviz/",
                "model/",
                "stages/extract.py",
                "stages/judging.py",
                "stages/pictures.py",
                "stages/reading.py",
                "stages/seeds.py",
                "stages/visualizing.py",
                *CONTRACTS,
            ),
            reads=("extract", "factorize", "rank", "illustrate"),
            specimen_fields=("id", "sha256", "group", "licence", "credit", "source", "withheld"),
            inputs=_read_divided,
        ),
        Stage(
            name="explain",
            kind="queries",
            record="queries/queries.json",
            settings=("importance.half_width", "importance.max_evaluations", "specimens.max_pixels", "run.seed"),
            sources=(
                "concepts/bootstrap.py",
                "concepts/encoding.py",
                "concepts/importance.py",
                "concepts/intervals.py",
                "concepts/crops.py",
                "concepts/nearest.py",
                "concepts/rows.py",
                "concepts/sobol.py",
                "stages/laying.py",
                "stages/nearest.py",
                "stages/pictures.py",
                "stages/rank.py",
                "stages/reading.py",
                "model/",
                *CONTRACTS,
            ),
            inputs=_read_banks,
        ),
        Stage(
            name="collect",
            kind="manifest",
            record="manifest.json",
            settings=(
                "atlas.title",
                "atlas.rank",
                "atlas.families",
                "atlas.n_shown",
                "atlas.version",
                "atlas.doi",
                "atlas.authors",
                "atlas.licences",
                *CLASSIFIER_SETTINGS,
                "classifier.trust_names",
                "concepts",
                "importance",
                "visualize",
                "specimens.split",
                "specimens.max_pixels",
                "specimens.min_specimens",
                "specimens.draw",
                "run.seed",
            ),
            sources=(
                "concepts/bootstrap.py",
                "concepts/intervals.py",
                "concepts/layout.py",
                "concepts/nearest.py",
                "stages/describing.py",
                "stages/gathering.py",
                "stages/nearest.py",
                "stages/publishing.py",
                "specimens/",
                "expert_names.py",
                *CONTRACTS,
            ),
            inputs=_read_everything,
        ),
    )
}
FAMILY_STAGES = tuple(name for name, stage in STAGES.items() if stage.per_family and name != "draw")
SHARDED_STAGES = tuple(name for name in FAMILY_STAGES if not STAGES[name].crosses)


@cache
def hash_code(stage_name: str) -> str:
    """Return the sha256 of the sources a stage's result depends on."""
    digest = hashlib.sha256()
    for path in list_sources(stage_name):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def list_sources(stage_name: str) -> list[Path]:
    """Return the Python files a stage's result depends on, sorted."""
    found: set[Path] = set()
    for source in (f"stages/{stage_name}.py", "stages/context.py", "stages/selection.py", *STAGES[stage_name].sources):
        path = PACKAGE / source
        found.update(path.rglob("*.py") if source.endswith("/") else [path])
    return sorted(path for path in found if path.is_file())


def describe_basis(stage: Stage, context: Context) -> dict[str, Any]:
    """Return all that an artifact would depend on if it were made now: what its fingerprint is taken of."""
    inputs: dict[str, Any] = {
        name: context.store.hash_artifact(STAGES[name].record_path(context.slug)) for name in stage.reads
    }
    if stage.specimen_fields:
        inputs["specimens"] = [[getattr(each, field) for field in stage.specimen_fields] for each in context.specimens]
    if stage.inputs:
        inputs.update(stage.inputs(context))
    return {
        "stage": stage.name,
        "schema": SCHEMAS[stage.kind],
        "code": hash_code(stage.name),
        "settings": context.config.settings(stage.settings),
        "inputs": inputs,
        "slug": context.slug,
    }


def compute_fingerprint(stage: Stage, context: Context) -> str:
    """Return the fingerprint an artifact would carry if it were made now."""
    return hash_json(describe_basis(stage, context))


def shorten_basis(basis: dict[str, Any]) -> dict[str, Any]:
    """Return a basis as a record carries it, to say later what has changed: settings as they are, the rest hashed."""
    return {
        "code": basis["code"][:16],
        "settings": basis["settings"],
        "inputs": {name: hash_json(value)[:16] for name, value in basis["inputs"].items()},
    }
