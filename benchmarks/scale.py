"""What 142, 1,000 and 10,000 families would take: small builds are measured, their cost is fitted, and summed up.

    OMP_NUM_THREADS=1 python benchmarks/scale.py measure FIGURES
    python benchmarks/scale.py predict FIGURES

*measure* builds small atlases of drawn leaves, one process of one thread each, that differ in families, specimens,
concepts, crops and steps, and writes CPU seconds, bytes and files a stage into FIGURES; what is in it already stays.
*predict* fits, stage by stage, the prices of `leaflineage.costs` (which `leaflineage plan` uses, too) by non-negative
least squares to all builds but the last, prints what is left over and how the last build, which is larger, compares,
and then sums up. The classifier's own passes are timed beside each build and not fitted: they grow with specimens as
other work does, and another classifier's cost is another. Bytes and files are fitted to families, specimens, concepts
and crops likewise.

The classifier of the sums is a ResNet-101 at 384 px, as of the Extant Leaves; its passes are timed here. On a GPU
only drawing is thought to run, at the pace that benchmarks/README.md has of an H100; all else stays on cores.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from running import run_apart

Floats = NDArray[np.floating]
ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("Betulaceae", "Fagaceae", "Ginkgoaceae", "Moraceae")
NETWORK = "network seconds"  # of leaflineage.costs, which torch comes with
ON_H100 = 0.74 / (512 * 6)  # seconds a crop of 224 px through a ResNet-50, there and back; benchmarks/README.md
FULL = {"n": 213, "n_concepts": 10, "n_crops": 10, "refits": 5}  # a family of the Extant Leaves: 30,252 images / 142
MACHINES = (("2 cores", 2, 0), ("1 GPU, 16 cores", 16, 1), ("8 GPUs, 128 cores", 128, 8))


@dataclass(frozen=True)
class Build:
    """A small build: families, leaves of each, concepts a family, crops a concept, steps a picture."""

    families: int
    specimens: int
    concepts: int
    crops: int
    steps: int

    def list_overrides(self) -> list[str]:
        """Return what it lays over configs/tiny.toml."""
        names = json.dumps(list(FAMILIES[: self.families]))
        return [
            f"atlas.families={names}",
            f"specimens.draw.families={names}",
            f"specimens.draw.n={self.specimens}",
            f"concepts.n_concepts={self.concepts}",
            f"atlas.n_shown={self.concepts}",
            f"concepts.n_crops={self.crops}",
            f"visualize.steps={self.steps}",
            "run.keep_activations=true",
            "run.device=cpu",
        ]


BUILDS = (
    Build(1, 8, 2, 3, 4),
    Build(3, 8, 2, 3, 4),
    Build(1, 32, 2, 3, 4),
    Build(1, 8, 6, 3, 4),
    Build(1, 24, 2, 10, 4),
    Build(1, 8, 2, 3, 24),
    Build(2, 20, 4, 6, 12),
    Build(4, 24, 5, 8, 10),  # the last is not fitted to
)


@click.group()
def main() -> None:
    """Growth of a build's cost."""


@main.command()
@click.argument("figures", type=click.Path(path_type=Path))
def measure(figures: Path) -> None:
    """Measure the builds that FIGURES does not hold yet."""
    known = json.loads(figures.read_text()) if figures.exists() else {}
    for each in BUILDS:
        name = "-".join(map(str, asdict(each).values()))
        if name in known:
            continue
        words = [__file__, "build", *map(str, asdict(each).values())]
        known[name] = run_apart(words, what=f"the build {name}")
        figures.write_text(json.dumps(known, indent=1))
        click.echo(f"{name}: {sum(known[name]['seconds'].values()):.0f} CPU s")


@main.command(hidden=True)
@click.argument("numbers", type=int, nargs=5)
def build(numbers: Sequence[int]) -> None:
    """Make one build and print its figures as JSON: for `measure`, which starts a process a build."""
    from leaflineage.config import load_config
    from leaflineage.costs import count_work
    from leaflineage.pipeline import build as build_atlas
    from leaflineage.stages.context import Context
    from leaflineage.store import Store
    from leaflineage.timing import time_classifier

    config = load_config(ROOT / "configs" / "tiny.toml", overrides=Build(*numbers).list_overrides())
    with tempfile.TemporaryDirectory(prefix="leaflineage-scale-") as folder:
        run = Path(folder) / "run"
        report = build_atlas(config, run, out=None, reporter=Silence(), jobs=1)
        context = Context(Store(run), config)
        speeds = time_classifier(config, context, drawing=0.0)
        n_specimens = {slug: len(context.of(slug).specimens) for slug in context.list_built()}
        work = count_work(config, context.model, speeds, n_specimens, 0)
        stored = weigh_stages(run, context.list_built())
    click.echo(json.dumps({"seconds": report.cpu_seconds, "work": work, "stored": stored, "speeds": asdict(speeds)}))


