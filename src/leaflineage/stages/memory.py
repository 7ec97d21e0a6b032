"""How much memory a build's activations take, and whether that is within ``[run] memory_gb``.

Cells lie on disk and are read a part at a time, so that memory does not grow with a family's specimens. What is held is
what a concept bank is fitted on ([concepts] max_cells bounds it); where that would be more than memory_gb, it is read
anew for each iteration: slower, with the same bytes. The bound is one process's, and of activations alone: beside them
a process holds torch and the classifier, and what that needs for a batch of pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from leaflineage.concepts.crops import place_grid
from leaflineage.concepts.rows import GB, PIECE, estimate_fit_bytes, may_hold
from leaflineage.config import Config
from leaflineage.errors import ConfigError
from leaflineage.records import ModelRecord
from leaflineage.stages.selection import PROBE_BYTES

TYPICAL_LEAF = (1000, 1500)  # pixels, half as long again as wide: how many crops a grid has


def count_crops(config: Config) -> int:
    """Return how many crops a typical leaf is cut into, 0 where banks are fitted on cells alone."""
    settings = config.concepts
    if settings.fit_on == "cells":
        return 0
    return len(place_grid(*TYPICAL_LEAF, crop_side=settings.crop_side, crop_stride=settings.crop_stride))


def count_fitted(config: Config, model: ModelRecord, n_specimens: int) -> int:
    """Return how many cells and crops a family's bank is fitted on, at most."""
    rows, columns, _ = model.map_shape
    n_cells = 0 if config.concepts.fit_on == "crops" else min(n_specimens * rows * columns, config.concepts.max_cells)
    return n_cells + n_specimens * count_crops(config)


def estimate_activations(config: Config, model: ModelRecord, n_specimens: int) -> float:
    """Return bytes of activations that a process holds at most, for a family of so many specimens."""
    settings, (rows, columns, n_channels) = config.concepts, model.map_shape
    signed = model.signed if settings.factorization == "auto" else settings.factorization == "semi-nmf"
    shape, n_concepts = (count_fitted(config, model, n_specimens), n_channels), settings.most_concepts
    held = may_hold(shape, n_concepts, signed=signed, memory_gb=config.run.memory_gb)
    fit = estimate_fit_bytes(shape, n_concepts, signed=signed, held=held)
    # A piece as float32, what a bank makes of it, the difference, squares of both in float64.
    measured = 28 * n_channels * max(PIECE, rows * columns)
    sample = 2 * PROBE_BYTES  # of all families' cells, and of those that are not the family's own
    kept = 12 * n_specimens * rows * columns * n_concepts  # coefficient maps
    return float(max(fit, measured, sample) + kept)


def check_memory(config: Config, model: ModelRecord, n_specimens: Mapping[str, int]) -> None:
    """See that every family's activations can be worked on within ``[run] memory_gb``.

    Parameters
    ----------
    n_specimens
        By family's name.

    Raises
    ------
    ConfigError
        Where they cannot, though they are read in parts; it says what would be needed.
    """
    if not n_specimens:
        return
    wanted, name = max((estimate_activations(config, model, n), name) for name, n in sorted(n_specimens.items()))
    if wanted > config.run.memory_gb * GB:
        n_fitted = count_fitted(config, model, n_specimens[name])
        raise ConfigError(
            f"Activations of no more than [run] memory_gb = {config.run.memory_gb:g} were wanted in a process, and "
            f"{name} needs {wanted / GB:.1f} even where they are read in parts ({n_fitted} cells or crops of "
            f"{model.map_shape[2]} channels to fit on). Set [run] memory_gb = {math.ceil(wanted / GB * 10) / 10:g} if "
            "the machine has that for each of its processes ([run] jobs), or lower [concepts] max_cells."
        )
