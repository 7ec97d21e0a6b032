"""Bake simulated atlases: how long a site takes, from nothing and with one family changed, how heavy and large it gets.

    python benchmarks/bake.py RUN --families 142
    python benchmarks/bake.py RUN --families 1000,10000 --crops 1

    python benchmarks/bake.py RUN --families 142 --check

RUN is a finished run. Its families are copied under new names as often as needed, each copy's pictures hard links to
the run's; so the pages are those of a real atlas of that size, and nothing has to be computed for it. Each bake is a
process of its own: its time is the whole command's, its memory the largest process's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

# Its own memory is what the kernel says of this program alone: `getrusage` also counts the one that started it.
BAKE = (
    "import json, re, resource, sys; from pathlib import Path; from leaflineage.website.bake import bake; "
    "report = bake(Path(sys.argv[1]), budget_mb=1e6, jobs=0); "
    "own = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]); "
    "children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
    "print(json.dumps([report.n_pages, report.n_bytes, own / 1024, children / 1024]))"
)
CHECK = (
    "import sys; from pathlib import Path; from leaflineage.website.check import check_site; run = Path(sys.argv[1]); "
    "sys.exit(len(check_site(run / 'site', budget_mb=1e6, jobs=0, memory=run / 'check.jsonl')))"
)


@dataclass(frozen=True)
class Measured:
    """One bake: seconds, pages, weight in millions of bytes, memory of the largest process and of its largest child."""

    seconds: float
    n_pages: int
    weight_mb: float
    memory_mb: float
    child_mb: float


def simulate_run(run: Path, out: Path, *, n_families: int, n_concepts: int, n_crops: int | None) -> Path:
    """Write a run of ``n_families`` copies of a run's families into ``out``.

    Parameters
    ----------
    n_concepts
        Concepts a family; those that the run has not are copies of those that it has.
    n_crops
        Crops kept a concept; all unless given.
    """
    index = json.loads((run / "index.json").read_bytes())
    built = [family for family in index["families"] if family["concepts"]]
    names = {family["slug"]: family["name"] for family in built}
    known = re.compile("|".join(rf"\b{re.escape(word)}\b" for pair in names.items() for word in pair))
    families: list[dict[str, Any]] = []
    specimens: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    sources = {family["slug"]: (run / "families" / family["slug"] / "family.json").read_text() for family in built}
    out.mkdir(parents=True)
    with (out / "atlas.json").open("w", encoding="utf-8") as atlas:
        header = {key: value for key, value in index.items() if key not in ("families", "queries", "schema")}
        atlas.write('{"schema":"leaflineage.atlas/1",' + json.dumps(header)[1:-1] + ',"families":[')
        for number in range(n_families):
            family = built[number % len(built)]
            mark = f"{number // len(built):04d}"
            renamed = {word: f"{word[: -len(mark)]}{mark}" for pair in names.items() for word in pair}  # no longer
            origins = {new: old for old, new in renamed.items()}
            new_names = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in origins))

            def rename(match: re.Match[str], renamed: dict[str, str] = renamed) -> str:
                return renamed[match[0]]

            def restore(match: re.Match[str], origins: dict[str, str] = origins) -> str:
                return origins[match[0]]

            slug = renamed[family["slug"]]
            record = json.loads(known.sub(rename, sources[family["slug"]]))
            folder = out / "families" / slug
            sources_of = extend_family(record["family"], n_concepts)
            for specimen in record["specimens"]:
                if specimen.get("catalogue_number"):
                    specimen["catalogue_number"] += f"-{number // len(built)}"
            known_of = record.get("contributions") or {}
            for name, origin in sources_of.items():
                if f"{slug}/{origin}" in known_of:
                    known_of[f"{slug}/{name}"] = known_of[f"{slug}/{origin}"]
            if n_crops is not None:
                trim_record(record, n_crops)
            folder.mkdir(parents=True)
            (folder / "family.json").write_text(json.dumps(record, ensure_ascii=False))
            for path in sorted(set(list_pictures(record))):
                link(run / find_source(new_names.sub(restore, path), sources_of), out / path)
            for name in ("importances.csv", "bank.safetensors"):
                link(run / "families" / family["slug"] / name, folder / name)
            listed = json.loads(known.sub(rename, json.dumps(family, ensure_ascii=False)))
            extend_family(listed, n_concepts)
            families.append(listed)
            atlas.write(("," if number else "") + json.dumps(record["family"]))
            specimens += record["specimens"][:1]
        whole += specimens
        atlas.write('],"specimens":' + json.dumps(whole) + "}")
    families.sort(key=lambda each: each["slug"])
    write_index(out, {**index, "families": families, "queries": []})
    link(run / "head.safetensors", out / "head.safetensors")
    return out


def extend_family(family: dict[str, Any], n_concepts: int) -> dict[str, str]:
    """Give a family ``n_concepts`` concepts whose shares sum to 1 with its rest; return whose copy each new one is."""
    own = family["concepts"]
    origins = {}
    taken = {int(each["id"][-2:]) for each in own}
    free = [number for number in range(1, 100) if number not in taken]
    for place in range(len(own), n_concepts):
        old = own[place % len(own)]
        number, origin = free.pop(0), old["id"][-10:]
        name = f"concept-{number:02d}"
        copy = json.loads(json.dumps(old, ensure_ascii=False).replace(origin, name))
        copy.update(concept_index=number - 1, rank=place + 1, uid=f"{old['uid']}-{place}")
        own.append(copy)
        origins[name] = origins.get(origin, origin)
    total = sum(each["importance"]["share"] for each in own) + family["rest"]["share"]
    for part in (*(each["importance"] for each in own), family["rest"]):
        part["share"] /= total
    return origins


def find_source(path: str, origins: dict[str, str]) -> str:
    """Return the path, in the run, of a copied concept's picture."""
    for name, origin in origins.items():
        path = path.replace(name, origin)
    return path


