"""Join the parts of a build whose families were shared out: copy what lies elsewhere, see that all is there, finish.

Parts are built with ``leaflineage build --shard i/n``, in one run folder on a shared file system or each in its own.
A family is taken whole from the part that finished it; the atlas and the site are made of all of them, by the same
stages and to the same bytes as in one build.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from leaflineage.config import Config
from leaflineage.errors import ArtifactError
from leaflineage.freshness import find_reasons
from leaflineage.pipeline import BuildReport, Reporter, build
from leaflineage.stages.table import FAMILY_STAGES, SHARDED_STAGES, STAGES
from leaflineage.store import HASH_CACHE, Store

WHOLE = ("catalogue.json", "model.json", "head.safetensors", "probe.json", "probe.safetensors")


def merge(
    config: Config,
    run: Path,
    parts: Sequence[Path],
    *,
    out: Path | None,
    reporter: Reporter,
    jobs: int | None = None,
    build_missing: bool = False,
) -> BuildReport:
    """Join parts into a run, and make its atlas and its site.

    Parameters
    ----------
    parts
        Run folders of the parts; none where all worked in ``run`` itself.
    build_missing
        Build what no part has, where it would be an error otherwise.

    Raises
    ------
    ArtifactError
        Where a part is no run, two parts made one family differently, or a family is missing.
    """
    with Store(run).lock():
        for part in parts:
            _check_part(part, run)
            _take_part(part, run)
        _take_makers(parts, run)
    if not build_missing:
        _check_whole(config, run)
    return build(config, run, out=out, reporter=reporter, jobs=jobs)


def _check_part(part: Path, run: Path) -> None:
    if not (part / "families").is_dir() or not (part / "catalogue.json").is_file():
        raise ArtifactError(
            f"A part of the build was wanted at {part}, and that is no run folder with families. Name the folders "
            "that `leaflineage build --shard i/n --run FOLDER` wrote."
        )
    if part.resolve() == run.resolve():
        raise ArtifactError(
            f"{part} is the run that parts are joined into. Leave it out: what lies there is taken as it is."
        )


def _take_part(part: Path, run: Path) -> None:
    """Copy the families that a part finished, and what it knows of all; what is there already must be the same."""
    for name in WHOLE:
        if (part / name).is_file() and not (run / name).is_file():
            _copy(part / name, run / name)
    if (part / "specimens").is_dir() and not (run / "specimens").is_dir():
        _copy_tree(part / "specimens", run / "specimens")
    for family in sorted(path for path in (part / "families").iterdir() if path.is_dir()):
        records = {name: family / Path(STAGES[name].record_path(family.name)).name for name in SHARDED_STAGES}
        if not all(path.is_file() for path in records.values()):
            continue
        target = run / "families" / family.name
        known = {name: target / path.name for name, path in records.items()}
        if all(path.is_file() for path in known.values()):
            for name, path in records.items():
                if path.read_bytes() != known[name].read_bytes():
                    raise ArtifactError(
                        f"{family.name}: one {name} was wanted, and {part} holds another than {run} does: the parts "
                        "were built with different settings, versions or processors. Build one of them again."
                    )
            continue
        staged = target.with_name(f"{family.name}.part")
        shutil.rmtree(staged, ignore_errors=True)
        _copy_tree(family, staged)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(staged, target)


def _take_makers(parts: Sequence[Path], run: Path) -> None:
    """Write down by what the parts were made, for the manifest and `leaflineage status` to tell a mixture by."""
    store = Store(run)
    makers: dict[str, str] = {}
    for part in reversed(parts):  # what several have is taken from the first
        makers.update({name: maker for name, maker in Store(part).read_makers().items() if store.exists(name)})
    if makers:
        store.write_json(HASH_CACHE, "run", {**store.read_facts(), "made_with": {**makers, **store.read_makers()}})


def _copy_tree(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.name.endswith(".part"):
            _copy(path, target / path.relative_to(source))


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ArtifactError(
            f"{source} was to be copied to {target}, and could not be ({error.strerror or error}). Free some space, "
            "and run the same command again."
        ) from error


def _check_whole(config: Config, run: Path) -> None:
    """Raise where a family's stages are not all fresh: a part is missing, or was built otherwise."""
    reasons = find_reasons(config, run)
    wanting = {
        slug: f"{name}: {reason}"
        for name in reversed(FAMILY_STAGES)
        if name in SHARDED_STAGES
        for slug, reason in reasons[name].items()
    }
    if wanting:
        shown = "; ".join(f"{slug} ({reason})" for slug, reason in sorted(wanting.items())[:5])
        more = f" and {len(wanting) - 5} more" if len(wanting) > 5 else ""
        raise ArtifactError(
            f"All families were wanted from the parts, and {len(wanting)} are not finished: {shown}{more}. Name every "
            "part, let the missing ones finish, or say --build-missing to build them here."
        )
