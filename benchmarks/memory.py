"""Peak memory of a build's stages as a family's specimens grow: 1×, 4× and 16× of a set.

    OMP_NUM_THREADS=1 python benchmarks/memory.py
    python benchmarks/memory.py --specimens 24 --factors 1,4,16 --side 384

One family's drawn leaves and, where more are wanted, copies of them in which every pixel is a little lighter or
darker, so that each is a picture of its own. Each stage runs in a process of its own, whose largest resident memory is
read as it ends; what a process holds before any specimen is read (torch, timm, the classifier) is in every figure, and
stands in a row of its own. The classifier of the drawn leaves is given pictures of ``--side`` pixels, so that a feature
map is as large as those of classifiers people use: 12 × 12 × 1280 at 384.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from running import run_apart

FAMILY, OTHER, N_OTHERS = "Betulaceae", "Fagaceae", 12
# What runs in each process.
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from leaflineage.config import Config
from leaflineage.store import Store
from leaflineage.stages.context import Context
run, stage, slug, text = sys.argv[1:]
config = Config.model_validate_json(text)
if stage == "nothing":
    from leaflineage.executors import limit_threads
    limit_threads()
    Context(Store(Path(run)), config).load_classifier()
elif stage == "scan":
    from leaflineage.specimens import scan_specimens
    catalogue, _ = scan_specimens(root=config.specimens.root, catalogue=None, split=config.specimens.split,
                                  max_pixels=config.specimens.max_pixels, follow_symlinks=False)
    Store(Path(run)).write_json("catalogue.json", "catalogue", catalogue.model_dump(mode="json"))
elif stage == "bake":
    from leaflineage.website.bake import bake
    bake(Path(run), Path(run) / "site", budget_mb=1e6, jobs=1)
else:
    from leaflineage.executors import run_task
    done = run_task(stage, slug, run, text)
    if done.error is not None:
        raise done.error
status = Path("/proc/self/status")  # ru_maxrss has in it what the parent held when it started this process
if status.exists():
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print(json.dumps(peak / 1024))
"""


def draw_leaves(root: Path, *, n: int, size: int) -> None:
    """Draw a family's first leaves, and a few of another family for comparison; one folder a family."""
    from PIL import Image

    from leaflineage.herbarium import draw_specimen

    for family, wanted in ((FAMILY, n), (OTHER, N_OTHERS)):  # the second is in the sample of all families, no more
        folder = root / family
        folder.mkdir(parents=True)
        for index in range(wanted):
            Image.fromarray(draw_specimen(family, index, seed=0, size=size).image).save(folder / f"{index:05d}.png")


def multiply_leaves(root: Path, *, n: int, factor: int) -> None:
    """Add copies of the family's leaves until there are ``factor`` times as many, each of another brightness."""
    import numpy as np
    from PIL import Image

    for index in range(n):
        with Image.open(root / FAMILY / f"{index:05d}.png") as opened:
            image = np.asarray(opened.convert("RGB"), dtype=np.int16)
        for copy in range(1, factor):
            shift = (copy + 1) // 2 * (1 if copy % 2 else -1)
            Image.fromarray(np.clip(image + shift, 0, 255).astype(np.uint8)).save(
                root / FAMILY / f"{index + copy * n:05d}.png"
            )


def describe_config(root: Path, *, side: int, sets: Sequence[str]) -> str:
    """Return the config of a build of the family as JSON."""
    from leaflineage.config import load_config

    overrides = [
        f'atlas.families=["{FAMILY}"]',
        f"specimens.root={root}",
        "specimens.min_specimens=2",
        "specimens.split=md5:5",
        "classifier.source=herbarium",
        "classifier.trust_names=true",
        f"classifier.input_size={side}",
        "concepts.n_concepts=6",
        "concepts.refits=2",
        "visualize.size=64",
        "visualize.steps=2",
        "run.device=cpu",
    ]
    return load_config(None, overrides=[*overrides, *sets], name="memory").model_dump_json()


def measure(run: Path, stage: str, slug: str, config: str) -> float:
    """Return the largest resident memory of a stage's process, in MB."""
    return float(run_apart(["-c", MEASURE, str(run), stage, slug, config], what=f"the stage {stage!r}"))


def list_stages() -> list[tuple[str, str]]:
    """Return the stages of a build of one family in order, each with the slug it is run for."""
    from leaflineage.records import make_slug
    from leaflineage.stages.table import FAMILY_STAGES

    slug = make_slug(FAMILY)
    whole = [("scan", ""), ("nothing", ""), ("inspect", ""), ("probe", "")]
    return [*whole, *((name, slug) for name in FAMILY_STAGES), ("explain", ""), ("collect", ""), ("bake", "")]


@click.command()
@click.option("--specimens", "n", default=24, show_default=True, help="Leaves of the set that is multiplied.")
@click.option("--factors", default="1,4,16", show_default=True, help="How often the set is taken.")
@click.option("--side", default=384, show_default=True, help="Pixels of the classifier's input.")
@click.option("--size", default=256, show_default=True, help="Pixels of a leaf's picture.")
@click.option("--set", "sets", multiple=True, help="section.key=value, as of leaflineage build.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder that leaves and runs are left in.")
def main(n: int, factors: str, side: int, size: int, sets: tuple[str, ...], keep: Path | None) -> None:
    """Print a row a stage: MB at each multiple of the set, and what one more specimen costs."""
    multiples = [int(each) for each in factors.split(",")]
    stages = list_stages()
    found: dict[str, list[float]] = {stage: [] for stage, _ in stages}
    with tempfile.TemporaryDirectory(prefix="leaflineage-memory-") as temporary:
        folder = keep or Path(temporary)
        draw_leaves(folder / "leaves-1", n=n, size=size)
        for factor in multiples:
            root = folder / f"leaves-{factor}"
            if factor > 1:
                shutil.copytree(folder / "leaves-1", root)
                multiply_leaves(root, n=n, factor=factor)
            run = folder / f"run-{factor}"
            run.mkdir()
            config = describe_config(root, side=side, sets=sets)
            for stage, slug in stages:
                found[stage].append(measure(run, stage, slug, config))
                click.echo(f"{n * factor} specimens: {stage} {found[stage][-1]:.0f} MB", err=True)
    click.echo(f"| MB | {' | '.join(f'{n * factor} specimens' for factor in multiples)} | kB a specimen more |")
    click.echo("|---" * (len(multiples) + 2) + "|")
    for stage, peaks in found.items():
        added = n * (multiples[-1] - multiples[0])
        slope = f"{1024 * (peaks[-1] - peaks[0]) / added:.0f}" if added else ""
        click.echo(f"| {stage} | {' | '.join(f'{each:.0f}' for each in peaks)} | {slope} |")


if __name__ == "__main__":
    main()
