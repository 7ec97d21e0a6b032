"""What a build would do, what is wrong, how long it would take and how large its site would be. Touches nothing.

Everything is tried for real, in a temporary folder, on a small sample: the classifier is opened and its scores are
checked, specimens are scanned, a few pictures go through each costly step against a clock.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leaflineage.concepts.attribution import N_COPIES
from leaflineage.concepts.crops import place_grid
from leaflineage.concepts.importance import FIRST_DESIGNS
from leaflineage.concepts.sobol import N_SCRAMBLINGS
from leaflineage.config import PRESETS, Config, VisualizeSection, check_places
from leaflineage.errors import LeafLineageError
from leaflineage.executors import count_jobs, limit_threads, run_task
from leaflineage.freshness import find_stale
from leaflineage.herbarium import draw_specimen, write_herbarium
from leaflineage.pipeline import list_drawn_families, warn_of_rest
from leaflineage.records import Catalogue
from leaflineage.sizing import Size, estimate_size
from leaflineage.specimens import scan_specimens
from leaflineage.stages.context import Context
from leaflineage.stages.explain import N_CANDIDATES
from leaflineage.stages.factorize import LEAST_REFITS
from leaflineage.stages.rank import choose_batch_size
from leaflineage.stages.selection import N_PROBED
from leaflineage.store import Store

N_TIMED = 16
N_TRIED_FAMILIES, N_TRIED_LEAVES = 2, 24  # on which the rest is measured where no run has it
N_STEPS = 2
ACCENTED = 0.3  # a concept, of the pictures that are drawn because the first fails: once more, or of a crop
BACKWARD = 3.2  # a pass forward and backward over one forward
LOCATING = 0.35  # CPU seconds a specimen; every picture is looked at at 384 px


@dataclass
class Estimate:
    """What a build from nothing would cost.

    Attributes
    ----------
    seconds
        CPU seconds a stage, one thread.
    """

    seconds: dict[str, float]
    jobs: int
    size: Size

    @property
    def minutes(self) -> float:
        """Wall time, with the tasks spread over the processes."""
        return sum(self.seconds.values()) / self.jobs / 60


def plan_build(config: Config, run: Path, *, out: Path | None, say: Callable[[str], None]) -> Estimate:
    """Say what a build would do; return the estimate.

    Raises
    ------
    LeafLineageError
        What would stop the build, in the words the build would use.
    """
    check_places(run, out, config)
    limit_threads()
    with tempfile.TemporaryDirectory(prefix="leaflineage-plan-") as folder:
        store = Store(Path(folder))
        root, drawing_seconds = _sample_specimens(config, store)
        say(f"Specimens: {_describe_source(config)}")
        catalogue, _ = scan_specimens(
            root=root,
            catalogue=root / "catalogue.csv" if config.specimens.draw else config.specimens.catalogue,
            split=config.specimens.split,
            max_pixels=config.specimens.max_pixels,
            follow_symlinks=config.specimens.follow_symlinks,
        )
        store.write_json("catalogue.json", "catalogue", catalogue.model_dump(mode="json"))
        used = sum(each.set_aside is None for each in catalogue.specimens)
        if config.specimens.draw is None:
            n_aside = len(catalogue.specimens) - used
            say(f"  {used} can be used, {n_aside} set aside, {len(catalogue.families)} families")
        for each in [each for each in catalogue.specimens if each.set_aside][:5]:
            say(f"  set aside: {each.id}: {each.set_aside}")
        for note in catalogue.notes:
            say(f"  note: {note}")
        sampled = config
        if config.specimens.draw is not None:  # a few leaves stand for all that would be drawn
            least = config.specimens.model_copy(update={"min_specimens": 2})
            sampled = config.model_copy(update={"specimens": least})
        context = Context(store, sampled)
        inspected = run_task("inspect", "", folder, sampled.model_dump_json())
        if inspected.error:
            raise inspected.error
        model = context.model
        rows, columns, channels = model.map_shape
        say(f"Classifier: {model.architecture}, {model.n_outputs} outputs, split at {model.layer}")
        say(
            f"  last map {rows}×{columns}×{channels}; head "
            + (
                "affine after pooling: importance is exact"
                if model.affine_head
                else "not affine: importance is sampled"
            )
        )
        check = store.read_json("model.json", "model")["score_check"]
        say(f"  top-1 {check['top1']:.2f} on {check['n']} specimens (guessing: {check['chance']:.2f})")
        built = context.list_built()
        say(f"Families: {len(built)} would be built")
        for family in [family for family in context.families if family.missing][:8]:
            say(f"  {family.name}: {family.missing}")
        n_specimens = {slug: len(context.of(slug).specimens) for slug in built}
        if config.specimens.draw is not None:
            n_specimens = dict.fromkeys(built, config.specimens.draw.n)
        _say_rest(config, context, built, run, say)
        n_queries = len(context.list_queries())
        seconds = {"draw": drawing_seconds, **_time_stages(sampled, context, n_specimens, n_queries)}
        size = estimate_size(
            config,
            n_specimens,
            n_named=sum(each.output_index is not None for each in context.families),
            specimens=context.list_used(),
            n_queries=n_queries,
        )
        estimate = Estimate(seconds, count_jobs(config.run.jobs), size)
    n_concepts, n_shown = config.concepts.most_concepts, min(config.concepts.most_concepts, config.atlas.n_shown)
    say(f"Concepts: {n_concepts} a family, {n_shown} shown")
    _say_pictures(config, len(built), estimate, say)
    stale = _describe_stale(config, run)
    say(f"Run folder: {run}: {stale}")
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in estimate.seconds.items() if value >= 1)
    minutes = max(1, round(estimate.minutes))
    say(f"From nothing, with {estimate.jobs} processes: about {minutes} min ({parts} of one core)")
    say(f"Site: {out or run / 'site'}, about {estimate.size.site_mb:.0f} MB")
    if estimate.size.site_mb > config.site.budget_mb:
        say(f"  over the budget of {config.site.budget_mb:g} MB ([site] budget_mb)")
    say(f"Files: about {_write_count(size.n_run)} in the run folder, and {_write_count(size.n_site)} in the site")
    return estimate


def _say_pictures(config: Config, n_families: int, estimate: Estimate, say: Callable[[str], None]) -> None:
    """Say what the preset in use means, what it costs beside the others, and what a common spectrum would mean."""
    settings = config.visualize
    n_pictures = n_families * (1 + settings.n_visualizations * min(config.concepts.most_concepts, config.atlas.n_shown))
    views = "1 view" if settings.n_visualizations == 1 else f"{settings.n_visualizations} views"
    minutes = estimate.seconds["visualize"] / 60
    say(
        f"Pictures: quality {settings.quality!r}: {settings.size} px, {settings.steps} steps, {settings.crops} crops a "
        f"step, {views} a concept; {n_pictures} in all, about {max(1, round(minutes))} min of one core"
    )
    others = []
    for name in PRESETS:
        ratio = _count_crops_seen(VisualizeSection(quality=name)) / _count_crops_seen(settings)
        if name != settings.quality:
            others.append(f"{name!r} {ratio:.{1 if ratio < 10 else 0}f} times that")
    say(f"  the others would take about: {', '.join(others)}")
    if settings.spectrum == "all":
        say(
            '  spectrum = "all": magnitudes and colours of all families\' leaves; one changed leaf redraws every family'
        )


def _count_crops_seen(settings: VisualizeSection) -> int:
    """Return how many crops the network sees a concept."""
    return settings.n_visualizations * settings.steps * settings.crops


def _describe_source(config: Config) -> str:
    draw = config.specimens.draw
    if draw is None:
        return str(config.specimens.root)
    n = len(list_drawn_families(config))
    return f"{n} families × {draw.n} drawn leaves of {draw.size} px (tried on two of each)"


def _sample_specimens(config: Config, store: Store) -> tuple[Path, float]:
    """Return where specimens lie, drawing a few where the config draws, and what drawing all would take."""
    draw = config.specimens.draw
    if draw is None:
        assert config.specimens.root is not None, "the config has root or draw"
        return config.specimens.root, 0.0
    families = list_drawn_families(config)
    draw_specimen(families[0], 0, seed=draw.seed, size=draw.size)  # the first one warms caches up
    began = time.process_time()
    n = min(2, draw.n)
    write_herbarium(store.path("specimens"), families=families, n=n, size=draw.size, seed=draw.seed)
    return store.path("specimens"), (time.process_time() - began) / n * draw.n


# --- how much the concepts would leave unexplained -------------------------------------------------------------


def _say_rest(config: Config, context: Context, built: list[str], run: Path, say: Callable[[str], None]) -> None:
    """Say how much of the importance the concepts leave in the rest; warn where that is more than half."""
    known = _read_rests(config, context, built, run)
    rests = known or _try_rests(config, context, built)
    if not rests:
        return
    middle = sorted(rests.values())[len(rests) // 2]
    where = f"in the run folder, {len(rests)} families" if known else f"tried on a few leaves of {', '.join(rests)}"
    say(f"Explained: concepts leave {middle:.0%} of the importance in the rest ({where})")
    warning = warn_of_rest(rests)
    if warning:
        say(f"  warning: {warning}")


def _read_rests(config: Config, context: Context, built: list[str], run: Path) -> dict[str, float]:
    """Return the rest's share by family's name, as a run has it whose ranks a build would keep."""
    rests, store = {}, Store(run)
    try:
        stale = find_stale(config, run)
    except LeafLineageError:
        return {}
    if any(stale[name] for name in ("inspect", "factorize", "rank")):
        return {}
    for slug in built:
        with contextlib.suppress(LeafLineageError):
            record = store.read_json(f"families/{slug}/importance.json", "importance", stage="rank")
            rests[context.of(slug).family.name] = float(record["rest"]["share"])
    return rests


def _try_rests(config: Config, context: Context, built: list[str]) -> dict[str, float]:
    """Return the rest's share of a few families by name, from a few leaves of each sent through the stages."""
    tried = [context.of(slug) for slug in built[:N_TRIED_FAMILIES]]
    n = N_TRIED_LEAVES if context.model.pools_first else N_TRIED_LEAVES // 4
    with tempfile.TemporaryDirectory(prefix="leaflineage-plan-") as folder:
        store = Store(Path(folder))
        for name in ("model.json", "head.safetensors"):
            if context.store.exists(name):
                store.write_bytes(name, context.store.path(name).read_bytes())
        specimens = [each for other in tried for each in other.specimens[:: max(1, len(other.specimens) // n)][:n]]
        draw = config.specimens.draw
        if draw is not None:  # the plan drew two a family; concepts want more
            names = [other.family.name for other in tried]
            root = store.path("specimens")
            write_herbarium(root, families=names, n=min(n, draw.n), size=draw.size, seed=draw.seed)
            specimens = scan_specimens(
                root=root,
                catalogue=root / "catalogue.csv",
                split=config.specimens.split,
                max_pixels=config.specimens.max_pixels,
                follow_symlinks=False,
            )[0].specimens
        families = sorted({str(each.family) for each in specimens})
        catalogue = Catalogue(specimens=specimens, families=families)
        store.write_json("catalogue.json", "catalogue", catalogue.model_dump(mode="json"))
        trial = config.model_copy(
            update={
                "specimens": config.specimens.model_copy(update={"min_specimens": 2}),
                "concepts": config.concepts.model_copy(
                    update={"refits": 0, "n_concepts": config.concepts.fewest_concepts}
                ),
                "importance": config.importance.model_copy(update={"max_evaluations": 64}),
                "atlas": config.atlas.model_copy(update={"families": families}),
            }
        )
        rests = {}
        for other in tried:
            for stage in ("extract", "factorize", "rank"):
                done = run_task(stage, other.slug, folder, trial.model_dump_json())
                if done.error:
                    raise done.error
            record = store.read_json(f"families/{other.slug}/importance.json", "importance")
            rests[other.family.name] = float(record["rest"]["share"])
        return rests


# --- how long it would take ------------------------------------------------------------------------------------


def _time_stages(config: Config, context: Context, n_specimens: dict[str, int], n_queries: int) -> dict[str, float]:
    """Return seconds of one core a stage, from a timed sample."""
    import numpy as np
    import torch

    from leaflineage.featviz.maco import visualize_concepts
    from leaflineage.featviz.objective import COSINE_POWER
    from leaflineage.featviz.spectrum import Palette
    from leaflineage.stages.fidelity import N_RANDOM_WEIGHTS
    from leaflineage.stages.illustrate import MOST_MISTAKES
    from leaflineage.stages.judging import N_LEAVES
    from leaflineage.stages.reading import BATCH_SIZE
    from leaflineage.stages.visualize import FAMILY_STEPS
    from leaflineage.stages.visualizing import choose_slots

    classifier, settings = context.load_classifier(), config.visualize
    size, n = context.model.preprocessing.input_size, sum(n_specimens.values())
    batch = torch.rand(N_TIMED, 3, *size)
    forward = _time(lambda: classifier.features(batch)) / N_TIMED
    generator = np.random.default_rng(0)
    spectrum = generator.random((3, settings.size, settings.size // 2 + 1), dtype=np.float32)
    n_slots = choose_slots(context, str(classifier.device))
    directions = generator.random((n_slots, context.model.map_shape[2]), dtype=np.float32)

    def draw() -> None:
        visualize_concepts(
            classifier.features_differentiable,
            directions,
            spectrum,
            Palette(np.full(3, 0.5), np.eye(3) * 0.1),
            input_size=size,
            steps=N_STEPS,
            n_crops=settings.crops,
            n_slots=n_slots,
            patience=None,
            repelled_from=[None] * n_slots,
            cosine_power=COSINE_POWER,
            seeds=list(range(n_slots)),
            device=str(classifier.device),
        )

    step = _time(draw) / N_STEPS / n_slots
    n_shown = min(config.concepts.most_concepts, config.atlas.n_shown)
    head = 0.0 if context.model.affine_head else _time_head(config, context)
    rows, columns, channels = context.model.map_shape
    cells = sum(min(count * rows * columns, config.concepts.max_cells) for count in n_specimens.values())
    concepts = config.concepts
    tried = concepts.n_concepts_tried if concepts.n_concepts == "auto" else [concepts.n_concepts]
    n_refits = max(concepts.refits, LEAST_REFITS) if concepts.n_concepts == "auto" else concepts.refits
    products = cells * channels * sum(tried) * (1 + n_refits)
    n_pictures = len(n_specimens) * n_shown
    n_maps = n_pictures * min(concepts.n_attributions, concepts.n_crops) * N_COPIES
    drawing = settings.steps * step
    judging = sum(min(count, N_LEAVES) for count in n_specimens.values()) * n_shown * (forward + 0.002)
    n_subconcepts = n_pictures * (concepts.n_subconcepts if concepts.recurse > 1 else 0)
    return {
        "probe": min(n, N_PROBED) * (forward + 0.004),
        "extract": n * (1 + _count_crops(config)) * (forward + 0.004),
        "factorize": 0.2 * len(n_specimens) + products * 5e-9,
        "rank": n * head,
        "fidelity": len(n_specimens) * (0.4 + N_RANDOM_WEIGHTS * (forward + 0.004)),
        "illustrate": n * 0.015 + n_maps * BACKWARD * forward,
        "contrast": len(n_specimens) * (BATCH_SIZE * forward + MOST_MISTAKES / 2 * head),
        "name": n * LOCATING,
        "recurse": n_subconcepts * (0.7 + drawing),
        "visualize": (n_pictures * (settings.n_visualizations + ACCENTED) + FAMILY_STEPS * len(n_specimens)) * drawing
        + judging,
        "explain": n_queries * (forward + 0.05 + N_CANDIDATES * head),
        "bake": 2 + 0.05 * len(n_specimens) * n_shown,
    }


def _count_crops(config: Config) -> float:
    """Return how many crops a leaf half as long again as wide is cut into, 0 where banks are fitted on cells alone."""
    settings = config.concepts
    if settings.fit_on == "cells":
        return 0
    return len(place_grid(1000, 1500, crop_side=settings.crop_side, crop_stride=settings.crop_stride))


def _time_head(config: Config, context: Context) -> float:
    """Return seconds that sampling one specimen's importances takes, from a timed batch of the head."""
    import torch

    classifier = context.load_classifier()
    rows, columns, channels = context.model.map_shape
    shape = (1, 1, channels) if context.model.pools_first else (rows, columns, channels)
    n = choose_batch_size(context.model)
    with torch.inference_mode():
        each = _time(lambda: classifier.head(torch.rand(n, *shape, device=classifier.device))) / n
    # Evaluations a specimen, of the first round, which is most often enough, and of leaving each concept out.
    first = (N_SCRAMBLINGS * FIRST_DESIGNS + 1) * (config.concepts.most_concepts + 3)
    return each * first


def _time(work: Callable[[], object]) -> float:
    """Return CPU seconds of a piece of work, after a first go that is not counted."""
    work()
    began = time.process_time()
    work()
    return time.process_time() - began


def _write_count(n: int) -> str:
    """Return a number to two digits."""
    digits = max(0, len(str(n)) - 2)
    return f"{round(n, -digits):,}"


def _describe_stale(config: Config, run: Path) -> str:
    """Say what of an existing run is fresh."""
    if not run.is_dir():
        return "does not exist yet; everything would be made"
    try:
        stale = find_stale(config, run)
    except LeafLineageError:
        return "exists; what it holds cannot be used as it is, and would be made again"
    parts = ", ".join(f"{name} ({count})" for name, count in stale.items() if count)
    return f"to be made: {parts}" if parts else "all is fresh; only changed specimens would be read again"
