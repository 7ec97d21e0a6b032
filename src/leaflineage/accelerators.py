"""How many processes share this machine's GPUs, and which of them takes which.

A GPU does one process's work at a time, and each process keeps memory on it: one a core, as the processor wants them,
would fill it. A few keep it busy while others encode pictures and read files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from leaflineage.errors import LeafLineageError

SIGNS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of a GPU that torch calls "cuda": NVIDIA, ROCm, under Windows
WORKER_BYTES = 8 * 10**9  # of a GPU's memory, that a process which draws may take: see visualizing.MAX_BATCH_PIXELS
MAX_WORKERS = 4  # a GPU
VISIBLE = "CUDA_VISIBLE_DEVICES"


def find_places(wanted: str) -> list[str]:
    """Return one entry a process that is to share the GPUs, the device it computes on; empty without a GPU.

    Parameters
    ----------
    wanted
        "auto", "cpu", "cuda", "cuda:1", or any other that torch knows; all GPUs are shared unless one is named.

    Returns
    -------
    places
        GPUs by what ``CUDA_VISIBLE_DEVICES`` calls them, in turn; an empty name where the process needs no telling.
    """
    if wanted == "cpu" or not (wanted == "auto" or wanted.startswith("cuda")):
        return []
    if not any(Path(sign).exists() for sign in SIGNS):
        return []  # without asking torch, whose import takes seconds
    free = _ask()
    _, _, number = wanted.partition(":")
    if number:
        named = free[int(number) :][:1] if number.isdecimal() else []
        return [""] * sum(count_workers(each) for each in named)
    return share_out([count_workers(each) for each in free], os.environ.get(VISIBLE))


def _ask() -> list[int]:
    """Measure in a process apart: whoever asks a GPU for its memory holds some of it until the end."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(measure_free).result()
    except (RuntimeError, OSError) as error:  # a driver of another version; a card that is full, or another's alone
        raise LeafLineageError(
            f"The GPUs of this machine were to be shared, and one could not be asked for its free memory "
            f"({str(error).strip().splitlines()[0]}). See what else runs on it (nvidia-smi), or use --device cpu."
        ) from error


def measure_free() -> list[int]:
    """Return the free memory of each GPU that torch sees, bytes."""
    import torch

    return [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]


def count_workers(free: int) -> int:
    """Return how many processes share a GPU of so many free bytes, at least one."""
    return min(max(1, free // WORKER_BYTES), MAX_WORKERS)


def share_out(n_workers: Sequence[int], visible: str | None) -> list[str]:
    """Return the GPU of each process, those first that a build of few processes should use.

    Parameters
    ----------
    n_workers
        Processes a GPU.
    visible
        ``CUDA_VISIBLE_DEVICES``, where it is set.
    """
    if len(n_workers) == 1:
        return [""] * n_workers[0]
    names = visible.split(",") if visible else [str(index) for index in range(len(n_workers))]
    rounds = range(max(n_workers, default=0))
    return [name for number in rounds for name, n in zip(names, n_workers, strict=False) if number < n]
