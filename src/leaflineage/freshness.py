"""Which artifacts of a run are fresh, which are stale and why; torch and timm are not needed to tell.

An artifact is fresh where its fingerprint is what it would be now and all its files are as they were written. Why one
is stale is read from the basis that its record carries: the settings, and hashes of the code and of each input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from leaflineage.config import Config
from leaflineage.errors import ArtifactError
from leaflineage.stages.context import Context
from leaflineage.stages.table import FAMILY_STAGES, STAGES, compute_fingerprint, describe_basis, shorten_basis
from leaflineage.store import Store

LAST = ("fidelity", "contrast", "name")  # family stages that only the atlas reads
EXPLAINED = ("inspect", "extract", "factorize", "rank")  # what queries are explained by
READERS = ("inspect", "probe", "extract")  # that read pictures, and leave out what they cannot read
PROBED = ("fidelity", "name")  # that read the sample of all families
N_TOLD = 3  # changes of one artifact that are told
CHANGED = "its settings, inputs or code changed"
INPUTS = {
    "specimens": "its specimens",
    "model": "the classifier's record",
    "classifier": "the classifier",
    "label_names": "the names of outputs",
    "output": "its output",
    "bank": "its concept bank",
    "shown": "which concepts are shown",
    "listed": "its specimens",
    "logits": "its logits",
    "importances": "its importances",
    "second": "the second classifier",
    "queries": "the queries",
    "families": "other families' artifacts",
    "references": "the reference specimens",
    "all": "the specimens of all families",
    "date": "SOURCE_DATE_EPOCH",
    "catalogue": "the catalogue",
    "makers": "what the artifacts were made with",
    "taxonomy": "the taxonomy",
}


def find_staleness(name: str, context: Context) -> str | None:
    """Say why an artifact must be made again, or None where it is fresh."""
    stage = STAGES[name]
    reason = context.store.find_staleness(
        stage.record_path(context.slug),
        stage.kind,
        compute_fingerprint(stage, context),
        disposable=stage.list_disposable(context.slug),
    )
    return reason or (_find_returned(name, context) if name in READERS else None)


def _find_returned(name: str, context: Context) -> str | None:
    """Say that a picture which could not be read when an artifact was made, though it was listed, is back since."""
    stage = STAGES[name]
    path = stage.record_path(context.slug)
    missed = context.store.read_json(path, stage.kind).get("set_aside") or {}
    files = {each.id: each.file for each in context.list_used()} if missed else {}
    made = context.store.path(path).stat().st_mtime
    for specimen in missed:
        try:
            if (context.specimens_root / files[specimen]).stat().st_ctime > made:
                return f"{specimen} could not be read when it was made, and has changed since"
        except (KeyError, OSError):
            continue
    return None


def explain_staleness(name: str, context: Context) -> str | None:
    """Say in more words than `find_staleness` why an artifact must be made again: which setting, which input."""
    try:
        reason = find_staleness(name, context)
    except (ArtifactError, FileNotFoundError):
        return "what it reads is missing or damaged"
    if reason != CHANGED:
        return reason
    stage = STAGES[name]
    record = context.store.read_json(stage.record_path(context.slug), stage.kind)
    return explain_change(record.get("basis") or {}, shorten_basis(describe_basis(stage, context)))


def explain_change(known: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between what an artifact was made of and what it would be made of now.

    Parameters
    ----------
    known, now
        {"code": hash, "settings": {dotted key: value}, "inputs": {name: hash}}, as `shorten_basis` gives them; an
        artifact of an earlier version has none.
    """
    if not known:
        return CHANGED
    changes = []
    before, after = _flatten(known.get("settings", {})), _flatten(now["settings"])
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            section, _, name = key.partition(".")
            changes.append(f"[{section}] {name} is {_write(after.get(key))} and was {_write(before.get(key))}")
    before, after = known.get("inputs", {}), now["inputs"]
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            what = f"what {key} found" if key in STAGES else INPUTS.get(key, key)
            changes.append(f"{what} changed")
    if known.get("code") != now["code"]:
        changes.append("the code of this stage changed")
    if len(changes) > N_TOLD:
        changes = [*changes[:N_TOLD], f"{len(changes) - N_TOLD} more"]
    return ", ".join(changes) or CHANGED


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted key where a whole section was taken as one."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if "." not in key and isinstance(value, Mapping):
            flat.update({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            flat[key] = value
    return flat


def _write(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"


def list_cell_readers(context: Context) -> tuple[str, ...]:
    """Return the stages that read a family's cells."""
    return ("factorize", "fidelity") if context.model.pools_first else ("factorize", "rank", "fidelity")


def has_activations(context: Context) -> bool:
    """Tell whether a family's cells are there; they are dropped once their readers are done."""
    return all(context.store.exists(name) for name in STAGES["extract"].list_disposable(context.slug))


def find_stale(config: Config, run: Path) -> dict[str, int]:
    """Return how many artifacts of an existing run each stage would make again; nothing is touched."""
    return {name: len(found) for name, found in find_reasons(config, run).items()}


def find_reasons(config: Config, run: Path) -> dict[str, dict[str, str]]:
    """Return {stage: {slug: reason}} of what a build would make again; nothing is touched.

    An artifact whose inputs would be made again counts too. Specimens are taken as the run's catalogue has them. The
    slug of what concerns all families is empty.

    Raises
    ------
    ArtifactError
        Where the run has no catalogue, or no record of its classifier to tell the families by.
    """
    store = Store(run)
    store.load_hash_cache()
    context = Context(store, config)
    found: dict[str, dict[str, str]] = {}

    def look(name: str, of: Context, behind: str | None) -> None:
        reason = explain_staleness(name, of) or behind
        if reason:
            found[name][of.slug] = reason

    def follow(names: tuple[str, ...], slug: str = "") -> str | None:
        behind = next((name for name in names if slug in found.get(name, {}) or "" in found.get(name, {})), None)
        return f"{behind} is stale" if behind else None

    for name in ("inspect", "probe"):
        found[name] = {}
        look(name, context, follow(("inspect",)))
    slugs = context.list_built()
    for name in FAMILY_STAGES:
        found[name] = {}
        earlier = [each for each in FAMILY_STAGES[: FAMILY_STAGES.index(name)] if each not in LAST]
        before = ("inspect", *(["probe"] if name in PROBED else []), *earlier)
        elsewhere = next((each for each in earlier if found[each]), None) if STAGES[name].crosses else None
        for slug in slugs:
            behind = follow(before, slug) or (f"{elsewhere} of another family is stale" if elsewhere else None)
            look(name, context.of(slug), behind)
    ahead = next((each for each in EXPLAINED if found[each]), None)
    found["explain"] = {}
    look("explain", context, f"{ahead} is stale" if ahead else None)
    for slug in sorted({slug for name in list_cell_readers(context) for slug in found[name]}):
        if not has_activations(context.of(slug)):
            found["extract"].setdefault(slug, "its cells were dropped and are wanted again")
    found["collect"] = {}
    stale = next((each for each in found if found[each]), None)
    look("collect", context, f"{stale} is stale" if stale else None)
    return found


# --- what lies in a run --------------------------------------------------------------------------------------


def list_records(context: Context) -> Iterator[tuple[str, str, str]]:
    """Yield (stage, slug, path of its record) of all artifacts that a build of this config would have."""
    for name, stage in STAGES.items():
        if name == "draw":
            continue
        for slug in context.list_built() if stage.per_family else [""]:
            yield name, slug, stage.record_path(slug)


def find_mixture(made_with: Mapping[str, str]) -> list[str]:
    """Return a sentence a maker where artifacts were made with more than one set of versions or type of processor.

    Parameters
    ----------
    made_with
        {path of a record: versions and processor in one line}.
    """
    counts = Counter(made_with.values())
    if len(counts) < 2:
        return []
    return [f"{n} artifacts were made with {maker}" for maker, n in counts.most_common()]
