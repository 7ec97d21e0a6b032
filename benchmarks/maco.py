"""What drawing concepts costs beside the classifier's own work, in one run, one thread, CPU seconds.

A step of MACO sends crops through the classifier, forward and backward; all else (inverse transform, colours, cutting
crops, the optimiser) is overhead. Printed: CPU seconds of both a step, in turn, and the median ratio.

    OMP_NUM_THREADS=1 python benchmarks/maco.py [--size 384] [--concepts 6] [--crops 3] [--steps 6] [--rounds 5]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

import leaflineage
from leaflineage.featviz.maco import visualize_concepts
from leaflineage.featviz.spectrum import Palette, compute_frequencies
from leaflineage.model.load import load_classifier

SHIPPED = Path(leaflineage.__file__).parent / "herbarium" / "classifier"


@click.command()
@click.option("--source", default=str(SHIPPED), help="A classifier; the drawn leaves' own unless given.")
@click.option("--size", default=384, help="Side of a picture, pixels.")
@click.option("--concepts", default=6, help="Pictures in one batch.")
@click.option("--crops", default=3, help="Crops a picture and step.")
@click.option("--steps", default=6, help="Steps a round.")
@click.option("--rounds", default=5, help="Rounds; each times the classifier, then MACO.")
def main(source: str, size: int, concepts: int, crops: int, steps: int, rounds: int) -> None:
    """Time both in turn and print the ratio."""
    torch.set_num_threads(1)
    classifier = load_classifier(
        source,
        architecture=None,
        label_names=None,
        catalogue_families=[],
        input_size=None,
        mean=None,
        std=None,
        interpolation=None,
        fit="pad",
        pad_colour=(255, 255, 255),
        trust_names=True,
    )
    input_size = classifier.record.preprocessing.input_size
    generator = np.random.default_rng(0)
    spectrum = np.repeat(100 / np.maximum(compute_frequencies(size), 1)[None], 3, axis=0).astype(np.float32)
    directions = generator.random((concepts, classifier.record.map_shape[2])).astype(np.float32)
    images = torch.rand(concepts * crops, 3, *input_size, requires_grad=True)

    def run_classifier() -> None:
        for _ in range(steps):
            classifier.features_differentiable(images).mean().backward()

    def run_maco() -> None:
        visualize_concepts(
            classifier.features_differentiable,
            directions / np.linalg.norm(directions, axis=1, keepdims=True),
            spectrum,
            Palette(np.full(3, 0.8), np.eye(3) * 0.1),
            input_size=input_size,
            steps=steps,
            n_crops=crops,
            seeds=list(range(concepts)),
            device="cpu",
        )

    run_classifier()
    run_maco()
    pairs = [(measure(run_classifier) / steps, measure(run_maco) / steps) for _ in range(rounds)]
    for own, whole in pairs:
        click.echo(f"classifier {own:.3f} s a step   MACO {whole:.3f} s a step   ratio {whole / own:.2f}")
    record = classifier.record
    click.echo(
        f"{record.architecture} at {input_size[1]} px, pictures of {size} px, {concepts} × {crops} crops: median ratio "
        f"{statistics.median(whole / own for own, whole in pairs):.2f}"
    )


def measure(work: Callable[[], None]) -> float:
    """Return the CPU seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
