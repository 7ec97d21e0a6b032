"""How fast the classifier is on this machine, from a timed sample."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from leaflineage.config import Config
from leaflineage.costs import Speeds, count_head_evaluations
from leaflineage.stages.context import Context
from leaflineage.stages.rank import choose_batch_size

N_TIMED = 16
N_STEPS = 2
N_GPU_STEPS = (30, 90)  # both long enough to be captured as a graph


def time_classifier(config: Config, context: Context, *, drawing: float) -> Speeds:
    """Return how fast the classifier is on this machine, from a timed sample; ``drawing`` is handed on."""
    import numpy as np
    import torch

    from leaflineage.featviz.maco import visualize_concepts
    from leaflineage.featviz.objective import COSINE_POWER
    from leaflineage.featviz.spectrum import Palette
    from leaflineage.stages.visualizing import choose_slots

    classifier, settings = context.load_classifier(), config.visualize
    size = context.model.preprocessing.input_size
    batch = torch.rand(N_TIMED, 3, *size)
    on_cpu = classifier.device.type == "cpu"
    forward = _time(lambda: classifier.features(batch).cpu(), by_clock=not on_cpu) / N_TIMED
    generator = np.random.default_rng(0)
    spectrum = generator.random((3, settings.size, settings.size // 2 + 1), dtype=np.float32)
    n_slots = choose_slots(context, str(classifier.device), 10)  # concepts of a family, about
    directions = generator.random((n_slots, context.model.map_shape[2]), dtype=np.float32)

    def draw(steps: int) -> None:
        visualize_concepts(
            classifier.features_differentiable,
            directions,
            spectrum,
            Palette(np.full(3, 0.5), np.eye(3) * 0.1),
            input_size=size,
            steps=steps,
            n_crops=settings.crops,
            n_slots=n_slots,
            patience=None,
            repelled_from=[None] * n_slots,
            cosine_power=COSINE_POWER,
            seeds=list(range(n_slots)),
            device=str(classifier.device),
        )

    if on_cpu:
        step = _time(lambda: draw(N_STEPS)) / N_STEPS / n_slots
    else:  # without the start, in which a step is captured
        few, many = (_time(partial(draw, n), by_clock=True) for n in N_GPU_STEPS)
        step = max(many - few, 0.0) / (N_GPU_STEPS[1] - N_GPU_STEPS[0]) / n_slots
    head = 0.0 if context.model.affine_head else _time_head(config, context)
    return Speeds(forward=forward, step=step, head=head, drawing=drawing)


def _time_head(config: Config, context: Context) -> float:
    """Return seconds that sampling one specimen's importances takes, from a timed batch of the head."""
    import torch

    classifier = context.load_classifier()
    rows, columns, channels = context.model.map_shape
    shape = (1, 1, channels) if context.model.pools_first else (rows, columns, channels)
    n = choose_batch_size(context.model)
    with torch.inference_mode():
        maps = torch.rand(n, *shape, device=classifier.device)
        each = _time(lambda: classifier.head(maps).cpu(), by_clock=classifier.device.type != "cpu") / n
    return each * count_head_evaluations(config)


def _time(work: Callable[[], object], *, by_clock: bool = False) -> float:
    """Return CPU seconds of a piece of work (or seconds by the clock), after a first go that is not counted."""
    now = time.perf_counter if by_clock else time.process_time
    work()
    began = now()
    work()
    return now() - began