class Silence:
    """A reporter that says nothing."""

    def start(self, stage: str, total: int, fresh: int) -> None: ...

    def advance(self, stage: str, item: str = "") -> None: ...

    def finish(self, stage: str, seconds: float) -> None: ...

    def say(self, text: str) -> None: ...


def weigh_stages(run: Path, slugs: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return bytes and files of each stage's artifacts, and of the site."""
    from leaflineage.stages.table import STAGES

    found = {}
    for stage in STAGES.values():
        paths = set()
        for slug in slugs if stage.per_family else [""]:
            record = stage.record_path(slug)
            if (run / record).is_file():
                paths |= {record, *json.loads((run / record).read_bytes())["files"]}
        sizes = [(run / path).stat().st_size for path in paths if (run / path).is_file()]
        found[stage.name] = (sum(sizes), len(sizes))
    sizes = [path.stat().st_size for path in (run / "site").rglob("*") if path.is_file()]
    found["bake"] = (sum(sizes), len(sizes))
    return found


# --- fitting -------------------------------------------------------------------------------------------------


def fit_prices(amounts: Sequence[dict[str, float]], measured: Sequence[float]) -> dict[str, float]:
    """Return the prices ≥ 0 of kinds of work that explain what was measured best, relative errors counting alike.

    Parameters
    ----------
    amounts
        By kind, a build each.
    measured
        A build each.
    """
    from scipy.optimize import nnls

    kinds = sorted({kind for each in amounts for kind, amount in each.items() if amount and kind != NETWORK})
    timed = np.array([each.get(NETWORK, 0.0) for each in amounts])
    weights = 1 / np.maximum(np.array(measured), 0.05 * max(*measured, 1e-9))
    table = np.array([[each.get(kind, 0.0) for kind in kinds] for each in amounts])  # (n_builds, n_kinds)
    found = nnls(table * weights[:, None], (np.array(measured) - timed) * weights)[0].tolist() if kinds else []
    return {**dict(zip(kinds, found, strict=True)), **({NETWORK: 1.0} if timed.any() else {})}


def evaluate(prices: dict[str, float], amounts: dict[str, float]) -> float:
    """Return what work costs."""
    return sum(prices.get(kind, 0.0) * amount for kind, amount in amounts.items())


def describe_size(work: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return what bytes and files are fitted to."""
    size = {"families": work["name"]["families"], "specimens": work["name"]["specimens"], "builds": 1.0}
    return {**size, "concepts": work["visualize"]["concepts"], "crops": work["illustrate"]["crops"]}


@main.command()
@click.argument("figures", type=click.Path(path_type=Path, exists=True))
def predict(figures: Path) -> None:
    """Fit, check and sum up."""
    known = list(json.loads(figures.read_text()).values())
    fitted, last = known[:-1], known[-1]
    stages = sorted(set(last["work"]) - {"draw"}, key=lambda name: -last["seconds"].get(name, 0.0))
    click.echo(
        "| stage | CPU seconds a piece of work | off, of builds fitted to | the last build: measured, expected |"
    )
    click.echo("|---|---|---|---|")
    prices: dict[str, dict[str, float]] = {}
    totals = np.zeros(2)
    for stage in stages:
        amounts = [each["work"][stage] for each in fitted]
        measured = [each["seconds"].get(stage, 0.0) for each in fitted]
        prices[stage] = fit_prices(amounts, measured)
        off = [abs(evaluate(prices[stage], a) - m) for a, m in zip(amounts, measured, strict=True)]
        pair = np.array([last["seconds"].get(stage, 0.0), evaluate(prices[stage], last["work"][stage])])
        totals += pair
        words = " + ".join(f"{price:.3g} · {kind}" for kind, price in prices[stage].items() if price > 0)
        click.echo(
            f"| {stage} | {words or '0'} | {sum(off):.2f} of {sum(measured):.2f} s | {pair[0]:.2f}, {pair[1]:.2f} s |"
        )
    click.echo(f"| **all** | | | **{totals[0]:.0f}, {totals[1]:.0f} s** |")
    click.echo(
        f"\nPRICES = {json.dumps({k: {n: float(f'{p:.3g}') for n, p in v.items() if p} for k, v in prices.items()})}\n"
    )
    stored = [fit_stored(fitted, place) for place in (0, 1)]
    for name, each, place in zip(("MB", "files"), stored, (0, 1), strict=True):
        scale = 1e6 if place == 0 else 1.0
        of_last = sum(pair[place] for pair in last["stored"].values()) / scale
        click.echo(
            f"{name} of the last build: {of_last:.1f} measured, {sum(each(last['work']).values()) / scale:.1f} expected"
        )
    print_sums(prices, stored)


def fit_stored(known: Sequence[dict[str, Any]], place: int) -> Any:
    """Return what gives bytes (place 0) or files (1) a stage of the work of a build."""
    sizes = [describe_size(each["work"]) for each in known]
    prices = {
        stage: fit_prices(sizes, [each["stored"][stage][place] for each in known]) for stage in known[0]["stored"]
    }
    return lambda work: {stage: evaluate(each, describe_size(work)) for stage, each in prices.items()}


# --- sums ----------------------------------------------------------------------------------------------------


def time_forward(architecture: str, side: int) -> float:
    """Return CPU seconds of one picture through a network with random weights, one thread."""
    import timm
    import torch

    torch.set_num_threads(1)
    network = timm.create_model(architecture, pretrained=False).eval().to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    spent = []
    with torch.inference_mode():
        for _ in range(3):
            began = time.process_time()
            network.forward_features(images)
            spent.append((time.process_time() - began) / len(images))
    return min(spent)


def print_sums(prices: dict[str, dict[str, float]], stored: Sequence[Any]) -> None:
    """Print what full-size atlases would take."""
    from leaflineage.config import PRESETS, load_config
    from leaflineage.costs import BACKWARD, Speeds, count_work
    from leaflineage.records import ModelRecord

    forward, small = time_forward("resnet101", 384), time_forward("resnet50", 224)
    click.echo(f"\nOne thread, a picture: ResNet-101 at 384 px {forward:.2f} s, ResNet-50 at 224 px {small:.3f} s\n")
    model = ModelRecord.model_construct(map_shape=(12, 12, 2048), affine_head=True, pools_first=True, signed=False)
    columns = " | ".join(name for name, _, _ in MACHINES)
    click.echo(f"| families | quality | {columns} | run, GB | site, GB | files |")
    click.echo("|---" * (5 + len(MACHINES)) + "|")
    for families in (142, 1_000, 10_000):
        for quality, preset in PRESETS.items():
            overrides = [f"{part}.{key}={FULL[key]}" for part, key in (
                ("concepts", "n_concepts"), ("concepts", "n_crops"), ("concepts", "refits"))]  # fmt: skip
            config = load_config(
                None,
                overrides=[*overrides, "specimens.root=leaves", "classifier.source=classifier",
                           f"visualize.quality={quality}"],
            )  # fmt: skip
            # A step is the network's passes and, beside them, about 10 ms at 384 px (benchmarks/README.md).
            step = preset["crops"] * BACKWARD * forward + 0.01 * (preset["size"] / 384) ** 2
            n_specimens = dict.fromkeys(map(str, range(families)), FULL["n"])
            work = count_work(config, model, Speeds(forward=forward, step=step), n_specimens, 0)
            without = count_work(config, model, Speeds(forward=forward, step=0.0), n_specimens, 0)
            n_crops = (work["visualize"][NETWORK] - without["visualize"][NETWORK]) / step
            on_gpu = n_crops * preset["crops"] * ON_H100 * forward / small
            cells = []
            for _, cores, gpus in MACHINES:
                spent = sum(evaluate(prices[s], (without if gpus else work)[s]) for s in prices) / cores
                cells.append(say_time(spent + (on_gpu / gpus if gpus else 0.0)))
            weights, files = (each(work) for each in stored)
            run = sum(each for stage, each in weights.items() if stage not in ("bake", "extract")) / 1e9
            click.echo(
                f"| {families:,} | {quality} | {' | '.join(cells)} | {run:.1f} | {weights['bake'] / 1e9:.1f} | "
                f"{sum(files.values()):,.0f} |"
            )


def say_time(seconds: float) -> str:
    """Return a time in words."""
    for unit, name in ((86_400 * 365, "years"), (86_400, "days"), (3600, "hours")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.{1 if seconds < 10 * unit else 0}f} {name}"
    return f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