def trim_record(record: dict[str, Any], n_crops: int) -> None:
    """Leave the first crops of each concept, and the specimens that they and the family's card show."""
    family = record["family"]
    shown = {family.get("representative")}
    for concept in family["concepts"]:
        concept["crops"] = concept["crops"][:n_crops]
        concept["recursion"] = None
        concept["visualizations"] = [each for each in concept["visualizations"] if each["kind"] == "concept"][:1]
        shown.update(crop["specimen"] for crop in concept["crops"])
    family["mistakes"] = []
    record["specimens"] = [each for each in record["specimens"] if each["id"] in shown]


def list_pictures(value: Any) -> Iterator[str]:
    """Yield the paths of all pictures in a record, smaller copies included."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("image", "heatmap", "attribution") and isinstance(each, str):
                if each and not each.startswith("data:"):
                    yield each
                    if key == "image":
                        yield from (f"{each.removesuffix('.webp')}-{width}.webp" for width in value.get("smaller", []))
            else:
                yield from list_pictures(each)
    elif isinstance(value, list):
        for each in value:
            yield from list_pictures(each)


def link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the file system has none or has too many of this file."""
    if not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def change_family(run: Path, number: int) -> None:
    """Change one family's record: its second concept's numbers and name, as a new build of it would."""
    index = json.loads((run / "index.json").read_bytes())
    listed = [family for family in index["families"] if family["concepts"]][number]
    path = run / "families" / listed["slug"] / "family.json"
    record = json.loads(path.read_bytes())
    for family in (listed, record["family"]):
        concept = family["concepts"][-1]
        concept["importance"]["contribution"] += 0.01
        concept["prevalence"] *= 0.99
        family["accuracy"]["n_specimens"] += 1
    path.write_text(json.dumps(record, ensure_ascii=False))
    write_index(run, index)


def write_index(run: Path, index: dict[str, Any]) -> None:
    """Write an index laid out as the store does, so that it is read a family at a time."""
    (run / "index.json").write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n")


def measure_bake(run: Path) -> Measured:
    """Bake a run in a process of its own."""
    began = time.monotonic()
    found = subprocess.run([sys.executable, "-c", BAKE, str(run)], check=True, capture_output=True, text=True)
    seconds = time.monotonic() - began
    n_pages, n_bytes, own, children = json.loads(found.stdout)
    return Measured(seconds, n_pages, n_bytes / 1e6, own, children)


def measure_check(run: Path) -> float:
    """Check a run's site, as the command does after a bake, in a process of its own; return the seconds it took."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", CHECK, str(run)], check=True)
    return time.monotonic() - began


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--families", default="142", show_default=True, metavar="N,M", help="Sizes of the simulated atlases.")
@click.option("--concepts", default=10, show_default=True, type=click.IntRange(1, 99), help="Concepts a family.")
@click.option("--crops", type=click.IntRange(min=1), help="Crops kept a concept; all unless given.")
@click.option("--check", is_flag=True, help="Check each site after its bake, as the command does.")
@click.option("--scratch", type=click.Path(path_type=Path), help="Folder for the simulated runs; a temporary one.")
def main(run: Path, families: str, concepts: int, crops: int | None, check: bool, scratch: Path | None) -> None:
    """Time bakes of simulated atlases made from RUN."""
    click.echo(
        "| families | bake | seconds | families a second | pages | MB | memory, MB | children, MB | then checked in |"
    )
    click.echo("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for n_families in (int(each) for each in families.split(",")):
            target = Path(folder) / str(n_families)
            copy = simulate_run(run, target, n_families=n_families, n_concepts=concepts, n_crops=crops)
            steps = ("from nothing", "nothing changed", "one family changed")
            for step in steps:
                if step == steps[-1]:
                    change_family(copy, n_families // 2)
                found = measure_bake(copy)
                checked = f"{measure_check(copy):.1f}" if check else "–"
                click.echo(
                    f"| {n_families} | {step} | {found.seconds:.1f} | {n_families / found.seconds:.0f} "
                    f"| {found.n_pages} "
                    f"| {found.weight_mb:.0f} | {found.memory_mb:.0f} | {found.child_mb:.0f} | {checked} |"
                )
            shutil.rmtree(copy)


if __name__ == "__main__":
    main()
