"""What benchmarks run: single stages of a run, without its pictures and its site; and processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from leaflineage.config import Config
from leaflineage.executors import run_task
from leaflineage.specimens import scan_specimens
from leaflineage.stages.context import Context
from leaflineage.stages.table import STAGES, compute_fingerprint
from leaflineage.store import Store


def open_run(config: Config, folder: Path) -> Context:
    """List the specimens, verify the classifier, and return the run in ``folder``; what is there and fresh stays."""
    if config.specimens.root is None:
        raise ValueError("a folder of specimens is wanted ([specimens] root), and this config draws its own")
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder)
    catalogue, _ = scan_specimens(
        root=config.specimens.root,
        catalogue=config.specimens.catalogue,
        split=config.specimens.split,
        max_pixels=config.specimens.max_pixels,
        follow_symlinks=config.specimens.follow_symlinks,
    )
    store.write_json("catalogue.json", "catalogue", json.loads(catalogue.model_dump_json()))
    context = Context(store, config)
    run_stages(context, [""], ["inspect"])
    return context


def run_stages(context: Context, slugs: Sequence[str], stages: Sequence[str]) -> None:
    """Run stages for families where they are stale (an empty slug: for all at once)."""
    for name in stages:
        for slug in slugs:
            of = context.of(slug)
            stage = STAGES[name]
            if of.store.find_staleness(stage.record_path(slug), stage.kind, compute_fingerprint(stage, of)):
                report = run_task(name, slug, str(context.store.folder), context.config.model_dump_json())
                if report.error is not None:
                    raise report.error


def run_apart(words: Sequence[str], *, what: str) -> Any:
    """Run Python with these words in a process of its own, of one thread; return what its last line says as JSON.

    Raises
    ------
    click.ClickException
        Where it fails; ``what`` names it.
    """
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{what} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
