"""What a build would do, what is wrong, how long it would take and how large its site would be. Touches nothing.

Everything is tried for real, in a temporary folder, on a small sample: the classifier is opened and its scores are
checked, specimens are scanned, a few pictures go through each costly step against a clock.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leaflineage.accelerators import find_places
from leaflineage.concepts.rows import GB
from leaflineage.config import PRESETS, Config, VisualizeSection, check_places
from leaflineage.costs import NETWORK, PRICES, Work, count_work, estimate_seconds
from leaflineage.errors import LeafLineageError
from leaflineage.executors import WITHOUT_DEVICE, count_jobs, limit_threads, run_task
from leaflineage.freshness import find_stale
from leaflineage.herbarium import draw_specimen, write_herbarium
from leaflineage.machine import measure_peak_mb, measure_resident_mb
from leaflineage.pipeline import list_drawn_families, warn_of_rest
from leaflineage.records import Catalogue, ModelRecord
from leaflineage.sizing import Size, estimate_size
from leaflineage.specimens import scan_specimens
from leaflineage.stages.context import Context
from leaflineage.stages.memory import check_memory, estimate_activations
from leaflineage.stages.table import STAGES
from leaflineage.store import Store
from leaflineage.timing import time_classifier

N_TRIED_FAMILIES, N_TRIED_LEAVES = 2, 24  # on which the rest is measured where no run has it


@dataclass(frozen=True)
class Gpus:
    """What a build would ask of the GPUs that it computes on.

    Attributes
    ----------
    n
        How many; 0 where it computes on the processor.
    n_processes
        That share them.
    seconds
        Of one GPU, a stage.
    """

    n: int = 0
    n_processes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Estimate:
    """What a build from nothing would cost.

    Attributes
    ----------
    seconds
        CPU seconds a stage, one thread; what a GPU does is not in it.
    """

    seconds: dict[str, float]
    jobs: int
    size: Size
    memory_gb: float  # of the largest process
    gpus: Gpus

    @property
    def minutes(self) -> float:
        """Wall time, with the tasks spread over the processes, and what GPUs do over those."""
        total = 0.0
        for stage, seconds in self.seconds.items():
            everywhere = not self.gpus.n or stage in WITHOUT_DEVICE or stage not in STAGES
            total += seconds / (self.jobs if everywhere else min(self.jobs, self.gpus.n_processes))
            total += self.gpus.seconds.get(stage, 0.0) / max(1, self.gpus.n)
        return total / 60


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
        speeds = time_classifier(sampled, context, drawing=drawing_seconds)
        work = count_work(sampled, model, speeds, n_specimens, n_queries)
        seconds, gpus = _share(work, find_places(config.run.device)[: count_jobs(config.run.jobs)])
        names = {context.of(slug).family.name: count for slug, count in n_specimens.items()}
        memory_gb = _say_memory(config, model, names, say)
        size = estimate_size(
            config,
            n_specimens,
            n_named=sum(each.output_index is not None for each in context.families),
            specimens=context.list_used(),
            n_queries=n_queries,
        )
        estimate = Estimate(seconds, count_jobs(config.run.jobs), size, memory_gb, gpus)
    n_concepts, n_shown = config.concepts.most_concepts, min(config.concepts.most_concepts, config.atlas.n_shown)
    say(f"Concepts: {n_concepts} a family, {n_shown} shown")
    _say_pictures(config, len(built), estimate, say)
    stale = _describe_stale(config, run)
    say(f"Run folder: {run}: {stale}")
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in estimate.seconds.items() if value >= 1)
    minutes = max(1, round(estimate.minutes))
    say(f"From nothing, with {estimate.jobs} processes: about {minutes} min ({parts} of one core)")
    if gpus.n:
        parts = ", ".join(f"{name} {value:.0f} s" for name, value in gpus.seconds.items() if value >= 1)
        noun = "GPU" if gpus.n == 1 else "GPUs"
        say(f"  of them {gpus.n_processes} compute on {gpus.n} {noun} ({parts or 'under a second'} of one)")
    say(f"Site: {out or run / 'site'}, about {estimate.size.site_mb:.0f} MB")
    if estimate.size.site_mb > config.site.budget_mb:
        say(f"  over the budget of {config.site.budget_mb:g} MB ([site] budget_mb)")
    say(f"Files: about {_write_count(size.n_run)} in the run folder, and {_write_count(size.n_site)} in the site")
    return estimate


def _share(work: Work, places: Sequence[str]) -> tuple[dict[str, float], Gpus]:
    """Return the processor's seconds a stage, and what GPUs that are found at some places would do."""
    if not places:
        return estimate_seconds(work, PRICES), Gpus()
    on_gpu = {
        stage: amounts[NETWORK] for stage, amounts in work.items() if stage not in WITHOUT_DEVICE and NETWORK in amounts
    }
    rest = {stage: {**amounts, NETWORK: 0.0} if stage in on_gpu else amounts for stage, amounts in work.items()}
    return estimate_seconds(rest, PRICES), Gpus(len(set(places)), len(places), on_gpu)


def _say_pictures(config: Config, n_families: int, estimate: Estimate, say: Callable[[str], None]) -> None:
    """Say what the preset in use means, what it costs beside the others, and what a common spectrum would mean."""
    settings = config.visualize
    n_pictures = n_families * (1 + settings.n_visualizations * min(config.concepts.most_concepts, config.atlas.n_shown))
    views = "1 view" if settings.n_visualizations == 1 else f"{settings.n_visualizations} views"
    gpus = estimate.gpus
    minutes = (gpus.seconds if gpus.n else estimate.seconds).get("visualize", 0.0) / 60
    one = "GPU" if gpus.n else "core"
    say(
        f"Pictures: quality {settings.quality!r}: {settings.size} px, {settings.steps} steps, {settings.crops} crops a "
        f"step, {views} a concept; {n_pictures} in all, about {max(1, round(minutes))} min of one {one}"
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


def _say_memory(
    config: Config, model: ModelRecord, n_specimens: Mapping[str, int], say: Callable[[str], None]
) -> float:
    """Say what memory a process would take; return GB.

    Raises
    ------
    ConfigError
        Where activations cannot be worked on within ``[run] memory_gb``.
    """
    check_memory(config, model, n_specimens)
    activations = max((estimate_activations(config, model, n) for n in n_specimens.values()), default=0.0) / GB
    # Now it holds torch and the classifier; at its largest it sent batches of pictures through, as a build does.
    whole = max(measure_peak_mb() / 1024, measure_resident_mb() / 1024 + activations)
    jobs = count_jobs(config.run.jobs)
    say(
        f"Memory: about {whole:.1f} GB a process, {whole * jobs:.1f} in all; of it activations up to {activations:.1f} "
        f"([run] memory_gb = {config.run.memory_gb:g})"
    )
    return whole


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
